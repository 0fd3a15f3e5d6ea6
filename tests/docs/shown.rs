//! What `docs/commands.md` shows of the plugin's output is what the plugin prints.

use jiff::Timestamp;
use pod_quarantine::{
    core::{
        explain::{Explained, Explanation, HeldBack, Opinion},
        policy::Mode,
        reason::{Reason, Refusal},
        record::Evidence,
    },
    plugin::{
        command::{CommandOutcome, print_outcomes},
        list::Table,
        quarantined::Quarantined,
        session::FoundPod,
        uninstall,
        why::{in_service::InService, quarantined::QuarantineDetails},
    },
};
use serde_json::{Value, json};

use crate::page::page;

/// Twelve minutes after the quarantine.
fn now() -> Timestamp {
    at("2030-01-31T12:12:00Z")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(uid: &str) -> Value {
    json!({
        "version": 1,
        "uid": uid,
        "agent": "pod-quarantine/default",
        "policy": "web-5xx",
        "reason": "0.3103 is above 0.05 for 60 s",
        "evidence": [
            { "at": "2030-01-31T11:59:45Z", "saw": "0.2857 is above 0.05" },
            { "at": "2030-01-31T12:00:00Z", "saw": "0.3103 is above 0.05" },
        ],
        "at": "2030-01-31T12:00:00Z",
        "expires": "2030-01-31T16:00:00Z",
        "labels": { "enabled": "true", "pod-template-hash": "7d4b9c", "tier": "web" },
        "edits": { "enabled": "false", "pod-template-hash": "quarantined" },
        "annotations": { "karpenter.sh/do-not-disrupt": null },
        "owner": { "kind": "ReplicaSet", "name": "web-7d4b9c", "uid": "u-8" },
        "workload": { "kind": "Deployment", "name": "web", "uid": "u-9" },
        "detach": "workload",
        "restarts": 0,
        "services": ["web"],
    })
}

fn pod(name: &str, labels: &Value, annotations: &Value) -> FoundPod {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": name,
            "resourceVersion": "7",
            "labels": labels,
            "annotations": annotations,
        },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "web" }] },
        "status": { "phase": "Running" },
    });
    FoundPod::read(serde_json::from_value(pod).unwrap()).unwrap()
}

fn quarantined(name: &str, record: &Value, hold: Option<&str>) -> FoundPod {
    let labels = json!({
        "enabled": "false",
        "pod-template-hash": "quarantined",
        "pod-quarantine.io/state": "quarantined",
        "pod-quarantine.io/workload": "web",
        "tier": "web",
    });
    let mut annotations = json!({
        "karpenter.sh/do-not-disrupt": "true",
        "pod-quarantine.io/record": record.to_string(),
    });
    if let Some(hold) = hold {
        annotations["pod-quarantine.io/hold"] = hold.into();
    }
    pod(name, &labels, &annotations)
}

fn by_signal() -> FoundPod {
    quarantined("web-7d4b9c-x2x8k", &record("web-7d4b9c-x2x8k"), None)
}

fn by_a_person() -> FoundPod {
    let mut record = record("web-7d4b9c-k9zq4");
    record["reason"] = "wrong prices, ask Ann".into();
    record["manual"] = true.into();
    record["evidence"] = json!([]);
    record["at"] = "2030-01-31T09:09:00Z".into();
    record["expires"] = "2030-01-31T13:09:00Z".into();
    quarantined("web-7d4b9c-k9zq4", &record, Some("true"))
}

fn listed(found: &FoundPod) -> Quarantined {
    Quarantined::of(found, Mode::Enforce, now()).unwrap()
}

/// Whether a block shows the command and, below it, this output.
fn is_shown(command: &str, output: &str) {
    let wanted = format!("$ {command}\n{output}");
    let blocks = page("docs/commands.md").blocks();
    let shown = blocks.iter().any(|block| block.text.contains(&wanted));
    assert!(shown, "not shown:\n{wanted}");
}

