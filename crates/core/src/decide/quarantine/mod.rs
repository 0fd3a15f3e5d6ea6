//! Which pods are quarantined now, and why the others are not.

mod admission;
mod availability;
mod candidate;
mod case;
pub(super) mod constraints;
pub(super) mod edits;
pub(super) mod labels;
mod limits;
mod owner;
pub(super) mod pacing;
mod ready_pods;
mod replacement;
mod storm;

use self::{
    candidate::{Candidate, candidates, from_finding},
    case::{Case, Skip},
    limits::Budget,
    ready_pods::ReadyPods,
};
use super::{context::Context, health::HealthCounts, plan::Plan, searches::Searches, state::State};
use crate::{
    judge::{Finding, Verdict},
    lookup::Lookup,
    object::Pod,
    policy::Mode,
    reason::{Reason, Refusal},
    write::{Quarantine, Write},
};

/// What a decision has reserved, counted and searched for.
struct SoFar<'a> {
    budget: Budget,
    ready_pods: ReadyPods,
    searches: Searches,
    /// The pods whose replacements' needs are to be read.
    due: Vec<&'a Pod>,
}

/// Considers every candidate, then the pods that may be unhealthy soon.
pub(super) fn run<'a>(
    cx: &Context<'a>,
    state: &mut State,
    findings: &'a [Finding],
    health: &HealthCounts<'_>,
    plan: &mut Plan,
) {
    let mut so_far = SoFar {
        budget: Budget::new(cx),
        ready_pods: ReadyPods::default(),
        searches: std::mem::take(&mut state.searches),
        due: Vec::new(),
    };
    state.wanted.clear();
    for candidate in candidates(cx, state, findings, plan) {
        let pod = candidate.pod;
        state.readings.keep(&candidate.read_for());
        if so_far.ready_pods.is_planned(pod) {
            continue;
        }
        let considered = consider(cx, state, health, plan, &candidate, &mut so_far);
        let is_wanted = matches!(considered, Ok(_) | Err(Skip::NeedsLookup));
        if is_wanted && candidate.mode == Mode::Enforce {
            state.wanted.insert(pod.uid.clone());
        }
        match considered {
            Ok(quarantine) => {
                let workload = quarantine.slot.workload.clone();
                so_far.ready_pods.plan(cx, pod, workload);
                plan.writes.push(Write::Quarantine(Box::new(quarantine)));
            }
            Err(
                Skip::SlotAhead
                | Skip::LedgerAhead
                | Skip::NeedsLookup
                | Skip::BacksOff
                | Skip::PutOff,
            ) => state.reported.keep(&pod.uid),
            Err(Skip::Refused(refusal)) => {
                plan.refuse(state, candidate.refused(refusal));
            }
        }
    }
    replacement::look_up(cx, state, plan, std::mem::take(&mut so_far.due));
    for finding in findings {
        if finding.verdict == Verdict::Suspect
            && let Some(candidate) = from_finding(cx, finding)
        {
            prepare(cx, state, health, plan, &candidate, &mut so_far);
        }
    }
    plan.put_off = so_far.searches.put_off();
    state.searches = so_far.searches;
}

/// The first check that fails is the refusal; `Reason` and the documentation list them in this order.
fn consider<'a>(
    cx: &Context<'a>,
    state: &mut State,
    health: &HealthCounts<'_>,
    plan: &Plan,
    candidate: &Candidate<'a>,
    so_far: &mut SoFar<'a>,
) -> Result<Quarantine, Skip> {
    admission::check(cx, state, candidate)?; // Off to Mutated
    let case = Case::open(cx, state, candidate)?; // LedgerUnavailable, OwnerKind
    storm::check(cx, state, health, &case)?; // Storm
    pacing::check(cx, plan, &case)?; // Rollout, RetriesExhausted, Pacing
    limits::check(cx, &so_far.budget, &case)?; // WorkloadLimit to HourlyLimit
    let quarantine = labels::plan(cx, &mut so_far.searches, &case)?; // NothingToLeave, NetworkPolicy, NoWayOut
    availability::check(cx, plan, &case, &mut so_far.ready_pods)?; // MinReady, DisruptionBudget, LastEndpoint
    let replacement = replacement::check(cx, state, plan, &case, &mut so_far.due); // ExclusiveResource, QuotaExhausted
    // The outstanding look-up may allow the quarantine: until then no other candidate takes the place.
    if !matches!(replacement, Err(Skip::Refused(_))) {
        so_far.budget.reserve(&case);
    }
    replacement?;
    check_mode(candidate)?; // Observe
    Ok(Quarantine {
        pacing: pacing::next_record(cx, &case),
        dry_run_first: needs_dry_run(state, &case),
        ..quarantine
    })
}

/// `Observe`: the last check, so that `observe` reports exactly what `enforce` would do.
fn check_mode(candidate: &Candidate<'_>) -> Result<(), Refusal> {
    if candidate.mode == Mode::Observe {
        return Err(Refusal::new(Reason::Observe, ""));
    }
    Ok(())
}

/// Whether it is not known yet that the API server accepts such changes in the workload.
fn needs_dry_run(state: &State, case: &Case<'_, '_>) -> bool {
    let workload = case.workload.id();
    let mut slots = case.ledger.slots.values();
    !state.accepts(&workload) && !slots.any(|slot| slot.workload == workload)
}

/// Sends the change of a suspect pod as a dry run, and reads the needs of its replacement: once the pod is unhealthy, its
/// quarantine need not wait for either. There are only so many of both at once, in all and in one namespace.
fn prepare<'a>(
    cx: &Context<'a>,
    state: &mut State,
    health: &HealthCounts<'_>,
    plan: &mut Plan,
    candidate: &Candidate<'a>,
    so_far: &mut SoFar<'a>,
) {
    let pod = candidate.pod;
    state.readings.keep(&candidate.read_for());
    let workload = cx.view.workload(pod);
    let has_dry_run = workload.is_ok_and(|workload| state.has_dry_run(&workload.id()));
    let has_needs = state.readings.recall(&pod.uid).is_some();
    let dry_run = !has_dry_run && state.has_room_for_dry_run(&pod.key.namespace);
    let needs = !has_needs && state.readings.has_room(pod);
    if !dry_run && !needs || candidate.mode != Mode::Enforce {
        return;
    }
    if let Ok(quarantine) = consider(cx, state, health, plan, candidate, so_far)
        && quarantine.dry_run_first
        && dry_run
    {
        let workload = &quarantine.slot.workload;
        state.begin_dry_run(workload, &pod.key.namespace, cx.now.moment);
        plan.lookups.push(Lookup::DryRun(Box::new(quarantine)));
    }
    replacement::look_up(cx, state, plan, std::mem::take(&mut so_far.due));
}
