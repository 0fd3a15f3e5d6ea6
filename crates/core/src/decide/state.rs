//! What a decision remembers from one tick to the next.
//!
//! All of it can be lost: an agent that was restarted reports some things twice and waits a little longer, and does not know
//! of lost pods that were deleted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{readings::Readings, searches::Searches};
use crate::{
    ledger::Storm,
    needs::NeedsAt,
    notice::{RefusedPod, Topic},
    object::{ObjectKey, Uid},
    reason::{Reason, Refusal},
    scope::Scope,
    text::Fingerprint,
    time::Moment,
    view::View,
    workload::WorkloadId,
    write::Act,
};

/// How long the ledger may take to be created, named by the Lease and read, before a refusal says that it is not there.
const LEDGER_TAKES: Duration = Duration::from_secs(5);

/// How long an accepted dry run counts as evidence that the API server accepts the change.
const ACCEPTED_FOR: Duration = Duration::from_mins(1);

/// How often a dry run is repeated until it is accepted.
const DRY_RUN_EVERY: Duration = Duration::from_secs(1);

/// How many dry runs are begun within that time, answered or not: it is a rate, too.
const DRY_RUNS_AT_ONCE: usize = 8;

/// Of these, so many in one namespace.
const DRY_RUNS_OF_NAMESPACE: usize = DRY_RUNS_AT_ONCE / 2;

/// How long a pod is left alone after the API server denied a write of it; twice as long each time that it does again.
const DENIED_FOR: Duration = Duration::from_mins(1);

/// The same after a write that failed, so that it is not known whether it took place.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// The longest time that a pod is left alone, and for which a setback is remembered after that.
const LONGEST_SETBACK: Duration = Duration::from_mins(10);

/// The window of `limits.reap.perMinute`.
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) reported: Reported,
    /// The refusals of the last decision.
    pub(super) refused: Vec<RefusedPod>,
    /// The pods that were reaped within the last minute.
    pub(super) reaps: VecDeque<RecentReap>,
    /// When a pod of each namespace was last reaped, as long as there are others.
    pub(super) last_reaps: BTreeMap<Arc<str>, Moment>,
    /// Writes of pods that were denied or failed.
    setbacks: BTreeMap<(Uid, Act), Setback>,
    /// Dry runs, by workload.
    dry_runs: BTreeMap<WorkloadId, DryRun>,
    /// When dry runs were begun a moment ago, and in which namespaces.
    dry_runs_begun: VecDeque<(Moment, Arc<str>)>,
    /// The lost pods: those in service until they are found lost no longer, those out of service for two cooldowns.
    pub(super) lost: BTreeMap<Uid, LostPod>,
    /// The needs of replacements.
    pub(super) readings: Readings,
    /// The pods that the last decision quarantined, or would quarantine once more is known: their slots are kept.
    pub(super) wanted: BTreeSet<Uid>,
    /// Which labels pods change.
    pub(super) searches: Searches,
    /// How the drains of quarantined pods were last followed.
    pub(super) drains: BTreeMap<Uid, Drain>,
    /// Storms, also those that are over but still in the ledger.
    pub(super) storms: BTreeMap<Scope, ObservedStorm>,
    /// Whether the last reported state of the agent was `paused`.
    pub(super) paused: Option<bool>,
    /// Since when the ledger is just being read or made.
    pub(super) ledger_awaited: Option<Moment>,
    /// When the slots that no pod seems to need were last checked.
    pub(super) slots_checked: Option<Moment>,
}

/// A pod that was found bad while it was Ready and the agent got no connection to it.
#[derive(Clone, Debug)]
pub(super) struct LostPod {
    pub(super) key: ObjectKey,
    pub(super) workload: WorkloadId,
    pub(super) since: Moment,
    /// When it was last found so.
    pub(super) last_found: Moment,
}

impl LostPod {
    /// Whether it is out of service: the others that are remembered were found lost in this decision.
    pub(super) fn is_out(&self, now: Moment) -> bool {
        self.last_found < now
    }
}

/// How the drain of a quarantined pod was last followed.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    /// The record for which.
    pub(super) record: Fingerprint,
    /// Since when the drain for that record is followed.
    pub(super) since: Moment,
    /// Whether a look-up is unanswered: meanwhile there is no second one of the same pod, whatever becomes of its record.
    pub(super) is_followed: bool,
    /// The Services whose slices still contained the pod in the last answer.
    pub(super) still_in: Vec<Arc<str>>,
}

/// A condition of a pod that is reported once, and again only after it has ceased to hold in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Its quarantine is refused to people or to a policy.
    Refused {
        manual: bool,
        policy: Arc<str>,
        reason: Reason,
    },
    Notified(Topic, Arc<str>),
}

