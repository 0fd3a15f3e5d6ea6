//! How many pods may be quarantined at once, and within an hour: `WorkloadLimit`, `NamespaceLimit`, `ClusterLimit`,
//! `HourlyLimit`.

use std::collections::BTreeSet;

use super::case::Case;
use crate::{decide::context::Context, object::Uid, reason::Refusal, tally::Tally};

/// What remains of the limits during one decision.
pub(super) struct Budget {
    tally: Tally,
    /// The pods that have a place within the limits, if only in `observe`.
    reserved: BTreeSet<Uid>,
}

impl Budget {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        let limits = &cx.file.limits;
        let count = |ledger| Tally::count(cx.view, ledger, limits, cx.now.wall);
        Self {
            tally: cx.open_ledger().map(count).unwrap_or_default(),
            reserved: BTreeSet::new(),
        }
    }

    /// Whether the candidate has neither a slot nor a place, and so needs one.
    fn needs_place(&self, case: &Case<'_, '_>) -> bool {
        case.slot.is_none() && !self.reserved.contains(&case.candidate.pod.uid)
    }

    pub(super) fn reserve(&mut self, case: &Case<'_, '_>) {
        if self.needs_place(case) {
            let pod = case.candidate.pod;
            self.tally.begin(&pod.key.namespace, &case.workload.id());
            self.reserved.insert(pod.uid.clone());
        }
    }
}

pub(super) fn check(cx: &Context<'_>, budget: &Budget, case: &Case<'_, '_>) -> Result<(), Refusal> {
    if !budget.needs_place(case) {
        return Ok(());
    }
    let limits = &cx.file.limits;
    let workload = &case.workload;
    budget.tally.check(
        limits,
        &case.candidate.pod.key.namespace,
        workload.id().as_str(),
        limits.of_workload(workload.desired(), case.candidate.detach()),
    )
}
