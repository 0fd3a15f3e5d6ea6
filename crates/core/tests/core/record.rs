//! The record on a quarantined pod.

use std::{collections::BTreeMap, sync::Arc};

use pod_quarantine_core::{
    keys,
    object::{Annotations, MAX_ANNOTATION_BYTES, Pod},
    policy::Detach,
    record::{Evidence, MAX_BYTES, Record, RecordState},
    text::{Fingerprint, truncate},
};
use proptest::prelude::*;

use crate::world::{START, at, labels, pod, reference};

fn record() -> Record {
    Record {
        version: 1,
        uid: pod("a").uid,
        agent: "pod-quarantine/default".into(),
        policy: "answers".into(),
        manual: false,
        reason: "3 bad probes in a row: HTTP 500".into(),
        evidence: vec![Evidence {
            at: at(START),
            saw: "HTTP 500".into(),
        }],
        at: at(START),
        expires: at("2030-01-31T16:00:00Z"),
        labels: labels(&[("app", "web"), ("gone", "x")]),
        edits: BTreeMap::from([
            ("app".into(), Some("quarantined".into())),
            ("gone".into(), None),
        ]),
        annotations: BTreeMap::from([(keys::SAFE_TO_EVICT.into(), None)]),
        owner: reference("ReplicaSet", "web-rs"),
        workload: reference("Deployment", "web"),
        detach: Detach::Workload,
        restarts: 0,
        services: vec!["web".into()],
    }
}

/// The pod `a` with that record.
fn with(text: &str) -> Pod {
    let mut pod = pod("a");
    pod.annotations.insert(keys::RECORD.into(), text.into());
    pod
}

fn damaged(text: &str) -> bool {
    matches!(with(text).record(), RecordState::Damaged(_))
}

#[test]
fn a_record_is_read_back_as_written() {
    let text = record().to_text().unwrap();
    assert_eq!(
        *with(&text).record(),
        RecordState::Readable(Box::new(record().into()))
    );
    assert_eq!(
        with(&text)
            .record()
            .claimed()
            .map(|record| record.owner.clone()),
        Some(record().owner)
    );
}

