//! Storms: so many pods are unhealthy at once that the cause may not be the pods.
//!
//! A storm begins when more than a share of the pods with a verdict, and at least two, are unhealthy; it ends once the
//! share was at or below that threshold for the cooldown. Suspect pods begin no storm, but count as unhealthy for the
//! question whether a pod may be quarantined: of thirty pods that turn bad at once, one is past its threshold first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    context::Context,
    plan::Plan,
    state::{ObservedStorm, State},
};
use crate::{
    judge::{Finding, Findings, Verdict},
    ledger::{Ledger, MAX_STORMS, Note, Slot, Storm, StormScope},
    notice::{Notice, Notification, Topic},
    object::{Reference, Uid},
    workload::WorkloadId,
    write::Write,
};

/// How many pods of a scope are unhealthy or suspect, and how many have a verdict.
#[derive(Debug, Default)]
pub(super) struct HealthCount<'a> {
    unhealthy: BTreeSet<&'a Uid>,
    bad: BTreeSet<&'a Uid>,
    /// Quarantined within the window, and in none of the other counts.
    quarantined: u32,
    with_verdict: u32,
}

impl HealthCount<'_> {
    fn is_above(bad: usize, of: u32, threshold: u8) -> bool {
        let bad = u64::try_from(bad).unwrap_or(u64::MAX);
        bad >= 2 && bad.saturating_mul(100) > u64::from(of) * u64::from(threshold)
    }

    fn of(&self) -> u32 {
        let least = u32::try_from(self.bad.len()).unwrap_or(u32::MAX);
        self.with_verdict
            .max(least)
            .saturating_add(self.quarantined)
    }

    fn unhealthy(&self) -> usize {
        self.unhealthy.len() + self.quarantined as usize
    }

    fn is_storm(&self, threshold: u8) -> bool {
        Self::is_above(self.unhealthy(), self.of(), threshold)
    }

    /// Whether there would be a storm if all suspect pods were unhealthy.
    pub(super) fn may_be_storm(&self, threshold: u8) -> bool {
        let bad = self.bad.len() + self.quarantined as usize;
        Self::is_above(bad, self.of(), threshold)
    }
}

/// The health of each workload with a finding, and that of the cluster.
#[derive(Debug, Default)]
pub(super) struct HealthCounts<'a> {
    workloads: BTreeMap<&'a WorkloadId, HealthCount<'a>>,
    cluster: HealthCount<'a>,
}

impl<'a> HealthCounts<'a> {
    pub(super) fn of(&self, scope: &StormScope) -> Option<&HealthCount<'a>> {
        match scope {
            StormScope::Cluster => Some(&self.cluster),
            StormScope::Workload(workload) => self.workloads.get(workload),
        }
    }
}

/// Counts the unhealthy pods, begins and ends storms.
pub(super) fn run<'a>(
    cx: &Context<'a>,
    state: &mut State,
    findings: &'a Findings,
    plan: &mut Plan,
) -> HealthCounts<'a> {
    let health = count(cx, findings);
    let limits = &cx.file.limits.storm;
    let mut above: BTreeMap<StormScope, Option<&Finding>> = BTreeMap::new();
    if health.cluster.is_storm(limits.cluster) {
        above.insert(StormScope::Cluster, None);
    }
    for (workload, count) in &health.workloads {
        if count.is_storm(limits.workload) {
            let mut of_workload = findings.pods.iter();
            let finding = of_workload.find(|finding| finding.workload == **workload);
            above.insert(StormScope::Workload((*workload).clone()), finding);
        }
    }
    for (scope, finding) in above {
        begin_or_extend(cx, state, scope, finding, &health, plan);
    }
    read_from_ledger(cx, state);
    end(cx, state, plan);
    health
}

fn count<'a>(cx: &Context<'a>, findings: &'a Findings) -> HealthCounts<'a> {
    let mut health = HealthCounts::default();
    for finding in &findings.pods {
        if !finding.contrast || !is_in_service(cx, finding) {
            continue;
        }
        let of_workload = health.workloads.entry(&finding.workload).or_default();
        for count in [of_workload, &mut health.cluster] {
            count.bad.insert(&finding.uid);
            if finding.verdict == Verdict::Unhealthy {
                count.unhealthy.insert(&finding.uid);
            }
        }
    }
    health.cluster.with_verdict = findings.with_verdict_in_all;
    for (workload, count) in &mut health.workloads {
        count.with_verdict = findings.with_verdict.get(*workload).copied().unwrap_or(0);
    }
    for slot in cx
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.slots.values())
    {
        if !is_within_the_window(cx, slot) || health.cluster.bad.contains(&slot.uid) {
            continue;
        }
        health.cluster.quarantined += 1;
        if let Some(count) = health.workloads.get_mut(&slot.workload) {
            count.quarantined += 1;
        }
    }
    health
}

