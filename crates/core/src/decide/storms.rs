//! Storms: so many pods are unhealthy at once that the cause may not be the pods.
//!
//! A storm of the cluster or of a workload begins when more than a share of the pods with a verdict, and at least two, are
//! unhealthy, one of a node or a zone when at least three, of two workloads, are. It ends once the share was at or below
//! that threshold for the cooldown. Suspect pods begin no storm, but count as unhealthy for the question whether a pod may
//! be quarantined: of thirty pods that turn bad at once, one is past its threshold first.
//!
//! When a failure ends, each pod answers at its own turn. What a pod answered during the failure is held against those that
//! were bad then, also if they have answered since, or are gone.
//!
//! Exempt pods stay in service however long they are bad: they count in their own workload, and hold back no other.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    context::Context,
    lost,
    plan::Plan,
    state::{ObservedStorm, State},
};
use crate::{
    judge::{Finding, Findings, Recovered, Verdict},
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
    recovered: RecoveredCount<'a>,
}

/// The pods of a scope that were bad a short time ago.
#[derive(Debug, Default)]
struct RecoveredCount<'a> {
    /// Since when, in order.
    from: Vec<Moment>,
    /// Until when, in order.
    until: Vec<Moment>,
    /// Theirs, and those of the others that count.
    workloads: HashSet<&'a WorkloadId>,
}

impl<'a> RecoveredCount<'a> {
    fn add(&mut self, recovered: &'a Recovered) {
        self.from.push(recovered.from);
        self.until.push(recovered.until);
        self.workloads.insert(&recovered.place.workload);
    }

    /// How many were bad at that time: those that have become so, less those that had ceased to be.
    fn at(&self, moment: Moment) -> usize {
        let began = self.from.partition_point(|from| *from <= moment);
        let ended = self.until.partition_point(|until| *until <= moment);
        began.saturating_sub(ended)
    }
}

impl HealthCount<'_> {
    /// A node or a zone has pods of many workloads: what two pods of one have in common is not their node.
    fn is_above(&self, scope: &Scope, bad: usize, workloads: usize, threshold: u8) -> bool {
        let (least, of_workloads) = match scope {
            Scope::Cluster | Scope::Workload(_) => (2, 1),
            Scope::Node(_) | Scope::Zone(_) => (3, 2),
        };
        let share = u64::try_from(bad).unwrap_or(u64::MAX).saturating_mul(100);
        bad >= least
            && workloads >= of_workloads
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
        self.is_above(scope, self.unhealthy(), self.workloads.len(), threshold)
    }

    /// Whether there would be a storm if all suspect pods were unhealthy.
    pub(super) fn may_be_storm(&self, scope: &Scope, threshold: u8) -> bool {
        let bad = self.bad.len() + self.quarantined as usize;
        self.is_above(scope, bad, self.workloads.len(), threshold)
    }

    /// The same of that time: with the pods that were bad then, and are so no longer.
    pub(super) fn may_have_been_storm(&self, scope: &Scope, threshold: u8, then: Moment) -> bool {
        let recovered = self.recovered.at(then);
        if recovered == 0 {
            return false;
        }
        let bad = self.bad.len() + self.quarantined as usize + recovered;
        self.is_above(scope, bad, self.recovered.workloads.len(), threshold)
    }
}

/// The health of each scope with a finding.
#[derive(Debug, Default)]
pub(super) struct HealthCounts<'a> {
    scopes: HashMap<Scope, HealthCount<'a>>,
    /// The Ready pods that the agent gets, or a short time ago got, no connection to, whatever their kubelets got and
    /// whatever has become of them since; those that have been unreached for longest first.
    unreached: Vec<Unreached>,
}

/// Pods of one workload that the agent gets, or got, no connection to, and of none other in between.
#[derive(Debug)]
struct Unreached {
    workload: WorkloadId,
    /// Since when the first and the last of them have been bad.
    first: Moment,
    last: Moment,
    /// Until when the last of them was; [`Moment::MAX`] if nothing says that it is reached again.
    until: Moment,
}

impl<'a> HealthCounts<'a> {
    pub(super) fn of(&self, scope: &Scope) -> Option<&HealthCount<'a>> {
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
        about_then.any(|pods| pods.workload != *workload && pods.until > asked)
    }

    /// Counts Ready pods that the agent gets, or got, no connection to: of which workload, since when, until when.
    fn count_unreached(&mut self, mut pods: Vec<(WorkloadId, Moment, Moment)>) {
        pods.sort_by_key(|(_, since, _)| *since);
        for (workload, since, until) in pods {
            match self.unreached.last_mut() {
                Some(pods) if pods.workload == workload => {
                    pods.last = since;
                    pods.until = pods.until.max(until);
                }
                _ => self.unreached.push(Unreached {
                    workload,
                    first: since,
                    last: since,
                    until,
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
    lost::remember(cx, state, findings);
    let health = count(cx, findings, lost::out_of_service(cx, state));
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
    lost: Vec<(WorkloadId, Moment)>,
) -> HealthCounts<'a> {
    let mut health = HealthCounts::default();
    let lost = lost.into_iter();
    let lost = lost.map(|(workload, since)| (workload, since, Moment::MAX));
    let mut unreached: Vec<(WorkloadId, Moment, Moment)> = lost.collect();
    for finding in &findings.pods {
        if !finding.contrast {
            continue;
        }
        let Some(pod) = in_service(cx, finding) else {
            continue;
        };
        let is_exempt = pod.overrides().exempt;
        if finding.unreached && pod.ready && !is_exempt {
            let workload = finding.place.workload.clone();
            unreached.push((workload, finding.since, Moment::MAX));
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
    for recovered in &findings.recovered {
        let pod = cx.view.pod(&recovered.pod);
        let pod = pod.filter(|pod| pod.uid == recovered.uid);
        if pod.is_some_and(Pod::counts_as_quarantined) {
            continue;
        }
        let is_exempt = pod.is_some_and(|pod| pod.overrides().exempt);
        if recovered.unreached && pod.is_none_or(|pod| pod.ready) && !is_exempt {
            let workload = recovered.place.workload.clone();
            unreached.push((workload, recovered.from, recovered.until));
        }
        for scope in recovered.place.scopes() {
            let is_of_others = !matches!(scope, Scope::Workload(_));
            if let Some(count) = health.scopes.get_mut(&scope)
                && !(is_exempt && is_of_others)
                && !count.bad.contains(&recovered.uid)
            {
                count.recovered.add(recovered);
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
    let counts = health.scopes.values_mut();
    for count in counts.filter(|count| !count.recovered.from.is_empty()) {
        count.recovered.from.sort_unstable();
        count.recovered.until.sort_unstable();
        count.recovered.workloads.extend(&count.workloads);
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
