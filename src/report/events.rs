//! Events on pods and workloads, told to the API server one after the other.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tracing::warn;

use super::metrics::Metrics;
use crate::{
    cluster::in_short,
    core::{
        action::{Notice, Refusal},
        keys,
        object::{ObjectKey, Reference, Uid},
        reason::Reason,
    },
    deadline::within,
};

/// Events that wait to be told; more are dropped and counted.
const WAITING: usize = 1000;

/// How long telling one may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest note that the API server takes.
const NOTE_BYTES: usize = 1024;

/// The longest action that the API server takes.
const ACTION_BYTES: usize = 128;

/// One Event.
struct Told {
    regarding: ObjectReference,
    event: Event,
}

/// Takes Events without waiting.
#[derive(Clone)]
pub struct Events {
    sender: mpsc::Sender<Told>,
    metrics: Arc<Metrics>,
}

/// The taker, and what tells them for ever.
pub fn events(
    client: Client,
    instance: Option<String>,
    metrics: Arc<Metrics>,
) -> (Events, impl Future<Output = ()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let reporter = Reporter {
        controller: keys::REPORTING_CONTROLLER.into(),
        instance,
    };
    let recorder = Recorder::new(client, reporter);
    let teller = tell(recorder, receiver, metrics.clone());
    (Events { sender, metrics }, teller)
}

async fn tell(recorder: Recorder, mut receiver: mpsc::Receiver<Told>, metrics: Arc<Metrics>) {
    while let Some(told) = receiver.recv().await {
        let published = within(TIMEOUT, recorder.publish(&told.event, &told.regarding)).await;
        let why = match published {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => in_short(&error),
            Err(no_answer) => no_answer.to_string(),
        };
        metrics.event_dropped();
        warn!(event = told.event.reason, why, "an Event could not be told");
    }
}

impl Events {
    /// `Quarantined`, on the pod. kube merges Events that differ in their notes alone, so a second time is an action of
    /// its own.
    pub fn quarantined(&self, pod: &ObjectKey, uid: &Uid, again: bool, note: &str) {
        self.send(
            about(pod, uid),
            "Quarantined",
            if again {
                "QuarantineAgain"
            } else {
                "Quarantine"
            },
            EventType::Warning,
            note,
        );
    }

    /// `QuarantineRefused`, or `WouldQuarantine` where only observing, on the pod.
    pub fn refused(&self, refusal: &Refusal) {
        let reason = if refusal.reason == Reason::Observe {
            "WouldQuarantine"
        } else {
            "QuarantineRefused"
        };
        // kube merges Events that differ in their notes alone, so the reason is the action too.
        let note = super::sentence(refusal);
        self.send(
            about(&refusal.pod, &refusal.uid),
            reason,
            refusal.reason.as_str(),
            EventType::Warning,
            &note,
        );
    }

    /// `Released`, on the pod.
    pub fn released(&self, pod: &ObjectKey, uid: &Uid, note: &str) {
        self.send(
            about(pod, uid),
            "Released",
            "Release",
            EventType::Normal,
            note,
        );
    }

    /// `Reaped`, on the pod.
    pub fn reaped(&self, pod: &ObjectKey, uid: &Uid, note: &str) {
        self.send(about(pod, uid), "Reaped", "Reap", EventType::Normal, note);
    }

    /// Whatever else is to be said of a pod.
    pub fn notice(&self, notice: &Notice) {
        // kube merges Events that differ in their notes alone, so the note begins in the action.
        let action = crate::core::record::cut(&notice.message, ACTION_BYTES);
        let regarding = reference(&notice.namespace, &notice.about);
        self.send(
            regarding,
            notice.topic.as_str(),
            action,
            EventType::Warning,
            &notice.message,
        );
    }

    fn send(
        &self,
        regarding: ObjectReference,
        reason: &str,
        action: &str,
        type_: EventType,
        note: &str,
    ) {
        let note = crate::core::record::cut(note, NOTE_BYTES);
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        if self.sender.try_send(Told { regarding, event }).is_err() {
            self.metrics.event_dropped();
        }
    }
}

fn about(pod: &ObjectKey, uid: &Uid) -> ObjectReference {
    let pod_itself = Reference {
        kind: "Pod".into(),
        name: pod.name.clone(),
        uid: uid.clone(),
    };
    reference(&pod.namespace, &pod_itself)
}

fn reference(namespace: &str, about: &Reference) -> ObjectReference {
    let version = match &*about.kind {
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
