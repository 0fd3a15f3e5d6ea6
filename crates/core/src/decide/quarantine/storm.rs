//! Whether too many pods are unhealthy at once for the cause to be this pod: `Storm`.

use super::case::Case;
use crate::{
    decide::{context::Context, state::State, storms::HealthCounts},
    reason::{Reason, Refusal},
    scope::Scope,
    time::to_the_second,
};

pub(super) fn check(
    cx: &Context<'_>,
    state: &State,
    health: &HealthCounts<'_>,
    case: &Case<'_, '_>,
) -> Result<(), Refusal> {
    // People have seen the pod.
    let Some(asked) = case.candidate.asked_at else {
        return Ok(());
    };
    let limits = &cx.file.limits.storm;
    for scope in cx.view.place_of(case.candidate.pod).scopes() {
        let threshold = limits.of(&scope);
        let of = match &scope {
            Scope::Cluster => "all watched pods".to_owned(),
            Scope::Node(_) => format!("the watched pods on {scope}"),
            Scope::Zone(_) => format!("the watched pods in {scope}"),
            Scope::Workload(_) => case.workload.reference().to_string(),
        };
        if let Some(observed) = state.storms.get(&scope)
            && !observed.over
        {
            let since = to_the_second(observed.storm.since);
            let detail = format!("more than {threshold}% of {of} are unhealthy, since {since}");
            return Err(Refusal::new(Reason::Storm, detail));
        }
        let Some(count) = health.of(&scope) else {
            continue;
        };
        if count.may_be_storm(&scope, threshold) {
            let detail = format!("more than {threshold}% of {of} are unhealthy or about to be");
            return Err(Refusal::new(Reason::Storm, detail));
        }
        if count.may_have_been_storm(&scope, threshold, asked) {
            let detail = format!(
                "more than {threshold}% of {of} were unhealthy or about to be when this one was last asked: its next answer counts"
            );
            return Err(Refusal::new(Reason::Storm, detail));
        }
    }
    // Two applications seldom lose their sockets at once while their kubelets still reach them.
    if let Some(since) = case.candidate.lost_since() {
        let within = limits.cooldown;
        if health.is_another_unreached(&case.workload.id(), since, within, asked) {
            let detail = "there is no connection to Ready pods of other workloads either: it may be the agent's network";
            return Err(Refusal::new(Reason::Storm, detail));
        }
    }
    Ok(())
}
