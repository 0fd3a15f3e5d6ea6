//! Whether enough Ready pods would remain without a Ready pod: `MinReady`, `DisruptionBudget`, `LastEndpoint`. A pod that
//! is not Ready is no loss.

use std::time::Duration;

use super::{case::Case, ready_pods::ReadyPods};
use crate::{
    decide::{context::Context, plan::Plan},
    ledger::Slot,
    object::{DisruptionBudget, Pod},
    reason::{Reason, Refusal},
    selector::Labels,
    time::age,
};

/// By then a budget's status has changed, if the controllers run.
const BUDGET_CHANGES_WITHIN: Duration = Duration::from_mins(1);

pub(super) fn check(
    cx: &Context<'_>,
    plan: &Plan,
    case: &Case<'_, '_>,
    ready_pods: &mut ReadyPods,
) -> Result<(), Refusal> {
    let pod = case.candidate.pod;
    if !pod.ready {
        return Ok(());
    }
    let ready = ready_pods.of_workload(cx, pod, &case.workload);
    let min_ready = cx.file.limits.workload.min_ready;
    let least = min_ready.of(case.workload.desired());
    if ready < least {
        let detail = format!("{ready} of its other pods are Ready, at least {least} must stay so");
        return Err(Refusal::new(Reason::MinReady, detail));
    }
    let uncounted = uncounted(cx, plan, case);
    for budget in cx.view.budgets_of(pod) {
        check_budget(budget, &uncounted, || ready_pods.of_budget(cx, pod, budget))?;
    }
    for service in cx.view.services_of(pod) {
        if ready_pods.of_service(cx, pod, service) == 0 {
            let here = if service.local { " on its node" } else { "" };
            let name = &service.key.name;
            let detail = format!("the pod is the only Ready pod of {name}{here}");
            return Err(Refusal::new(Reason::LastEndpoint, detail));
        }
    }
    Ok(())
}

/// Whether a PodDisruptionBudget allows the loss of one more Ready pod: by its status, by its pods as they are known
/// since, and one at a time.
fn check_budget(
    budget: &DisruptionBudget,
    uncounted: &[&Labels],
    healthy: impl FnOnce() -> u32,
) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::new(Reason::DisruptionBudget, detail));
    let name = &budget.key.name;
    let Some(status) = budget.status else {
        return refused(format!("{name}: its status is not of its present spec"));
    };
    if status.disruptions_allowed == 0 {
        return refused(format!("{name} allows no disruption now"));
    }
    if uncounted.iter().any(|labels| budget.selects(labels)) {
        return refused(format!("{name}: another of its pods is being quarantined"));
    }
    let (healthy, desired) = (healthy(), status.desired_healthy);
    if healthy < desired {
        return refused(format!(
            "{name} wants {desired} healthy pods, {healthy} would stay"
        ));
    }
    Ok(())
}

/// The labels of the other Ready pods of the namespace whose quarantine the status of a PodDisruptionBudget may not
/// include yet.
fn uncounted<'p>(cx: &Context<'p>, plan: &'p Plan, case: &Case<'_, '_>) -> Vec<&'p Labels> {
    let pod = case.candidate.pod;
    let by_slot = cx.ledger.iter().flat_map(|ledger| ledger.slots.values());
    let by_slot = by_slot.filter(|slot| {
        slot.uid != pod.uid
            && slot.namespace == pod.key.namespace
            && may_not_be_counted_yet(cx, slot)
    });
    let by_slot = by_slot.filter_map(|slot| cx.view.pod(&slot.key()));
    let by_plan = plan.quarantines().filter(|quarantine| {
        quarantine.slot.ready && quarantine.pod.key.namespace == pod.key.namespace
    });
    by_slot
        .map(|other| labels_before(cx, other))
        .chain(by_plan.map(|quarantine| &quarantine.before.labels))
        .collect()
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
