//! Whether a pod may leave what it belongs to: by the kind of its owner, and by what its replacement would need.

use super::{
    Decision,
    candidates::{Candidate, Left, refused},
};
use crate::{
    action::{Action, Inquiry},
    keys,
    ledger::Ledger,
    object::{ControllerKind, Pod},
    policy::Detach,
    reason::Reason,
    replacement::{hindrance, runs_alone},
    view::{NoWorkload, Workload},
};

impl<'a> Decision<'a> {
    /// The workload of a pod that may be taken out of it, or of its Services.
    pub(super) fn workload(&self, candidate: &Candidate<'a>) -> Result<Workload<'a>, Left> {
        let pod = candidate.pod;
        if pod.annotations.contains_key(keys::MIRROR) {
            return refused(
                Reason::OwnerKind,
                "a static pod is its kubelet's, and has no replacement",
            );
        }
        let workload = match self.view.workload(pod) {
            Ok(workload) => workload,
            Err(NoWorkload::Unowned) => {
                return refused(Reason::OwnerKind, "no controller would replace it");
            }
            Err(NoWorkload::Unread(owner)) => {
                let why = match &*owner.kind {
                    "Job" => "whose work would be done twice",
                    _ => "of a kind that the agent does not read",
                };
                return refused(Reason::OwnerKind, format!("it belongs to {owner}, {why}"));
            }
            Err(NoWorkload::NotSeen(owner)) => {
                return refused(Reason::StaleView, format!("{owner} was not seen yet"));
            }
        };
        let owner = workload.owner;
        let why_it_stays = match (owner.kind, candidate.detach()) {
            (ControllerKind::ReplicaSet, _)
            | (ControllerKind::StatefulSet | ControllerKind::DaemonSet, Detach::Service) => None,
            (ControllerKind::StatefulSet, Detach::Workload) => {
                Some("which cannot make another pod of its name; `detach: service` leaves it there")
            }
            (ControllerKind::DaemonSet, Detach::Workload) => Some(
                "whose next pod would start on the same node, on the same ports and paths; `detach: service` leaves it there",
            ),
            (ControllerKind::Deployment, _) => Some("which owns no pods but by a ReplicaSet"),
        };
        if let Some(why) = why_it_stays {
            return refused(
                Reason::OwnerKind,
                format!("it belongs to {}, {why}", owner.reference()),
            );
        }
        let ending = [Some(owner), workload.deployment]
            .into_iter()
            .flatten()
            .find(|controller| controller.terminating);
        if let Some(controller) = ending {
            // While a ReplicaSet is being deleted it lets no pod go.
            return refused(
                Reason::OwnerKind,
                format!("{} is being deleted", controller.reference()),
            );
        }
        let alone = runs_alone(&workload)
            .filter(|_| candidate.detach() == Detach::Workload && !candidate.allows_exclusive());
        match alone {
            Some(why) => refused(Reason::ExclusiveResource, why),
            None => Ok(workload),
        }
    }

    /// Whether a replacement could stand beside the pod. One that stays in its workload has none.
    pub(super) fn room_for_a_replacement(
        &self,
        candidate: &Candidate<'a>,
        ledger: &Ledger,
    ) -> Result<(), Left> {
        let pod = candidate.pod;
        if candidate.detach() == Detach::Service {
            return Ok(());
        }
        let Some(reading) = self.state.readings.get(&pod.uid) else {
            return Err(Left::Unread);
        };
        // Their replacements may not be counted in the quotas that were read.
        let since = ledger.slots.values().filter(|slot| {
            slot.namespace == pod.key.namespace && slot.uid != pod.uid && slot.at >= reading.at.wall
        });
        let now = self
            .planned()
            .filter(|other| other.pod.key.namespace == pod.key.namespace);
        let others = since.count() + now.count();
        let allow_exclusive = candidate.allows_exclusive();
        match hindrance(self.view, pod, &reading.needs, others, allow_exclusive) {
            Some((reason, detail)) => refused(reason, detail),
            None => Ok(()),
        }
    }

    /// Has it read what a replacement would need, unless that is under way.
    pub(super) fn inquire(&mut self, pod: &Pod) {
        if self.state.inquired.contains_key(&pod.uid) {
            return;
        }
        self.state.inquired.insert(pod.uid.clone(), self.now.moment);
        self.actions.push(Action::Inquire(Inquiry {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            with_nodes: pod.takes_ports_of_its_node(),
            at: self.now,
        }));
    }
}
