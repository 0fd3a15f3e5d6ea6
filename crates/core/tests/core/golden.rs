//! What each version of the agent has written is read by this one, with nothing lost. Each version has its files in
//! `tests/golden`: as they were written, never to be changed.

use std::{collections::BTreeMap, fs, path::PathBuf};

use pod_quarantine_core::{
    keys,
    ledger::Ledger,
    record::{Record, RecordState},
};
use serde_json::Value;

use crate::world::{pod, version};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

/// The directories, by version.
fn versions() -> BTreeMap<String, PathBuf> {
    let directories = fs::read_dir(GOLDEN).unwrap().map(|entry| entry.unwrap());
    directories
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect()
}

/// The record of a pod, as it reads it.
fn record(text: &str) -> Record {
    let uid = serde_json::from_str::<Value>(text).unwrap()["uid"]
        .as_str()
        .unwrap()
        .into();
    let mut pod = pod("a");
    pod.uid = uid;
    pod.annotations.insert(keys::RECORD.into(), text.into());
    let RecordState::Readable(record) = pod.record() else {
        panic!("{:?}", pod.record())
    };
    record.claimed().clone()
}

fn ledger(text: &str) -> Ledger {
    let entries: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
    let entries = entries.iter().map(|(key, text)| (&**key, &**text));
    Ledger::read(version(1), entries)
}

/// Whether all that is in one value is in the other.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| is_in(part, whole))),
        _ => part == whole,
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

#[test]
fn the_records_of_every_version_are_read_whole() {
    for (version, directory) in versions() {
        let text = fs::read_to_string(directory.join("record.json")).unwrap();
        let text = text.trim();
        let written = record(text).to_text().unwrap();
        assert!(is_in(&json(text), &json(&written)), "{version}: {written}");
    }
}

#[test]
fn the_ledgers_of_every_version_are_read_whole() {
    for (version, directory) in versions() {
        let text = fs::read_to_string(directory.join("ledger.json")).unwrap();
        let ledger = ledger(&text);
        assert!(ledger.unreadable.is_empty(), "{:?}", ledger.unreadable);
        let written = ledger.entries();
        let golden: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        assert_eq!(
            golden.keys().collect::<Vec<_>>(),
            written.keys().collect::<Vec<_>>()
        );
        for (key, text) in golden {
            let written = &written[&key];
            assert!(
                is_in(&json(&text), &json(written)),
                "{version} {key}: {written}"
            );
        }
    }
}

/// The files have every field: what this version writes is what it wrote into them.
#[test]
fn this_version_has_its_files() {
    let directory = versions().remove(env!("CARGO_PKG_VERSION")).unwrap();
    let text = fs::read_to_string(directory.join("record.json")).unwrap();
    assert_eq!(record(text.trim()).to_text().unwrap(), text.trim());
    let text = fs::read_to_string(directory.join("ledger.json")).unwrap();
    let golden: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert_eq!(ledger(&text).entries(), golden);
    let optional = [
        "recordBefore",
        "ready",
        "lost",
        "replaced",
        "expires",
        "reset",
        "since",
    ];
    for field in optional {
        assert!(golden.values().any(|text| text.contains(field)), "{field}");
    }
}
