//! Ready pods that the agent got no connection to, though their kubelets did: a sign that it may be the agent's network,
//! also once they are deleted or quarantined. Those that are quarantined are in the ledger, too: a restart forgets none.

use std::time::Duration;

use super::{
    context::Context,
    state::{LostPod, State},
};
use crate::{
    judge::{Finding, Findings, Verdict},
    time::{Moment, age},
    workload::WorkloadId,
};

/// How long a lost pod counts after it was last found so: longer than pods are lost at once, and then take to become
/// unhealthy.
fn lasts(cx: &Context<'_>) -> Duration {
    cx.file.limits.storm.cooldown * 2
}

/// Remembers the pods that are lost now, and forgets those that are in service and are not, or were long ago.
pub(super) fn remember(cx: &Context<'_>, state: &mut State, findings: &Findings) {
    let now = cx.now.moment;
    for finding in findings.pods.iter().filter(|finding| is_lost(cx, finding)) {
        let pod = LostPod {
            key: finding.pod.clone(),
            workload: finding.place.workload.clone(),
            since: finding.since,
            found: now,
        };
        state.lost.insert(finding.uid.clone(), pod);
    }
    state.lost.retain(|uid, lost| {
        let pod = cx.view.pod(&lost.key).filter(|pod| pod.uid == *uid);
        let is_in_service = pod.is_some_and(|pod| !pod.counts_as_quarantined());
        lost.found == now || !is_in_service && now.saturating_sub(lost.found) <= lasts(cx)
    });
}

fn is_lost(cx: &Context<'_>, finding: &Finding) -> bool {
    let pod = cx.view.pod(&finding.pod);
    finding.unreached
        && finding.contrast
        && finding.verdict == Verdict::Unhealthy
        && pod.is_some_and(|pod| pod.uid == finding.uid && pod.ready && !pod.overrides().exempt)
}

/// The pods that were lost and are out of service: of which workload, and since when they were lost, or, of those that only
/// the ledger knows, since when they are out.
pub(super) fn out_of_service(cx: &Context<'_>, state: &State) -> Vec<(WorkloadId, Moment)> {
    let now = cx.now;
    let lost = state
        .lost
        .iter()
        .filter(|(_, lost)| lost.found < now.moment);
    let remembered = lost.map(|(_, lost)| (lost.workload.clone(), lost.since));
    let slots = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.slots.values());
    let lost = slots.filter(|slot| slot.lost && !state.lost.contains_key(&slot.uid));
    let noted = lost.filter_map(|slot| {
        let age = age(now.wall, slot.at).filter(|age| *age <= lasts(cx))?;
        Some((slot.workload.clone(), now.moment.saturating_sub(age)))
    });
    remembered.chain(noted).collect()
}
