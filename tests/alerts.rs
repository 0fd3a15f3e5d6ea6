//! The alerts in `deploy/alerts` are about metrics that there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::collections::BTreeSet;

use pod_quarantine::report::metrics::Metrics;
use promql_parser::parser;
use serde_json::Value;

const RULES: &str = include_str!("../deploy/alerts/prometheusrule.yaml");

fn rules() -> Vec<Value> {
    let object: Value = serde_saphyr::from_str(RULES).unwrap();
    assert_eq!(object["kind"], "PrometheusRule");
    let groups = object["spec"]["groups"].as_array().unwrap().clone();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// The names of metrics in an expression.
fn metrics(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter_map(|word| word.strip_prefix("pod_quarantine_"))
        .collect()
}

#[test]
fn each_is_promql_about_metrics_of_the_agent() {
    let known = Metrics::new().unwrap();
    let known: BTreeSet<&str> = known
        .names()
        .iter()
        .filter_map(|name| name.strip_prefix("pod_quarantine_"))
        .collect();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        let expression = rule["expr"].as_str().unwrap();
        parser::parse(expression).unwrap_or_else(|error| panic!("{name}: {error}"));
        let used = metrics(expression);
        assert!(!used.is_empty(), "{name}");
        assert!(used.is_subset(&known), "{name}: {used:?}");
        assert!(rule["annotations"]["summary"].is_string(), "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(
            ["info", "warning", "critical"].contains(&severity),
            "{name}"
        );
    }
}

/// Whatever holds the agent back as a whole has an alert.
#[test]
fn each_state_that_holds_the_agent_back_has_one() {
    let rules = rules();
    let used: BTreeSet<&str> = rules
        .iter()
        .flat_map(|rule| metrics(rule["expr"].as_str().unwrap()))
        .collect();
    for metric in [
        "storm_active",
        "paused",
        "leader",
        "watch_broken",
        "unreadable_objects",
        "write_failures_total",
        "config_last_reload_successful",
        "clock_offset_seconds",
        "signal_last_success_timestamp_seconds",
        "limit_used",
        "replacement_not_ready_total",
        "not_drained_total",
    ] {
        assert!(used.contains(metric), "{metric}");
    }
}
