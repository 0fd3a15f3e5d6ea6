//! Objects, policies and changes for the tests of the core and of the writer: each as plain as it can be, for a test to
//! change what the test is about.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use pod_quarantine_core::{
    needs::Needs,
    object::{
        Annotations, Controller, ControllerKind, Namespace, ObjectKey, Phase, Pod, ResourceVersion,
        Service, Uid,
    },
    placement::Placement,
    policy::{HttpProbe, Mode, Policy, Port, Signal},
    quota::Taken,
    selector::{Labels, Selector},
    write::Change,
};

/// A time in RFC 3339.
///
/// # Panics
/// If the text is no time.
#[must_use]
#[expect(clippy::expect_used, reason = "for tests")]
pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Labels from keys and values.
#[must_use]
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pair = |(key, value): &(&str, &str)| (Arc::from(*key), Arc::from(*value));
    pairs.iter().map(pair).collect()
}

/// The selector of objects with these labels.
#[must_use]
pub fn selector(pairs: &[(&str, &str)]) -> Selector {
    Selector::from_labels(&labels(pairs))
}

/// A namespace without labels and without a mode.
#[must_use]
pub fn namespace(name: &str) -> Namespace {
    Namespace {
        name: name.into(),
        labels: Labels::new(),
        mode: None,
        terminating: false,
    }
}

/// A Ready pod without labels and without an owner, at version 1.
#[must_use]
pub fn pod(key: ObjectKey, uid: Uid) -> Pod {
    Pod {
        key,
        uid,
        resource_version: ResourceVersion::new(1),
        labels: Labels::new(),
        labels_left_out: 0,
        annotations: Annotations::default(),
        owner: None,
        created: None,
        restarts: 0,
        node: None,
        host_ports: Vec::new(),
        host_network: false,
        phase: Phase::Running,
        ready: true,
        terminating: false,
        address: None,
        containers: Vec::new(),
        spread_over: Vec::new(),
        repels: Vec::new(),
    }
}

/// A controller without an owner that wants so many pods.
#[must_use]
pub fn controller(
    kind: ControllerKind,
    key: ObjectKey,
    uid: Uid,
    desired: u32,
    selector: Selector,
) -> Controller {
    Controller {
        kind,
        key,
        uid,
        selector,
        owner: None,
        desired,
        revision: None,
        terminating: false,
        recreate: false,
        rolling: false,
        reset: None,
        template_commands: Vec::new(),
    }
}

/// A Service that sends traffic to all nodes.
#[must_use]
pub fn service(key: ObjectKey, selector: Selector) -> Service {
    Service {
        key,
        selector: Some(selector),
        local: false,
    }
}

/// A policy that probes these pods, in the mode `enforce`, with a ttl of four hours.
#[must_use]
pub fn enforcing_policy(name: &str, pods: Selector) -> Policy {
    let probe = Signal::Probe(HttpProbe::new(Port::Number(80)));
    Policy {
        mode: Mode::Enforce,
        ttl: Duration::from_hours(4),
        ..Policy::new(name, pods, probe)
    }
}

/// The needs of a replacement that needs nothing.
#[must_use]
pub fn no_needs() -> Needs {
    Needs {
        claims: Ok(Vec::new()),
        quotas: Ok((Taken::default(), Vec::new())),
        nodes: Ok((Placement::default(), Vec::new())),
    }
}

/// The pod after a change, as the API server would make it, but for its version.
#[must_use]
pub fn changed(pod: &Pod, change: &Change) -> Pod {
    let mut pod = pod.clone();
    for (key, value) in &change.labels {
        match value {
            Some(value) => pod.labels.insert(key.clone(), value.clone()),
            None => pod.labels.remove(key),
        };
    }
    for (key, value) in &change.annotations {
        match value {
            Some(value) => pod.annotations.insert(key.clone(), value.clone()),
            None => pod.annotations.remove(key),
        }
    }
    pod
}
