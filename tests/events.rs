//! The agent's Events: about which object, for which reason, and what they say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::collections::BTreeMap;

use kube::runtime::events::EventType;
use pod_quarantine::{
    core::{
        ledger::Slot,
        notice::{Notification, RefusedPod, Topic},
        object::{ObjectKey, Reference, ResourceVersion},
        policy::Detach,
        reason::{Reason, Refusal},
        record::Record,
        selector::Labels,
        text::Fingerprint,
        write::{Before, Change, PodVersion, Quarantine, Reap, Release, ReleaseCause},
    },
    report::events::{self, AgentEvent},
};

fn reference(kind: &str, name: &str) -> Reference {
    Reference {
        kind: kind.into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
    }
}

fn pod() -> PodVersion {
    PodVersion {
        key: ObjectKey::new("shop", "web-0"),
        uid: "uid-of-web-0".into(),
        resource_version: ResourceVersion::new(7),
    }
}

fn quarantine() -> Quarantine {
    let at = "2030-01-31T12:00:00.25Z".parse().unwrap();
    Quarantine {
        pod: pod(),
        slot: Slot {
            uid: pod().uid,
            namespace: "shop".into(),
            name: "web-0".into(),
            workload: "uid-of-web".into(),
            policy: "answers".into(),
            resource_version: ResourceVersion::new(7),
            at,
            record: Fingerprint::of(""),
            record_before: None,
            ready: false,
            lost: false,
            replaced: None,
            carried_over: false,
            expires: None,
        },
        pacing: None,
        dry_run_first: false,
        again: false,
        change: Change::default(),
        labels: Labels::new(),
        before: Before {
            labels: Labels::new(),
            annotations: BTreeMap::new(),
        },
        record: Record {
            version: 1,
            uid: pod().uid,
            agent: "pod-quarantine/default".into(),
            policy: "answers".into(),
            manual: false,
            reason: "3 bad probes in a row: HTTP 500".into(),
            evidence: Vec::new(),
            at,
            expires: "2030-01-31T16:00:00.25Z".parse().unwrap(),
            labels: Labels::new(),
            edits: BTreeMap::new(),
            annotations: BTreeMap::new(),
            owner: reference("ReplicaSet", "web-rs"),
            workload: reference("Deployment", "web"),
            detach: Detach::Workload,
            restarts: 0,
            services: vec!["web".into(), "web-canary".into()],
        },
        missed: Vec::new(),
        network_policies_left: 0,
    }
}

fn note(event: &AgentEvent) -> &str {
    event.event.note.as_deref().expect("it says something")
}

/// Reason, action, and the kind, name and version of the object.
fn head(event: &AgentEvent) -> (&str, &str, String) {
    let about = &event.regarding;
    let about = [
        &about.api_version,
        &about.kind,
        &about.namespace,
        &about.name,
    ]
    .map(|part| part.as_deref().expect("it names its object"))
    .join(" ");
    (&event.event.reason, &event.event.action, about)
}

#[test]
fn a_quarantine_says_what_the_pod_left_and_until_when_it_is_kept_to_the_second() {
    let event = events::quarantined(&quarantine());
    assert_eq!(
        head(&event),
        ("Quarantined", "Quarantine", "v1 Pod shop web-0".to_owned())
    );
    assert_eq!(event.regarding.uid.as_deref(), Some("uid-of-web-0"));
    assert!(matches!(event.event.type_, EventType::Warning));
    assert_eq!(
        note(&event),
        "policy answers: 3 bad probes in a row: HTTP 500. Taken out of Deployment web and its Services (web, web-canary), \
         kept until 2030-01-31T16:00:00Z"
    );
}

#[test]
fn a_quarantine_from_services_alone_says_that_the_pod_stays_in_its_workload() {
    let mut quarantine = quarantine();
    quarantine.record.detach = Detach::Service;
    let note_of = |quarantine: &Quarantine| note(&events::quarantined(quarantine)).to_owned();
    assert!(
        note_of(&quarantine)
            .contains("out of its Services (web, web-canary), not out of Deployment web")
    );
    quarantine.record.services.clear();
    assert!(note_of(&quarantine).contains("out of what selected it, not out of Deployment web"));
}