fn is_in_service(cx: &Context<'_>, finding: &Finding) -> bool {
    let pod = cx.view.pod(&finding.pod);
    pod.is_some_and(|pod| pod.uid == finding.uid && !pod.counts_as_quarantined())
}

fn is_within_the_window(cx: &Context<'_>, slot: &Slot) -> bool {
    let policy = cx.file.policy(&slot.policy);
    let age = cx.now.wall.duration_since(slot.at);
    policy.is_some_and(|policy| age.as_secs_f64() < policy.window().as_secs_f64())
}

fn begin_or_extend(
    cx: &Context<'_>,
    state: &mut State,
    scope: StormScope,
    finding: Option<&Finding>,
    health: &HealthCounts<'_>,
    plan: &mut Plan,
) {
    let now = cx.now.moment;
    if let Some(storm) = state.storms.get_mut(&scope) {
        storm.above = now;
        storm.over = false;
        return;
    }
    let Some(count) = health.of(&scope) else {
        return;
    };
    let (namespace, about) = whereabouts(cx, finding);
    let limits = &cx.file.limits.storm;
    let (threshold, place): (u8, Arc<str>) = match &scope {
        StormScope::Cluster => (limits.cluster, "cluster".into()),
        StormScope::Workload(_) => (limits.workload, format!("{namespace}/{about}").into()),
    };
    let known = cx
        .ledger
        .and_then(|ledger| ledger.memory.storms.get(&scope).cloned());
    if known.is_none() {
        let (unhealthy, of) = (count.unhealthy(), count.of());
        let cooldown = humantime::format_duration(limits.cooldown);
        let message = format!(
            "{unhealthy} of {of} pods are unhealthy at once, more than {threshold}%: nothing new is quarantined until \
             the share has been at or below that for {cooldown}"
        );
        plan.notices.push(Notice::Notify(Notification {
            namespace,
            pod: None,
            policy: None,
            about,
            topic: Topic::QuarantineStorm,
            message,
        }));
    }
    let since = cx.now.wall;
    let storm = ObservedStorm {
        storm: known.unwrap_or(Storm { place, since }),
        above: now,
        over: false,
    };
    state.storms.insert(scope, storm);
}

/// The workload that a finding is about, or the ledger, which stands for the whole agent.
fn whereabouts(cx: &Context<'_>, finding: Option<&Finding>) -> (Arc<str>, Reference) {
    let of_pod = finding.and_then(|finding| {
        let pod = cx.view.pod(&finding.pod)?;
        let workload = cx.view.workload(pod).ok()?;
        Some((pod.key.namespace.clone(), workload.top().reference()))
    });
    of_pod.unwrap_or_else(|| (cx.view.own_namespace.clone(), cx.ledger_object()))
}

/// A storm in the ledger, which another agent or this one before a restart has observed, lasts until the share was at or
/// below the threshold for a whole cooldown again.
fn read_from_ledger(cx: &Context<'_>, state: &mut State) {
    let storms = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| &ledger.memory.storms);
    for (scope, storm) in storms {
        let observed = || ObservedStorm {
            storm: storm.clone(),
            above: cx.now.moment,
            over: false,
        };
        state.storms.entry(scope.clone()).or_insert_with(observed);
    }
}

fn end(cx: &Context<'_>, state: &mut State, plan: &mut Plan) {
    let now = cx.now.moment;
    let cooldown = cx.file.limits.storm.cooldown;
    state.storms.retain(|scope, storm| {
        storm.over |= now.saturating_sub(storm.above) >= cooldown;
        let Some(ledger) = cx.ledger else {
            return !storm.over;
        };
        let note = note(ledger, scope, storm);
        plan.writes.extend(note.map(Write::Note));
        !storm.over || ledger.memory.storms.contains_key(scope)
    });
}

/// The note that writes the begin or the end of a storm into the ledger; `None` if the ledger has it already, or is full.
fn note(ledger: &Ledger, scope: &StormScope, storm: &ObservedStorm) -> Option<Note> {
    let storms = &ledger.memory.storms;
    match (storm.over, storms.contains_key(scope)) {
        (true, true) => Some(Note::StormEnded(scope.clone())),
        (false, false) if storms.len() < MAX_STORMS => {
            Some(Note::StormBegan(scope.clone(), storm.storm.clone()))
        }
        _ => None,
    }
}
