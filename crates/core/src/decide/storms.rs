//! Storms: so many pods are unhealthy at once that the cause may not be the pods.
//!
//! A storm of the cluster or of a workload begins when more than a share of the pods with a verdict, and at least two, are
//! unhealthy, one of a node or a zone when at least three, of two workloads, are. It ends once the share was at or below
//! that threshold for the cooldown. Suspect pods begin no storm, but count as unhealthy for the question whether a pod may
//! be quarantined: of thirty pods that turn bad at once, one is past its threshold first.
//!
//! Exempt pods stay in service however long they are bad: they count in their own workload, and hold back no other.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    context::Context,
    plan::Plan,
    state::{ObservedStorm, State},
};
use crate::{
    judge::{Finding, Findings, Verdict},
    ledger::{Ledger, Note, Slot, Storm},
    notice::{Notice, Notification, Topic},
    object::{Pod, Reference, Uid},
    scope::{PodScopes, Scope},
    time::{Moment, age},
    workload::WorkloadId,
    write::Write,
};

/// How many pods of a scope are unhealthy or suspect, and how many have a verdict.
#[derive(Debug, Default)]
pub(super) struct HealthCount<'a> {
    unhealthy: HashSet<&'a Uid>,
    bad: HashSet<&'a Uid>,
    /// The workloads of the bad pods, and of those that were quarantined within the window.
    workloads: HashSet<&'a WorkloadId>,
    /// Quarantined within the window, and in none of the other counts.
    quarantined: u32,
    /// The first of the findings: the pod that has been bad for longest.
    first: Option<&'a Finding>,
    /// Bad and exempt, and in none of the other counts.
    exempt: HashSet<&'a Uid>,
    with_verdict: u32,
}

impl HealthCount<'_> {
    /// A node or a zone has pods of many workloads: what two pods of one have in common is not their node.
    fn is_above(&self, scope: &Scope, bad: usize, threshold: u8) -> bool {
        let (least, of_workloads) = match scope {
            Scope::Cluster | Scope::Workload(_) => (2, 1),
            Scope::Node(_) | Scope::Zone(_) => (3, 2),
        };
        let share = u64::try_from(bad).unwrap_or(u64::MAX).saturating_mul(100);
        bad >= least
            && self.workloads.len() >= of_workloads
            && share > u64::from(self.of()) * u64::from(threshold)
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

    fn is_storm(&self, scope: &Scope, threshold: u8) -> bool {
        self.is_above(scope, self.unhealthy(), threshold)
    }

    /// Whether there would be a storm if all suspect pods were unhealthy.
    pub(super) fn may_be_storm(&self, scope: &Scope, threshold: u8) -> bool {
        let bad = self.bad.len() + self.quarantined as usize;
        self.is_above(scope, bad, threshold)
    }
}

/// The health of each scope with a finding.
#[derive(Debug, Default)]
pub(super) struct HealthCounts<'a> {
    scopes: HashMap<Scope, HealthCount<'a>>,
    /// The Ready pods that the agent gets no connection to, whatever their kubelets got, also those that were quarantined
    /// for it a short time ago; those that have been unreached for longest first.
    unreached: Vec<Unreached>,
}

/// Pods of one workload that the agent gets no connection to, and of none other in between.
#[derive(Debug)]
struct Unreached {
    workload: WorkloadId,
    /// Since when the first and the last of them have been bad.
    first: Moment,
    last: Moment,
}

