//! Whether too many pods are unhealthy at once for the cause to be this pod: `Storm`.

use std::fmt::Write as _;

use super::case::Case;
use crate::{
    decide::{context::Context, health::HealthCounts, lost, state::State},
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
    for scope in cx.view.scopes_of(case.candidate.pod).iter() {
        let threshold = limits.of(&scope);
        let pods = match &scope {
            Scope::Cluster => "all watched pods".to_owned(),
            Scope::Node(_) => format!("the watched pods on {scope}"),
            Scope::Zone(_) => format!("the watched pods in {scope}"),
            Scope::Workload(_) => format!("the pods of {}", case.workload.reference()),
        };
        if let Some(observed) = state.storms.get(&scope)
            && !observed.over
        {
            let since = to_the_second(observed.storm.since);
            let detail = format!("more than {threshold}% of {pods} are unhealthy, since {since}");
            return Err(Refusal::new(Reason::Storm, detail));
        }
        let Some(count) = health.get(&scope) else {
            let detail = format!("the agent has not counted it among {pods} yet");
            return Err(Refusal::new(Reason::StaleView, detail));
        };
        if count.may_be_storm(&scope, threshold) {
            let mut detail =
                format!("more than {threshold}% of {pods} are unhealthy or about to be");
            if count.never_good() > 0 {
                let never_good = count.never_good();
                let _ = write!(
                    detail,
                    ", with {never_good} that this agent has never found good"
                );
            }
            return Err(Refusal::new(Reason::Storm, detail));
        }
        let then = case.candidate.then.and_then(|then| then.get(&scope));
        if then.is_some_and(|then| count.may_have_been_storm(&scope, threshold, then)) {
            let detail = format!(
                "more than {threshold}% of {pods} were unhealthy or about to be when this pod was last asked"
            );
            return Err(Refusal::new(Reason::Storm, detail));
        }
    }
    if !case.candidate.then_is_known {
        let detail =
            "it is not known any more how many pods were unhealthy when this pod was last asked";
        return Err(Refusal::new(Reason::Storm, detail));
    }
    // Two applications seldom lose their sockets at once while their kubelets still reach them.
    let within = limits.cooldown;
    let longest = lost::lost_counts_for(cx);
    let lost_since = case.candidate.unreached_since;
    let lost_since = lost_since.filter(|since| cx.now.moment.saturating_sub(*since) <= longest);
    if let Some(since) = lost_since
        && health.is_another_unreached(&case.workload.id(), since, within, asked)
    {
        let detail = "the agent lost its connections to Ready pods of other workloads, too: it may be the agent's network";
        return Err(Refusal::new(Reason::Storm, detail));
    }
    Ok(())
}
