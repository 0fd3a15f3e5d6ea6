//! A quarantined pod is explained.

use pod_quarantine::{
    core::{keys, policy::Mode},
    plugin::why::quarantined::QuarantineDetails,
};
use serde_json::{Value, json};

use crate::pods::{annotated, event, now, pod, read, record, recorded};

fn details(pod: Value, mode: Mode) -> QuarantineDetails {
    let events = vec![event("Quarantined", "policy web-5xx: HTTP 500.\nKept")];
    let details = QuarantineDetails::of(&read(pod), mode, events, now());
    details.expect("it counts as quarantined")
}

fn text(pod: Value) -> String {
    details(pod, Mode::Enforce).text(now())
}

/// The lines of a paragraph.
fn paragraph(text: &str, head: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(head));
    let first = lines.next().unwrap_or_else(|| panic!("no {head}: {text}"));
    let first = first.split_once(':').unwrap().1;
    let more = lines.take_while(|line| line.starts_with(' '));
    std::iter::once(first)
        .chain(more)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn the_record_is_explained_in_words() {
    assert_eq!(
        text(pod()),
        "\
Pod:             shop/web-7d4b9c-x2x8k
State:           quarantined for 5m, since 2030-01-31T12:00:00Z
Policy:          web-5xx (agent pod-quarantine/default)
Reason:          3 bad probes in a row: HTTP 500
Evidence:        2030-01-31T11:59:50Z   HTTP 500
                 2030-01-31T11:59:55Z   HTTP 500
Taken from:      Deployment/web; ReplicaSet/web-7d4b9c no longer owns the pod
Services left:   web
                 web-canary
Labels:          enabled: \"true\" -> \"false\"
                 pod-template-hash: \"7d4b9c\" -> none
Annotations:     karpenter.sh/do-not-disrupt: none -> \"true\"
Next:            deleted in 3h55m, at 2030-01-31T16:00:00Z
Restarts:        1 since the quarantine: the state in memory is lost
                 no container has a liveness probe
Events:          5m   Quarantined   policy web-5xx: HTTP 500. Kept
"
    );
}

#[test]
fn later_changes_by_others_are_printed() {
    let mut changed = annotated(keys::DO_NOT_DISRUPT, "no");
    changed["metadata"]["labels"]["enabled"] = "perhaps".into();
    changed["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d4b9c", "uid": "u-2", "controller": true,
    }]);
    let text = text(changed);
    let labels = paragraph(&text, "Labels");
    assert_eq!(
        labels[0],
        "enabled: \"true\" -> \"false\", changed since: \"perhaps\""
    );
    let annotations = paragraph(&text, "Annotations");
    assert!(annotations[0].ends_with("changed since: \"no\""));
    let from = paragraph(&text, "Taken from");
    assert_eq!(
        from,
        ["Deployment/web; ReplicaSet/web-7d4b9c still owns the pod"]
    );
}

#[test]
fn for_a_pod_that_stays_in_its_controller_only_the_services_are_named() {
    let mut record = record();
    record["detach"] = "service".into();
    let text = text(recorded(&record.to_string()));
    let from = paragraph(&text, "Taken from");
    assert_eq!(from, ["its Services alone; it stays in Deployment/web"]);
}

#[test]
fn the_next_events_are_printed_with_their_times() {
    let next = |pod: Value, mode: Mode| paragraph(&details(pod, mode).text(now()), "Next");
    let enforced = |pod| next(pod, Mode::Enforce);
    assert_eq!(
        enforced(annotated(keys::HOLD, "true")),
        [
            "held; remove the hold with: kubectl quarantine hold web-7d4b9c-x2x8k --off",
            "its TTL expires in 3h55m, at 2030-01-31T16:00:00Z",
        ]
    );
    assert_eq!(
        enforced(annotated(keys::HOLD, "2030-01-31T18:00:00Z")),
        [
            "held for 5h55m, until 2030-01-31T18:00:00Z",
            "its TTL expires in 3h55m, at 2030-01-31T16:00:00Z",
        ]
    );
    assert_eq!(
        enforced(annotated(keys::TTL, "1m")),
        ["about to be deleted: its TTL expired at 2030-01-31T12:01:00Z"]
    );
    assert_eq!(
        enforced(recorded("{")),
        [
            "the pod is not deleted: its original labels are unknown: the pod counts against the limits, and is never deleted"
        ]
    );
    assert_eq!(
        next(pod(), Mode::Observe)[0],
        "the pod is not deleted: the namespace lowers the mode to observe"
    );
    let asked = enforced(annotated(keys::RELEASE, "true"));
    assert!(
        asked[1].starts_with("its release is requested (\"true\")"),
        "{asked:?}"
    );
    let mistaken = enforced(annotated(keys::TTL, "1M"));
    assert!(mistaken[1].contains("expected a duration"), "{mistaken:?}");
    let mut going = pod();
    going["metadata"]["deletionTimestamp"] = "2030-01-31T12:04:00Z".into();
    assert_eq!(enforced(going), ["the pod is being deleted"]);
}

#[test]
fn a_restart_in_quarantine_is_printed() {
    let mut probed = pod();
    probed["spec"]["containers"][0]["livenessProbe"] = json!({ "tcpSocket": { "port": 80 } });
    let status = &mut probed["status"]["containerStatuses"][0];
    status["lastState"] = json!({
        "terminated": { "exitCode": 137, "finishedAt": "2030-01-31T12:02:00Z" },
    });
    assert_eq!(
        paragraph(&text(probed.clone()), "Restarts"),
        [
            "1 since the quarantine, the last one 3m ago: the state in memory is lost",
            "container web is restarted when its liveness probe fails",
        ]
    );
    probed["status"]["containerStatuses"][0]["restartCount"] = 1.into();
    let before = paragraph(&text(probed), "Restarts");
    assert_eq!(before[0], "none since the quarantine");
}

#[test]
fn for_a_manual_quarantine_the_policy_whose_ttl_applies_is_named() {
    let policy = |name: &str| {
        let mut record = record();
        record["policy"] = name.into();
        record["manual"] = true.into();
        record["evidence"] = json!([]);
        let text = text(recorded(&record.to_string()));
        assert!(paragraph(&text, "Evidence")[0].starts_with("none: a person"));
        paragraph(&text, "Policy").concat()
    };
    assert_eq!(
        policy("web-5xx"),
        "manual; the ttl is that of policy web-5xx (agent pod-quarantine/default)"
    );
    assert_eq!(policy("by-hand"), "manual (agent pod-quarantine/default)");
}

#[test]
fn the_json_of_why_has_the_same_keys_and_more() {
    let value = serde_json::to_value(details(pod(), Mode::Enforce)).unwrap();
    assert_eq!(value["quarantined"], true);
    assert_eq!(value["name"], "web-7d4b9c-x2x8k");
    assert_eq!(
        value["evidence"][0],
        json!({ "at": "2030-01-31T11:59:50Z", "saw": "HTTP 500" })
    );
    assert_eq!(
        value["labels"][1],
        json!({ "key": "pod-template-hash", "before": "7d4b9c", "written": null, "now": null })
    );
    assert_eq!(value["events"][0]["reason"], "Quarantined");
}
