//! How many pods may be out at once.
//!
//! The count is that of the slots, plus the counted pods that have none.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{ledger::Ledger, object::Uid, policy::Limits, reason::Reason, view::View};

/// How many are out, or about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the cluster.
    pub cluster: u32,
    /// How many were begun in the cluster within the last hour.
    pub within_an_hour: u32,
    /// By namespace.
    pub namespaces: BTreeMap<Arc<str>, u32>,
    /// By workload uid.
    pub workloads: BTreeMap<Uid, u32>,
}

impl Tally {
    /// Counts the slots, and the counted pods that have none.
    #[must_use]
    pub fn count(view: &View, ledger: &Ledger, now: Timestamp) -> Self {
        let mut tally = Self {
            within_an_hour: ledger.memory.begun_within_an_hour(now),
            ..Self::default()
        };
        for slot in ledger.slots.values() {
            tally.add(&slot.namespace, Some(&slot.workload));
        }
        let mut of_no_pod = ledger.unreadable.len();
        for pod in view
            .marked()
            .filter(|pod| pod.is_counted() && !ledger.slots.contains_key(&pod.uid))
        {
            tally.add(&pod.key.namespace, view.workload_uid(pod).as_ref());
            if ledger.unreadable.contains_key(&pod.uid) {
                of_no_pod = of_no_pod.saturating_sub(1);
            }
        }
        tally.cluster += u32::try_from(of_no_pod).unwrap_or(u32::MAX);
        tally
    }

    /// Counts one more that begins.
    pub fn begin(&mut self, namespace: &Arc<str>, workload: &Uid) {
        self.within_an_hour += 1;
        self.add(namespace, Some(workload));
    }

    fn add(&mut self, namespace: &Arc<str>, workload: Option<&Uid>) {
        self.cluster += 1;
        *self.namespaces.entry(namespace.clone()).or_default() += 1;
        if let Some(workload) = workload {
            *self.workloads.entry(workload.clone()).or_default() += 1;
        }
    }

    /// Why one more would be one too many, if so: the narrowest limit first.
    #[must_use]
    pub fn refuse(
        &self,
        limits: &Limits,
        namespace: &str,
        workload: &str,
        workload_max: u32,
    ) -> Option<(Reason, String)> {
        let of =
            |counts: &BTreeMap<Arc<str>, u32>, key: &str| counts.get(key).copied().unwrap_or(0);
        let scopes = [
            (
                Reason::WorkloadLimit,
                of(&self.workloads, workload),
                workload_max,
                "of its workload",
            ),
            (
                Reason::NamespaceLimit,
                of(&self.namespaces, namespace),
                limits.namespace.max,
                "of its namespace",
            ),
            (
                Reason::ClusterLimit,
                self.cluster,
                limits.cluster.max,
                "of the cluster",
            ),
        ];
        let reached = scopes.into_iter().find(|(_, used, max, _)| used >= max);
        let reached = reached.map(|(reason, used, max, scope)| {
            (
                reason,
                format!("{used} of at most {max} pods {scope} are quarantined"),
            )
        });
        let (used, max) = (self.within_an_hour, limits.cluster.per_hour);
        let of_the_hour = || {
            let detail = format!("{used} of at most {max} were quarantined within the last hour");
            (Reason::HourlyLimit, detail)
        };
        reached.or_else(|| (used >= max).then(of_the_hour))
    }
}