#[test]
fn the_text_is_compact_json_with_the_labels_as_a_flat_object() {
    let text = record().to_text().unwrap();
    assert!(
        text.starts_with(r#"{"version":1,"uid":"uid-of-a","#),
        "{text}"
    );
    let flat = r#","labels":{"app":"web","gone":"x"},"#;
    assert!(text.contains(flat), "{text}");
    assert!(text.contains(r#""at":"2030-01-31T12:00:00Z""#), "{text}");
}

#[test]
fn no_annotation_and_the_record_of_another_pod_are_no_record() {
    assert_eq!(*pod("a").record(), RecordState::Absent);
    let other = Record {
        uid: "another".into(),
        ..record()
    };
    assert_eq!(
        *with(&other.to_text().unwrap()).record(),
        RecordState::Absent
    );
    let newer = r#"{"version":9,"uid":"another"}"#;
    assert_eq!(*with(newer).record(), RecordState::Absent);
    assert_eq!(pod("a").record().claimed(), None);
}

#[test]
fn a_record_of_a_newer_version_is_read_as_far_as_possible() {
    let newer = Record {
        version: 2,
        ..record()
    };
    let text = newer.to_text().unwrap();
    let expected = RecordState::Newer(2, Some(Box::new(newer.into())));
    assert_eq!(*with(&text).record(), expected);
    let more = text.replacen('{', r#"{"unheardOf":[1],"#, 1);
    assert_eq!(*with(&more).record(), expected);
    let other_form = r#"{"version":2,"uid":"uid-of-a","labels":"packed"}"#;
    assert_eq!(*with(other_form).record(), RecordState::Newer(2, None));
}

#[test]
fn any_other_text_is_a_damaged_record() {
    let text = record().to_text().unwrap();
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "true",
        r#"{"version":1}"#,
        r#"{"uid":"uid-of-a"}"#,
        r#"{"version":1,"uid":"uid-of-a"}"#,
        r#"{"version":-1,"uid":"uid-of-a"}"#,
        r#"{"version":"1","uid":"uid-of-a"}"#,
        r#"{"version":4294967296,"uid":"uid-of-a"}"#,
        &text[..text.len() - 1],
        &format!("{text}{text}"),
        &text.replace(r#""version":1"#, r#""version":0"#),
        &text.replace("2030-01-31T16", "2030-01-32T16"),
        &text.replace(r#""app":"web""#, r#""app":1"#),
        &"[".repeat(100_000),
    ] {
        assert!(damaged(text), "{text:?}");
    }
}

#[test]
fn a_record_that_is_too_long_drops_its_oldest_evidence_first() {
    let sample = |index: usize| Evidence {
        at: at(START),
        saw: format!("{index} {}", "x".repeat(MAX_BYTES / 4)).into(),
    };
    let long = Record {
        evidence: (0..5).map(sample).collect(),
        ..record()
    };
    let text = long.to_text().unwrap();
    assert!(text.len() <= MAX_BYTES);
    let kept = with(&text).record().claimed().unwrap().clone();
    assert_eq!(kept.evidence, long.evidence[2..]);
    let with_all = Record {
        evidence: long.evidence.clone(),
        ..kept
    };
    assert_eq!(with_all, long, "nothing else was left out");
}

#[test]
fn a_record_that_is_too_long_without_evidence_has_its_reason_cut_between_characters() {
    let long = Record {
        reason: "é".repeat(MAX_BYTES).into(),
        ..record()
    };
    let text = long.to_text().unwrap();
    let kept = with(&text).record().claimed().unwrap().clone();
    assert_eq!(&*kept.reason, "é".repeat(128));
    assert!(kept.evidence.is_empty());
    assert_eq!(kept.labels, long.labels);
}

#[test]
fn a_record_with_too_many_labels_is_refused_and_omits_none() {
    let many = (0..100).map(|index| {
        let value: Arc<str> = "x".repeat(63).into();
        (Arc::from(format!("{index}-{}", "k".repeat(60))), value)
    });
    let long = Record {
        labels: many.collect(),
        ..record()
    };
    for reason in ["x", &"x".repeat(256), &"x".repeat(257)] {
        let long = Record {
            reason: reason.into(),
            ..long.clone()
        };
        let error = long.to_text().expect_err("it does not fit").to_string();
        assert!(error.starts_with("write the record: "), "{error}");
        assert!(error.ends_with(" bytes, at most 8192 fit"), "{error}");
    }
}

#[test]
fn a_text_is_cut_between_characters() {
    for (text, bytes, expected) in [
        ("web", 5, "web"),
        ("web", 3, "web"),
        ("web", 2, "we"),
        ("é", 1, ""),
        ("", 1, ""),
    ] {
        assert_eq!(truncate(text, bytes), expected);
    }
}

#[test]
fn the_fingerprint_is_the_first_half_of_a_sha_256() {
    assert_eq!(
        Fingerprint::of("").to_string(),
        "e3b0c44298fc1c149afbf4c8996fb924"
    );
    assert_ne!(Fingerprint::of("a"), Fingerprint::of("b"));
}

#[test]
fn a_text_longer_than_any_record_is_damaged_and_cut_where_it_is_read() {
    let text = record().to_text().unwrap();
    let padded = |bytes: usize| with(&format!("{text}{}", " ".repeat(bytes - text.len())));
    assert!(matches!(
        padded(MAX_BYTES).record(),
        RecordState::Readable(_)
    ));
    let long = padded(MAX_BYTES + 1);
    let why = "it is longer than 8192 bytes".to_owned();
    assert_eq!(*long.record(), RecordState::Damaged(why.clone()));
    let longest = padded(250_000);
    assert_eq!(*longest.record(), RecordState::Damaged(why));
    let kept = longest.annotation(keys::RECORD).unwrap();
    assert_eq!(kept.len(), MAX_ANNOTATION_BYTES);
}

/// Most pods carry the same few texts, of which there is one copy.
#[test]
fn a_text_that_is_not_cut_is_not_copied() {
    let text: Arc<str> = "x".repeat(MAX_ANNOTATION_BYTES).into();
    let read = Annotations::from_iter([(keys::RECORD.into(), text.clone())]);
    assert!(Arc::ptr_eq(read.get(keys::RECORD).unwrap(), &text));
}

#[test]
fn what_is_said_of_a_damaged_record_repeats_only_its_beginning() {
    let long = "é".repeat(2_000);
    for text in [
        format!("{long:?}"),
        record()
            .to_text()
            .unwrap()
            .replace("\"workload\",", &format!("{long:?},")),
    ] {
        let pod = with(&text);
        let RecordState::Damaged(why) = pod.record() else {
            panic!("{:?}", pod.record());
        };
        assert!(why.contains("ééé") && why.len() <= 256, "{why}");
    }
}

#[test]
fn what_is_read_follows_every_change_of_an_annotation() {
    let mut pod = with(&record().to_text().unwrap());
    assert!(pod.counts_as_quarantined());
    pod.annotations.insert(keys::RECORD.into(), "{".into());
    assert!(matches!(pod.record(), RecordState::Damaged(_)));
    pod.annotations.insert(keys::EXEMPT.into(), "true".into());
    pod.annotations.remove(keys::RECORD);
    assert_eq!(*pod.record(), RecordState::Absent);
    assert!(pod.overrides().exempt && !pod.counts_as_quarantined());
    pod.annotations.remove(keys::EXEMPT);
    assert_eq!(pod.annotations, Annotations::default());
    pod.annotations
        .extend([(keys::EXEMPT.into(), "true".into())]);
    assert!(pod.overrides().exempt);
}

proptest! {
    #![proptest_config(crate::proptest_cases(2_000))]

    #[test]
    fn no_text_of_a_record_panics(text in "(\\PC{0,60}|[{}\\[\\]\":,0-9a-z]{0,60})") {
        let _ = with(&text).record();
    }

    #[test]
    fn a_record_cut_anywhere_or_with_a_byte_changed_never_panics_nor_reads_as_absent(
        place in 0..400usize, byte in prop::char::range(' ', '~'), cut_off: bool,
    ) {
        let mut text = record().to_text().unwrap();
        let place = place % text.len();
        if cut_off {
            text.truncate(place);
            prop_assert!(damaged(&text));
        } else {
            text.replace_range(place..=place, &byte.to_string());
            let of_this_pod = text.contains(r#""uid":"uid-of-a""#);
            prop_assert!(!of_this_pod || *with(&text).record() != RecordState::Absent, "{}", text);
        }
    }
}