#[test]
fn the_list() {
    let pods = [listed(&by_a_person()), listed(&by_signal())];
    is_shown(
        "kubectl quarantine list -n shop",
        &Table::new(false, false, true).lines(&pods, now()),
    );
}

#[test]
fn why_a_pod_is_quarantined() {
    let details = QuarantineDetails::of(&by_signal(), Mode::Enforce, Vec::new(), now()).unwrap();
    is_shown(
        "kubectl quarantine why web-7d4b9c-x2x8k",
        &details.text(now()),
    );
}

#[test]
fn why_a_pod_is_not() {
    let refusal = Refusal::new(
        Reason::WorkloadLimit,
        "1 of at most 1 pods of its workload are quarantined",
    );
    let pod = pod("web-7d4b9c-mm2tp", &json!({ "tier": "web" }), &json!({}));
    let explanation = Explanation {
        agent: "pod-quarantine/default".to_owned(),
        acts: true,
        pause: None,
        stale: None,
        pod: Some(Explained {
            uid: "web-7d4b9c-mm2tp".to_owned(),
            quarantined: false,
            terminating: false,
            exempt: false,
            namespace_mode: "enforce".to_owned(),
            owner: Some("ReplicaSet web-7d4b9c".to_owned()),
            workload: Some("Deployment web".to_owned()),
            asked: None,
            policies: vec![Opinion {
                policy: "web-does-not-answer".to_owned(),
                mode: "enforce".to_owned(),
                verdict: "unhealthy".to_owned(),
                reason: Some("7 bad probes in a row: HTTP 500".to_owned()),
                evidence: vec![Evidence {
                    at: at("2030-01-31T12:11:58Z"),
                    saw: "HTTP 500".into(),
                }],
                held_back: Some(HeldBack {
                    reason: refusal.reason.as_str().to_owned(),
                    sentence: refusal.to_string(),
                }),
            }],
            other_policies: vec!["web-5xx".to_owned()],
            mistakes: Vec::new(),
        }),
    };
    let text = InService::of(&pod.pod, Ok(explanation), Vec::new()).text(now());
    is_shown("kubectl quarantine why web-7d4b9c-mm2tp", &text);
}

/// What is printed of a command that was done.
#[test]
fn outcomes() {
    for (command, message) in [
        (
            "kubectl quarantine hold web-7d4b9c-x2x8k --for 4h",
            "held until 2030-01-31T16:12:00Z",
        ),
        (
            "kubectl quarantine hold web-7d4b9c-x2x8k --off",
            "hold removed",
        ),
        (
            "kubectl quarantine release pod/web-7d4b9c-x2x8k",
            "released",
        ),
    ] {
        let outcome = CommandOutcome {
            namespace: "shop".to_owned(),
            name: "web-7d4b9c-x2x8k".to_owned(),
            done: true,
            message: message.to_owned(),
        };
        let printed = print_outcomes(&[outcome], None).unwrap();
        is_shown(command, &printed.stdout);
    }
}

#[test]
fn what_becomes_of_the_pods_of_an_agent_that_is_uninstalled() {
    let outcome = |name: &str, done, message: &str| CommandOutcome {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        done,
        message: message.to_owned(),
    };
    let outcomes = [
        outcome(
            "web-7d4b9c-k9zq4",
            false,
            "stays: policy web-5xx: not released: the pod is not Ready",
        ),
        outcome("web-7d4b9c-x2x8k", true, "released"),
    ];
    let printed = uninstall::print(&outcomes, None).unwrap();
    let command = "kubectl quarantine uninstall-prepare --pods release";
    is_shown(command, &(printed.stdout + &printed.stderr.join("\n")));
}

#[test]
fn every_field_that_programs_read() {
    let listed = serde_json::to_value(listed(&by_signal())).unwrap();
    let quoted = page("docs/commands.md").section("### `list`").quoted();
    for field in listed.as_object().unwrap().keys() {
        assert!(quoted.contains(field), "{field}");
    }
}
