//! Whether pods of this owner may leave it: `OwnerKind`, and `ExclusiveResource` where two pods of the workload must
//! never run at the same time.

use super::candidate::Candidate;
use crate::{
    decide::context::Context,
    keys,
    object::ControllerKind,
    policy::Detach,
    reason::{Reason, Refusal},
    workload::{NoWorkload, Workload},
};

/// The workload of a pod that may leave it, or its Services.
pub(super) fn check<'a>(
    cx: &Context<'a>,
    candidate: &Candidate<'a>,
) -> Result<Workload<'a>, Refusal> {
    let pod = candidate.pod;
    if pod.annotations.contains_key(keys::MIRROR) {
        return Err(refused(
            "a static pod belongs to its kubelet and has no replacement",
        ));
    }
    let workload = match cx.view.workload(pod) {
        Ok(workload) => workload,
        Err(NoWorkload::Unowned) => return Err(refused("no controller would replace the pod")),
        Err(NoWorkload::UnsupportedKind(owner)) => {
            let why = match owner.kind.as_str() {
                "Job" => "whose work would be done twice",
                _ => "of a kind that the agent does not read",
            };
            return Err(refused(format!("the pod belongs to {owner}, {why}")));
        }
        Err(NoWorkload::NotSeen(owner)) => {
            let detail = format!("{owner} was not seen yet");
            return Err(Refusal::new(Reason::StaleView, detail));
        }
    };
    let owner = workload.owner;
    if let Some(why) = keeps_its_pods(owner.kind, candidate.detach()) {
        let owner = owner.reference();
        return Err(refused(format!("the pod belongs to {owner}, {why}")));
    }
    for controller in [Some(owner), workload.deployment].into_iter().flatten() {
        // While a ReplicaSet is being deleted it releases no pod.
        if controller.terminating {
            let controller = controller.reference();
            return Err(refused(format!("{controller} is being deleted")));
        }
    }
    if let Some(deployment) = workload.deployment
        && deployment.recreate
        && candidate.detach() == Detach::Workload
        && !candidate.allows_exclusive()
    {
        let detail = format!(
            "the strategy of {} is Recreate: two of its pods never run side by side",
            deployment.reference()
        );
        return Err(Refusal::new(Reason::ExclusiveResource, detail));
    }
    Ok(workload)
}

/// Why pods of a controller of that kind are not quarantined; `None` if they are.
fn keeps_its_pods(kind: ControllerKind, detach: Detach) -> Option<&'static str> {
    match (kind, detach) {
        (ControllerKind::ReplicaSet, _)
        | (ControllerKind::StatefulSet | ControllerKind::DaemonSet, Detach::Service) => None,
        (ControllerKind::StatefulSet, Detach::Workload) => {
            Some("which cannot create another pod of its name; `detach: service` leaves it there")
        }
        (ControllerKind::DaemonSet, Detach::Workload) => Some(
            "whose next pod would start on the same node, on the same ports and paths; `detach: service` leaves it there",
        ),
        (ControllerKind::Deployment, _) => Some("which owns no pods but by a ReplicaSet"),
    }
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::OwnerKind, detail)
}
