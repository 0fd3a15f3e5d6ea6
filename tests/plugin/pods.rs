//! A quarantined pod, as the API server has it.

use jiff::Timestamp;
use pod_quarantine::plugin::{events::PodEvent, session::FoundPod};
use serde_json::{Value, json};

/// Five minutes after the quarantine.
pub(crate) fn now() -> Timestamp {
    at("2030-01-31T12:05:00Z")
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What its record says.
pub(crate) fn record() -> Value {
    json!({
        "version": 1,
        "uid": "u-1",
        "agent": "pod-quarantine/default",
        "policy": "web-5xx",
        "reason": "3 bad probes in a row: HTTP 500",
        "evidence": [
            { "at": "2030-01-31T11:59:50.5Z", "saw": "HTTP 500" },
            { "at": "2030-01-31T11:59:55.5Z", "saw": "HTTP 500" },
        ],
        "at": "2030-01-31T12:00:00Z",
        "expires": "2030-01-31T16:00:00Z",
        "labels": { "app": "web", "enabled": "true", "pod-template-hash": "7d4b9c" },
        "edits": { "enabled": "false", "pod-template-hash": null },
        "annotations": { "karpenter.sh/do-not-disrupt": null },
        "owner": { "kind": "ReplicaSet", "name": "web-7d4b9c", "uid": "u-2" },
        "workload": { "kind": "Deployment", "name": "web", "uid": "u-3" },
        "detach": "workload",
        "restarts": 1,
        "services": ["web", "web-canary"],
    })
}

/// The pod `web-7d4b9c-x2x8k` as a quarantine leaves it.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": "web-7d4b9c-x2x8k",
            "uid": "u-1",
            "resourceVersion": "7",
            "labels": {
                "app": "web",
                "enabled": "false",
                "pod-quarantine.io/state": "quarantined",
                "pod-quarantine.io/workload": "web",
            },
            "annotations": {
                "pod-quarantine.io/record": record().to_string(),
                "karpenter.sh/do-not-disrupt": "true",
            },
        },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "web" }] },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                { "name": "web", "restartCount": 2, "image": "", "imageID": "", "ready": true },
            ],
        },
    })
}

/// The pod with another record.
pub(crate) fn recorded(record: &str) -> Value {
    annotated("pod-quarantine.io/record", record)
}

/// The pod with one more annotation.
pub(crate) fn annotated(key: &str, text: &str) -> Value {
    let mut pod = pod();
    pod["metadata"]["annotations"][key] = text.into();
    pod
}

pub(crate) fn read(pod: Value) -> FoundPod {
    FoundPod::read(serde_json::from_value(pod).unwrap()).unwrap()
}

pub(crate) fn event(reason: &str, note: &str) -> PodEvent {
    PodEvent {
        at: Some(at("2030-01-31T12:00:00Z")),
        reason: reason.to_owned(),
        note: note.to_owned(),
        reporter: "pod-quarantine.io/agent".to_owned(),
        count: 1,
        uid: String::new(),
        version: String::new(),
    }
}
