//! A quarantined pod that is selected again: by a new or an edited Service.
//!
//! It is quarantined as before: first its slot moves forward, then the pod changes. Its record keeps the labels as they
//! were before the first quarantine and adds what is edited now.

use std::sync::Arc;

use super::quarantined_pod::QuarantinedPod;
use crate::{
    decide::{
        context::{Context, NoSlot},
        plan::Plan,
        quarantine::{
            constraints::LeavingPod,
            edits::LabelEdits,
            labels::{differing, service_names},
        },
        state::{Setback, State},
    },
    keys,
    ledger::{KnownPod, Slot},
    notice::Topic,
    object::Pod,
    policy::Detach,
    record::{Record, Values},
    text::Fingerprint,
    write::{Act, Before, Change, PodVersion, Quarantine, Write},
};

/// How often in a row a pod is quarantined again before people are told that something works against the agent.
const REPORTED_AFTER: u32 = 3;

/// Takes the pod out of what selects it again, or reports why that is not possible. Again and again only after longer and
/// longer times: an operator that keeps its role label is not fought over at full speed.
pub(super) fn requarantine_if_selected_again(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
) {
    let QuarantinedPod { pod, record, .. } = *quarantined;
    if cx.view.stale.is_some() {
        return;
    }
    let workload = match record.detach {
        Detach::Workload => cx.view.workload_of(&pod.key.namespace, &record.owner),
        Detach::Service => cx.view.workload(pod),
    };
    let leaving = LeavingPod {
        pod,
        name: &record.workload.name,
        workload: workload.ok(),
        detach: record.detach,
        policy: cx.file.policy(&record.policy).map(AsRef::as_ref),
    };
    // What is put off is looked at in the next decision.
    let Ok(answer) = state.searches.answer(cx, &leaving) else {
        return;
    };
    if answer.selected_by.is_empty() {
        return;
    }
    let selecting = answer.selected_by.join(", ");
    let edits = answer.edits.clone();
    if let Some(again) = state.setback(&pod.uid, Act::Again, cx.now.moment) {
        if again.times >= REPORTED_AFTER {
            let message = format!(
                "the pod is selected again and again by {selecting}: something else writes its labels back"
            );
            plan.notify(state, pod, Topic::NotDrained, message);
        }
        return;
    }
    let planned = match may_move(cx, state, quarantined) {
        Ok(None) => return,
        Ok(Some(known)) => edits
            .map_err(|refusal| refusal.to_string())
            .and_then(|edits| requarantine(cx, known, edits)),
        Err(why) => Err(why),
    };
    match planned {
        Ok(quarantine) => {
            state.record_again(&pod.uid, cx.now.moment);
            plan.writes.push(Write::Quarantine(Box::new(quarantine)));
        }
        Err(why) => {
            let message = format!("the pod is selected again by {selecting}: {why}");
            plan.notify(state, pod, Topic::NotDrained, message);
        }
    }
}

fn requarantine(
    cx: &Context<'_>,
    known: KnownPod<'_>,
    edits: LabelEdits,
) -> Result<Quarantine, String> {
    let (pod, record) = (known.pod(), known.record());
    let record = with_edits(pod, record, edits.edits, service_names(cx, pod));
    let text = record.to_text().map_err(|error| error.to_string())?;
    let change = Change {
        labels: differing(&pod.labels, &edits.labels),
        annotations: [(keys::RECORD.into(), Some(text.as_str().into()))].into(),
    };
    Ok(Quarantine {
        pod: PodVersion::from(pod),
        slot: moved(known.slot(), pod, &text),
        pacing: None,
        dry_run_first: false,
        again: true,
        before: Before::of(pod, &change),
        change,
        labels: edits.labels,
        record,
        missed: edits.missed,
        network_policies_left: edits.network_policies_left,
    })
}

/// The pod, if its slot may be moved; `None` where the view has not caught up with the version that it was moved to, or the ledger is just
/// being read or made.
fn may_move<'a>(
    cx: &Context<'_>,
    state: &State,
    quarantined: &QuarantinedPod<'a>,
) -> Result<Option<KnownPod<'a>>, String> {
    let pod = quarantined.pod;
    match state.setback(&pod.uid, Act::Quarantine, cx.now.moment) {
        None => {}
        Some(Setback { refusal: None, .. }) => return Ok(None),
        Some(Setback {
            refusal: Some(refusal),
            ..
        }) => return Err(refusal.to_string()),
    }
    match cx.open_ledger() {
        Ok(_) => {}
        Err(NoSlot::Yet(_)) if state.awaits_ledger(cx.now.moment) => return Ok(None),
        Err(why) => return Err(why.to_string()),
    }
    let Some(known) = quarantined.known else {
        return Err("its record is not the one that the ledger knows".to_owned());
    };
    let has_caught_up = known.slot().resource_version <= pod.resource_version;
    Ok(has_caught_up.then_some(known))
}

/// The record with the edits and the left Services of now. A label that is edited for the first time is put back as it is
/// now, though it was another one before the quarantine: somebody has changed it since.
fn with_edits(pod: &Pod, record: &Record, edits: Values, services: Vec<Arc<str>>) -> Record {
    let mut record = record.clone();
    for key in edits.keys().filter(|key| !record.edits.contains_key(*key)) {
        match pod.labels.get(key) {
            Some(value) => record.labels.insert(key.clone(), value.clone()),
            None => record.labels.remove(key),
        };
    }
    record.edits.extend(edits);
    for service in services {
        if !record.services.contains(&service) {
            record.services.push(service);
        }
    }
    record
}

fn moved(slot: &Slot, pod: &Pod, text: &str) -> Slot {
    Slot {
        resource_version: pod.resource_version,
        record: Fingerprint::of(text),
        record_before: pod.record_fingerprint().cloned(),
        ..slot.clone()
    }
}
