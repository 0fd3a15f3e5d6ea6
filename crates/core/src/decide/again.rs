//! A quarantined pod that something has taken in again: a Service that is new, or was edited.
//!
//! It is taken out as before: the slot first, moved forward, then the pod. Its record keeps the labels as they were at
//! first; what is edited now is added.

use std::sync::Arc;

use super::{
    Decision,
    candidates::Left,
    plan::{differing, way_out},
};
use crate::{
    action::{Action, Before, Quarantine, Target, Topic},
    keys,
    ledger::Slot,
    object::Pod,
    policy::Detach,
    record::{self, Record},
    restore::Change,
    surroundings::{self, Leaving},
};

impl Decision<'_> {
    /// Takes the pod out of what has taken it in, or says why it stays there.
    pub(super) fn taken_in_again(&mut self, pod: &Pod, record: &Record) {
        if self.view.stale.is_some() {
            return;
        }
        let of = match record.detach {
            Detach::Workload => self.view.workload_of(&pod.key.namespace, &record.owner),
            Detach::Service => self.view.workload(pod),
        };
        let file = self.file;
        let leaving = Leaving {
            pod,
            name: &record.workload.name,
            workload: of.ok(),
            detach: record.detach,
            policy: file.policy(&record.policy).map(AsRef::as_ref),
        };
        let constraints = surroundings::around(self.view, &leaving);
        if constraints.leave.is_empty() {
            return;
        }
        let takers = constraints.leave.iter().map(|named| &*named.whose);
        let takers = takers.collect::<Vec<_>>().join(", ");
        let planned = match self.slot_to_move(pod) {
            Ok(None) => return,
            Ok(Some(slot)) => way_out(&leaving, constraints)
                .map_err(why)
                .and_then(|way_out| {
                    let record = with_edits(pod, record, way_out.edits, self.services(pod));
                    let text = record.to_text().map_err(|error| error.to_string())?;
                    let change = Change {
                        labels: differing(&pod.labels, &way_out.labels),
                        annotations: [(keys::RECORD.into(), Some(text.as_str().into()))].into(),
                    };
                    Ok(Quarantine {
                        pod: Target::from(pod),
                        slot: moved(slot, pod, &text),
                        pace: None,
                        try_first: false,
                        again: true,
                        before: Before::of(pod, &change),
                        change,
                        labels: way_out.labels,
                        record,
                        missed: way_out.missed,
                        network_policies_left: way_out.network_policies_left,
                    })
                }),
            Err(why) => Err(why),
        };
        match planned {
            Ok(quarantine) => self.actions.push(Action::Quarantine(Box::new(quarantine))),
            Err(why) => self.tell(
                pod,
                Topic::NotDrained,
                format!("{takers} selects it again: {why}"),
            ),
        }
    }

    fn services(&self, pod: &Pod) -> Vec<Arc<str>> {
        surroundings::services(self.view, pod)
    }

    /// The pod's slot; `None` where the view has not caught up with the version that it was moved to.
    fn slot_to_move(&self, pod: &Pod) -> Result<Option<&Slot>, String> {
        if let Some((_, reason, detail)) = self.state.denied.get(&pod.uid) {
            return Err(format!("{reason}: {detail}"));
        }
        let ledger = self.open_ledger()?;
        let slot = ledger.slots.get(&pod.uid).filter(|_| self.is_known(pod));
        match slot {
            None => Err("its record is not the one that the ledger knows".to_owned()),
            Some(slot) if slot.resource_version > pod.resource_version => Ok(None),
            Some(slot) => Ok(Some(slot)),
        }
    }
}

/// A reason and its detail in one sentence.
fn why(left: Left) -> String {
    match left {
        Left::Refused(reason, detail) => format!("{reason}: {detail}"),
        Left::Behind | Left::Unread => String::new(),
    }
}

/// The record with what is edited now, and left now. Labels that came since are in it from now on: they are edited,
/// and to be put back.
fn with_edits(
    pod: &Pod,
    record: &Record,
    edits: record::Values,
    services: Vec<Arc<str>>,
) -> Record {
    let mut record = record.clone();
    for key in edits.keys().filter(|key| !record.edits.contains_key(*key)) {
        if let Some(value) = pod.labels.get(key) {
            record
                .labels
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
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
        record: record::fingerprint(text),
        record_before: pod.annotation(keys::RECORD).map(record::fingerprint),
        ..slot.clone()
    }
}
