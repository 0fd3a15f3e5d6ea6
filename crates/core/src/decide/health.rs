//! How many pods of each scope are bad now, and how many were when another pod was asked.
//!
//! Suspect pods begin no storm, but count as unhealthy for the question whether a pod may be quarantined: of thirty pods
//! that turn bad at once, one is past its threshold first.
//!
//! When a failure ends, each pod answers at its own turn. What a pod answered during the failure is compared with those that
//! were bad then, also if they have answered since, or are gone.
//!
//! An agent that has just started counts the pods as bad that it has found bad and never good: their node may have failed
//! with the agent before it.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::context::Context;
use crate::{
    judge::{BadThen, Finding, Findings, MAX_UNREACHED, Verdict},
    ledger::Slot,
    object::{Pod, Uid},
    scope::{PodScopes, Scope},
    time::{Moment, age_by_agents},
    workload::WorkloadId,
};

/// How many pods of a scope are unhealthy or suspect, and how many have a verdict.
#[derive(Debug, Default)]
pub(super) struct HealthCount<'a> {
    unhealthy: HashSet<&'a Uid>,
    bad: HashSet<&'a Uid>,
    /// Quarantined within the window, and in none of the other counts.
    quarantined: u32,
    /// The workloads of each of the three.
    unhealthy_workloads: HashSet<&'a WorkloadId>,
    bad_workloads: HashSet<&'a WorkloadId>,
    quarantined_workloads: HashSet<&'a WorkloadId>,
    /// The first of the findings: the pod that has been bad for longest.
    first: Option<&'a Finding>,
    /// How many other pods a new agent has found bad and never good: it knows nothing else of them.
    never_good: u32,
    with_verdict: u32,
}

impl<'a> HealthCount<'a> {
    /// The pod that has been bad for longest.
    pub(super) fn first(&self) -> Option<&'a Finding> {
        self.first
    }

    /// Of how many pods [`Self::unhealthy`] is a part.
    pub(super) fn total(&self) -> u32 {
        let least = u32::try_from(self.bad.len()).unwrap_or(u32::MAX);
        self.with_verdict
            .max(least)
            .saturating_add(self.quarantined)
    }

    pub(super) fn unhealthy(&self) -> usize {
        self.unhealthy.len() + self.quarantined as usize
    }

    /// How many pods count as bad because a new agent has never found them good.
    pub(super) fn never_good(&self) -> u32 {
        self.never_good
    }

    pub(super) fn is_storm(&self, scope: &Scope, threshold: u8) -> bool {
        let unhealthy = self.unhealthy_workloads.iter().copied();
        let workloads = self.workloads(unhealthy);
        is_above(scope, self.unhealthy(), self.total(), workloads, threshold)
    }

    /// Whether there would be a storm if all suspect pods were unhealthy.
    pub(super) fn may_be_storm(&self, scope: &Scope, threshold: u8) -> bool {
        let workloads = self.workloads(self.bad_workloads.iter().copied());
        let bad = self.bad.len();
        let never_good = self.never_good as usize;
        self.is_above_with(scope, threshold, bad, 0, never_good, workloads)
    }

    /// Whether there would have been one when a pod was asked, with the others that were bad then.
    pub(super) fn may_have_been_storm(
        &self,
        scope: &Scope,
        threshold: u8,
        others: &BadThen,
    ) -> bool {
        // Its own at least.
        let workloads = self.workloads(others.workloads.iter()).max(1);
        let (bad, without_verdict) = (others.pods + 1, others.without_verdict);
        // The others are among those that were bad then.
        let never_good = (self.never_good as usize).saturating_sub(others.never_good);
        self.is_above_with(
            scope,
            threshold,
            bad,
            without_verdict,
            never_good,
            workloads,
        )
    }

    /// Of how many workloads those pods are, and the quarantined ones.
    fn workloads<'b>(&'b self, of: impl Iterator<Item = &'b WorkloadId>) -> usize {
        let quarantined = self.quarantined_workloads.iter().copied();
        of.chain(quarantined).collect::<HashSet<_>>().len()
    }

    fn is_above_with(
        &self,
        scope: &Scope,
        threshold: u8,
        bad: usize,
        without_verdict: usize,
        never_good: usize,
        workloads: usize,
    ) -> bool {
        let bad = bad + self.quarantined as usize + never_good;
        let more = u32::try_from(never_good + without_verdict).unwrap_or(u32::MAX);
        let total = self.total().saturating_add(more);
        let workloads = workloads + usize::from(never_good > 0);
        is_above(scope, bad, total, workloads, threshold)
    }
}

