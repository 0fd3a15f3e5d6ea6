//! What the README shows is so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::collections::BTreeSet;

use clap::CommandFactory;
use pod_quarantine::{
    config,
    core::{keys, policy::Mode, reason::Reason},
    plugin::{arguments::Arguments, list::table, quarantined::Quarantined, session::FoundPod},
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
        keys::RESET,
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

/// The words of a command line, as a shell parts them; what comes behind a `#` or a `>` is none of them.
fn words(line: &str) -> Vec<String> {
    let line = line.split([' ', '\t']).map(str::trim);
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for piece in line.filter(|piece| !piece.is_empty()) {
        if !quoted && (piece.starts_with('#') || piece == ">") {
            break;
        }
        let text = piece.replace('"', "");
        match words.last_mut() {
            Some(last) if quoted => *last = format!("{last} {text}"),
            _ => words.push(text),
        }
        quoted ^= piece.matches('"').count() == 1;
    }
    words
}

#[test]
fn its_commands_of_the_plugin_are_understood() {
    let lines = README
        .lines()
        .filter_map(|line| line.strip_prefix("$ kubectl quarantine"));
    let mut commands = BTreeSet::new();
    for line in lines {
        let words = words(&format!("kubectl-quarantine{line}"));
        let arguments =
            Arguments::read(&words).unwrap_or_else(|mistake| panic!("{line}: {mistake}"));
        commands.insert(format!("{:?}", std::mem::discriminant(&arguments.command)));
    }
    let all = Arguments::command();
    let all: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(commands.len(), all.len(), "not all of {all:?} are shown");
    assert_eq!(
        words("add web --reason \"wrong prices, ask Ann\"   # now"),
        ["add", "web", "--reason", "wrong prices, ask Ann"]
    );
}

#[test]
fn its_table_has_the_heads_of_the_plugin() {
    let heads = table(&[], false, false, jiff::Timestamp::UNIX_EPOCH);
    let heads: Vec<&str> = heads.split("   ").map(str::trim).collect();
    let mut lines = README.lines().map(|line| {
        let cells = line.split("   ").map(str::trim);
        cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    });
    assert!(lines.any(|line| line == heads), "{heads:?}");
}

#[test]
fn it_names_every_field_that_programs_read() {
    let pod = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop",
            "name": "web-0",
            "uid": "u-1",
            "resourceVersion": "1",
            "labels": { keys::STATE: "quarantined" },
        },
    });
    let pod = FoundPod::read(serde_json::from_value(pod).unwrap()).unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let listed = Quarantined::of(&pod, Mode::Enforce, now);
    let listed = serde_json::to_value(listed).unwrap();
    let quoted = quoted();
    for field in listed.as_object().unwrap().keys() {
        assert!(quoted.contains(field.as_str()), "{field} is missing");
    }
}
