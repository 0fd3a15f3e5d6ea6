//! How many pods of a scope were bad at any one time, without a walk over them.

use std::collections::BTreeMap;

use crate::{time::Moment, workload::WorkloadId};

/// A spell of a pod, as it is counted: those of one pod do not overlap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) from: Moment,
    pub(super) end: End,
}

impl Counted {
    /// Whether the pod itself was bad when it was asked. If it waits, it has been bad since.
    pub(super) fn was_bad(&self, asked: Moment) -> bool {
        let not_over = match self.end {
            End::Over(until) => until > asked,
            End::Waits(_) | End::Lasts => true,
        };
        not_over && self.from <= asked
    }
}

/// Until when a pod was bad.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Over(Moment),
    /// It has not been good since. Then its last bad answer went stale.
    Waits(Moment),
    Lasts,
}

/// The spells of the pods of a scope.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeSpells {
    pub(super) all: SpellCounts,
    /// Of pods that wait, and are not healthy.
    pub(super) without_verdict: SpellCounts,
    /// Of pods that are not bad now, and were never good.
    pub(super) never_good: SpellCounts,
    /// Of a node or a zone, by workload.
    pub(super) workloads: BTreeMap<WorkloadId, SpellCounts>,
    /// How many pods are bad now, and healthy to no other policy.
    pub(super) bad_alone: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct SpellCounts {
    over: Spans,
    waiting: Spans,
    /// Since when those are bad that are so now.
    lasting: Moments,
}

impl SpellCounts {
    pub(super) fn change(&mut self, spell: &Counted, is_added: bool) {
        let (spans, until) = match spell.end {
            End::Over(until) => (&mut self.over, until),
            End::Waits(until) => (&mut self.waiting, until),
            End::Lasts => return self.lasting.change(spell.from, is_added),
        };
        spans.from.change(spell.from, is_added);
        spans.until.change(until, is_added);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.none_has_ended() && self.lasting.is_empty()
    }

    /// Whether all pods that were bad are bad now.
    pub(super) fn none_has_ended(&self) -> bool {
        self.over.from.is_empty() && self.waiting.from.is_empty()
    }

    /// How many pods were bad when one was asked that has been bad `since`. One that waits was if it had not gone stale by
    /// then: both were bad at once, and neither has been good.
    pub(super) fn count(&mut self, since: Moment, asked: Moment) -> usize {
        let waiting = self.waiting.count(since, asked);
        self.over.count(asked, asked) + waiting + self.lasting.up_to(asked)
    }
}

/// Spans of time.
#[derive(Clone, Debug, Default)]
struct Spans {
    from: Moments,
    until: Moments,
}

impl Spans {
    /// How many have begun by the second moment, and had not ended by the first, which is not later.
    fn count(&mut self, first: Moment, second: Moment) -> usize {
        let began = self.from.up_to(second);
        began.saturating_sub(self.until.up_to(first))
    }
}

/// Moments, to count those up to any one. What is added and removed comes nearly in order, and often at once: both are sorted
/// when somebody asks.
#[derive(Clone, Debug, Default)]
struct Moments {
    added: Vec<Moment>,
    removed: Vec<Moment>,
    is_sorted: bool,
}

impl Moments {
    fn change(&mut self, moment: Moment, is_added: bool) {
        let moments = if is_added {
            &mut self.added
        } else {
            &mut self.removed
        };
        moments.push(moment);
        self.is_sorted = false;
        if self.removed.len() > self.added.len() / 2 {
            self.drop_removed();
        }
    }

    fn is_empty(&self) -> bool {
        self.added.len() == self.removed.len()
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            self.added.sort();
            self.removed.sort();
            self.is_sorted = true;
        }
    }

    fn drop_removed(&mut self) {
        self.sort();
        let mut removed = std::mem::take(&mut self.removed).into_iter().peekable();
        self.added
            .retain(|moment| removed.next_if(|removed| removed == moment).is_none());
    }

    /// How many there are up to that one.
    fn up_to(&mut self, moment: Moment) -> usize {
        self.sort();
        let up_to = |moments: &[Moment]| moments.partition_point(|one| *one <= moment);
        up_to(&self.added) - up_to(&self.removed)
    }
}
