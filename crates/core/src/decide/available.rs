//! Whether enough would stay where a Ready pod goes. One that is not Ready is no loss.

use super::{
    Decision,
    candidates::{Candidate, Left, refused},
};
use crate::{
    action::{Action, Quarantine},
    ledger::{Ledger, Slot},
    object::{Pod, Selecting, SelectingKind},
    reason::Reason,
    record,
    selector::Labels,
    surroundings::services,
    view::Workload,
};

/// A budget's status has moved by then, if the controllers run.
const BUDGET_MOVES_WITHIN_SECONDS: i64 = 60;

impl Decision<'_> {
    /// Whether the workload, its disruption budgets and its Services bear that a Ready pod goes.
    pub(super) fn stays_available(
        &self,
        candidate: &Candidate<'_>,
        workload: &Workload<'_>,
        ledger: &Ledger,
    ) -> Result<(), Left> {
        let pod = candidate.pod;
        if !pod.ready {
            return Ok(());
        }
        let others = self.view.pods_of(workload);
        let ready = others.filter(|other| self.serves_on(other, pod, ledger));
        let ready = u32::try_from(ready.count()).unwrap_or(u32::MAX);
        let least = self.file.limits.workload.min_ready.of(workload.desired());
        if ready < least {
            return refused(
                Reason::MinReady,
                format!("{ready} other pods are Ready, {least} are to stay so"),
            );
        }
        for budget in self.view.budgets_of(pod) {
            self.bears(budget, pod, ledger)?;
        }
        let left = services(self.view, pod);
        let left = self.view.selecting(&pod.key.namespace).filter(|object| {
            object.kind == SelectingKind::Service && left.contains(&object.key.name)
        });
        for service in left {
            self.keeps_an_endpoint(service, pod, ledger)?;
        }
        Ok(())
    }

    /// Whether another pod is Ready, and stays where it is.
    fn serves_on(&self, other: &Pod, pod: &Pod, ledger: &Ledger) -> bool {
        other.uid != pod.uid
            && other.ready
            && !other.terminating
            && !other.is_counted()
            && !ledger.slots.contains_key(&other.uid)
            && !self
                .planned()
                .any(|quarantine| quarantine.pod.uid == other.uid)
    }

    /// Whether a disruption budget bears the end of one more Ready pod: by its own status, by what is known of its pods
    /// since, and one at a time.
    fn bears(&self, budget: &Selecting, pod: &Pod, ledger: &Ledger) -> Result<(), Left> {
        let name = &budget.key.name;
        let Some(allowed) = budget.disruptions_allowed else {
            return refused(
                Reason::DisruptionBudget,
                format!("the status of {name} is not of its present spec"),
            );
        };
        if allowed == 0 {
            return refused(Reason::DisruptionBudget, format!("{name} allows none now"));
        }
        let selects = |labels: &Labels| {
            let selector = budget.selector.as_ref();
            selector.is_some_and(|selector| selector.matches(labels))
        };
        let of_slots = ledger.slots.values().filter(|slot| {
            slot.uid != pod.uid && slot.namespace == pod.key.namespace && self.is_borne_now(slot)
        });
        let mut taken = of_slots.filter_map(|slot| self.view.pod(&slot.key()));
        let mut planned = self.planned().filter(|quarantine| {
            quarantine.slot.ready && quarantine.pod.key.namespace == pod.key.namespace
        });
        if taken.any(|other| selects(&labels_before(other)))
            || planned.any(|quarantine| selects(&quarantine.before.labels))
        {
            return refused(
                Reason::DisruptionBudget,
                format!("{name} bears another one at this moment"),
            );
        }
        let healthy = self
            .view
            .pods_in(&pod.key.namespace)
            .filter(|other| selects(&other.labels) && self.serves_on(other, pod, ledger));
        let least = budget.desired_healthy.unwrap_or(0);
        let stay = u32::try_from(healthy.count()).unwrap_or(u32::MAX);
        if stay < least {
            return refused(
                Reason::DisruptionBudget,
                format!("{name} wants {least} healthy pods, {stay} would stay"),
            );
        }
        Ok(())
    }

    /// Whether the status of a disruption budget may not have taken in yet that the pod of a slot was Ready and went.
    fn is_borne_now(&self, slot: &Slot) -> bool {
        let age = self.now.wall.duration_since(slot.at).as_secs();
        slot.ready && slot.replaced.is_none() && age < BUDGET_MOVES_WITHIN_SECONDS
    }

    /// Whether a Service that is left keeps a Ready endpoint; on the same node, where it sends traffic there alone.
    fn keeps_an_endpoint(
        &self,
        service: &Selecting,
        pod: &Pod,
        ledger: &Ledger,
    ) -> Result<(), Left> {
        let mut others = self.view.pods_in(&pod.key.namespace).filter(|other| {
            let selector = service.selector.as_ref();
            selector.is_some_and(|selector| selector.matches(&other.labels))
                && (!service.local || other.node == pod.node)
        });
        if others.any(|other| self.serves_on(other, pod, ledger)) {
            return Ok(());
        }
        let here = if service.local { " on its node" } else { "" };
        refused(
            Reason::LastEndpoint,
            format!("it is the only Ready pod of {}{here}", service.key.name),
        )
    }

    /// The quarantines that were decided on this tick.
    pub(super) fn planned(&self) -> impl Iterator<Item = &Quarantine> {
        self.actions.iter().filter_map(|action| match action {
            Action::Quarantine(quarantine) => Some(&**quarantine),
            _ => None,
        })
    }
}

/// The labels of a pod that is out, or about to go, as they were before.
fn labels_before(pod: &Pod) -> Labels {
    let reading = record::read(pod);
    let before = reading
        .record()
        .map_or(&pod.labels, |record| &record.labels);
    before.clone()
}
