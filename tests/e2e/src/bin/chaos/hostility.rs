//! What a tenant writes onto the objects of its own namespace: anything that whoever may write there can, as far as it
//! may hurt somebody. Each is a request as the API server gets it.

use std::collections::BTreeMap;

use fastrand::Rng;
use http::Method;
use serde_json::{Map, Value, json};

use crate::register::{RECORD, STATE, Seen};

const PREFIX: &str = "pod-quarantine.io/";

/// More pods than these a tenant does not make.
const MOST_PODS: usize = 14;

/// What one tenant knows when it acts.
pub(crate) struct Surroundings<'a> {
    pub(crate) namespace: &'a str,
    /// The installation, as records name it.
    pub(crate) agent: &'a str,
    /// Its own pods, by uid.
    pub(crate) own: Vec<(String, Seen)>,
    /// Pods of other namespaces: it may not write them, and has seen what is on them.
    pub(crate) others: Vec<(String, Seen)>,
    /// What was on its own pods before, by uid.
    pub(crate) before: &'a BTreeMap<String, Vec<Seen>>,
}

/// A request of a tenant.
#[derive(Debug)]
pub(crate) struct HostileRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// The pod of its own that it is about.
    pub(crate) pod: Option<String>,
    /// It has no right to that.
    pub(crate) is_forbidden: bool,
}

/// What one tenant does next.
pub(crate) fn next(known: &Surroundings<'_>, rng: &mut Rng) -> Option<HostileRequest> {
    match rng.u8(0..100) {
        0..78 => on_a_pod(known, rng),
        78..83 => Some(on_the_deployment(known, rng)),
        83..88 => Some(beside_the_pods(known, rng)),
        88..92 if known.own.len() < MOST_PODS => Some(a_new_pod(known, rng)),
        92..96 => trespass(known, rng),
        _ => a_deletion(known, rng),
    }
}

fn patch(known: &Surroundings<'_>, pod: &(String, Seen), metadata: &Value) -> HostileRequest {
    HostileRequest {
        method: Method::PATCH,
        path: format!("/api/v1/namespaces/{}/pods/{}", known.namespace, pod.1.name),
        body: json!({ "metadata": metadata }),
        pod: Some(pod.0.clone()),
        is_forbidden: false,
    }
}

fn on_a_pod(known: &Surroundings<'_>, rng: &mut Rng) -> Option<HostileRequest> {
    let pod = rng.choice(&known.own)?;
    let (uid, seen) = pod;
    let metadata = match rng.u8(0..34) {
        0..8 => annotations([("quarantine", text(rng))]),
        8..10 => annotations([("release", release(rng))]),
        10 => annotations([("quarantine", text(rng)), ("release", json!("force"))]),
        11 => labels([(STATE, json!("quarantined"))]),
        12 => labels([(STATE, json!("x"))]),
        13..16 => {
            let record = forged(known, uid, rng);
            marked(&record, rng)
        }
        16 => marked(&damaged(rng), rng),
        17 => {
            let (other, copied) = known.others.iter().find(|(_, other)| other.is_marked())?;
            let record = copied.annotations.get(RECORD)?;
            let record = if rng.bool() {
                record.replace(other, uid)
            } else {
                record.clone()
            };
            marked(&record, rng)
        }
        // What was taken off, or put back, is written as it was.
        18..22 => {
            let before = rng.choice(known.before.get(uid)?)?;
            let mut metadata =
                json!({ "labels": before.labels, "annotations": before.annotations });
            if rng.bool() {
                metadata.as_object_mut()?.remove("labels");
            }
            metadata
        }
        22..25 => json!({ "labels": { STATE: null }, "annotations": { RECORD: null } }),
        // In one patch, so that whoever had a place for the record may think that it has one for the quarantine.
        25 => json!({
            "labels": { STATE: null },
            "annotations": { RECORD: null, key("quarantine"): "again" },
        }),
        26 => labels([(STATE, Value::Null)]),
        27 => annotations([("record", Value::Null)]),
        28 => annotations([("fence", json!((seen.version + rng.u64(0..9)).to_string()))]),
        29 => annotations([("released", released(rng)), ("hold", text(rng))]),
        30 => annotations([("ttl", ttl(rng)), ("exempt", text(rng))]),
        31 => annotations([
            ("exempt", Value::Null),
            ("hold", Value::Null),
            ("released", Value::Null),
        ]),
        32 => owners(known, rng),
        _ => {
            let any = [
                "enabled",
                "app",
                "team",
                "pod-template-hash",
                "pod-quarantine.io/workload",
            ];
            let key = *rng.choice(&any)?;
            let values = [
                json!("true"),
                json!("false"),
                json!("quiet"),
                json!("web"),
                Value::Null,
            ];
            labels([(key, rng.choice(&values)?.clone())])
        }
    };
    Some(patch(known, pod, &metadata))
}

