//! The words of Events: kubectl shows them, alerts and the plugin look for them.

use pod_quarantine_core::{
    notice::{EventReason, RefusedPod, Topic, note_prefix},
    object::ObjectKey,
    reason::{Reason, Refusal},
};

use crate::world::SHOP;

fn refused(reason: Reason, detail: &str) -> RefusedPod {
    RefusedPod {
        pod: ObjectKey::new(SHOP, "web-0"),
        uid: "uid-of-web-0".into(),
        manual: false,
        policy: "answers".into(),
        asked: "3 bad probes in a row: HTTP 500".into(),
        refusal: Refusal::new(reason, detail),
    }
}

#[test]
fn the_note_of_a_refusal_begins_with_its_policy_and_says_what_was_seen_and_why_not() {
    let note = refused(Reason::Exempt, "").note();
    assert!(note.starts_with(&note_prefix("answers")), "{note}");
    assert_eq!(
        note,
        "policy answers (3 bad probes in a row: HTTP 500): the pod is exempt"
    );
    let note = refused(Reason::Paused, "moving").note();
    assert_eq!(
        note,
        "policy answers (3 bad probes in a row: HTTP 500): quarantine is paused: moving"
    );
}

#[test]
fn what_is_only_observed_has_a_reason_of_its_own() {
    let reason = refused(Reason::Observe, "").event_reason();
    assert_eq!(reason, EventReason::WouldQuarantine);
    let reason = refused(Reason::Exempt, "").event_reason();
    assert_eq!(reason, EventReason::QuarantineRefused);
}

#[test]
fn events_have_the_reasons_that_the_documentation_lists() {
    let reasons = [
        EventReason::Quarantined,
        EventReason::QuarantineRefused,
        EventReason::WouldQuarantine,
        EventReason::Released,
        EventReason::Reaped,
    ];
    assert_eq!(
        reasons.map(EventReason::as_str),
        [
            "Quarantined",
            "QuarantineRefused",
            "WouldQuarantine",
            "Released",
            "Reaped"
        ]
    );
    let topics = Topic::ALL.iter().map(|topic| topic.as_str());
    let expected = [
        "BadAnnotation",
        "ReleaseRefused",
        "HeldPastTTL",
        "NotDrained",
        "ReplacementNotReady",
        "QuarantineStorm",
        "Paused",
        "Resumed",
    ];
    assert_eq!(topics.collect::<Vec<_>>(), expected);
    for topic in Topic::ALL {
        assert_eq!(EventReason::Topic(*topic).as_str(), topic.as_str());
    }
}
