//! Pods that were held back for what the signal says of others: many were unhealthy at once, or none was ever good.
//!
//! When a failure ends, each pod answers at its own turn. One that has not answered since is bad by what it answered during
//! the failure, and the others no longer hold it back: it is asked once more first.

use std::{collections::BTreeMap, sync::Arc};

use crate::{object::Uid, time::Moment};

/// A pod, and the name of the policy that would quarantine it.
pub(super) type HeldAs = (Uid, Arc<str>);

/// When each was last held back.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldByOthers(BTreeMap<HeldAs, Held>);

#[derive(Clone, Debug)]
struct Held {
    at: Moment,
    /// Whether its quarantine was in question in this decision.
    is_candidate: bool,
}

impl HeldByOthers {
    /// Begins a decision: drops what was not in question in the last one.
    pub(super) fn begin(&mut self) {
        self.0
            .retain(|_, held| std::mem::take(&mut held.is_candidate));
    }

    /// Records that others hold back a pod now.
    pub(super) fn record(&mut self, held_as: HeldAs, now: Moment) {
        let held = Held {
            at: now,
            is_candidate: true,
        };
        self.0.insert(held_as, held);
    }

    /// Keeps what is known of a pod whose quarantine is in question.
    pub(super) fn keep(&mut self, held_as: &HeldAs) {
        if let Some(held) = self.0.get_mut(held_as) {
            held.is_candidate = true;
        }
    }

    /// Whether a pod was held back since its last bad answer.
    pub(super) fn is_held_since(&self, held_as: &HeldAs, last_bad: Moment) -> bool {
        let held = self.0.get(held_as);
        held.is_some_and(|held| last_bad <= held.at)
    }
}
