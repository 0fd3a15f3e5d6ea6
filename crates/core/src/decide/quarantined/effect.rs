//! Whether a quarantine has taken effect: the pod is out of its Services, and its controller no longer owns it.

use std::time::Duration;

use crate::{
    decide::{
        context::Context,
        plan::Plan,
        state::{Drain, State},
    },
    ledger::KnownPod,
    lookup::{DrainQuery, Lookup},
    notice::Topic,
    policy::Detach,
};

/// How long a controller may still own the pod: to release it takes milliseconds.
const OWNED_FOR: Duration = Duration::from_secs(10);

pub(super) fn check(cx: &Context<'_>, state: &mut State, plan: &mut Plan, known: KnownPod<'_>) {
    let (pod, record) = (known.pod(), known.record());
    follow_drain(cx, state, plan, known);
    let drain = state.drains.get(&pod.uid);
    if let Some(drain) = drain.filter(|drain| !drain.still_in.is_empty()) {
        let message = format!(
            "the pod is still in the EndpointSlices of {}",
            drain.still_in.join(", ")
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

/// Requests the look-up for each record, until it has found the pod out of its Services. There is one at a time of a pod.
fn follow_drain(cx: &Context<'_>, state: &mut State, plan: &mut Plan, known: KnownPod<'_>) {
    let (pod, record) = (known.pod(), known.record());
    let Some(fingerprint) = pod.record_fingerprint() else {
        return;
    };
    let last = state.drains.get(&pod.uid);
    let of_record = last.filter(|drain| drain.record == *fingerprint);
    let is_out = of_record.is_some_and(|drain| drain.still_in.is_empty());
    if record.services.is_empty() || is_out || last.is_some_and(|drain| drain.is_followed) {
        return;
    }
    let since = of_record.map_or(cx.now.moment, |drain| drain.since);
    let drain = Drain {
        record: fingerprint.clone(),
        since,
        is_followed: true,
        still_in: last.map_or_else(Vec::new, |drain| drain.still_in.clone()),
    };
    state.drains.insert(pod.uid.clone(), drain);
    plan.lookups.push(Lookup::Drain(DrainQuery {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        policy: record.policy.clone(),
        services: record.services.clone(),
        at: record.at,
        since,
    }));
}
