//! The pods that have been bad, and not good to any policy that watches them: an agent that has just started knows nothing
//! else of them. Counted with every answer, so that no decision walks over them.

use std::collections::HashMap;

use super::scope_counts::ScopeCounts;
use crate::{
    object::Uid,
    scope::{PodScopes, Scope},
};

#[derive(Clone, Debug, Default)]
pub(super) struct NeverGood {
    pods: HashMap<Uid, PodScopes>,
    counts: ScopeCounts,
}

impl NeverGood {
    /// Where a watched pod is that was bad and never good; `None` of any other.
    pub(super) fn set(&mut self, uid: &Uid, scopes: Option<&PodScopes>) {
        if self.pods.get(uid) == scopes {
            return;
        }
        if let Some(known) = self.pods.remove(uid) {
            self.counts.remove(&known);
        }
        if let Some(scopes) = scopes {
            self.counts.add(scopes);
            self.pods.insert(uid.clone(), scopes.clone());
        }
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.pods.contains_key(uid)
    }

    pub(super) fn count(&self, scope: &Scope) -> u32 {
        self.counts.get(scope)
    }
}
