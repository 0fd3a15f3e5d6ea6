//! Whether too many pods are unhealthy at once for the cause to be this pod: `Storm`.

use super::case::Case;
use crate::{
    decide::{context::Context, state::State, storms::HealthCounts},
    ledger::StormScope,
    reason::{Reason, Refusal},
    time::to_the_second,
};

pub(super) fn check(
    cx: &Context<'_>,
    state: &State,
    health: &HealthCounts<'_>,
    case: &Case<'_, '_>,
) -> Result<(), Refusal> {
    if case.candidate.manual {
        return Ok(());
    }
    let limits = &cx.file.limits.storm;
    let workload = &case.workload;
    for (scope, threshold, of) in [
        (
            StormScope::Workload(workload.id()),
            limits.workload,
            workload.reference().to_string(),
        ),
        (
            StormScope::Cluster,
            limits.cluster,
            "all watched pods".to_owned(),
        ),
    ] {
        if let Some(observed) = state.storms.get(&scope)
            && !observed.is_over()
        {
            let since = to_the_second(observed.storm.since);
            let detail = format!("more than {threshold}% of {of} are unhealthy, since {since}");
            return Err(Refusal::new(Reason::Storm, detail));
        }
        if let Some(count) = health.of(&scope)
            && count.may_be_storm(threshold)
        {
            let detail = format!("more than {threshold}% of {of} are unhealthy or about to be");
            return Err(Refusal::new(Reason::Storm, detail));
        }
    }
    Ok(())
}
