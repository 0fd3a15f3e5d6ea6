//! When the needs of replacements are read: what was read counts for a short time, what it refused for longer and longer.
//!
//! A tenant decides for how many pods: by annotations. So no namespace reads for many at once, nor for one again and again,
//! and its pods have their turns: those that were never read, then those that were read longest ago.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    needs::NeedsAt,
    object::{Pod, Uid},
    reason::Refusal,
    time::Moment,
};

/// How long the needs of a replacement count as current: quotas and nodes change.
const NEEDS_LAST: Duration = Duration::from_secs(10);

/// How long they count however long the reading took: those of a large cluster are not out of date when they arrive.
const NEEDS_LAST_AT_LEAST: Duration = Duration::from_secs(2);

/// How long a refusal counts, at most, before the needs are read again.
const LONGEST_REFUSAL: Duration = Duration::from_mins(5);

/// After this an unanswered look-up is repeated: all its requests have ended by then.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(25);

/// So many readings of one namespace are unanswered, or were begun within [`SPACING`]: half of those that the reader does
/// at once.
const READINGS_OF_NAMESPACE: usize = 4;

/// An answered reading takes its place for so long.
const SPACING: Duration = Duration::from_secs(1);

/// The needs of replacements, by the pod that would be replaced.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    /// The readings that are unanswered, or were begun a moment ago, by namespace.
    begun: BTreeMap<Arc<str>, BTreeMap<Uid, Reading>>,
    /// When the needs of the present candidates were last read.
    last: BTreeMap<Uid, LastReading>,
    /// The needs that were read recently.
    known: BTreeMap<Uid, KnownNeeds>,
    /// The quarantines that they refused.
    refused: BTreeMap<ReadFor, RefusedByNeeds>,
}

#[derive(Clone, Debug)]
pub(super) struct KnownNeeds {
    pub(super) read: NeedsAt,
    /// So many of the nodes have been looked at, and have no room for the replacement. That holds for as long as this reading
    /// counts: who looks at all of them in each decision looks at thousands.
    pub(super) without_room: usize,
    /// Until when they count.
    until: Moment,
}

/// A pod, and whether the policy that would quarantine it has `allowExclusive`.
pub(super) type ReadFor = (Uid, bool);

#[derive(Clone, Debug)]
struct Reading {
    at: Moment,
    is_answered: bool,
}

#[derive(Clone, Debug)]
struct LastReading {
    at: Moment,
    /// Whether the quarantine of its pod was in question in this decision.
    is_candidate: bool,
}

/// A quarantine that was refused for what its replacement needs, several times in a row perhaps.
#[derive(Clone, Debug)]
struct RefusedByNeeds {
    refusal: Refusal,
    /// When the reading began.
    read: Moment,
    /// How many readings in a row have refused it.
    times: u32,
    /// Until when the needs are not read again.
    until: Moment,
    /// Whether its quarantine was in question in this decision.
    is_candidate: bool,
}

impl Readings {
    /// Drops everything that has expired, and what is known of pods that were no candidates in the last decision.
    pub(super) fn expire(&mut self, now: Moment) {
        self.begun.retain(|_, of_namespace| {
            of_namespace.retain(|_, reading| {
                let lasts = if reading.is_answered {
                    SPACING
                } else {
                    ASK_AGAIN_AFTER
                };
                now.saturating_sub(reading.at) < lasts
            });
            !of_namespace.is_empty()
        });
        self.last
            .retain(|_, last| std::mem::take(&mut last.is_candidate));
        self.known.retain(|_, known| now < known.until);
        self.refused
            .retain(|_, refused| std::mem::take(&mut refused.is_candidate));
    }

    /// Whether the needs of that pod may be read now: it is not being done, and its namespace has room.
    pub(super) fn has_room(&self, pod: &Pod) -> bool {
        let Some(of_namespace) = self.begun.get(&pod.key.namespace) else {
            return true;
        };
        let of_pod = of_namespace.get(&pod.uid);
        let is_asked = of_pod.is_some_and(|reading| !reading.is_answered);
        !is_asked && of_namespace.len() < READINGS_OF_NAMESPACE
    }

    /// When the needs of a candidate were last read, if ever.
    pub(super) fn last(&self, pod: &Uid) -> Option<Moment> {
        self.last.get(pod).map(|last| last.at)
    }

    pub(super) fn begin(&mut self, pod: &Pod, now: Moment) {
        let of_namespace = self.begun.entry(pod.key.namespace.clone()).or_default();
        let reading = Reading {
            at: now,
            is_answered: false,
        };
        of_namespace.insert(pod.uid.clone(), reading);
        let last = LastReading {
            at: now,
            is_candidate: true,
        };
        self.last.insert(pod.uid.clone(), last);
    }

    pub(super) fn record(&mut self, pod: &Uid, needs: NeedsAt, now: Moment) {
        let mut begun = self.begun.values_mut();
        if let Some(reading) = begun.find_map(|of_namespace| of_namespace.get_mut(pod)) {
            reading.is_answered = true;
        }
        let until = (needs.at.moment + NEEDS_LAST).max(now + NEEDS_LAST_AT_LEAST);
        let known = KnownNeeds {
            read: needs,
            without_room: 0,
            until,
        };
        self.known.insert(pod.clone(), known);
    }

    /// The needs of a pod's replacement, if they were read recently.
    pub(super) fn recall(&mut self, pod: &Uid) -> Option<&mut KnownNeeds> {
        self.known.get_mut(pod)
    }

    /// What the last reading refused a quarantine for: it counts until the next reading allows it.
    pub(super) fn refusal(&self, read_for: &ReadFor) -> Option<&Refusal> {
        self.refused.get(read_for).map(|refused| &refused.refusal)
    }

    /// Whether needs that are not known are to be read now: they were not refused, or that was long enough ago.
    pub(super) fn is_due(&self, read_for: &ReadFor, now: Moment) -> bool {
        let refused = self.refused.get(read_for);
        refused.is_none_or(|refused| now >= refused.until)
    }

    /// Records what follows from the needs that are known: each reading that refuses after another one did, except for the
    /// second, is good for twice as long.
    pub(super) fn record_check(&mut self, read_for: ReadFor, checked: &Result<(), Refusal>) {
        let known = self.known.get(&read_for.0);
        let (Some(known), Err(refusal)) = (known, checked) else {
            self.refused.remove(&read_for);
            return;
        };
        let before = self.refused.get(&read_for);
        let times = match before {
            Some(before) if before.read == known.read.at.moment => before.times,
            Some(before) => before.times.saturating_add(1),
            None => 1,
        };
        let lasts = NEEDS_LAST.saturating_mul(1 << times.saturating_sub(2).min(16));
        let refused = RefusedByNeeds {
            refusal: refusal.clone(),
            read: known.read.at.moment,
            times,
            until: known.until + lasts.min(LONGEST_REFUSAL).saturating_sub(NEEDS_LAST),
            is_candidate: true,
        };
        self.refused.insert(read_for, refused);
    }

    /// Lets what is known of a candidate's readings hold on.
    pub(super) fn keep(&mut self, read_for: &ReadFor) {
        if let Some(refused) = self.refused.get_mut(read_for) {
            refused.is_candidate = true;
        }
        if let Some(last) = self.last.get_mut(&read_for.0) {
            last.is_candidate = true;
        }
    }
}
