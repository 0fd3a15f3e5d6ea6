//! The time after a release, until the pod is an ordinary pod again.

use super::release::{check_owner, check_ready};
use crate::{
    decide::{context::Context, plan::Plan, state::State},
    keys,
    notice::Topic,
    object::{Controller, Pod},
    overrides::ReleaseCommand,
    policy::{Detach, Mode},
    restore,
    write::{Act, PodVersion, Write},
};

/// Restores the deletion cost of a released pod once its ReplicaSet has settled, and removes the annotation
/// [`keys::RELEASED`] once the policy's `settle` has passed.
pub(super) fn settle(cx: &Context<'_>, state: &mut State, plan: &mut Plan, pod: &Pod) {
    if !anything_is_touched(cx, pod) {
        return;
    }
    if let Some(setback) = state.setback(&pod.uid, Act::Settle, cx.now.moment) {
        if let Some(refusal) = &setback.refusal {
            let key = keys::DELETION_COST;
            let message = format!(
                "{key} cannot be restored: the API server denied it: {}",
                refusal.detail
            );
            plan.notify(state, pod, Topic::BadAnnotation, message);
        }
        return;
    }
    let change = restore::settle(pod, has_settled(cx, pod), cx.now.wall);
    if !change.is_empty() {
        plan.writes.push(Write::Settle {
            pod: PodVersion::from(pod),
            change,
        });
    }
}

/// Whether the agent changes anything in the pod's namespace: which policy requested the quarantine of a released pod is
/// no longer recorded.
fn anything_is_touched(cx: &Context<'_>, pod: &Pod) -> bool {
    let mut policies = cx.file.policies.iter();
    let on = cx.file.mode != Mode::Off || policies.any(|policy| policy.mode != Mode::Off);
    on && cx.view.namespace_mode(&pod.key.namespace) != Mode::Off
}

/// Whether the ReplicaSet owns the pod again and has no more pods than it wants; it does not count those that have ended
/// (`FilterActivePods` in `controller_utils.go`). The watch reports the pods in order, so none is about to be deleted.
/// While another released pod is still to be adopted, one is.
fn has_settled(cx: &Context<'_>, pod: &Pod) -> bool {
    let Some(owner) = pod.owner.as_ref() else {
        return false;
    };
    let Some(owner) = cx.view.controller(&pod.key.namespace, owner) else {
        return false;
    };
    let staying = cx
        .view
        .owned(owner)
        .filter(|pod| !pod.terminating && !pod.has_ended());
    let enough = u32::try_from(staying.count()).is_ok_and(|count| count <= owner.desired);
    enough && !cx.view.tracked().any(|other| comes_back(cx, other, owner))
}

/// Whether that controller is about to own a pod again: the pod was released and is not adopted yet, or people request
/// its release and nothing prevents it.
fn comes_back(cx: &Context<'_>, pod: &Pod, owner: &Controller) -> bool {
    // No controller adopts a pod that has ended.
    if pod.terminating || pod.has_ended() || pod.key.namespace != owner.key.namespace {
        return false;
    }
    if let Some(record) = cx.known(pod).map(|known| known.record()) {
        return record.detach == Detach::Workload
            && record.owner.uid == owner.uid
            && match pod.overrides().release {
                Some(ReleaseCommand::Force) => true,
                Some(ReleaseCommand::Safely) => {
                    check_ready(pod, record).is_ok()
                        && check_owner(cx, pod, record, Some(owner)).is_ok()
                }
                None => false,
            };
    }
    let released = pod.annotations.contains_key(keys::RELEASED);
    released && pod.owner.is_none() && owner.selector.matches(&pod.labels)
}
