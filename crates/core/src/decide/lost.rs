//! Lost pods: those that the agent gets no connection to (*unreached*), though they are Ready, so that their kubelets do. It
//! may be the agent's network, also once they are deleted or quarantined. Those that are quarantined are in the ledger, too,
//! and outlive a restart.

use std::time::Duration;

use super::{
    context::Context,
    health::UnreachedPod,
    state::{LostPod, State},
};
use crate::{
    judge::{Finding, Findings, MAX_UNREACHED},
    object::Uid,
    time::{Moment, age_by_agents},
    workload::WorkloadId,
};

/// How long a lost pod counts: pods that are lost within one cooldown of each other count together, and the second takes a
/// while to become unhealthy.
pub(super) fn lost_counts_for(cx: &Context<'_>) -> Duration {
    cx.file.limits.storm.cooldown * 2
}

/// Remembers the pods that are lost now; one that waits is. Forgets one that is in service and not lost, and any other two
/// cooldowns after it was last found lost.
pub(super) fn remember(cx: &Context<'_>, state: &mut State, findings: &Findings) {
    let now = cx.now.moment;
    for finding in &findings.pods {
        if let Some(since) = lost_since(cx, finding) {
            let pod = LostPod {
                key: finding.pod.clone(),
                workload: finding.scopes.workload.clone(),
                since,
                last_found: now,
            };
            state.lost.insert(finding.uid.clone(), pod);
        }
    }
    let were_unreached = findings.was_unreached.iter();
    for waiting in were_unreached.filter(|pod| pod.until == Moment::MAX) {
        if let Some(lost) = state.lost.get_mut(&waiting.uid) {
            lost.last_found = now;
        }
    }
    state.lost.retain(|uid, lost| {
        let pod = cx.view.pod(&lost.key).filter(|pod| pod.uid == *uid);
        let is_in_service = pod.is_some_and(|pod| !pod.terminating && !pod.counts_as_quarantined());
        lost.last_found == now
            || !is_in_service && now.saturating_sub(lost.last_found) <= lost_counts_for(cx)
    });
    forget_beyond_the_bound(state, now);
}

/// Of those that are out of service, the last found are remembered: a tenant can delete any number of its pods.
fn forget_beyond_the_bound(state: &mut State, now: Moment) {
    if state.lost.len() <= MAX_UNREACHED {
        return;
    }
    let out = state.lost.iter().filter(|(_, lost)| lost.is_out(now));
    let mut out: Vec<(Moment, Uid)> = out
        .map(|(uid, lost)| (lost.last_found, uid.clone()))
        .collect();
    out.sort();
    let beyond = out.len().saturating_sub(MAX_UNREACHED);
    for (_, uid) in out.iter().take(beyond) {
        state.lost.remove(uid);
    }
}

fn lost_since(cx: &Context<'_>, finding: &Finding) -> Option<Moment> {
    let pod = cx.view.pod(&finding.pod);
    let is_ready =
        pod.is_some_and(|pod| pod.uid == finding.uid && pod.ready && !pod.overrides().exempt);
    let is_lost = finding.counts_as_bad && is_ready;
    finding.unreached_since.filter(|_| is_lost)
}

/// The pods that were lost and are out of service. Those that only the ledger knows count as lost since they are out.
pub(super) fn out_of_service(cx: &Context<'_>, state: &State) -> Vec<UnreachedPod> {
    let now = cx.now;
    let unreached = |workload: &WorkloadId, since| UnreachedPod {
        workload: workload.clone(),
        since,
        until: Moment::MAX,
    };
    let lost = state
        .lost
        .iter()
        .filter(|(_, lost)| lost.is_out(now.moment));
    let remembered = lost.map(|(_, lost)| unreached(&lost.workload, lost.since));
    let slots = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.slots.values());
    let lost = slots.filter(|slot| slot.lost && !state.lost.contains_key(&slot.uid));
    let noted = lost.filter_map(|slot| {
        let age = age_by_agents(now.wall, slot.at).filter(|age| *age <= lost_counts_for(cx))?;
        Some(unreached(&slot.workload, now.moment.saturating_sub(age)))
    });
    remembered.chain(noted).collect()
}
