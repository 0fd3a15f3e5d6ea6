//! Whether a replacement could run while the quarantined pod still runs: `ExclusiveResource`, `QuotaExhausted`. A pod that
//! stays in its workload has no replacement.

use super::case::{Case, Skip};
use crate::{
    decide::{context::Context, plan::Plan, readings::KnownNeeds, state::State},
    lookup::{Lookup, NeedsQuery},
    needs::Needs,
    object::Pod,
    reason::{Reason, Refusal},
    view::View,
};

/// What was read recently allows or refuses the quarantine. What was read earlier can only refuse it. Where it is to be read
/// again, the pod is among `due` afterwards.
pub(super) fn check<'a>(
    cx: &Context<'a>,
    state: &mut State,
    plan: &Plan,
    case: &Case<'_, 'a>,
    due: &mut Vec<&'a Pod>,
) -> Result<(), Skip> {
    if case.stays_in_workload() {
        return Ok(());
    }
    let read_for = case.candidate.read_for();
    if let Some(known) = state.readings.recall(&read_for.0) {
        let checked = check_needs(cx, plan, case, known);
        state.readings.record_check(read_for, &checked);
        return Ok(checked?);
    }
    if state.readings.is_due(&read_for, cx.now.moment) {
        due.push(case.candidate.pod);
    }
    match state.readings.refusal(&read_for) {
        Some(refusal) => Err(refusal.clone().into()),
        None => Err(Skip::NeedsLookup),
    }
}

fn check_needs(
    cx: &Context<'_>,
    plan: &Plan,
    case: &Case<'_, '_>,
    known: &mut KnownNeeds,
) -> Result<(), Refusal> {
    let pod = case.candidate.pod;
    if !case.candidate.allows_exclusive() {
        check_exclusive(cx.view, pod, known)?;
    }
    // The quotas that were read may not include the replacements of these pods.
    let slots = case.ledger.slots.values().filter(|slot| {
        slot.namespace == pod.key.namespace && slot.uid != pod.uid && slot.at >= known.read.at.wall
    });
    let planned = plan
        .quarantines()
        .filter(|other| other.pod.key.namespace == pod.key.namespace);
    check_quotas(&known.read.needs, slots.count() + planned.count())
}

/// Whether the pod and its replacement could share everything that both would use.
fn check_exclusive(view: &View, pod: &Pod, known: &mut KnownNeeds) -> Result<(), Refusal> {
    let refused = |detail: String| Err(Refusal::new(Reason::ExclusiveResource, detail));
    let needs = &known.read.needs;
    let claims = match &needs.claims {
        Ok(claims) => claims,
        Err(why) => return refused(why.clone()),
    };
    for claim in claims {
        if !claim.can_be_shared() {
            let modes = if claim.modes.is_empty() {
                "not there".to_owned()
            } else {
                claim.modes.join(", ")
            };
            return refused(format!("PersistentVolumeClaim {} is {modes}", claim.name));
        }
    }
    if !pod.takes_host_ports() {
        return Ok(());
    }
    let (placement, nodes) = match &needs.nodes {
        Ok(nodes) => nodes,
        Err(why) => return refused(why.clone()),
    };
    // The node that had room the last time is looked at again: another pod may have taken the ports meanwhile.
    for node in nodes.iter().skip(known.without_room) {
        if placement.fits(node) && !takes_its_ports(view, pod, &node.name) {
            return Ok(());
        }
        known.without_room += 1;
    }
    refused(
        "the pod takes ports of its node, and no other node that it fits has them free".to_owned(),
    )
}

/// Whether a pod on a node, the pod itself included, takes one of the pod's host ports. A pod of the same workload takes
/// the same ports, declared or not.
fn takes_its_ports(view: &View, pod: &Pod, node: &str) -> bool {
    let ledger = view.ledger.present();
    let workload = view.workload_id(pod);
    let reference = view.workload(pod).map(|workload| workload.reference()).ok();
    let is_of_workload = |other: &Pod| {
        let recorded = ledger.and_then(|ledger| ledger.known(other));
        let recorded = recorded.map(|known| &known.record().workload);
        let quarantined_from_it = recorded.is_some() && recorded == reference.as_ref();
        other.key.namespace == pod.key.namespace
            && (quarantined_from_it || view.workload_id(other) == workload)
    };
    let mut others = view.with_host_ports_on(node);
    others.any(|other| {
        if other.has_ended() {
            return false;
        }
        let mut ports = pod.host_ports.iter();
        is_of_workload(other)
            || ports.any(|port| {
                let mut taken = other.host_ports.iter();
                taken.any(|taken| port.conflicts_with(taken))
            })
    })
}

/// Whether the quotas leave room for the replacement and for `others` that are not counted yet.
fn check_quotas(needs: &Needs, others: usize) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::new(Reason::QuotaExhausted, detail));
    match &needs.quotas {
        Err(why) => refused(why.clone()),
        Ok((taken, quotas)) => {
            let mut quotas = quotas.iter();
            match quotas.find_map(|quota| quota.forbids(taken, others + 1)) {
                Some(why) => refused(why),
                None => Ok(()),
            }
        }
    }
}

/// Requests the needs of the replacements of these pods, as far as their namespaces have room. Those that were never read
/// come first, then those that were read longest ago: so each has its turn.
pub(super) fn look_up(cx: &Context<'_>, state: &mut State, plan: &mut Plan, mut due: Vec<&Pod>) {
    let readings = &mut state.readings;
    due.retain(|pod| readings.has_room(pod));
    due.sort_by_key(|pod| readings.last(&pod.uid));
    for pod in due {
        if !readings.has_room(pod) {
            continue;
        }
        readings.begin(pod, cx.now.moment);
        plan.lookups.push(Lookup::Needs(NeedsQuery {
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            with_nodes: pod.takes_host_ports(),
            at: cx.now,
        }));
    }
}