impl<'a> HealthCounts<'a> {
    pub(super) fn of(&self, scope: &Scope) -> Option<&HealthCount<'a>> {
        self.scopes.get(scope)
    }

    /// Whether the agent lost the connection to a Ready pod of another workload about then, too.
    pub(super) fn is_another_unreached(
        &self,
        workload: &WorkloadId,
        since: Moment,
        within: Duration,
    ) -> bool {
        let ends = self
            .unreached
            .partition_point(|pods| pods.last + within < since);
        let mut about_then = self
            .unreached
            .iter()
            .skip(ends)
            .take_while(|pods| pods.first <= since + within);
        about_then.any(|pods| pods.workload != *workload)
    }

    /// Counts the Ready pods that the agent gets no connection to: of which workload, and since when.
    fn count_unreached(&mut self, mut pods: Vec<(WorkloadId, Moment)>) {
        pods.sort_by_key(|(_, since)| *since);
        for (workload, since) in pods {
            match self.unreached.last_mut() {
                Some(pods) if pods.workload == workload => pods.last = since,
                _ => self.unreached.push(Unreached {
                    workload,
                    first: since,
                    last: since,
                }),
            }
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
    // Longer than pods can be unreached at once.
    let lasts = cx.file.limits.storm.cooldown * 2;
    let now = cx.now.moment;
    state
        .unreached
        .retain(|_, (_, since)| now.saturating_sub(*since) <= lasts);
    let unreached = state.unreached.values().cloned().collect();
    let health = count(cx, findings, unreached);
    let limits = &cx.file.limits.storm;
    let above = health
        .scopes
        .iter()
        .filter(|(scope, count)| count.is_storm(scope, limits.of(scope)));
    let above: BTreeSet<&Scope> = above.map(|(scope, _)| scope).collect();
    for scope in above {
        begin_or_extend(cx, state, scope, &health, plan);
    }
    read_from_ledger(cx, state);
    end(cx, state, plan);
    health
}

fn count<'a>(
    cx: &Context<'a>,
    findings: &'a Findings,
    mut unreached: Vec<(WorkloadId, Moment)>,
) -> HealthCounts<'a> {
    let mut health = HealthCounts::default();
    for finding in &findings.pods {
        if !finding.contrast {
            continue;
        }
        let Some(pod) = in_service(cx, finding) else {
            continue;
        };
        let is_exempt = pod.overrides().exempt;
        if finding.unreached && pod.ready && !is_exempt {
            unreached.push((finding.place.workload.clone(), finding.since));
        }
        for scope in finding.place.scopes() {
            let is_of_others = !matches!(scope, Scope::Workload(_));
            let count = health.scopes.entry(scope).or_default();
            count.first.get_or_insert(finding);
            if is_exempt && is_of_others {
                count.exempt.insert(&finding.uid);
                continue;
            }
            count.bad.insert(&finding.uid);
            count.workloads.insert(&finding.place.workload);
            if finding.verdict == Verdict::Unhealthy {
                count.unhealthy.insert(&finding.uid);
            }
        }
    }
    health.count_unreached(unreached);
    for (scope, count) in &mut health.scopes {
        let with_verdict = findings.with_verdict.get(scope).copied().unwrap_or(0);
        let exempt = u32::try_from(count.exempt.len()).unwrap_or(u32::MAX);
        count.with_verdict = with_verdict.saturating_sub(exempt);
    }
    let slots = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.slots.values());
    for slot in slots.filter(|slot| is_within_the_window(cx, slot)) {
        let pod = cx.view.pod(&slot.key()).filter(|pod| pod.uid == slot.uid);
        let place = PodScopes {
            workload: slot.workload.clone(),
            ..pod.map_or(PodScopes::of(slot.workload.clone()), |pod| {
                cx.view.place_of(pod)
            })
        };
        // What people take out is no sign that what it shares with others is ill.
        let is_manual = pod
            .and_then(|pod| cx.known(pod))
            .is_some_and(|known| known.record().manual);
        let counts = |scope: &Scope| !is_manual || matches!(scope, Scope::Workload(_));
        for scope in place.scopes().filter(counts) {
            if let Some(count) = health.scopes.get_mut(&scope)
                && !count.bad.contains(&slot.uid)
            {
                count.quarantined += 1;
                count.workloads.insert(&slot.workload);
            }
        }
    }
    health
}

fn in_service<'a>(cx: &Context<'a>, finding: &Finding) -> Option<&'a Pod> {
    let pod = cx.view.pod(&finding.pod)?;
    (pod.uid == finding.uid && !pod.counts_as_quarantined()).then_some(pod)
}

/// A time in the future was written by a clock that was wrong.
fn is_within_the_window(cx: &Context<'_>, slot: &Slot) -> bool {
    let policy = cx.file.policy(&slot.policy);
    let age = age(cx.now.wall, slot.at);
    policy.is_some_and(|policy| age.is_some_and(|age| age < policy.window()))
}

fn begin_or_extend(
    cx: &Context<'_>,
    state: &mut State,
    scope: &Scope,
    health: &HealthCounts<'_>,
    plan: &mut Plan,
) {
    let now = cx.now.moment;
    if let Some(storm) = state.storms.get_mut(scope) {
        storm.above = now;
        storm.over = false;
        return;
    }
    let Some(count) = health.of(scope) else {
        return;
    };
    let Some((namespace, about)) = whereabouts(cx, scope, count) else {
        return;
    };
    let limits = &cx.file.limits.storm;
    let threshold = limits.of(scope);
    let place: Arc<str> = match scope {
        Scope::Cluster | Scope::Zone(_) | Scope::Node(_) => scope.to_string().into(),
        Scope::Workload(_) => format!("{namespace}/{about}").into(),
    };
    let known = cx
        .ledger
        .and_then(|ledger| ledger.memory.storms.get(scope).cloned());
    if known.is_none() {
        let (unhealthy, of) = (count.unhealthy(), count.of());
        let cooldown = humantime::format_duration(limits.cooldown);
        let (on, there) = match scope {
            Scope::Cluster | Scope::Workload(_) => (String::new(), ""),
            Scope::Node(_) => (format!(" on {scope}"), " there"),
            Scope::Zone(_) => (format!(" in {scope}"), " there"),
        };
        let message = format!(
            "{unhealthy} of {of} pods{on} are unhealthy at once, more than {threshold}%: nothing new is quarantined{there} \
             until the share has been at or below that for {cooldown}"
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
        storm: known.unwrap_or(Storm {
            scope: scope.clone(),
            place,
            since,
        }),
        above: now,
        over: false,
    };
    state.storms.insert(scope.clone(), storm);
}

/// The workload, or the ledger, which stands for the whole agent. `None` for pods of controllers that the agent does not
/// read: none of them is ever quarantined, so no storm has to prevent it.
fn whereabouts(
    cx: &Context<'_>,
    scope: &Scope,
    count: &HealthCount<'_>,
) -> Option<(Arc<str>, Reference)> {
    let Scope::Workload(_) = scope else {
        return Some((cx.view.own_namespace.clone(), cx.ledger_object()));
    };
    let pod = cx.view.pod(&count.first?.pod)?;
    let workload = cx.view.workload(pod).ok()?;
    Some((pod.key.namespace.clone(), workload.top().reference()))
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
fn note(ledger: &Ledger, scope: &Scope, storm: &ObservedStorm) -> Option<Note> {
    match (storm.over, ledger.memory.storms.contains_key(scope)) {
        (true, true) => Some(Note::StormEnded(scope.clone())),
        (false, false) if ledger.has_room_for(&storm.storm) => {
            Some(Note::StormBegan(storm.storm.clone()))
        }
        _ => None,
    }
}
