//! How many pods are quarantined, and whether one more may be.
//!
//! The count is that of the slots, plus the counted pods without a slot.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    ledger::Ledger,
    policy::Limits,
    reason::{Reason, Refusal},
    view::View,
    workload::WorkloadId,
};

/// How many pods are quarantined, or about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub cluster: u32,
    /// How many quarantines began in the cluster within the last hour.
    pub within_an_hour: u32,
    /// The same, by namespace.
    pub within_an_hour_of: BTreeMap<Arc<str>, u32>,
    pub namespaces: BTreeMap<Arc<str>, u32>,
    pub workloads: BTreeMap<WorkloadId, u32>,
}

impl Tally {
    /// Counts the slots, and the counted pods without a slot. Whoever may patch pods can make such pods: for the cluster
    /// they fill up the namespace's limit and no more, and for a workload they do not count.
    #[must_use]
    pub fn count(view: &View, ledger: &Ledger, limits: &Limits, now: Timestamp) -> Self {
        let mut tally = Self {
            within_an_hour: ledger.memory.begun_within_an_hour(now),
            within_an_hour_of: ledger.memory.begun_by_namespace(now),
            ..Self::default()
        };
        for slot in ledger.slots.values() {
            tally.add(&slot.namespace, &slot.workload);
        }
        let mut without_slot: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        let mut of_no_pod = ledger.unreadable.len();
        for pod in view.tracked() {
            if !pod.counts_as_quarantined() || ledger.slots.contains_key(&pod.uid) {
                continue;
            }
            *without_slot.entry(&pod.key.namespace).or_default() += 1;
            if ledger.unreadable.contains_key(&*pod.uid) {
                of_no_pod = of_no_pod.saturating_sub(1);
            }
        }
        for (namespace, count) in without_slot {
            let used = tally.namespaces.entry(namespace.clone()).or_default();
            tally.cluster += count.min(limits.namespace.max.saturating_sub(*used));
            *used += count;
        }
        tally.cluster += u32::try_from(of_no_pod).unwrap_or(u32::MAX);
        tally
    }

    /// Counts one more quarantine.
    pub fn begin(&mut self, namespace: &Arc<str>, workload: &WorkloadId) {
        self.within_an_hour += 1;
        *self.within_an_hour_of.entry(namespace.clone()).or_default() += 1;
        self.add(namespace, workload);
    }

    fn add(&mut self, namespace: &Arc<str>, workload: &WorkloadId) {
        self.cluster += 1;
        *self.namespaces.entry(namespace.clone()).or_default() += 1;
        *self.workloads.entry(workload.clone()).or_default() += 1;
    }

    /// Whether one more quarantine may begin; of several reached limits the narrowest is the refusal.
    pub fn check(
        &self,
        limits: &Limits,
        namespace: &str,
        workload: &str,
        workload_max: u32,
    ) -> Result<(), Refusal> {
        for (reason, used, max, scope) in [
            (
                Reason::WorkloadLimit,
                self.workloads.get(workload).copied().unwrap_or(0),
                workload_max,
                "of its workload",
            ),
            (
                Reason::NamespaceLimit,
                self.namespaces.get(namespace).copied().unwrap_or(0),
                limits.namespace.max,
                "of its namespace",
            ),
            (
                Reason::ClusterLimit,
                self.cluster,
                limits.cluster.max,
                "of the cluster",
            ),
        ] {
            if used >= max {
                let detail = format!("{used} of at most {max} pods {scope} are quarantined");
                return Err(Refusal::new(reason, detail));
            }
        }
        let (used, max) = (self.within_an_hour, limits.cluster.per_hour);
        if used >= max {
            let detail = format!("{used} of at most {max} were quarantined within the last hour");
            return Err(Refusal::new(Reason::HourlyLimit, detail));
        }
        let share = limits.cluster.per_hour_of_a_namespace();
        let used = self.within_an_hour_of.get(namespace).copied().unwrap_or(0);
        if used >= share {
            let detail = format!(
                "{used} quarantines began in its namespace within the last hour: one namespace may have {share} of the {max}"
            );
            return Err(Refusal::new(Reason::HourlyLimit, detail));
        }
        Ok(())
    }
}