/// Puts the keys of an object into another one.
fn merge(object: &mut Value, other: Value) {
    if let (Value::Object(object), Value::Object(other)) = (object, other) {
        object.extend(other);
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn annotations<const N: usize>(of: [(&str, Value); N]) -> Value {
    let annotations = of.into_iter().map(|(name, value)| (key(name), value));
    json!({ "annotations": annotations.collect::<Map<_, _>>() })
}

fn labels<const N: usize>(of: [(&str, Value); N]) -> Value {
    let labels = of.into_iter().map(|(key, value)| (key.to_owned(), value));
    json!({ "labels": labels.collect::<Map<_, _>>() })
}

/// A record, and mostly the label that goes with it.
fn marked(record: &str, rng: &mut Rng) -> Value {
    let label = (rng.u8(0..4) > 0).then_some("quarantined");
    json!({ "labels": { STATE: label }, "annotations": { RECORD: record } })
}

fn text(rng: &mut Rng) -> Value {
    match rng.u8(0..6) {
        0 => Value::Null,
        1 => json!("\u{202e}\u{0}ü\n".repeat(500)),
        2 => json!(""),
        _ => json!("true"),
    }
}

fn release(rng: &mut Rng) -> Value {
    match rng.u8(0..4) {
        0 => json!("true"),
        1 => json!("yes, please"),
        _ => json!("force"),
    }
}

fn ttl(rng: &mut Rng) -> Value {
    match rng.u8(0..6) {
        0 => json!("1s"),
        1 => json!("90d"),
        2 => json!("1M"),
        3 => json!("-1s"),
        4 => json!("18446744073709551615s 1000000000ns"),
        _ => json!("9".repeat(5_000)),
    }
}

fn released(rng: &mut Rng) -> Value {
    let all = [
        r#"{"at":"2020-01-01T00:00:00Z","until":"2099-01-01T00:00:00Z","deletionCost":"no number"}"#,
        r#"{"at":"2020-01-01T00:00:00Z","until":"2020-01-01T00:00:01Z","deletionCost":null}"#,
        "{",
    ];
    json!(rng.choice(all))
}

fn damaged(rng: &mut Rng) -> String {
    match rng.u8(0..3) {
        0 => "{".to_owned(),
        1 => "x".repeat(100_000),
        _ => r#"{"version":1,"uid":7}"#.to_owned(),
    }
}

/// A record as the agent might have written it, and that is over, but for what chance makes of it.
fn forged(known: &Surroundings<'_>, uid: &str, rng: &mut Rng) -> String {
    let victim = rng.choice(&known.others);
    let of_victim = victim.map_or("x", |(uid, _)| uid);
    let owner = json!({ "kind": "ReplicaSet", "name": "quiet", "uid": of_victim });
    let mut record = json!({
        "version": 1,
        "uid": uid,
        "agent": known.agent,
        "policy": "chaos",
        "reason": "x",
        "evidence": [],
        "at": "2020-01-01T00:00:00Z",
        "expires": "2020-01-01T00:00:01Z",
        "labels": { "app": "web", "not a key": "not a value!" },
        "edits": { "app": null },
        "annotations": {},
        "owner": owner,
        "workload": owner,
        "detach": "workload",
        "restarts": 0,
        "services": ["web", "$"],
    });
    let (key, value) = match rng.u8(0..6) {
        0 => ("version", json!(2)),
        1 => ("agent", json!("elsewhere/default")),
        2 => ("uid", json!(of_victim)),
        3 => ("at", json!("2099-01-01T00:00:00Z")),
        4 => ("services", json!(vec!["$"; 2_000])),
        _ => return record.to_string(),
    };
    merge(&mut record, json!({ key: value }));
    record.to_string()
}

/// Owners of other namespaces, owners that nobody knows, and none.
fn owners(known: &Surroundings<'_>, rng: &mut Rng) -> Value {
    let foreign = rng.choice(&known.others);
    let uid = match (rng.u8(0..3), foreign) {
        (0, Some((_, other))) => other.owner.clone().unwrap_or_default(),
        (1, _) => "a b".to_owned(),
        _ => return json!({ "ownerReferences": [] }),
    };
    let (version, kind) = if rng.bool() {
        ("apps/v9", "ReplicaSet")
    } else {
        ("example.org/v1", "Foo")
    };
    let owner = json!({ "apiVersion": version, "kind": kind, "name": "quiet", "uid": uid, "controller": true });
    json!({ "ownerReferences": [owner] })
}

fn on_the_deployment(known: &Surroundings<'_>, rng: &mut Rng) -> HostileRequest {
    let body = match rng.u8(0..5) {
        0 => json!({ "spec": { "replicas": rng.u8(0..8) } }),
        1 => {
            json!({ "metadata": { "annotations": { key("reset"): "r".repeat(rng.usize(1..50_000)) } } })
        }
        2 => {
            let state = rng.bool().then_some("quarantined");
            json!({ "spec": { "template": { "metadata": { "labels": { STATE: state } } } } })
        }
        3 => {
            let command = rng.bool().then_some("all of them");
            let annotations =
                json!({ key("quarantine"): command, key("release"): command.map(|_| "force") });
            json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } })
        }
        _ => json!({ "spec": { "replicas": 6 } }),
    };
    HostileRequest {
        method: Method::PATCH,
        path: format!(
            "/apis/apps/v1/namespaces/{}/deployments/quiet",
            known.namespace
        ),
        body,
        pod: None,
        is_forbidden: false,
    }
}

