//! When one pod was bad, by the policies that found it so.

use std::sync::Arc;

use super::spell_counts::{Counted, End};
use crate::{object::ObjectKey, scope::PodScopes, time::Moment};

/// How many ended spells of one pod are kept: a pod that is bad now and then has many. Beyond that the first two become one,
/// and the time between them counts as bad.
const MAX_OF_POD: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct PodSpells {
    pub(super) key: ObjectKey,
    pub(super) scopes: PodScopes,
    pub(super) is_healthy: bool,
    pub(super) was_never_good: bool,
    /// Of each policy that found the pod bad, and has not found it good since.
    pub(super) open: Vec<OpenSpell>,
    /// In the order in which they ended.
    pub(super) over: Vec<Spell>,
}

/// From when until when a policy found the pod bad.
#[derive(Clone, Debug)]
pub(super) struct Spell {
    pub(super) from: Moment,
    pub(super) until: Moment,
    pub(super) unreached_since: Option<Moment>,
}

/// One that has not ended: the policy has not found the pod good since.
#[derive(Clone, Debug)]
pub(super) struct OpenSpell {
    pub(super) policy: Arc<str>,
    pub(super) bad: BadAnswers,
    /// If the pod could not be asked since, or was restarted, it waits: when its last bad answer went stale.
    pub(super) stale_at: Option<Moment>,
}

/// Bad answers in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadAnswers {
    /// When the pod was asked for the first of them.
    pub(super) from: Moment,
    /// As [`Finding::unreached_since`](super::Finding::unreached_since).
    pub(super) unreached_since: Option<Moment>,
}

impl OpenSpell {
    pub(super) fn extend(&mut self, bad: &BadAnswers) {
        self.bad.from = self.bad.from.min(bad.from);
        self.bad.unreached_since = bad.unreached_since;
        self.stale_at = None;
    }

    /// Whether [`Self::extend`] would change nothing.
    pub(super) fn is_unchanged_by(&self, bad: &BadAnswers) -> bool {
        self.stale_at.is_none()
            && self.bad.from <= bad.from
            && bad.unreached_since == self.bad.unreached_since
    }
}

impl PodSpells {
    pub(super) fn is_bad(&self) -> bool {
        self.open.iter().any(|open| open.stale_at.is_none())
    }

    pub(super) fn waits(&self) -> bool {
        !self.open.is_empty() && !self.is_bad()
    }

    /// How the pod is counted, the latest spell first: those that overlap are one. Then, how many of the spells that are over
    /// are no part of one that is not.
    pub(super) fn counted(&self) -> (Vec<Counted>, usize) {
        let mut counted: Vec<Counted> = Vec::new();
        let mut apart = self.over.len();
        if let Some(from) = self.open.iter().map(|open| open.bad.from).min() {
            let stale_at = self.open.iter().filter_map(|open| open.stale_at);
            let last = Counted {
                from,
                end: match stale_at.max() {
                    Some(stale_at) if self.waits() => End::Waits(stale_at),
                    _ => End::Lasts,
                },
            };
            counted.push(last);
        }
        for (index, spell) in self.over.iter().enumerate().rev() {
            match counted.last_mut() {
                Some(last) if spell.until >= last.from => {
                    last.from = last.from.min(spell.from);
                    match &mut last.end {
                        End::Over(_) => continue,
                        End::Waits(until) => *until = spell.until.max(*until),
                        End::Lasts => {}
                    }
                    apart = index;
                }
                _ => counted.push(Counted {
                    from: spell.from,
                    end: End::Over(spell.until),
                }),
            }
        }
        (counted, apart)
    }

    pub(super) fn push(&mut self, spell: Spell) {
        let index = self.over.partition_point(|one| one.until <= spell.until);
        self.over.insert(index, spell);
        if self.over.len() > MAX_OF_POD {
            let first = self.over.remove(0);
            if let Some(second) = self.over.first_mut() {
                second.from = second.from.min(first.from);
                second.unreached_since = first.unreached_since.or(second.unreached_since);
            }
        }
    }
}
