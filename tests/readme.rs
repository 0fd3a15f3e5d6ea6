//! What the README shows is so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::collections::BTreeSet;

use pod_quarantine::{
    config,
    core::{keys, policy::Mode, reason::Reason},
    report::metrics::Metrics,
};

const README: &str = include_str!("../README.md");

/// The words in backticks.
fn quoted() -> BTreeSet<&'static str> {
    let lines = README.lines().filter(|line| !line.starts_with("```"));
    lines
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn its_policy_file_is_accepted_without_a_warning() {
    let (_, rest) = README.split_once("```yaml\n").unwrap();
    let (policy, _) = rest.split_once("```").unwrap();
    let checked =
        config::check_text("README.md", policy).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let warnings: Vec<String> = checked.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, Vec::<String>::new());
    let modes: Vec<Mode> = checked
        .file
        .policies
        .iter()
        .map(|policy| policy.mode)
        .collect();
    assert_eq!(modes, [Mode::Enforce, Mode::Observe]);
}

#[test]
fn it_names_every_refusal() {
    let quoted = quoted();
    for reason in Reason::ALL {
        assert!(
            quoted.contains(reason.as_str()),
            "{} is missing",
            reason.as_str()
        );
    }
}

#[test]
fn it_names_every_annotation_of_people() {
    for key in [
        keys::EXEMPT,
        keys::QUARANTINE,
        keys::RELEASE,
        keys::HOLD,
        keys::TTL,
        keys::MODE,
    ] {
        assert!(README.contains(&format!("`{key}: ")), "{key} is missing");
    }
    for key in [keys::STATE, keys::FENCE, keys::RELEASED] {
        assert!(README.contains(key), "{key} is missing");
    }
}

#[test]
fn it_names_every_metric_and_no_other() {
    let metrics = Metrics::new().unwrap();
    let section = README
        .split("\n## ")
        .find(|section| section.starts_with("Metrics"))
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let named = rows.filter_map(|row| row.split('|').nth(1));
    let named: BTreeSet<&str> = named
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let known: BTreeSet<&str> = metrics
        .names()
        .iter()
        .filter_map(|name| name.strip_prefix("pod_quarantine_"))
        .collect();
    assert_eq!(named, known);
}

#[test]
fn every_place_of_the_design_is_there() {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `"));
    let places = rows
        .filter_map(|row| row.split('`').next())
        .filter(|place| place.contains('/'));
    let places: Vec<&str> = places.filter(|place| !place.contains(".io/")).collect();
    assert!(places.len() > 8, "{places:?}");
    for place in places {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
        assert!(path.exists(), "{place} is not there");
    }
}