/// What selects pods: sixteen conditions at once are long to be left, and some cannot be.
fn beside_the_pods(known: &Surroundings<'_>, rng: &mut Rng) -> HostileRequest {
    let namespace = known.namespace;
    let name = format!("hostile-{}", rng.u8(0..8));
    let conditions: Vec<Value> = (0..16)
        .map(|index| json!({ "key": format!("k{index}"), "operator": "NotIn", "values": ["x"] }))
        .collect();
    let selector = match rng.u8(0..3) {
        0 => json!({}),
        1 => json!({ "matchLabels": { "team": "shop" } }),
        _ => json!({ "matchExpressions": conditions }),
    };
    let (api, plural, kind, spec) = match rng.u8(0..4) {
        0 => {
            let key = *rng.choice(&[STATE, "team", "app"]).unwrap_or(&STATE);
            let spec = json!({ "selector": { key: "quarantined" }, "ports": [{ "port": 80 }] });
            ("v1", "services", "Service", spec)
        }
        1 => {
            let spec = json!({ "podSelector": selector });
            let api = "networking.k8s.io/v1";
            (api, "networkpolicies", "NetworkPolicy", spec)
        }
        _ => {
            let spec = json!({ "maxUnavailable": 0, "selector": selector });
            let kind = "PodDisruptionBudget";
            ("policy/v1", "poddisruptionbudgets", kind, spec)
        }
    };
    let root = if api == "v1" { "/api" } else { "/apis" };
    let all = format!("{root}/{api}/namespaces/{namespace}/{plural}");
    let (method, path, body) = if rng.u8(0..3) == 0 {
        (Method::DELETE, format!("{all}/{name}"), Value::Null)
    } else {
        let metadata = json!({ "name": name });
        let body = json!({ "apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec });
        (Method::POST, all, body)
    };
    HostileRequest {
        method,
        path,
        body,
        pod: None,
        is_forbidden: false,
    }
}

/// A pod that comes with everything: the labels of others, a forged record, an owner, a finalizer that keeps it.
fn a_new_pod(known: &Surroundings<'_>, rng: &mut Rng) -> HostileRequest {
    let uid = rng.choice(&known.others).map_or("x", |(uid, _)| uid);
    let app = if rng.bool() { "quiet" } else { "web" };
    let mut metadata = json!({
        "generateName": "hostile-",
        "labels": { "app": app, "team": "shop", "enabled": "true", STATE: "quarantined" },
        "annotations": { RECORD: forged(known, uid, rng) },
    });
    if rng.bool() {
        merge(&mut metadata, owners(known, rng));
    }
    if rng.u8(0..3) == 0 {
        merge(&mut metadata, json!({ "finalizers": ["example.org/hold"] }));
    }
    let spec = json!({
        "schedulerName": "nobody",
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "quiet", "image": "none" }],
    });
    HostileRequest {
        method: Method::POST,
        path: format!("/api/v1/namespaces/{}/pods", known.namespace),
        body: json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }),
        pod: None,
        is_forbidden: false,
    }
}

fn a_deletion(known: &Surroundings<'_>, rng: &mut Rng) -> Option<HostileRequest> {
    let pod = rng.choice(&known.own)?;
    if rng.u8(0..3) == 0 {
        let held = (!pod.1.terminating && rng.bool()).then(|| json!(["example.org/hold"]));
        return Some(patch(known, pod, &json!({ "finalizers": held })));
    }
    Some(HostileRequest {
        method: Method::DELETE,
        body: json!({ "gracePeriodSeconds": 0 }),
        ..patch(known, pod, &Value::Null)
    })
}

/// What only the API server keeps it from.
fn trespass(known: &Surroundings<'_>, rng: &mut Rng) -> Option<HostileRequest> {
    let (_, other) = rng.choice(&known.others)?;
    let (agent, _) = known.agent.split_once('/')?;
    let path = if rng.bool() {
        format!("/api/v1/namespaces/{}/pods/{}", other.namespace, other.name)
    } else {
        format!("/api/v1/namespaces/{agent}/configmaps/pod-quarantine-ledger-default")
    };
    Some(HostileRequest {
        method: Method::PATCH,
        path,
        body: json!({ "metadata": { "annotations": { key("quarantine"): "from elsewhere" } } }),
        pod: None,
        is_forbidden: true,
    })
}

/// The labels that a request writes, and whether it writes the record, or the owners, of its pod.
pub(crate) fn touches(body: &Value) -> (Vec<String>, bool, bool) {
    let keys = |pointer: &str| {
        let map = body.pointer(pointer).and_then(Value::as_object);
        map.into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect::<Vec<_>>()
    };
    let annotations = keys("/metadata/annotations");
    let owners = body.pointer("/metadata/ownerReferences");
    (
        keys("/metadata/labels"),
        annotations.iter().any(|key| key == RECORD),
        owners.is_some(),
    )
}
