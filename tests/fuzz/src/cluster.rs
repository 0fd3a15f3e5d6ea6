//! A small cluster for targets that decide: one pod, an enforcing policy, a ledger.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use pod_quarantine_core::{
    decide::{Plan, State, decide},
    judge::Findings,
    ledger::{Ledger, LedgerView, Slot},
    lookup::Lookup,
    needs::NeedsAt,
    object::{ObjectKey, Pod, Reference, ResourceVersion},
    policy::{Detach, Mode, PolicyFile},
    record::Record,
    selector::Selector,
    time::Now,
    view::{LeaseView, View},
    workload::WorkloadId,
    write::Write,
};
use test_objects::{at, enforcing_policy, labels, namespace, no_needs};

pub(crate) const SHOP: &str = "shop";

/// The quarantine that targets begin with began then.
pub(crate) fn start() -> Timestamp {
    at("2030-01-31T12:00:00Z")
}

pub(crate) fn after_hours(hours: u64) -> Timestamp {
    let time = start().checked_add(Duration::from_hours(hours));
    time.expect("no end of time")
}

/// A pod without an owner.
pub(crate) fn pod() -> Pod {
    test_objects::pod(ObjectKey::new(SHOP, "web-0"), "uid-of-web-0".into())
}

/// The record of the quarantine of [`pod`], for four hours.
pub(crate) fn record() -> Record {
    let owner = Reference {
        kind: "ReplicaSet".into(),
        name: "web-1".into(),
        uid: "uid-of-web-1".into(),
    };
    Record {
        version: 1,
        uid: pod().uid,
        agent: "pod-quarantine/default".into(),
        policy: "answers".into(),
        manual: false,
        reason: "3 bad probes in a row: HTTP 500".into(),
        evidence: Vec::new(),
        at: start(),
        expires: after_hours(4),
        labels: labels(&[("app", "web")]),
        edits: [("app".into(), Some("quarantined".into()))].into(),
        annotations: [].into(),
        workload: owner.clone(),
        owner,
        detach: Detach::Workload,
        restarts: 0,
        services: vec!["web".into()],
    }
}

/// The slot of a pod with a record.
pub(crate) fn slot(pod: &Pod) -> Slot {
    Slot {
        uid: pod.uid.clone(),
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        workload: WorkloadId::of_pod(&pod.uid),
        policy: "answers".into(),
        resource_version: pod.resource_version,
        at: start(),
        record: pod.record_fingerprint().expect("a record").clone(),
        record_before: None,
        ready: true,
        lost: false,
        replaced: Some(start()),
        carried_over: false,
        expires: None,
    }
}

pub(crate) fn view(ledger: Ledger) -> View {
    let mut view = View::new("pod-quarantine");
    view.ledger = LedgerView::Present(ledger);
    view.lease = LeaseView::Names(Some("".into()));
    view.put_namespace(namespace(SHOP));
    view
}

pub(crate) fn empty_ledger() -> Ledger {
    Ledger::read(ResourceVersion::new(1), [])
}

/// A file whose only policy is over all pods.
pub(crate) fn file() -> PolicyFile {
    let policy = enforcing_policy("answers", Selector::default());
    PolicyFile {
        mode: Mode::Enforce,
        ..PolicyFile::new(vec![Arc::new(policy)])
    }
}

/// What is decided then, after the needs of all replacements were read: they need nothing.
pub(crate) fn plan(file: &PolicyFile, view: &View, findings: &Findings, wall: Timestamp) -> Plan {
    let now = Now {
        wall,
        moment: Duration::from_hours(1),
    };
    let mut state = State::default();
    let first = decide(&mut state, file, view, findings, None, now);
    let mut state = State::default();
    let mut asked = false;
    for lookup in &first.lookups {
        if let Lookup::Needs(query) = lookup {
            let (at, needs) = (query.at, no_needs());
            state.record_needs(&query.uid, NeedsAt { at, needs }, now.moment);
            asked = true;
        }
    }
    if asked {
        decide(&mut state, file, view, findings, None, now)
    } else {
        first
    }
}

/// Nothing happens to any pod.
pub(crate) fn assert_pods_are_left_alone(plan: &Plan) {
    for write in &plan.writes {
        assert!(
            !matches!(
                write,
                Write::Quarantine(_) | Write::Release(_) | Write::Settle { .. } | Write::Reap(_)
            ),
            "{write:?}"
        );
    }
}

/// Whether the API server takes a text as a key of a ConfigMap.
pub(crate) fn is_config_map_key(key: &str) -> bool {
    let mut letters = key.bytes();
    (1..=253).contains(&key.len())
        && ![".", ".."].contains(&key)
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter))
}

/// Whether the API server takes a text as the value of a label.
pub(crate) fn is_label_value(value: &str) -> bool {
    let is_end = |letter: Option<u8>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
    let mut letters = value.bytes();
    value.len() <= 63
        && is_end(value.bytes().next())
        && is_end(value.bytes().next_back())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter))
}
