//! How many pods are quarantined, and whether one more may be.
//!
//! The count is that of the slots, plus the counted pods without a slot.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::{
    ledger::Ledger,
    object::Uid,
    policy::Limits,
    reason::{Reason, Refusal},
    view::View,
};

/// How many pods are quarantined, or about to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub cluster: u32,
    /// How many quarantines began in the cluster within the last hour.
    pub within_an_hour: u32,
    pub namespaces: BTreeMap<Arc<str>, u32>,
    pub workloads: BTreeMap<Uid, u32>,
}

impl Tally {
    /// Counts the slots, and the counted pods without a slot.
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
            .tracked()
            .filter(|pod| pod.counts_as_quarantined() && !ledger.slots.contains_key(&pod.uid))
        {
            tally.add(&pod.key.namespace, view.workload_uid(pod).as_ref());
            if ledger.unreadable.contains_key(&pod.uid) {
                of_no_pod = of_no_pod.saturating_sub(1);
            }
        }
        tally.cluster += u32::try_from(of_no_pod).unwrap_or(u32::MAX);
        tally
    }

    /// Counts one more quarantine.
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

    /// Whether one more quarantine may begin; of several reached limits the narrowest is the refusal.
    pub fn check(
        &self,
        limits: &Limits,
        namespace: &str,
        workload: &str,
        workload_max: u32,
    ) -> Result<(), Refusal> {
        let of =
            |counts: &BTreeMap<Arc<str>, u32>, key: &str| counts.get(key).copied().unwrap_or(0);
        for (reason, used, max, scope) in [
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
        Ok(())
    }
}