#[test]
fn a_second_quarantine_of_a_pod_is_an_action_of_its_own_and_names_what_still_selects_the_pod() {
    let mut quarantine = quarantine();
    quarantine.again = true;
    quarantine.missed = vec!["PodDisruptionBudget all".into()];
    let event = events::quarantined(&quarantine);
    assert_eq!(event.event.action, "QuarantineAgain");
    assert!(note(&event).contains("Taken out again of Deployment web"));
    assert!(note(&event).ends_with("; still selected by: PodDisruptionBudget all"));
}

#[test]
fn a_note_has_at_most_1024_bytes_and_no_half_character() {
    let mut quarantine = quarantine();
    quarantine.record.reason = "ü".repeat(2000).into();
    let event = events::quarantined(&quarantine);
    assert!((1023..=1024).contains(&note(&event).len()));
    assert!(note(&event).ends_with('ü'));
}

fn refused(reason: Reason) -> AgentEvent {
    events::refused(&RefusedPod {
        pod: pod().key,
        uid: pod().uid,
        manual: false,
        policy: "answers".into(),
        asked: "3 bad probes in a row".into(),
        refusal: Refusal::new(reason, "1 of at most 1"),
    })
}

#[test]
fn each_reason_of_a_refusal_is_an_action_of_its_own() {
    for reason in Reason::ALL.iter().copied() {
        let event = refused(reason);
        let expected = if reason == Reason::Observe {
            "WouldQuarantine"
        } else {
            "QuarantineRefused"
        };
        let about = "v1 Pod shop web-0".to_owned();
        assert_eq!(head(&event), (expected, reason.as_str(), about));
        assert_eq!(
            note(&event),
            format!("policy answers (3 bad probes in a row): {reason}: 1 of at most 1")
        );
    }
}

#[test]
fn a_release_says_where_the_pod_goes_back_and_what_stays_changed() {
    let mut release = Release {
        pod: pod(),
        change: Change::default(),
        policy: "answers".into(),
        cause: ReleaseCause::Force,
        left: vec!["team".into()],
        follows: Some("the pod is not Ready; it is adopted".to_owned()),
        workload: reference("Deployment", "web"),
        detach: Detach::Workload,
        services: vec!["web".into()],
    };
    let event = events::released(&release);
    assert_eq!(
        head(&event),
        ("Released", "Release", "v1 Pod shop web-0".to_owned())
    );
    assert!(matches!(event.event.type_, EventType::Normal));
    assert_eq!(
        note(&event),
        "put back into Deployment web, by force: the pod is not Ready; it is adopted; left as others changed them: team"
    );
    release.detach = Detach::Service;
    (release.follows, release.left) = (None, Vec::new());
    assert_eq!(
        note(&events::released(&release)),
        "put back into its Services (web)"
    );
}

#[test]
fn a_reap_says_why() {
    let event = events::reaped(&Reap {
        pod: pod(),
        policy: "answers".into(),
        why: "its TTL expired at 2030-01-31T16:00:00Z".to_owned(),
    });
    assert_eq!(
        head(&event),
        ("Reaped", "Reap", "v1 Pod shop web-0".to_owned())
    );
    assert_eq!(
        note(&event),
        "deleted: its TTL expired at 2030-01-31T16:00:00Z"
    );
}

#[test]
fn a_notification_is_on_its_object_and_its_beginning_is_the_action() {
    for (about, expected) in [
        (reference("Pod", "web-0"), "v1 Pod shop web-0"),
        (reference("ConfigMap", "ledger"), "v1 ConfigMap shop ledger"),
        (
            reference("Deployment", "web"),
            "apps/v1 Deployment shop web",
        ),
    ] {
        let message = "no replacement was Ready ".repeat(10);
        let event = events::notified(&Notification {
            namespace: "shop".into(),
            pod: None,
            policy: None,
            about,
            topic: Topic::ReplacementNotReady,
            message: message.clone(),
        });
        let (reason, action, about) = head(&event);
        assert_eq!((reason, &*about), ("ReplacementNotReady", expected));
        assert_eq!(action.len(), 128);
        assert!(message.starts_with(action));
        assert_eq!(note(&event), message);
    }
}
