//! Objects for tests that need more than `web`. `$NAMESPACE` stands for the scene's own.

#![allow(
    clippy::needless_pass_by_value,
    reason = "callers write `json!` where they call"
)]

use serde_json::{Value, json};

use crate::images::WORKLOAD;

/// Lays one object over another, field by field; lists are replaced.
fn over(mut base: Value, more: Value) -> Value {
    match (base.as_object_mut(), more) {
        (Some(fields), Value::Object(more)) => {
            for (key, value) in more {
                let known = fields.remove(&key).unwrap_or_default();
                fields.insert(key, over(known, value));
            }
            base
        }
        (_, more) => more,
    }
}

/// A pod template: a pod that can be made to fail, with `team: shop` and these labels, and this laid over its spec.
#[must_use]
pub fn template(labels: Value, spec: Value) -> Value {
    let pod = json!({
        "metadata": { "labels": { "team": "shop" } },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container(json!({}))],
        },
    });
    over(
        pod,
        json!({ "metadata": { "labels": labels }, "spec": spec }),
    )
}

/// The container of that pod, with this laid over it.
#[must_use]
pub fn container(more: Value) -> Value {
    let container = json!({
        "name": "main",
        "image": WORKLOAD,
        "args": ["serve"],
        "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "ports": [{ "name": "http", "containerPort": 8080 }, { "name": "control", "containerPort": 8081 }],
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": "http" }, "periodSeconds": 1 },
    });
    over(container, more)
}

/// A controller of `apps/v1` over pods with these labels, with this laid over its spec.
#[must_use]
pub fn controller(kind: &str, name: &str, labels: Value, template: Value, spec: Value) -> Value {
    let controller = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": "$NAMESPACE" },
        "spec": { "selector": { "matchLabels": labels }, "template": template },
    });
    over(controller, json!({ "spec": spec }))
}

/// A Service on port 80 over pods with these labels, with this laid over its spec.
#[must_use]
pub fn service(name: &str, labels: Value, spec: Value) -> Value {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": "$NAMESPACE" },
        "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] },
    });
    over(service, json!({ "spec": spec }))
}

/// Any other object.
#[must_use]
pub fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name, "namespace": "$NAMESPACE" },
        "spec": spec,
    })
}
