//! How many pods of a workload, a PodDisruptionBudget or a Service are Ready and stay so: counted once in a decision.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    decide::context::Context,
    object::{DisruptionBudget, ObjectKey, Pod, Service, Uid},
    workload::{Workload, WorkloadId},
};

/// Whose pods are counted.
#[derive(PartialEq, Eq, Hash)]
enum Whose {
    Workload(WorkloadId),
    Budget(ObjectKey),
    /// On that node, if the Service counts the pods of each node for themselves.
    Service(ObjectKey, Option<Arc<str>>),
}

impl Whose {
    /// Of a Service on the node of a pod.
    fn service(service: &Service, pod: &Pod) -> Self {
        let node = pod.node.clone().filter(|_| service.local);
        Self::Service(service.key.clone(), node)
    }
}

/// The counts of one decision, without the pods whose quarantine is planned.
#[derive(Default)]
pub(super) struct ReadyPods {
    counts: HashMap<Whose, u32>,
    /// The Services whose pods are counted: those of all nodes at once.
    services: BTreeSet<ObjectKey>,
    planned: BTreeSet<Uid>,
}

impl ReadyPods {
    /// Whether the quarantine of a pod is planned.
    pub(super) fn is_planned(&self, pod: &Pod) -> bool {
        self.planned.contains(&pod.uid)
    }

    /// Records that the quarantine of a pod of a workload is planned.
    pub(super) fn plan(&mut self, cx: &Context<'_>, pod: &Pod, workload: WorkloadId) {
        if stays(cx, &self.planned, pod) {
            let budgets = cx.view.budgets_of(pod);
            let budgets = budgets.map(|budget| Whose::Budget(budget.key.clone()));
            let services = cx.view.services_of(pod);
            let services = services.map(|service| Whose::service(service, pod));
            for whose in budgets.chain(services).chain([Whose::Workload(workload)]) {
                if let Some(count) = self.counts.get_mut(&whose) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        self.planned.insert(pod.uid.clone());
    }

    /// How many pods of its workload stay Ready without a pod.
    pub(super) fn of_workload(
        &mut self,
        cx: &Context<'_>,
        pod: &Pod,
        workload: &Workload<'_>,
    ) -> u32 {
        let whose = Whose::Workload(workload.id());
        self.without(cx, pod, whose, || cx.view.pods_of(workload))
    }

    /// How many pods of one of its PodDisruptionBudgets stay Ready without a pod.
    pub(super) fn of_budget(
        &mut self,
        cx: &Context<'_>,
        pod: &Pod,
        budget: &DisruptionBudget,
    ) -> u32 {
        let whose = Whose::Budget(budget.key.clone());
        self.without(cx, pod, whose, || {
            let pods = cx.view.pods_in(&pod.key.namespace);
            pods.filter(|other| budget.selects(&other.labels))
        })
    }

    /// How many pods of one of its Services stay Ready without a pod; on its node, if the traffic policy is `Local`.
    pub(super) fn of_service(&mut self, cx: &Context<'_>, pod: &Pod, service: &Service) -> u32 {
        if self.services.insert(service.key.clone()) {
            let pods = cx.view.pods_in(&pod.key.namespace);
            let staying = pods
                .filter(|other| service.selects(&other.labels) && stays(cx, &self.planned, other));
            for other in staying {
                let count = self.counts.entry(Whose::service(service, other));
                *count.or_default() += 1;
            }
        }
        self.without(cx, pod, Whose::service(service, pod), std::iter::empty)
    }

    /// How many of those pods stay Ready without a pod that is one of them.
    fn without<'p, Pods: Iterator<Item = &'p Pod>>(
        &mut self,
        cx: &Context<'_>,
        pod: &Pod,
        whose: Whose,
        pods: impl FnOnce() -> Pods,
    ) -> u32 {
        let Self {
            counts, planned, ..
        } = self;
        let count = *counts.entry(whose).or_insert_with(|| {
            let staying = pods().filter(|other| stays(cx, planned, other));
            u32::try_from(staying.count()).unwrap_or(u32::MAX)
        });
        count.saturating_sub(u32::from(stays(cx, planned, pod)))
    }
}

/// Whether a pod is Ready and is not being quarantined. Where some of its labels are not known, it may not be selected.
fn stays(cx: &Context<'_>, planned: &BTreeSet<Uid>, pod: &Pod) -> bool {
    pod.ready
        && !pod.terminating
        && pod.labels_left_out == 0
        && !pod.counts_as_quarantined()
        && !planned.contains(&pod.uid)
        && cx
            .ledger
            .is_none_or(|ledger| !ledger.slots.contains_key(&pod.uid))
}
