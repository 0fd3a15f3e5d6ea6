//! Whether enough Ready pods would remain without a Ready pod: `MinReady`, `DisruptionBudget`, `LastEndpoint`. A pod that
//! is not Ready is no loss.

use std::time::Duration;

use super::case::Case;
use crate::{
    decide::{context::Context, plan::Plan},
    ledger::Slot,
    object::{DisruptionBudget, Pod, Service},
    reason::{Reason, Refusal},
    selector::Labels,
    time::age,
};

/// By then a budget's status has changed, if the controllers run.
const BUDGET_CHANGES_WITHIN: Duration = Duration::from_mins(1);

pub(super) fn check(cx: &Context<'_>, plan: &Plan, case: &Case<'_, '_>) -> Result<(), Refusal> {
    let pod = case.candidate.pod;
    if !pod.ready {
        return Ok(());
    }
    let others = cx.view.pods_of(&case.workload);
    let ready = count(others.filter(|other| stays_ready(plan, case, other)));
    let min_ready = cx.file.limits.workload.min_ready;
    let least = min_ready.of(case.workload.desired());
    if ready < least {
        let detail = format!("{ready} of its other pods are Ready, at least {least} must stay so");
        return Err(Refusal::new(Reason::MinReady, detail));
    }
    for budget in cx.view.budgets_of(pod) {
        check_budget(cx, plan, case, budget)?;
    }
    for service in cx.view.services_of(pod) {
        check_endpoints(cx, plan, case, service)?;
    }
    Ok(())
}

/// Whether another pod is Ready and is not being quarantined.
fn stays_ready(plan: &Plan, case: &Case<'_, '_>, other: &Pod) -> bool {
    other.uid != case.candidate.pod.uid
        && other.ready
        && !other.terminating
        && !other.counts_as_quarantined()
        && !case.ledger.slots.contains_key(&other.uid)
        && !plan
            .quarantines()
            .any(|quarantine| quarantine.pod.uid == other.uid)
}

/// Whether a PodDisruptionBudget allows the loss of one more Ready pod: by its status, by its pods as they are known
/// since, and one at a time.
fn check_budget(
    cx: &Context<'_>,
    plan: &Plan,
    case: &Case<'_, '_>,
    budget: &DisruptionBudget,
) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::new(Reason::DisruptionBudget, detail));
    let pod = case.candidate.pod;
    let name = &budget.key.name;
    let Some(status) = budget.status else {
        return refused(format!("{name}: its status is not of its present spec"));
    };
    if status.disruptions_allowed == 0 {
        return refused(format!("{name} allows no disruption now"));
    }
    let mut slots = case.ledger.slots.values();
    let counted_by_slot = slots.any(|slot| {
        slot.uid != pod.uid
            && slot.namespace == pod.key.namespace
            && may_not_be_counted_yet(cx, slot)
            && cx
                .view
                .pod(&slot.key())
                .is_some_and(|other| budget.selects(labels_before(cx, other)))
    });
    let counted_by_plan = plan.quarantines().any(|quarantine| {
        quarantine.slot.ready
            && quarantine.pod.key.namespace == pod.key.namespace
            && budget.selects(&quarantine.before.labels)
    });
    if counted_by_slot || counted_by_plan {
        return refused(format!("{name}: another of its pods is being quarantined"));
    }
    let others = cx.view.pods_in(&pod.key.namespace);
    let healthy = count(
        others.filter(|other| budget.selects(&other.labels) && stays_ready(plan, case, other)),
    );
    let desired = status.desired_healthy;
    if healthy < desired {
        return refused(format!(
            "{name} wants {desired} healthy pods, {healthy} would stay"
        ));
    }
    Ok(())
}

/// Whether the status of a PodDisruptionBudget may not include yet that the pod of a slot was Ready and was quarantined.
fn may_not_be_counted_yet(cx: &Context<'_>, slot: &Slot) -> bool {
    let age = age(cx.now.wall, slot.at);
    let is_recent = age.is_some_and(|age| age < BUDGET_CHANGES_WITHIN);
    slot.ready && slot.replaced.is_none() && is_recent
}

/// The labels that a pod had before its quarantine, or has, if it is about to be quarantined.
fn labels_before<'a>(cx: &Context<'a>, pod: &'a Pod) -> &'a Labels {
    let known = cx.known(pod);
    known.map_or(&pod.labels, |known| &known.record().labels)
}

/// Whether a Service that the pod leaves keeps a Ready endpoint; on the same node, if its traffic policy is `Local`.
fn check_endpoints(
    cx: &Context<'_>,
    plan: &Plan,
    case: &Case<'_, '_>,
    service: &Service,
) -> Result<(), Refusal> {
    let pod = case.candidate.pod;
    let mut others = cx.view.pods_in(&pod.key.namespace);
    let keeps_one = others.any(|other| {
        service.selects(&other.labels)
            && (!service.local || other.node == pod.node)
            && stays_ready(plan, case, other)
    });
    if keeps_one {
        return Ok(());
    }
    let here = if service.local { " on its node" } else { "" };
    let detail = format!(
        "the pod is the only Ready pod of {}{here}",
        service.key.name
    );
    Err(Refusal::new(Reason::LastEndpoint, detail))
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}
