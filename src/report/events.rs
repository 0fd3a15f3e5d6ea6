//! The agent's Events, as values: which object each is about, and its sentence.
//!
//! kube merges Events that differ only in their notes, so what varies is in the action, too.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

use crate::core::{
    notice::{EventReason, Notification, RefusedPod},
    object::{ObjectKey, ObjectKind, Reference, Uid},
    policy::Detach,
    text::truncate,
    time::to_the_second,
    write::{PodVersion, Quarantine, Reap, Release},
};

/// The longest note that the API server accepts.
const NOTE_BYTES: usize = 1024;

/// The longest action that the API server accepts.
const ACTION_BYTES: usize = 128;

/// An Event and the object that it is about.
pub struct AgentEvent {
    pub regarding: ObjectReference,
    pub event: Event,
}

impl AgentEvent {
    fn new(
        regarding: ObjectReference,
        reason: EventReason,
        action: &str,
        type_: EventType,
        note: &str,
    ) -> Self {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(truncate(note, NOTE_BYTES).to_owned()),
            action: truncate(action, ACTION_BYTES).to_owned(),
            secondary: None,
        };
        Self { regarding, event }
    }
}

/// `Quarantined`, on the pod.
#[must_use]
pub fn quarantined(quarantine: &Quarantine) -> AgentEvent {
    let record = &quarantine.record;
    let services = in_brackets("its Services", &record.services);
    let out_of = match (record.detach, services) {
        (Detach::Workload, None) => record.workload.to_string(),
        (Detach::Workload, Some(services)) => format!("{} and {services}", record.workload),
        (Detach::Service, services) => {
            let services = services.unwrap_or_else(|| "what selected it".to_owned());
            format!("{services}, not out of {}", record.workload)
        }
    };
    let (action, again) = if quarantine.again {
        ("QuarantineAgain", "again ")
    } else {
        ("Quarantine", "")
    };
    let missed = if quarantine.missed.is_empty() {
        String::new()
    } else {
        format!("; still selected by: {}", quarantine.missed.join(", "))
    };
    let note = format!(
        "policy {}: {}. Taken out {again}of {out_of}, kept until {}{missed}",
        record.policy,
        record.reason,
        to_the_second(record.expires)
    );
    let pod = pod(&quarantine.pod);
    let reason = EventReason::Quarantined;
    AgentEvent::new(pod, reason, action, EventType::Warning, &note)
}

/// `QuarantineRefused`, or `WouldQuarantine` where the mode is `observe`, on the pod.
#[must_use]
pub fn refused(refused: &RefusedPod) -> AgentEvent {
    let (reason, action) = (refused.event_reason(), refused.refusal.reason.as_str());
    let pod = pod_reference(&refused.pod, &refused.uid);
    AgentEvent::new(pod, reason, action, EventType::Warning, &refused.note())
}

/// `Released`, on the pod.
#[must_use]
pub fn released(release: &Release) -> AgentEvent {
    let left = if release.left.is_empty() {
        String::new()
    } else {
        format!("; left as others changed them: {}", release.left.join(", "))
    };
    let services = in_brackets("its Services", &release.services);
    let into = match (release.detach, services) {
        (Detach::Service, Some(services)) => services,
        (Detach::Workload, _) | (_, None) => release.workload.to_string(),
    };
    let follows = match &release.follows {
        Some(follows) => format!(", by force: {follows}"),
        None => String::new(),
    };
    let note = format!("put back into {into}{follows}{left}");
    let pod = pod(&release.pod);
    let reason = EventReason::Released;
    AgentEvent::new(pod, reason, "Release", EventType::Normal, &note)
}

/// `Reaped`, on the pod.
#[must_use]
pub fn reaped(reap: &Reap) -> AgentEvent {
    let note = format!("deleted: {}", reap.why);
    let pod = pod(&reap.pod);
    let reason = EventReason::Reaped;
    AgentEvent::new(pod, reason, "Reap", EventType::Normal, &note)
}

/// Any other notification, on the object that it is about.
#[must_use]
pub fn notified(notification: &Notification) -> AgentEvent {
    let Notification {
        namespace,
        about,
        topic,
        message,
        ..
    } = notification;
    let about = reference(namespace, about);
    let reason = EventReason::Topic(*topic);
    AgentEvent::new(about, reason, message, EventType::Warning, message)
}

/// A noun with names in brackets; `None` without names.
fn in_brackets(what: &str, names: &[Arc<str>]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    Some(format!("{what} ({})", names.join(", ")))
}

fn pod(pod: &PodVersion) -> ObjectReference {
    pod_reference(&pod.key, &pod.uid)
}

fn pod_reference(pod: &ObjectKey, uid: &Uid) -> ObjectReference {
    let about = Reference {
        kind: ObjectKind::from("Pod"),
        name: pod.name.clone(),
        uid: uid.clone(),
    };
    reference(&pod.namespace, &about)
}

fn reference(namespace: &str, about: &Reference) -> ObjectReference {
    let version = match about.kind.as_str() {
        "Pod" | "ConfigMap" => "v1",
        _ => "apps/v1",
    };
    ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(about.kind.to_string()),
        namespace: Some(namespace.to_owned()),
        name: Some(about.name.to_string()),
        uid: Some(about.uid.to_string()),
        ..ObjectReference::default()
    }
}
