//! A pod that is not quarantined is explained.

use pod_quarantine::{
    core::{
        explain::{Explained, Explanation, HeldBack, Opinion},
        keys,
        ledger::Pause,
        record::Evidence,
    },
    plugin::{events::PodEvent, why::in_service::InService},
};
use serde_json::{Value, json};

use crate::pods::{at, event, now, pod, read};

/// A pod without a trace of an agent.
fn plain() -> Value {
    let mut pod = pod();
    pod["metadata"]["labels"] = json!({ "app": "web" });
    pod["metadata"]["annotations"] = json!({});
    pod
}

fn explained() -> Explained {
    Explained {
        uid: "u-1".to_owned(),
        quarantined: false,
        terminating: false,
        exempt: false,
        namespace_mode: "enforce".to_owned(),
        owner: Some("ReplicaSet web-7d4b9c".to_owned()),
        workload: Some("Deployment web".to_owned()),
        asked: None,
        policies: vec![Opinion {
            policy: "answers".to_owned(),
            mode: "enforce".to_owned(),
            verdict: "healthy".to_owned(),
            reason: None,
            evidence: vec![Evidence {
                at: at("2030-01-31T12:04:59Z"),
                saw: "HTTP 200".into(),
            }],
            held_back: None,
        }],
        other_policies: Vec::new(),
        mistakes: Vec::new(),
    }
}

fn answer(pod: Option<Explained>) -> Explanation {
    Explanation {
        agent: "pod-quarantine/default".to_owned(),
        acts: true,
        pause: None,
        stale: None,
        pod,
    }
}

fn in_service(pod: Value, asked: Result<Explanation, String>, events: Vec<PodEvent>) -> InService {
    InService::of(&read(pod).pod, asked, events)
}

fn text(explained: Explained) -> String {
    in_service(plain(), Ok(answer(Some(explained))), Vec::new()).text(now())
}

#[test]
fn a_healthy_pod_is_explained_with_its_samples() {
    assert_eq!(
        text(explained()),
        "\
Pod:        shop/web-7d4b9c-x2x8k
State:      not quarantined
Agent:      pod-quarantine/default
Workload:   Deployment web
Policies:   answers (mode enforce): healthy
              2030-01-31T12:04:59Z   HTTP 200
"
    );
}

#[test]
fn the_refusal_that_holds_a_quarantine_back_is_printed() {
    let mut pod = explained();
    let limit = HeldBack {
        reason: "WorkloadLimit".to_owned(),
        sentence: "the workload's limit is reached: 2 of at most 2".to_owned(),
    };
    pod.asked = Some(limit.clone());
    pod.namespace_mode = "observe".to_owned();
    pod.exempt = true;
    pod.other_policies = vec!["queue".to_owned(), "slow".to_owned()];
    pod.mistakes = vec!["exempt is \"?\"".to_owned()];
    let opinion = &mut pod.policies[0];
    opinion.verdict = "unhealthy".to_owned();
    opinion.reason = Some("4 bad probes in a row: HTTP 500".to_owned());
    opinion.held_back = Some(limit);
    opinion.evidence.clear();
    assert_eq!(
        text(pod),
        "\
Pod:        shop/web-7d4b9c-x2x8k
State:      not quarantined
Agent:      pod-quarantine/default
Workload:   Deployment web
Mode:       the namespace lowers the mode to observe
Exempt:     yes: the pod is never quarantined
Manual:     held back by WorkloadLimit: the workload's limit is reached: 2 of at most 2
Policies:   answers (mode enforce): unhealthy: 4 bad probes in a row: HTTP 500
              held back by WorkloadLimit: the workload's limit is reached: 2 of at most 2
              no sample yet
            not selected by queue, slow
Mistakes:   exempt is \"?\"
"
    );
}

#[test]
fn a_pod_that_no_policy_selects_is_explained() {
    let mut pod = explained();
    pod.policies.clear();
    pod.other_policies = vec!["queue".to_owned()];
    pod.workload = None;
    let text = text(pod);
    assert!(text.contains("no policy selects the pod\n"), "{text}");
    assert!(text.contains("not selected by queue\n"), "{text}");
    assert!(
        text.contains("ReplicaSet web-7d4b9c, which the agent"),
        "{text}"
    );
}

#[test]
fn a_pod_that_the_agent_does_not_know_is_reported_as_unknown() {
    let mut answer = answer(None);
    answer.stale = Some("the pods were not read yet".to_owned());
    let text = in_service(plain(), Ok(answer), Vec::new()).text(now());
    assert!(text.contains("may be out of date: the pods were not read yet"));
    assert!(text.contains("the agent does not know the pod"), "{text}");
}

#[test]
fn a_pause_is_printed_with_its_reason() {
    let mut answer = answer(Some(explained()));
    answer.pause = Some(Pause::read("{\"reason\":\"we move\"}"));
    let text = in_service(plain(), Ok(answer), Vec::new()).text(now());
    let line = "            paused: we move: nothing is quarantined and nothing is deleted\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn an_agent_says_whether_it_leads() {
    let mut standby = answer(None);
    standby.acts = false;
    let sent = serde_json::to_string(&standby).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&sent).unwrap(), standby);
}

#[test]
fn without_an_agent_the_annotations_and_events_are_printed() {
    let why_not = || Err("no pod is there".to_owned());
    let nothing = in_service(plain(), why_not(), Vec::new());
    assert!(nothing.says_nothing());
    let mut kubelet = event("Unhealthy", "Readiness probe failed");
    kubelet.reporter = "kubelet".to_owned();
    assert!(in_service(plain(), why_not(), vec![kubelet]).says_nothing());

    let mut exempt = plain();
    exempt["metadata"]["annotations"] = json!({ keys::EXEMPT: "true" });
    let exempt = in_service(exempt, why_not(), Vec::new());
    assert!(!exempt.says_nothing());
    let printed = exempt.text(now());
    assert!(
        printed.contains("Annotations:   pod-quarantine.io/exempt: \"true\""),
        "{printed}"
    );

    let mut refused = event("QuarantineRefused", "policy answers: the pod is exempt");
    refused.count = 3;
    let refused = in_service(plain(), why_not(), vec![refused]);
    assert!(!refused.says_nothing());
    let printed = refused.text(now());
    let line = "5m   QuarantineRefused   policy answers: the pod is exempt (x3)";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn the_json_of_why_says_that_a_pod_is_not_quarantined() {
    let value = in_service(plain(), Ok(answer(Some(explained()))), Vec::new());
    let value = serde_json::to_value(value).unwrap();
    assert_eq!(value["quarantined"], false);
    let pod = &value["explanation"]["pod"];
    assert_eq!(pod["namespaceMode"], "enforce");
    assert_eq!(pod["policies"][0]["heldBack"], Value::Null);
}
