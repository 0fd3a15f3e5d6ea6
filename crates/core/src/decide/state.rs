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

/// How long the API server is believed to accept a change because a dry run was accepted.
const ACCEPTED_FOR: Duration = Duration::from_mins(1);

/// How often a dry run is repeated that was not accepted yet.
const DRY_RUN_EVERY: Duration = Duration::from_secs(1);

/// How long what was read about a replacement is believed: quotas and nodes change.
const NEEDS_LAST: Duration = Duration::from_secs(10);

/// When what was asked and not answered is asked again: the requests of one look-up have ended by then.
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
    /// What replacements would need, as it was read recently, by the pod.
    pub(super) needs: BTreeMap<Uid, NeedsAt>,
    /// When they were last asked for where the answer is not there yet.
    pub(super) needs_asked: BTreeMap<Uid, Moment>,
    /// The record with which the drain of each quarantined pod was last awaited.
    pub(super) drains: BTreeMap<Uid, Arc<str>>,
    /// The Services whose slices a pod is still in, though it should be in none.
    pub(super) undrained: BTreeMap<Uid, Vec<Arc<str>>>,
    /// The last readable ttl annotation of quarantined pods: an unreadable one never shortens it.
    pub(super) ttls: BTreeMap<Uid, Duration>,
    /// Storms, also those that are over and not written down as such yet.
    pub(super) storms: BTreeMap<StormScope, ObservedStorm>,
    /// Whether it was paused when that was last reported.
    pub(super) paused: Option<bool>,
    /// When the slots that no pod seems to need were last looked at.
    pub(super) slots_checked: Option<Moment>,
}

/// What is reported once, and again only after it had ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    before: BTreeMap<(Uid, Arc<str>), Arc<str>>,
    now: BTreeMap<(Uid, Arc<str>), Arc<str>>,
}

/// A pod that was reaped.
#[derive(Clone, Debug)]
pub(super) struct RecentReap {
    pub(super) at: Moment,
    pub(super) pod: Uid,
    /// The PodDisruptionBudgets that its end counted for.
    pub(super) budgets: Vec<ObjectKey>,
}

/// When the API server was asked whether it would accept a change in a workload, and whether it would.
#[derive(Clone, Copy, Debug)]
pub(super) struct DryRun {
    pub(super) asked: Moment,
    pub(super) accepted: bool,
}

/// A storm as far as this agent has observed it.
#[derive(Clone, Debug)]
pub(super) struct ObservedStorm {
    pub(super) storm: Storm,
    /// When the share was last above the threshold, or when the storm was read from the ledger.
    pub(super) above: Moment,
    /// Whether it is over: what is left is to write that down.
    pub(super) over: bool,
}

impl ObservedStorm {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

impl State {
    /// Records that the API server refused a change, for a reason that the next tick would meet again.
    pub fn record_denial(&mut self, uid: &Uid, refusal: Refusal, now: Moment) {
        self.denied.insert(uid.clone(), (now + DENIED_FOR, refusal));
    }

    /// Records that the API server would have accepted the change of a pod of that workload.
    pub fn record_dry_run(&mut self, workload: &Uid) {
        if let Some(dry_run) = self.dry_runs.get_mut(workload) {
            dry_run.accepted = true;
        }
    }

    /// Records in the slices of which Services a pod still is, though it should be in none.
    pub fn record_drain(&mut self, pod: &Uid, still_in: Vec<Arc<str>>) {
        if still_in.is_empty() {
            self.undrained.remove(pod);
        } else {
            self.undrained.insert(pod.clone(), still_in);
        }
    }

    /// Records what the replacement of a pod would need.
    pub fn record_needs(&mut self, pod: &Uid, needs: NeedsAt) {
        self.needs_asked.remove(pod);
        self.needs.insert(pod.clone(), needs);
    }

    /// Whether there is a storm in the whole cluster, and in how many workloads there is one.
    #[must_use]
    pub fn storms(&self) -> (bool, i64) {
        let active = self.storms.iter().filter(|(_, storm)| !storm.is_over());
        let (cluster, workloads): (Vec<_>, Vec<_>) =
            active.partition(|(scope, _)| **scope == StormScope::Cluster);
        let workloads = i64::try_from(workloads.len()).unwrap_or(i64::MAX);
        (!cluster.is_empty(), workloads)
    }

    /// Why a pod is left where it is: what people asked for, and what each policy asks for.
    pub fn refused(&self, uid: &str) -> impl Iterator<Item = &RefusedPod> {
        self.refused.iter().filter(move |one| &*one.uid == uid)
    }

    /// Whether the API server would recently have accepted a change in that workload.
    pub(super) fn accepts(&self, workload: &Uid) -> bool {
        let dry_run = self.dry_runs.get(workload);
        dry_run.is_some_and(|dry_run| dry_run.accepted)
    }

    /// Drops what no longer holds.
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
    /// Records what is so now. Whether it was not so before, or said otherwise.
    pub(super) fn record(&mut self, uid: &Uid, topic: Arc<str>, text: Arc<str>) -> bool {
        let key = (uid.clone(), topic);
        let is_new = self.before.get(&key) != Some(&text);
        self.now.insert(key, text);
        is_new
    }
}
