//! `docs/annotations.md` has every key, and every field of the record.

use pod_quarantine::core::{
    keys,
    record::{Record, VERSION},
};
use serde_json::json;

use crate::page::{page, quoted};

#[test]
fn every_annotation_of_people_is_in_the_readme_and_the_reference() {
    for path in ["README.md", "docs/annotations.md"] {
        let rows = page(path).rows("annotation");
        for key in [
            keys::EXEMPT,
            keys::QUARANTINE,
            keys::RELEASE,
            keys::HOLD,
            keys::TTL,
            keys::MODE,
            keys::RESET,
        ] {
            let begin = format!("`{key}: ");
            let is_there = rows.iter().any(|row| row[0].starts_with(&begin));
            assert!(is_there, "{path}: {key}");
        }
    }
}

#[test]
fn every_key_that_the_agent_writes_is_there() {
    let page = page("docs/annotations.md");
    let rows = page.rows("key");
    for key in [
        keys::STATE,
        keys::WORKLOAD,
        keys::RECORD,
        keys::FENCE,
        keys::RELEASED,
        keys::DO_NOT_DISRUPT,
        keys::SAFE_TO_EVICT,
        keys::ARGO_SYNC_OPTIONS,
        keys::DELETION_COST,
    ] {
        let is_there = rows
            .iter()
            .any(|row| quoted(&row[0]).any(|word| word == key));
        assert!(is_there, "{key}");
    }
    assert!(page.quoted().contains(keys::REBUILT));
}

#[test]
fn every_field_of_the_record_is_there() {
    let reference = json!({ "kind": "Deployment", "name": "web", "uid": "u-3" });
    let record = json!({
        "version": VERSION, "uid": "u-1", "agent": "a/b", "policy": "p", "manual": true, "reason": "r", "evidence": [],
        "at": "2030-01-31T12:00:00Z", "expires": "2030-01-31T16:00:00Z", "labels": {}, "edits": {},
        "annotations": {}, "owner": reference, "workload": reference, "detach": "workload", "restarts": 0,
        "services": [],
    });
    let record: Record = serde_json::from_value(record).unwrap();
    let written = serde_json::to_value(record).unwrap();
    let quoted = page("docs/annotations.md").quoted();
    for field in written.as_object().unwrap().keys() {
        assert!(quoted.contains(field), "{field}");
    }
}