/// How many conditions of one pod hold on while it is left alone: whoever may patch it can bring about any number of them.
const KEPT: usize = 16;

/// The conditions that held in the last decision, and those that hold in this one.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    decision: u64,
    /// By pod; with each the last decision in which it held.
    pods: HashMap<Uid, Vec<(Condition, u64)>>,
}

/// A write of a pod that was denied or failed, several times in a row perhaps.
#[derive(Clone, Debug, Default)]
pub(super) struct Setback {
    /// Until when it is not tried again.
    until: Moment,
    pub(super) times: u32,
    /// `None` where it failed, so that it is not known whether it took place.
    pub(super) refusal: Option<Refusal>,
}

#[derive(Clone, Debug)]
pub(super) struct RecentReap {
    pub(super) at: Moment,
    pub(super) pod: Uid,
    pub(super) namespace: Arc<str>,
    /// The PodDisruptionBudgets that its deletion counted against.
    pub(super) budgets: Vec<ObjectKey>,
}

/// When a change of a workload's pod was last sent as a dry run, and whether the API server accepted it.
#[derive(Clone, Copy, Debug)]
struct DryRun {
    asked: Moment,
    accepted: bool,
}

/// A storm, as this agent has observed it.
#[derive(Clone, Debug)]
pub(super) struct ObservedStorm {
    pub(super) storm: Storm,
    /// When the percentage was last above the threshold, or when the storm was read from the ledger.
    pub(super) above: Moment,
    /// Whether the storm is over; then its entry in the ledger is still to be removed.
    pub(super) over: bool,
}

impl State {
    pub(super) fn awaits_ledger(&self, now: Moment) -> bool {
        let since = self.ledger_awaited;
        since.is_some_and(|since| now.saturating_sub(since) < LEDGER_TAKES)
    }

    /// Records that the API server denied a write of a pod: it would deny the same write again.
    pub fn record_denial(&mut self, uid: &Uid, act: Act, refusal: Refusal, now: Moment) {
        if act == Act::Reap {
            self.reaps.retain(|reap| reap.pod != *uid);
        }
        self.record_setback(uid, act, Some(refusal), DENIED_FOR, now);
    }

    /// Records that a write of a pod failed.
    pub fn record_failure(&mut self, uid: &Uid, act: Act, now: Moment) {
        self.record_setback(uid, act, None, FAILED_FOR, now);
    }

    /// Records that a write of a pod was done.
    pub fn record_success(&mut self, uid: &Uid, act: Act) {
        self.setbacks.remove(&(uid.clone(), act));
    }

    /// Records that a pod is quarantined again: the next time it waits for a while.
    pub(super) fn record_again(&mut self, uid: &Uid, now: Moment) {
        self.record_setback(uid, Act::Again, None, FAILED_FOR, now);
    }

    fn record_setback(
        &mut self,
        uid: &Uid,
        act: Act,
        refusal: Option<Refusal>,
        first: Duration,
        now: Moment,
    ) {
        let setback = self.setbacks.entry((uid.clone(), act)).or_default();
        let wait = first.saturating_mul(1 << setback.times.min(16));
        setback.times = setback.times.saturating_add(1);
        setback.until = now + wait.min(LONGEST_SETBACK);
        setback.refusal = refusal;
    }

    /// How often in a row a write of a pod was denied or failed.
    pub(super) fn setbacks_of(&self, uid: &Uid, act: Act) -> u32 {
        let setback = self.setbacks.get(&(uid.clone(), act));
        setback.map_or(0, |setback| setback.times)
    }

    /// Why a pod is left alone after a write of it was denied or failed; `None` if the write may be tried.
    pub(super) fn setback(&self, uid: &Uid, act: Act, now: Moment) -> Option<&Setback> {
        let setback = self.setbacks.get(&(uid.clone(), act))?;
        (now < setback.until).then_some(setback)
    }

    /// Whether the dry run of a change of that workload is under way, or was accepted recently.
    pub(super) fn has_dry_run(&self, workload: &WorkloadId) -> bool {
        self.dry_runs.contains_key(workload)
    }

    /// Whether another dry run may be begun in that namespace.
    pub(super) fn has_room_for_dry_run(&self, namespace: &Arc<str>) -> bool {
        let begun = self.dry_runs_begun.iter();
        let of_namespace = begun.filter(|(_, of)| of == namespace).count();
        self.dry_runs_begun.len() < DRY_RUNS_AT_ONCE && of_namespace < DRY_RUNS_OF_NAMESPACE
    }

    pub(super) fn begin_dry_run(
        &mut self,
        workload: &WorkloadId,
        namespace: &Arc<str>,
        now: Moment,
    ) {
        let dry_run = DryRun {
            asked: now,
            accepted: false,
        };
        self.dry_runs.insert(workload.clone(), dry_run);
        self.dry_runs_begun.push_back((now, namespace.clone()));
    }

