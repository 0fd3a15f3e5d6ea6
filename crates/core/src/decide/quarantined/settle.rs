//! What follows until a released pod is one like any other.

use super::release::{check_owner, check_ready};
use crate::{
    decide::{context::Context, plan::Plan},
    keys,
    object::{Controller, Pod},
    overrides::ReleaseCommand,
    policy::{Detach, Mode},
    record::RecordState,
    restore,
    write::{PodVersion, Write},
};

/// Gives a released pod its own deletion cost back once its ReplicaSet has settled, and takes the mark off it once it
/// was left alone for long enough.
pub(super) fn settle(cx: &Context<'_>, plan: &mut Plan, pod: &Pod) {
    if !anything_is_touched(cx, pod) {
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

/// Nothing says any more which policy had asked for a pod that was released.
fn anything_is_touched(cx: &Context<'_>, pod: &Pod) -> bool {
    let mut policies = cx.file.policies.iter();
    let on = cx.file.mode != Mode::Off || policies.any(|policy| policy.mode != Mode::Off);
    on && cx.view.namespace_mode(&pod.key.namespace) != Mode::Off
}

/// Whether the ReplicaSet has taken the pod back and has no more pods than it wants: the watch reports the pods in
/// order, so none is about to go. As long as others are on their way back, one will be.
fn has_settled(cx: &Context<'_>, pod: &Pod) -> bool {
    let Some(owner) = pod.owner.as_ref() else {
        return false;
    };
    let Some(owner) = cx.view.controller(&pod.key.namespace, owner) else {
        return false;
    };
    let staying = cx.view.owned(&owner.uid).filter(|pod| !pod.terminating);
    let enough = u32::try_from(staying.count()).is_ok_and(|count| count <= owner.desired);
    enough && !cx.view.tracked().any(|other| comes_back(cx, other, owner))
}

/// Whether a pod is about to be owned by that controller again: it was released and not taken back yet, or people ask
/// for its release and nothing speaks against it.
fn comes_back(cx: &Context<'_>, pod: &Pod, owner: &Controller) -> bool {
    if pod.terminating || pod.key.namespace != owner.key.namespace {
        return false;
    }
    if let RecordState::Readable(record) = pod.record() {
        return record.detach == Detach::Workload
            && record.owner.uid == owner.uid
            && match pod.overrides().release {
                Some(ReleaseCommand::Force) => true,
                Some(ReleaseCommand::Safely) => {
                    check_ready(pod, &record).is_ok()
                        && check_owner(cx, pod, &record, Some(owner)).is_ok()
                }
                None => false,
            };
    }
    let released = pod.annotations.contains_key(keys::RELEASED);
    released && pod.owner.is_none() && owner.selector.matches(&pod.labels)
}