/// A node or a zone has pods of many workloads: what two pods of one have in common is not their node.
fn is_above(scope: &Scope, bad: usize, total: u32, workloads: usize, threshold: u8) -> bool {
    let (least, of_workloads) = match scope {
        Scope::Cluster | Scope::Workload(_) => (2, 1),
        Scope::Node(_) | Scope::Zone(_) => (3, 2),
    };
    let total = usize::try_from(total).unwrap_or(usize::MAX).max(bad);
    bad >= least
        && workloads >= of_workloads
        && bad.saturating_mul(100) > total.saturating_mul(threshold.into())
}

/// A Ready pod that the agent gets, or got, no connection to.
#[derive(Clone, Debug)]
pub(super) struct UnreachedPod {
    pub(super) workload: WorkloadId,
    /// When its first answer without a connection came.
    pub(super) since: Moment,
    /// [`Moment::MAX`] if nothing says that it is reached again.
    pub(super) until: Moment,
}

/// The health of each scope with a finding.
#[derive(Debug, Default)]
pub(super) struct HealthCounts<'a> {
    scopes: HashMap<Scope, HealthCount<'a>>,
    /// When pods are or were unreached: those of the findings, those that wait or were unreached when the first of these was
    /// asked, those out of service; the longest first.
    unreached: Vec<UnreachedRun>,
    /// Whether so many pods are reached again, or out of service, that not all are among those.
    is_cut: bool,
}

/// Neighbours in the list of unreached pods that are of one workload and were unreached until the same time. The pod that is
/// compared is in the list, too: no run of another workload reaches over it.
#[derive(Debug)]
struct UnreachedRun {
    workload: WorkloadId,
    /// Since when the first and the last of them have been unreached.
    first: Moment,
    last: Moment,
    until: Moment,
}

impl<'a> HealthCounts<'a> {
    /// Counts the pods of all findings. `out_of_service` are not among them: they are deleted or quarantined.
    pub(super) fn of(
        cx: &Context<'a>,
        findings: &'a Findings,
        out_of_service: Vec<UnreachedPod>,
    ) -> Self {
        let mut health = Self {
            is_cut: findings.was_unreached.len().max(out_of_service.len()) >= MAX_UNREACHED,
            ..Self::default()
        };
        let mut unreached = out_of_service;
        let judging_for = |since| cx.now.moment.saturating_sub(since);
        let judging_for = findings.judging_since.map(judging_for);
        let is_new_agent = judging_for.is_some_and(|time| time < cx.file.limits.storm.cooldown);
        for finding in &findings.pods {
            if finding.counts_as_bad {
                health.count_bad(cx, finding);
            }
            // A new agent's network may have failed with the agent before it.
            if finding.counts_as_bad || is_new_agent {
                unreached.extend(unreached_pod(cx, finding));
            }
        }
        // Of a pod that is gone, it is not known whether it was Ready.
        let were_unreached = findings.was_unreached.iter().filter(|unreached| {
            let pod = cx.view.pod(&unreached.pod);
            pod.is_none_or(|pod| pod.uid != unreached.uid || pod.ready || pod.terminating)
        });
        unreached.extend(were_unreached.map(|pod| UnreachedPod {
            workload: pod.workload.clone(),
            since: pod.since,
            until: pod.until,
        }));
        health.count_unreached(unreached);
        for (scope, count) in &mut health.scopes {
            let of = |counts: &HashMap<Scope, u32>| counts.get(scope).copied().unwrap_or(0);
            count.with_verdict = of(&findings.with_verdict);
            if is_new_agent && !matches!(scope, Scope::Workload(_)) {
                count.never_good = of(&findings.never_good);
            }
        }
        let slots = cx
            .ledger
            .into_iter()
            .flat_map(|ledger| ledger.slots.values());
        for slot in slots.filter(|slot| is_within_the_window(cx, slot)) {
            health.count_quarantined(cx, slot);
        }
        health
    }

