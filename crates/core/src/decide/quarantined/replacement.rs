//! Whether the replacement of a quarantined pod is Ready, and what happens if it is not in time.

use super::{quarantined_pod::QuarantinedPod, reap, release};
use crate::{
    decide::{context::Context, doubt::Doubt, plan::Plan, state::State},
    ledger::{KnownPod, Slot},
    notice::Topic,
    object::Pod,
    policy::{Detach, OnReplacementTimeout},
    time::{after, earliest_creation},
};

/// The state of the replacement of a quarantined pod.
pub(super) enum ReplacementState {
    /// No replacement is awaited: none starts, or it was already Ready.
    NotAwaited,
    /// The replacement is Ready now, which its slot does not record yet.
    Ready,
    /// The replacement is not Ready, and its timeout has not passed.
    Pending,
    /// The replacement is not Ready, and its timeout has passed.
    Late,
}

pub(super) fn state_of(cx: &Context<'_>, known: KnownPod<'_>) -> ReplacementState {
    let view = cx.view;
    let (pod, record, slot) = (known.pod(), known.record(), known.slot());
    if record.detach == Detach::Service || slot.replaced.is_some() || view.stale.is_some() {
        return ReplacementState::NotAwaited;
    }
    let top = view.controller(&pod.key.namespace, &record.workload);
    let owner = view.controller(&pod.key.namespace, &record.owner);
    let Some(controller) = top.or(owner) else {
        // No controller creates a replacement.
        return ReplacementState::NotAwaited;
    };
    if is_replaced(cx, known, controller.desired) {
        return ReplacementState::Ready;
    }
    let is_time_known = !cx.doubt.is_some_and(Doubt::is_about_time);
    if is_time_known && cx.now.wall >= after(slot.at, cx.file.limits.pacing.replacement_timeout) {
        return ReplacementState::Late;
    }
    ReplacementState::Pending
}

/// Whether all desired pods of the workload are Ready again, or as many new pods are Ready as were quarantined up to and
/// including this one.
fn is_replaced(cx: &Context<'_>, known: KnownPod<'_>, wanted: u32) -> bool {
    let view = cx.view;
    let (pod, record, own) = (known.pod(), known.record(), known.slot());
    let namespace = &pod.key.namespace;
    let mut sets = view.controllers_below(namespace, &record.workload);
    if let Some(owner) = view.controller(namespace, &record.owner)
        && !sets.iter().any(|set| set.uid == owner.uid)
    {
        sets.push(owner);
    }
    let pods = sets.iter().flat_map(|set| view.owned(set));
    let ready: Vec<&Pod> = pods
        .filter(|pod| pod.ready && !pod.terminating && !pod.counts_as_quarantined())
        .collect();
    if u32::try_from(ready.len()).is_ok_and(|ready| ready >= wanted) {
        return true;
    }
    let slots = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.slots.values());
    let waiting: Vec<&Slot> = slots
        .filter(|slot| slot.workload == own.workload && slot.replaced.is_none())
        .collect();
    let mine = (record.at, &pod.uid);
    let missing = waiting.iter().filter(|slot| (slot.at, &slot.uid) <= mine);
    let first = waiting.iter().map(|slot| slot.at).min();
    let since = earliest_creation(first.unwrap_or(record.at));
    let new = ready
        .iter()
        .filter(|pod| pod.created.is_some_and(|created| created >= since));
    new.count() >= missing.count().max(1)
}

/// Reports that there is no Ready replacement, and does what the policy says. True if the pod is released or deleted.
pub(super) fn apply_timeout(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
) -> bool {
    let QuarantinedPod { pod, record, .. } = *quarantined;
    let timeout = humantime::format_duration(cx.file.limits.pacing.replacement_timeout);
    let message = format!(
        "no replacement of the pod {} was Ready within {timeout}",
        pod.key.name
    );
    plan.notify_about_workload(state, pod, record, Topic::ReplacementNotReady, message);
    let policy = cx.file.policy(&record.policy);
    match policy.map(|policy| policy.on_replacement_timeout) {
        None | Some(OnReplacementTimeout::Keep) => false,
        Some(OnReplacementTimeout::Release) => {
            release::release_unreplaced(cx, state, plan, quarantined)
        }
        Some(OnReplacementTimeout::Reap) => {
            let why = format!("its replacement was not Ready within {timeout}");
            reap::reap_now(cx, state, plan, quarantined, why)
        }
    }
}
