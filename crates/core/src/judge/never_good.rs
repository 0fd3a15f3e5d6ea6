//! The pods that have been bad, and not good to any policy that watches them: an agent that has just started knows nothing
//! else of them. Counted with every answer, so that no decision walks over them.

use std::collections::HashMap;

use crate::{
    object::Uid,
    scope::{PodScopes, Scope},
};

#[derive(Clone, Debug, Default)]
pub(super) struct NeverGood {
    pods: HashMap<Uid, PodScopes>,
    counts: HashMap<Scope, u32>,
}

impl NeverGood {
    /// Where a watched pod is that was bad and never good; `None` of any other.
    pub(super) fn set(&mut self, uid: &Uid, scopes: Option<&PodScopes>) {
        if self.pods.get(uid) == scopes {
            return;
        }
        if let Some(known) = self.pods.remove(uid) {
            for scope in known.iter() {
                if let Some(count) = self.counts.get_mut(&scope) {
                    *count -= 1;
                    if *count == 0 {
                        self.counts.remove(&scope);
                    }
                }
            }
        }
        if let Some(scopes) = scopes {
            for scope in scopes.iter() {
                *self.counts.entry(scope).or_default() += 1;
            }
            self.pods.insert(uid.clone(), scopes.clone());
        }
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.pods.contains_key(uid)
    }

    pub(super) fn count(&self, scope: &Scope) -> u32 {
        self.counts.get(scope).copied().unwrap_or(0)
    }
}
