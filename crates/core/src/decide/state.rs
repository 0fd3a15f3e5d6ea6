//! What a decision remembers from one tick to the next.
//!
//! All of it can be lost: an agent that was restarted reports some things twice and waits a little longer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use crate::{
    ledger::{Storm, StormScope},
    needs::NeedsAt,
    notice::RefusedPod,
    object::{ObjectKey, Uid},
    reason::Refusal,
    time::Moment,
    view::View,
};

/// How long an accepted dry run counts as evidence that the API server accepts the change.
const ACCEPTED_FOR: Duration = Duration::from_mins(1);

/// How often a dry run is repeated until it is accepted.
const DRY_RUN_EVERY: Duration = Duration::from_secs(1);

/// How long the needs of a replacement count as current: quotas and nodes change.
const NEEDS_LAST: Duration = Duration::from_secs(10);

/// After this an unanswered look-up is repeated: all its requests have ended by then.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(25);

/// How long a pod is left alone after the API server refused its change.
const DENIED_FOR: Duration = Duration::from_mins(1);

/// The window of `limits.reap.perMinute`.
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) reported: Reported,
    /// The refusals of the last decision.
    pub(super) refused: Vec<RefusedPod>,
    /// The pods that were reaped within the last minute.
    pub(super) reaps: VecDeque<RecentReap>,
    /// Pods whose change the API server refused, and until when they are left alone.
    pub(super) denied: BTreeMap<Uid, (Moment, Refusal)>,
    /// Dry runs, by workload.
    pub(super) dry_runs: BTreeMap<Uid, DryRun>,
    /// The needs of replacements, as read recently, by the pod that would be replaced.
    pub(super) needs: BTreeMap<Uid, NeedsAt>,
    /// When needs that are still unanswered were last requested.
    pub(super) needs_asked: BTreeMap<Uid, Moment>,
    /// For each quarantined pod the record for which its drain was last awaited.
    pub(super) drains: BTreeMap<Uid, Arc<str>>,
    /// The Services whose slices still contain a quarantined pod.
    pub(super) undrained: BTreeMap<Uid, Vec<Arc<str>>>,
    /// The last readable ttl annotation of quarantined pods: an unreadable one never shortens it.
    pub(super) ttls: BTreeMap<Uid, Duration>,
    /// Storms, also those that are over but still in the ledger.
    pub(super) storms: BTreeMap<StormScope, ObservedStorm>,
    /// Whether the last reported state of the agent was `paused`.
    pub(super) paused: Option<bool>,
    /// When the slots that no pod seems to need were last checked.
    pub(super) slots_checked: Option<Moment>,
}

/// Reported once, and again only after it has ceased to hold in between.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    before: BTreeMap<(Uid, Arc<str>), Arc<str>>,
    now: BTreeMap<(Uid, Arc<str>), Arc<str>>,
}

#[derive(Clone, Debug)]
pub(super) struct RecentReap {
    pub(super) at: Moment,
    pub(super) pod: Uid,
    /// The PodDisruptionBudgets that its deletion counted against.
    pub(super) budgets: Vec<ObjectKey>,
}

/// When a change of a workload's pod was last sent as a dry run, and whether the API server accepted it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DryRun {
    pub(super) asked: Moment,
    pub(super) accepted: bool,
}

/// A storm, as this agent has observed it.
#[derive(Clone, Debug)]
pub(super) struct ObservedStorm {
    pub(super) storm: Storm,
    /// When the share was last above the threshold, or when the storm was read from the ledger.
    pub(super) above: Moment,
    /// Whether the storm is over; then its entry in the ledger is still to be removed.
    pub(super) over: bool,
}

impl ObservedStorm {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl State {
    /// Records that the API server refused a change, for a reason that would still hold on the next tick.
    pub fn record_denial(&mut self, uid: &Uid, refusal: Refusal, now: Moment) {
        self.denied.insert(uid.clone(), (now + DENIED_FOR, refusal));
    }

    /// Records that the API server accepted the dry run of a change of a pod of that workload.
    pub fn record_dry_run(&mut self, workload: &Uid) {
        if let Some(dry_run) = self.dry_runs.get_mut(workload) {
            dry_run.accepted = true;
        }
    }

    /// Records the Services whose slices still contain a quarantined pod.
    pub fn record_drain(&mut self, pod: &Uid, still_in: Vec<Arc<str>>) {
        if still_in.is_empty() {
            self.undrained.remove(pod);
        } else {
            self.undrained.insert(pod.clone(), still_in);
        }
    }

    /// Records the needs of the replacement of a pod.
    pub fn record_needs(&mut self, pod: &Uid, needs: NeedsAt) {
        self.needs_asked.remove(pod);
        self.needs.insert(pod.clone(), needs);
    }

    /// Whether there is a storm of the whole cluster, and in how many workloads there is one.
    #[must_use]
    pub fn storms(&self) -> (bool, i64) {
        let active = self.storms.iter().filter(|(_, storm)| !storm.is_over());
        let (cluster, workloads): (Vec<_>, Vec<_>) =
            active.partition(|(scope, _)| **scope == StormScope::Cluster);
        let workloads = i64::try_from(workloads.len()).unwrap_or(i64::MAX);
        (!cluster.is_empty(), workloads)
    }

    /// Why a pod is not quarantined: the refusals of manual requests and of each policy.
    pub fn refused(&self, uid: &str) -> impl Iterator<Item = &RefusedPod> {
        self.refused.iter().filter(move |one| &*one.uid == uid)
    }

    /// Whether the API server has recently accepted a dry run in that workload.
    pub(super) fn accepts(&self, workload: &Uid) -> bool {
        let dry_run = self.dry_runs.get(workload);
        dry_run.is_some_and(|dry_run| dry_run.accepted)
    }

    /// Drops everything that has expired.
    pub(super) fn expire(&mut self, view: &View, now: Moment) {
        let age = |at: Moment| now.saturating_sub(at);
        self.refused.clear();
        self.denied.retain(|_, (until, _)| now < *until);
        self.dry_runs.retain(|_, dry_run| {
            let lasts = if dry_run.accepted {
                ACCEPTED_FOR
            } else {
                DRY_RUN_EVERY
            };
            age(dry_run.asked) < lasts
        });
        self.needs
            .retain(|_, needs| age(needs.at.moment) < NEEDS_LAST);
        self.needs_asked
            .retain(|_, asked| age(*asked) < ASK_AGAIN_AFTER);
        self.reaps.retain(|reap| age(reap.at) < MINUTE);
        let tracked: BTreeSet<&Uid> = view.tracked().map(|pod| &pod.uid).collect();
        self.ttls.retain(|uid, _| tracked.contains(uid));
        self.drains.retain(|uid, _| tracked.contains(uid));
        self.undrained.retain(|uid, _| tracked.contains(uid));
        self.reported.before = std::mem::take(&mut self.reported.now);
    }
}

impl Reported {
    /// Records a condition that holds now. True if it did not hold before, or with another text.
    pub(super) fn record(&mut self, uid: &Uid, topic: Arc<str>, text: Arc<str>) -> bool {
        let key = (uid.clone(), topic);
        let is_new = self.before.get(&key) != Some(&text);
        self.now.insert(key, text);
        is_new
    }
}
