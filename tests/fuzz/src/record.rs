//! The record on a quarantined pod: the text of the annotation.

use pod_quarantine_core::{
    judge::Findings,
    keys,
    object::Pod,
    record::{MAX_BYTES, Record, RecordState, Untrusted},
    restore::{self, Released},
};
use test_objects::changed;

use crate::cluster::{
    after_hours, assert_pods_are_left_alone, empty_ledger, file, plan, pod, start, view,
};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let pod = with(text);
    match pod.record() {
        RecordState::Absent => {}
        RecordState::Damaged(why) => assert!(why.len() < 512 && !why.contains('\n'), "{why}"),
        RecordState::Readable(record) => {
            let record = record.claimed();
            assert!(text.len() <= MAX_BYTES);
            assert_eq!(record.version, 1);
            it_is_read_back_as_written(record);
            a_release_changes_nothing_but_what_it_names(&pod, record);
        }
        RecordState::Newer(version, record) => {
            assert!(*version > 1 && text.len() <= MAX_BYTES);
            let record = record.as_deref().map(Untrusted::claimed);
            assert!(record.is_none_or(|record| record.uid == pod.uid));
        }
    }
    what_the_ledger_does_not_know_is_left_alone(pod);
}

fn with(text: &str) -> Pod {
    let mut pod = pod();
    pod.annotations.insert(keys::RECORD.into(), text.into());
    pod
}

fn it_is_read_back_as_written(record: &Record) {
    let Ok(written) = record.to_text() else {
        assert!(serde_json::to_string(record).unwrap().len() > MAX_BYTES);
        return;
    };
    assert!(written.len() <= MAX_BYTES);
    let again = with(&written);
    let again = again.record().claimed().expect("it is a record");
    let cut = Record {
        evidence: again.evidence.clone(),
        reason: again.reason.clone(),
        ..record.clone()
    };
    assert_eq!(*again, cut, "nothing else was left out");
    assert!(record.evidence.ends_with(&again.evidence));
    assert!(record.reason.starts_with(&*again.reason));
    if serde_json::to_string(record).unwrap().len() <= MAX_BYTES {
        assert_eq!(again, record);
    }
}

fn a_release_changes_nothing_but_what_it_names(pod: &Pod, record: &Record) {
    let mut pod = pod.clone();
    pod.labels = record.labels.clone();
    for (key, value) in &record.edits {
        match value {
            Some(value) => pod.labels.insert(key.clone(), value.clone()),
            None => pod.labels.remove(key),
        };
    }
    pod.labels
        .insert(keys::STATE.into(), keys::QUARANTINED.into());
    pod.labels.insert(keys::WORKLOAD.into(), "web".into());
    let released = Released {
        at: start(),
        until: after_hours(1),
        deletion_cost: None,
    };
    let restoration = restore::restore(&pod, record, &released, true);
    for (key, value) in &restoration.change.labels {
        let own = [keys::STATE, keys::WORKLOAD].contains(&&**key);
        assert!(own || record.edits.contains_key(key), "{key}");
        assert_eq!(value.as_ref(), record.labels.get(key), "{key}");
    }
    let own = [
        keys::RECORD,
        keys::RELEASE,
        keys::QUARANTINE,
        keys::FENCE,
        keys::DELETION_COST,
        keys::RELEASED,
    ];
    for key in restoration.change.annotations.keys() {
        assert!(
            own.contains(&&**key) || record.annotations.contains_key(key),
            "{key}"
        );
    }
    let after = changed(&pod, &restoration.change);
    assert_eq!(after.labels, record.labels, "as they were");
    assert_eq!(*after.record(), RecordState::Absent);
    assert_eq!(restore::left_alone_until(&after), Some(released.until));
}

/// Whoever may patch a pod can write a record.
fn what_the_ledger_does_not_know_is_left_alone(mut pod: Pod) {
    pod.labels
        .insert(keys::STATE.into(), keys::QUARANTINED.into());
    let mut view = view(empty_ledger());
    assert!(view.put_pod(pod));
    for hours in [0, 24 * 100] {
        let plan = plan(&file(), &view, &Findings::default(), after_hours(hours));
        assert_pods_are_left_alone(&plan);
        assert_eq!(plan.lookups, [], "after {hours} h");
    }
}