    /// Records that the API server accepted the dry run of a change of a pod of that workload.
    pub fn record_dry_run(&mut self, workload: &WorkloadId) {
        if let Some(dry_run) = self.dry_runs.get_mut(workload) {
            dry_run.accepted = true;
        }
    }

    /// Records that the drain of a quarantined pod is followed no longer, and the Services whose slices still contain it.
    pub fn record_drain(&mut self, pod: &Uid, still_in: Vec<Arc<str>>) {
        if let Some(drain) = self.drains.get_mut(pod) {
            drain.is_followed = false;
            drain.still_in = still_in;
        }
    }

    /// Records the needs of the replacement of a pod.
    pub fn record_needs(&mut self, pod: &Uid, needs: NeedsAt, now: Moment) {
        self.readings.record(pod, needs, now);
    }

    /// How many storms there are, by the kind of their scope.
    #[must_use]
    pub fn storms(&self) -> BTreeMap<&'static str, i64> {
        let mut counts = BTreeMap::from(Scope::KINDS.map(|kind| (kind, 0)));
        for (scope, storm) in &self.storms {
            *counts.entry(scope.kind()).or_default() += i64::from(!storm.over);
        }
        counts
    }

    /// Why a pod is not quarantined: the refusals of manual requests and of each policy.
    pub fn refused(&self, uid: &str) -> impl Iterator<Item = &RefusedPod> {
        self.refused.iter().filter(move |one| &*one.uid == uid)
    }

    /// Whether the API server has recently accepted a dry run in that workload.
    pub(super) fn accepts(&self, workload: &WorkloadId) -> bool {
        let dry_run = self.dry_runs.get(workload);
        dry_run.is_some_and(|dry_run| dry_run.accepted)
    }

    /// Begins a decision: drops what has expired, and what only the last decision has said.
    pub(super) fn begin(&mut self, view: &View, now: Moment) {
        let age = |at: Moment| now.saturating_sub(at);
        self.refused.clear();
        self.searches.begin();
        self.setbacks
            .retain(|_, setback| now < setback.until + LONGEST_SETBACK);
        self.dry_runs.retain(|_, dry_run| {
            let lasts = if dry_run.accepted {
                ACCEPTED_FOR
            } else {
                DRY_RUN_EVERY
            };
            age(dry_run.asked) < lasts
        });
        self.dry_runs_begun
            .retain(|(begun, _)| age(*begun) < DRY_RUN_EVERY);
        self.readings.expire(now);
        self.reaps.retain(|reap| age(reap.at) < MINUTE);
        let tracked: BTreeSet<&Uid> = view.tracked().map(|pod| &pod.uid).collect();
        let namespaces: BTreeSet<&Arc<str>> =
            view.tracked().map(|pod| &pod.key.namespace).collect();
        self.last_reaps
            .retain(|namespace, _| namespaces.contains(namespace));
        // A pod with a slot may lack its record for a moment only: whoever may patch it takes the record off and puts it back.
        let ledger = view.ledger.present();
        let has_slot = |uid: &Uid| ledger.is_some_and(|ledger| ledger.slots.contains_key(uid));
        self.drains
            .retain(|uid, drain| drain.is_followed || tracked.contains(uid) || has_slot(uid));
        self.reported.begin();
        // A write that is tried again, and denied again, is not reported again.
        for (uid, _) in self.setbacks.keys() {
            self.reported.keep(uid);
        }
    }
}

impl Reported {
    /// Begins a decision: what did not hold in the last one is forgotten.
    fn begin(&mut self) {
        let last = self.decision;
        self.decision += 1;
        self.pods.retain(|_, conditions| {
            conditions.retain(|(_, held)| *held == last);
            !conditions.is_empty()
        });
    }

    /// Lets what was reported last about a pod hold on: whether it still does is not known now.
    pub(super) fn keep(&mut self, uid: &Uid) {
        let conditions = self.pods.get_mut(uid).into_iter().flatten();
        for (_, held) in conditions.rev().take(KEPT) {
            *held = self.decision;
        }
    }

    /// Records a condition that holds now. True if it did not hold before.
    pub(super) fn record(&mut self, uid: &Uid, condition: Condition) -> bool {
        let Some(conditions) = self.pods.get_mut(uid) else {
            let conditions = vec![(condition, self.decision)];
            self.pods.insert(uid.clone(), conditions);
            return true;
        };
        let mut known = conditions.iter_mut();
        if let Some((_, held)) = known.find(|(known, _)| *known == condition) {
            *held = self.decision;
            return false;
        }
        conditions.push((condition, self.decision));
        true
    }
}