    pub(super) fn scopes(&self) -> impl Iterator<Item = (&Scope, &HealthCount<'a>)> {
        self.scopes.iter()
    }

    pub(super) fn get(&self, scope: &Scope) -> Option<&HealthCount<'a>> {
        self.scopes.get(scope)
    }

    /// Whether the agent lost the connection to a Ready pod of another workload about then, too, and had not got it back
    /// when it asked this one.
    pub(super) fn is_another_unreached(
        &self,
        workload: &WorkloadId,
        since: Moment,
        within: Duration,
        asked: Moment,
    ) -> bool {
        let ends = self
            .unreached
            .partition_point(|pods| pods.last + within < since);
        let mut about_then = self
            .unreached
            .iter()
            .skip(ends)
            .take_while(|pods| pods.first <= since + within);
        self.is_cut || about_then.any(|pods| pods.until > asked && pods.workload != *workload)
    }

    fn count_bad(&mut self, cx: &Context<'a>, finding: &'a Finding) {
        if in_service(cx, finding).is_none() {
            return;
        }
        for scope in finding.scopes.iter() {
            let count = self.scopes.entry(scope).or_default();
            count.first.get_or_insert(finding);
            count.bad.insert(&finding.uid);
            count.bad_workloads.insert(&finding.scopes.workload);
            if finding.verdict == Verdict::Unhealthy {
                count.unhealthy.insert(&finding.uid);
                count.unhealthy_workloads.insert(&finding.scopes.workload);
            }
        }
    }

    fn count_unreached(&mut self, mut pods: Vec<UnreachedPod>) {
        pods.sort_by_key(|pod| pod.since);
        for pod in pods {
            match self.unreached.last_mut() {
                Some(run) if run.until == pod.until && run.workload == pod.workload => {
                    run.last = pod.since;
                }
                _ => self.unreached.push(UnreachedRun {
                    workload: pod.workload,
                    first: pod.since,
                    last: pod.since,
                    until: pod.until,
                }),
            }
        }
    }

    fn count_quarantined(&mut self, cx: &Context<'a>, slot: &'a Slot) {
        let pod = cx.view.pod(&slot.key()).filter(|pod| pod.uid == slot.uid);
        let scopes = PodScopes {
            workload: slot.workload.clone(),
            ..pod.map_or(PodScopes::of(slot.workload.clone()), |pod| {
                cx.view.scopes_of(pod)
            })
        };
        // What people take out is no sign that what it shares with others is ill.
        let is_manual = pod
            .and_then(|pod| cx.known(pod))
            .is_some_and(|known| known.record().manual);
        let counts = |scope: &Scope| !is_manual || matches!(scope, Scope::Workload(_));
        for scope in scopes.iter().filter(counts) {
            if let Some(count) = self.scopes.get_mut(&scope)
                && !count.bad.contains(&slot.uid)
            {
                count.quarantined += 1;
                count.quarantined_workloads.insert(&slot.workload);
            }
        }
    }
}

fn unreached_pod(cx: &Context<'_>, finding: &Finding) -> Option<UnreachedPod> {
    let since = finding.unreached_since?;
    let pod = in_service(cx, finding)?;
    (pod.ready && !finding.scopes.exempt).then(|| UnreachedPod {
        workload: finding.scopes.workload.clone(),
        since,
        until: Moment::MAX,
    })
}

fn in_service<'a>(cx: &Context<'a>, finding: &Finding) -> Option<&'a Pod> {
    let pod = cx.view.pod(&finding.pod)?;
    (pod.uid == finding.uid && !pod.counts_as_quarantined()).then_some(pod)
}

/// A time in the future was written by a clock that was wrong.
fn is_within_the_window(cx: &Context<'_>, slot: &Slot) -> bool {
    let policy = cx.file.policy(&slot.policy);
    let age = age_by_agents(cx.now.wall, slot.at);
    policy.is_some_and(|policy| age.is_some_and(|age| age < policy.window()))
}
