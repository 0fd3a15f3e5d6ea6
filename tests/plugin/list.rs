//! The table of quarantined pods, and what programs read.

use pod_quarantine::{
    core::{keys, ledger::Pause, policy::Mode},
    plugin::{
        list::{Table, mode_of, modes},
        paused::{Paused, pauses},
        quarantined::Quarantined,
    },
};
use serde_json::{Value, json};

use crate::pods::{annotated, now, pod, read, record, recorded};

fn listed_in(pod: Value, mode: Mode) -> Quarantined {
    let listed = Quarantined::of(&read(pod), mode, now());
    listed.expect("it counts as quarantined")
}

fn listed(pod: Value) -> Quarantined {
    listed_in(pod, Mode::Enforce)
}

/// The cells of the only row, by its columns' heads.
fn cells(pod: &Quarantined) -> Vec<(String, String)> {
    let text = Table::new(true, true, true).lines(std::slice::from_ref(pod), now());
    let mut lines = text.lines();
    let (heads, row) = (lines.next().unwrap(), lines.next().unwrap());
    let split = |line: &str| -> Vec<String> {
        let cells = line.split("   ").filter(|cell| !cell.is_empty());
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let (heads, row) = (split(heads), split(row));
    assert_eq!(heads.len(), row.len(), "{text}");
    heads.into_iter().zip(row).collect()
}

fn cell(pod: &Quarantined, head: &str) -> String {
    let mut cells = cells(pod).into_iter();
    let found = cells.find(|(of, _)| of == head);
    found.unwrap_or_else(|| panic!("no {head}")).1
}

#[test]
fn a_table_is_laid_out_as_kubectl_does_it() {
    let mut second = listed(pod());
    second.name = "web-7d4b9c-y".to_owned();
    second.reason = Some("wrong prices,\nask Ann".to_owned());
    let text = Table::new(false, false, true).lines(&[listed(pod()), second], now());
    assert_eq!(
        text,
        "\
POD                WORKLOAD         POLICY    REASON                            AGE   TIME LEFT   HELD
web-7d4b9c-x2x8k   Deployment/web   web-5xx   3 bad probes in a row: HTTP 500   5m    3h55m       no
web-7d4b9c-y       Deployment/web   web-5xx   wrong prices, ask Ann             5m    3h55m       no
"
    );
}

#[test]
fn the_wide_table_shows_the_node_and_the_services_left() {
    let pod = listed(pod());
    let wanted = [
        ("NAMESPACE", "shop"),
        ("AGENT", "pod-quarantine/default"),
        ("NODE", "node-1"),
        ("PHASE", "Running"),
        ("RESTARTS", "1"),
        ("LEFT SERVICES", "web,web-canary"),
        ("EXPIRES", "2030-01-31T16:00:00Z"),
    ];
    for (head, text) in wanted {
        assert_eq!(cell(&pod, head), text);
    }
}

#[test]
fn the_hold_and_ttl_annotations_count() {
    let longer = listed(annotated(keys::TTL, "48h"));
    assert_eq!(cell(&longer, "TIME LEFT"), "47h");
    let unreadable = listed(annotated(keys::TTL, "a while"));
    assert_eq!(cell(&unreadable, "TIME LEFT"), "3h55m");
    let past = listed(annotated(keys::TTL, "1m"));
    assert_eq!(cell(&past, "TIME LEFT"), "0s");
    for (hold, held) in [
        ("true", "yes"),
        ("perhaps", "yes"),
        ("2030-01-31T12:15:00Z", "10m"),
        ("2030-01-31T12:00:00Z", "no"),
        ("false", "no"),
    ] {
        assert_eq!(cell(&listed(annotated(keys::HOLD, hold)), "HELD"), held);
    }
}

#[test]
fn a_pod_without_a_readable_record_is_listed_as_never_deleted() {
    let mut newer = record();
    newer["version"] = 2.into();
    let mut unlabelled = pod();
    unlabelled["metadata"]["labels"] = json!({});
    let mut without = pod();
    without["metadata"]["annotations"] = json!({});
    for (pod, reason) in [
        (recorded("{"), "record damaged: EOF while parsing"),
        (without, "record missing"),
        (
            recorded(&newer.to_string()),
            "HTTP 500 (record of the newer version 2)",
        ),
        (unlabelled, "HTTP 500 (state label removed)"),
    ] {
        let pod = listed(pod);
        let text = cell(&pod, "REASON");
        assert!(text.contains(reason), "{text}");
        assert_eq!(cell(&pod, "TIME LEFT"), "never");
    }
    assert_eq!(cell(&listed(recorded("{")), "POLICY"), "<unknown>");
    assert_eq!(cell(&listed(recorded("{")), "AGE"), "<unknown>");
}

#[test]
fn a_pod_in_service_is_not_listed() {
    let mut other = record();
    other["uid"] = "u-9".into();
    let mut copied = recorded(&other.to_string());
    copied["metadata"]["labels"] = json!({});
    let listed = Quarantined::of(&read(copied), Mode::Enforce, now());
    assert_eq!(listed, None);
}

#[test]
fn a_namespace_that_lowers_the_mode_pauses_the_ttl() {
    let off = listed_in(pod(), Mode::Off);
    assert_eq!(cell(&off, "TIME LEFT"), "paused (off)");
    let mut terminating = pod();
    terminating["metadata"]["deletionTimestamp"] = "2030-01-31T12:04:00Z".into();
    assert_eq!(cell(&listed(terminating), "TIME LEFT"), "terminating");

    let lowered = [
        ("back".to_owned(), Mode::Off),
        ("shop".to_owned(), Mode::Off),
        ("test".to_owned(), Mode::Observe),
    ];
    assert_eq!(
        modes(&lowered),
        [
            "namespaces back, shop: the mode is off: nothing is touched",
            "namespace test: the mode is observe: nothing is quarantined and nothing is deleted",
        ]
    );
    assert_eq!(modes(&[]), Vec::<String>::new());
    assert_eq!(mode_of(&lowered, "test"), Mode::Observe);
    assert_eq!(mode_of(&lowered, "other"), Mode::Enforce);
}

/// An installation with this entry in its ledger.
fn paused(agent: &str, entry: &str) -> Paused {
    Paused::new(agent.to_owned(), &Pause::read(entry))
}

#[test]
fn a_pause_pauses_the_ttl_of_the_pods_of_that_agent() {
    let entry = "{\"reason\":\"we move\",\"since\":\"2030-01-31T12:01:00Z\"}";
    let own = [
        paused("other/default", "x"),
        paused("pod-quarantine/default", entry),
    ];
    let pod_is = |pod: Quarantined| (cell(&pod, "TIME LEFT"), pod.kept_because);
    let why = "paused since 2030-01-31T12:01:00Z: we move".to_owned();
    let stopped = listed(pod()).noting_pauses(&own);
    assert!(stopped.paused);
    assert_eq!(pod_is(stopped), ("paused".to_owned(), Some(why)));
    let anothers = listed(pod()).noting_pauses(&own[..1]);
    assert_eq!(pod_is(anothers), ("3h55m".to_owned(), None));
    // A cause that outlasts the pause is printed instead.
    let lowered = listed_in(pod(), Mode::Off).noting_pauses(&own);
    assert_eq!(cell(&lowered, "TIME LEFT"), "paused (off)");
    let mut newer = record();
    newer["version"] = 2.into();
    let newer = listed(recorded(&newer.to_string())).noting_pauses(&own);
    assert_eq!(cell(&newer, "TIME LEFT"), "never");
}

#[test]
fn a_pause_is_printed_whatever_people_wrote_into_the_ledger() {
    let entry = "{\"reason\":\"we move\",\"since\":\"2030-01-31T12:01:00.5Z\"}";
    let all = [entry, "wait,\nsays Ann", " "];
    let all = all.map(|entry| paused("pod-quarantine/default", entry));
    let means = "nothing is quarantined and nothing is deleted";
    assert_eq!(
        pauses(&all),
        [
            format!(
                "agent pod-quarantine/default: paused since 2030-01-31T12:01:00Z: we move: {means}"
            ),
            format!("agent pod-quarantine/default: paused: wait, says Ann: {means}"),
            format!("agent pod-quarantine/default: paused: {means}"),
        ]
    );
    assert_eq!(
        serde_json::to_value(&all[1]).unwrap(),
        json!({ "agent": "pod-quarantine/default", "reason": "wait,\nsays Ann", "since": null })
    );
}

#[test]
fn a_pod_that_a_person_quarantined_is_of_no_policy() {
    let manual = |policy: &str| {
        let mut record = record();
        record["policy"] = policy.into();
        record["manual"] = true.into();
        record["evidence"] = json!([]);
        listed(recorded(&record.to_string()))
    };
    let narrow = |pod| Table::new(false, false, true).lines(std::slice::from_ref(&pod), now());
    for policy in ["web-5xx", "by-hand"] {
        let text = narrow(manual(policy));
        assert!(text.contains("Deployment/web   manual   3 bad"), "{text}");
    }
    // The policy whose ttl applies is for those who look closer.
    assert_eq!(cell(&manual("web-5xx"), "POLICY"), "manual (web-5xx)");
    assert_eq!(cell(&manual("by-hand"), "POLICY"), "manual");
    let value = serde_json::to_value(manual("web-5xx")).unwrap();
    assert_eq!(value["policy"], "web-5xx");
}

#[test]
fn times_are_printed_to_the_second() {
    let mut record = record();
    record["at"] = "2030-01-31T12:00:00.123456789Z".into();
    record["expires"] = "2030-01-31T16:00:00.987654321Z".into();
    let pod = listed(recorded(&record.to_string()));
    assert_eq!(cell(&pod, "EXPIRES"), "2030-01-31T16:00:00Z");
    let value = serde_json::to_value(pod).unwrap();
    assert_eq!(value["quarantinedAt"], "2030-01-31T12:00:00Z");
    assert_eq!(value["expiresAt"], "2030-01-31T16:00:00Z");
}

#[test]
fn the_json_of_list_has_stable_keys() {
    let pod = listed(annotated(keys::HOLD, "2030-01-31T12:15:00Z"));
    assert_eq!(
        serde_json::to_value(pod).unwrap(),
        json!({
            "namespace": "shop",
            "name": "web-7d4b9c-x2x8k",
            "uid": "u-1",
            "agent": "pod-quarantine/default",
            "workload": "Deployment/web",
            "policy": "web-5xx",
            "reason": "3 bad probes in a row: HTTP 500",
            "quarantinedAt": "2030-01-31T12:00:00Z",
            "expiresAt": "2030-01-31T16:00:00Z",
            "held": true,
            "heldUntil": "2030-01-31T12:15:00Z",
            "keptBecause": null,
            "problem": null,
            "namespaceMode": null,
            "paused": false,
            "services": ["web", "web-canary"],
            "node": "node-1",
            "phase": "Running",
            "restarts": 1,
            "terminating": false,
            "ended": null,
        })
    );
}
