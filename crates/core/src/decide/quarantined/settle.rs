//! The time after a release, until the pod is an ordinary pod again.

use std::{collections::HashMap, sync::Arc};

use super::{
    mode,
    release::{check_owner, check_ready, is_hindered},
    turns::Turns,
};
use crate::{
    decide::{context::Context, plan::Plan, state::State},
    keys,
    notice::Topic,
    object::{Controller, Pod, Uid},
    overrides::ReleaseCommand,
    policy::{Detach, Mode},
    restore,
    write::{Act, PodVersion, Write},
};

/// How many pods one decision settles; the others wait for the next.
const MAX_SETTLED: usize = 64;

/// How many requirements of selectors one decision compares with the awaited pods of a namespace. Controllers that are left
/// then wait for a decision in which fewer pods ask: tenants can make many controllers and many pods that seem to wait.
const MAX_COMPARED: usize = 100_000;

/// What a decision has found out about released pods, and the writes that settle them.
#[derive(Default)]
pub(super) struct SettleChecks<'a> {
    /// Whether the controllers of that uid have settled.
    settled: HashMap<&'a Uid, bool>,
    /// The pods that some controller may be about to own again, by namespace.
    awaited: Option<HashMap<&'a Arc<str>, Awaited<'a>>>,
    turns: Turns,
    due: Vec<(usize, Write)>,
}

#[derive(Default)]
struct Awaited<'a> {
    pods: Vec<&'a Pod>,
    /// How many requirements were compared with them.
    compared: usize,
}

/// Restores the deletion cost of a released pod once its ReplicaSet has settled, and removes the annotation
/// [`keys::RELEASED`] once the policy's `settle` has passed.
pub(super) fn settle<'a>(
    cx: &Context<'a>,
    state: &mut State,
    plan: &mut Plan,
    checks: &mut SettleChecks<'a>,
    pod: &Pod,
) {
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
    let change = restore::settle(pod, || checks.check_settled(cx, state, pod), cx.now.wall);
    if !change.is_empty() {
        let turn = checks.turns.take(&pod.key.namespace);
        let pod = PodVersion::from(pod);
        checks.due.push((turn, Write::Settle { pod, change }));
    }
}

/// Plans the writes for which there is room in one decision: each namespace has its turn before any has a second one.
pub(super) fn ration(checks: SettleChecks<'_>, plan: &mut Plan) {
    let mut due = checks.due;
    due.sort_by_key(|(turn, _)| *turn);
    let writes = due.into_iter().map(|(_, write)| write);
    plan.writes.extend(writes.take(MAX_SETTLED));
}

/// Whether the agent changes anything in the pod's namespace: which policy requested the quarantine of a released pod is
/// no longer recorded.
fn anything_is_touched(cx: &Context<'_>, pod: &Pod) -> bool {
    let mut policies = cx.file.policies.iter();
    let on = cx.file.mode != Mode::Off || policies.any(|policy| policy.mode != Mode::Off);
    on && cx.view.namespace_mode(&pod.key.namespace) != Mode::Off
}

impl<'a> SettleChecks<'a> {
    /// Whether the ReplicaSet owns the pod again and has settled.
    fn check_settled(&mut self, cx: &Context<'a>, state: &State, pod: &Pod) -> bool {
        let owner = pod.owner.as_ref();
        let Some(owner) = owner.and_then(|owner| cx.view.controller(&pod.key.namespace, owner))
        else {
            return false;
        };
        if let Some(settled) = self.settled.get(&owner.uid) {
            return *settled;
        }
        let awaited = self.awaited.get_or_insert_with(|| awaited_pods(cx, state));
        let awaited = awaited.entry(&owner.key.namespace).or_default();
        let settled = has_enough(cx, owner) && awaited.check_none_for(cx, owner);
        self.settled.insert(&owner.uid, settled);
        settled
    }
}

impl Awaited<'_> {
    /// Whether it is known that no pod is about to be owned by that controller.
    fn check_none_for(&mut self, cx: &Context<'_>, owner: &Controller) -> bool {
        self.pods.iter().all(|pod| {
            self.compared < MAX_COMPARED && !check_comes_back(cx, pod, owner, &mut self.compared)
        })
    }
}

fn awaited_pods<'a>(cx: &Context<'a>, state: &State) -> HashMap<&'a Arc<str>, Awaited<'a>> {
    let mut awaited: HashMap<_, Awaited<'_>> = HashMap::new();
    for pod in cx.view.tracked().filter(|pod| is_awaited(cx, state, pod)) {
        awaited
            .entry(&pod.key.namespace)
            .or_default()
            .pods
            .push(pod);
    }
    awaited
}

/// Whether a ReplicaSet has no more pods than it wants; it does not count those that have ended (`FilterActivePods` in
/// `controller_utils.go`). The watch reports the pods in order, so none is about to be deleted. While another released
/// pod is still to be adopted, one is.
fn has_enough(cx: &Context<'_>, owner: &Controller) -> bool {
    let staying = cx
        .view
        .owned(owner)
        .filter(|pod| !pod.terminating && !pod.has_ended());
    u32::try_from(staying.count()).is_ok_and(|count| count <= owner.desired)
}

/// Whether a pod was released and is not adopted yet, or people request its release and nothing hinders it.
fn is_awaited(cx: &Context<'_>, state: &State, pod: &Pod) -> bool {
    // No controller adopts a pod that has ended.
    if pod.terminating || pod.has_ended() {
        return false;
    }
    match cx.known(pod) {
        Some(known) => {
            let record = known.record();
            record.detach == Detach::Workload
                && pod.overrides().release.is_some()
                && cx.template_with(keys::RELEASE, pod).is_none()
                && mode(cx, pod, Some(record)) != Mode::Off
                && !is_hindered(cx, state, pod)
        }
        None => pod.annotations.contains_key(keys::RELEASED) && pod.owner.is_none(),
    }
}

/// Whether that controller is about to own an awaited pod of its namespace again: nothing prevents it.
fn check_comes_back(cx: &Context<'_>, pod: &Pod, owner: &Controller, compared: &mut usize) -> bool {
    let Some(record) = cx.known(pod).map(|known| known.record()) else {
        return owner.selector.compare(&pod.labels, compared);
    };
    *compared += 1;
    let is_forced = pod.overrides().release == Some(ReleaseCommand::Force);
    let does_no_harm =
        || check_ready(pod, record).is_ok() && check_owner(cx, pod, record, Some(owner)).is_ok();
    record.owner.uid == owner.uid && (is_forced || does_no_harm())
}
