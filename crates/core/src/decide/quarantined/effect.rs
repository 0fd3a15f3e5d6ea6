//! Whether a quarantine has taken effect: the pod is out of its Services, and its controller no longer owns it.

use std::time::Duration;

use crate::{
    decide::{context::Context, plan::Plan, state::State},
    ledger::KnownPod,
    lookup::{DrainQuery, Lookup},
    notice::Topic,
    policy::Detach,
};

/// How long a controller may still own the pod: to release it takes milliseconds.
const OWNED_FOR: Duration = Duration::from_secs(10);

pub(super) fn check(cx: &Context<'_>, state: &mut State, plan: &mut Plan, known: KnownPod<'_>) {
    let (pod, record) = (known.pod(), known.record());
    await_drain(state, plan, known);
    if let Some(still_in) = state.undrained.get(&pod.uid) {
        let message = format!(
            "the pod is still in the EndpointSlices of {}",
            still_in.join(", ")
        );
        plan.notify(state, pod, Topic::NotDrained, message);
    }
    let owned = pod
        .owner
        .as_ref()
        .is_some_and(|owner| owner.uid == record.owner.uid);
    let late = cx.now.wall.duration_since(record.at).unsigned_abs() > OWNED_FOR;
    if record.detach == Detach::Workload && owned && late {
        let message = format!("{} still owns the pod", record.owner);
        plan.notify(state, pod, Topic::NotDrained, message);
    }
}

/// Requests the look-up once for each record.
fn await_drain(state: &mut State, plan: &mut Plan, known: KnownPod<'_>) {
    let (pod, record) = (known.pod(), known.record());
    let Some(fingerprint) = pod.record_fingerprint() else {
        return;
    };
    if record.services.is_empty() || state.drains.get(&pod.uid) == Some(fingerprint) {
        return;
    }
    state.drains.insert(pod.uid.clone(), fingerprint.clone());
    plan.lookups.push(Lookup::Drain(DrainQuery {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        policy: record.policy.clone(),
        services: record.services.clone(),
        at: record.at,
    }));
}
