//! Releasing pods.

use super::quarantined_pod::QuarantinedPod;
use crate::{
    decide::{context::Context, plan::Plan, state::State},
    notice::Topic,
    object::{Controller, ControllerKind, MAX_LABELS, ObjectKind, Pod},
    overrides::ReleaseCommand,
    policy::{DEFAULT_SETTLE, Detach},
    record::Record,
    restore::{self, Released, restore},
    time::after,
    write::{Act, PodVersion, Release, ReleaseCause, Write},
};

/// Why a pod should not be released.
pub(super) struct Harm {
    why: String,
    /// The consequence of a forced release.
    then: &'static str,
}

fn harm(why: impl Into<String>, then: &'static str) -> Result<(), Harm> {
    let why = why.into();
    Err(Harm { why, then })
}

/// Releases a pod, unless that would do harm: then the reason is reported, and the pod's TTL still runs. True if the pod
/// is released.
pub(super) fn release(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
    command: ReleaseCommand,
) -> bool {
    let QuarantinedPod { pod, record, .. } = *quarantined;
    if report_hindrance(cx, state, plan, pod) {
        return false;
    }
    let owner = cx.view.controller(&pod.key.namespace, &record.owner);
    let checked = check_ready(pod, record).and_then(|()| check_owner(cx, pod, record, owner));
    match (checked, command) {
        (Ok(()), ReleaseCommand::Safely) => {
            put_back(cx, plan, quarantined, ReleaseCause::Annotation, None);
        }
        (Ok(()), ReleaseCommand::Force) => {
            put_back(cx, plan, quarantined, ReleaseCause::Force, None);
        }
        (Err(harm), ReleaseCommand::Force) => {
            let follows = format!("{}; {}", harm.why, harm.then);
            put_back(cx, plan, quarantined, ReleaseCause::Force, Some(follows));
        }
        (Err(harm), ReleaseCommand::Safely) => {
            plan.notify(state, pod, Topic::ReleaseRefused, harm.why);
            return false;
        }
    }
    true
}

/// Releases a pod that has no Ready replacement, even if the pod itself is not Ready: the ReplicaSet deletes a replacement
/// that waits for a node first. True if the pod is released.
pub(super) fn release_unreplaced(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
) -> bool {
    let QuarantinedPod { pod, record, .. } = *quarantined;
    if report_hindrance(cx, state, plan, pod) {
        return false;
    }
    let owner = cx.view.controller(&pod.key.namespace, &record.owner);
    match check_owner(cx, pod, record, owner) {
        Ok(()) => {
            put_back(
                cx,
                plan,
                quarantined,
                ReleaseCause::ReplacementTimeout,
                None,
            );
            true
        }
        Err(harm) => {
            plan.notify(state, pod, Topic::ReleaseRefused, harm.why);
            false
        }
    }
}

/// Whether a pod cannot be released now: the API server denied it a short time ago, or not all labels are known. One that
/// is not would be lost, since the record goes.
pub(super) fn is_hindered(cx: &Context<'_>, state: &State, pod: &Pod) -> bool {
    let setback = state.setback(&pod.uid, Act::Release, cx.now.moment);
    setback.is_some() || pod.labels_left_out > 0
}

/// Reports why a pod [is hindered](is_hindered), unless a release only failed. True if it is.
fn report_hindrance(cx: &Context<'_>, state: &mut State, plan: &mut Plan, pod: &Pod) -> bool {
    if let Some(setback) = state.setback(&pod.uid, Act::Release, cx.now.moment) {
        if let Some(refusal) = &setback.refusal {
            let message = format!("the API server denied it: {}", refusal.detail);
            plan.notify(state, pod, Topic::ReleaseRefused, message);
        }
    } else if pod.labels_left_out > 0 {
        let message = format!(
            "the pod has more than the {MAX_LABELS} labels that are read: remove some first"
        );
        plan.notify(state, pod, Topic::ReleaseRefused, message);
    }
    is_hindered(cx, state, pod)
}

fn put_back(
    cx: &Context<'_>,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
    cause: ReleaseCause,
    follows: Option<String>,
) {
    let QuarantinedPod { pod, record, .. } = *quarantined;
    let owner = cx.view.controller(&pod.key.namespace, &record.owner);
    let joins_again =
        record.detach == Detach::Workload && owner.is_some_and(|owner| !owner.terminating);
    let policy = cx.file.policy(&record.policy);
    let settle = policy.map_or(DEFAULT_SETTLE, |policy| policy.settle);
    let released = Released {
        at: cx.now.wall,
        until: after(cx.now.wall, settle),
        deletion_cost: restore::own_cost(pod),
    };
    let restoration = restore(pod, record, &released, joins_again);
    plan.writes.push(Write::Release(Box::new(Release {
        pod: PodVersion::from(pod),
        change: restoration.change,
        policy: record.policy.clone(),
        cause,
        left: restoration.left,
        follows,
        workload: record.workload.clone(),
        detach: record.detach,
        services: record.services.clone(),
    })));
}

/// The harm of releasing a pod that its ReplicaSet would not keep.
pub(super) fn check_owner(
    cx: &Context<'_>,
    pod: &Pod,
    record: &Record,
    owner: Option<&Controller>,
) -> Result<(), Harm> {
    if let Some(why) = &cx.view.stale {
        return harm(
            format!("what is known of the cluster may be out of date: {why}"),
            "what follows is not known",
        );
    }
    let Some(owner) = owner.filter(|owner| !owner.terminating) else {
        return harm(
            format!("{} is gone: nobody would own the pod", record.owner),
            "the pod continues to serve, and no controller updates or replaces it",
        );
    };
    if owner.desired == 0 {
        return harm(
            format!("{} wants no pods: it would delete the pod", record.owner),
            "it is adopted and deleted",
        );
    }
    let Some(parent) = &owner.owner else {
        return Ok(());
    };
    let Some(deployment) = cx.view.controller(&pod.key.namespace, parent) else {
        if parent.kind != ObjectKind::Controller(ControllerKind::Deployment) {
            return Ok(());
        }
        return harm(
            format!("{} was not seen yet", record.workload),
            "what follows is not known",
        );
    };
    if deployment.revision != owner.revision {
        return harm(
            format!(
                "{} is of an older revision of {}",
                record.owner, record.workload
            ),
            "it is adopted, and deleted unless that becomes the current revision again",
        );
    }
    Ok(())
}

/// The harm of releasing a pod that would serve no requests.
pub(super) fn check_ready(pod: &Pod, record: &Record) -> Result<(), Harm> {
    match record.detach {
        _ if pod.ready => Ok(()),
        Detach::Workload => harm(
            "the pod is not Ready: its ReplicaSet would delete it first",
            "it is adopted, and deleted if the ReplicaSet then has a pod too many",
        ),
        Detach::Service => harm(
            "the pod is not Ready: its Services would send it nothing",
            "they send requests once the pod is Ready",
        ),
    }
}
