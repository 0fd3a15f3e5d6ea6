//! `docs/metrics.md` has every metric, cause, alert and Event, and no other.

use std::collections::BTreeSet;

use pod_quarantine::{
    core::{
        notice::{EventReason, Topic},
        write::ReleaseCause,
    },
    report::metrics::Metrics,
    signal::ErrorCause,
};
use serde_json::Value;

use crate::page::{file, page, quoted};

/// The words in backticks of the first cells of a table.
fn first_cells(head: &str) -> Vec<String> {
    let rows = page("docs/metrics.md").rows(head);
    let words = rows.iter().flat_map(|row| quoted(&row[0]));
    words.map(str::to_owned).collect()
}

fn set(words: Vec<String>) -> BTreeSet<String> {
    let count = words.len();
    let set = BTreeSet::from_iter(words);
    assert_eq!(set.len(), count, "one is there twice");
    set
}

#[test]
fn every_metric_is_there_and_no_other() {
    let metrics = Metrics::new().unwrap();
    let names = metrics.names().iter();
    let known: BTreeSet<String> = names
        .map(|name| name.strip_prefix("pod_quarantine_").unwrap().to_owned())
        .collect();
    assert_eq!(set(first_cells("name")), known);
}

/// Fails to compile where one is missing below.
fn known(cause: ErrorCause) -> &'static str {
    match cause {
        ErrorCause::Agent
        | ErrorCause::Busy
        | ErrorCause::Connection
        | ErrorCause::Dns
        | ErrorCause::File
        | ErrorCause::Labels
        | ErrorCause::Parse
        | ErrorCause::Query
        | ErrorCause::Request
        | ErrorCause::Size
        | ErrorCause::Stale
        | ErrorCause::Status
        | ErrorCause::Timeout
        | ErrorCause::Tls
        | ErrorCause::Warnings => cause.as_str(),
    }
}

#[test]
fn every_cause_is_there_and_no_other() {
    let causes = [
        ErrorCause::Agent,
        ErrorCause::Busy,
        ErrorCause::Connection,
        ErrorCause::Dns,
        ErrorCause::File,
        ErrorCause::Labels,
        ErrorCause::Parse,
        ErrorCause::Query,
        ErrorCause::Request,
        ErrorCause::Size,
        ErrorCause::Stale,
        ErrorCause::Status,
        ErrorCause::Timeout,
        ErrorCause::Tls,
        ErrorCause::Warnings,
    ];
    let causes = causes.map(|cause| known(cause).to_owned());
    assert_eq!(first_cells("cause of `signal_errors_total`"), causes);
}

#[test]
fn every_cause_of_a_release_is_there() {
    let known = |cause| match cause {
        ReleaseCause::Annotation | ReleaseCause::Force | ReleaseCause::ReplacementTimeout => {
            ReleaseCause::as_str(cause)
        }
    };
    let rows = page("docs/metrics.md").rows("name");
    let row = rows
        .iter()
        .find(|row| row[0] == "`releases_total`")
        .unwrap();
    for cause in [
        ReleaseCause::Annotation,
        ReleaseCause::Force,
        ReleaseCause::ReplacementTimeout,
    ] {
        assert!(row[3].contains(&format!("`{}`", known(cause))), "{row:?}");
    }
}

#[test]
fn every_alert_is_there_with_its_severity_and_no_other() {
    let rules: Value = serde_saphyr::from_str(&file("deploy/alerts/prometheusrule.yaml")).unwrap();
    let groups = rules["spec"]["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let known: Vec<(String, String)> = rules
        .map(|rule| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let name = format!("`{}`", text(&rule["alert"]));
            (name, text(&rule["labels"]["severity"]))
        })
        .collect();
    let rows = page("docs/metrics.md").rows("alert");
    let listed: Vec<(String, String)> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(listed, known);
}

/// Fails to compile where one is missing below.
fn reason(reason: EventReason) -> &'static str {
    match reason {
        EventReason::Quarantined
        | EventReason::QuarantineRefused
        | EventReason::WouldQuarantine
        | EventReason::Released
        | EventReason::Reaped
        | EventReason::Topic(_) => reason.as_str(),
    }
}

#[test]
fn every_event_is_there_and_no_other() {
    let mut known: BTreeSet<&str> = [
        EventReason::Quarantined,
        EventReason::QuarantineRefused,
        EventReason::WouldQuarantine,
        EventReason::Released,
        EventReason::Reaped,
    ]
    .map(reason)
    .into();
    known.extend(
        Topic::ALL
            .iter()
            .map(|topic| reason(EventReason::Topic(*topic))),
    );
    let listed = set(first_cells("reason"));
    assert_eq!(
        listed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        known
    );
}
