//! The ledger: how a slot is taken, moved and freed, and how it is read.

use jiff::{SignedDuration, Timestamp};
use pod_quarantine::core::{
    keys,
    ledger::{Ledger, Slot, SlotFate, fate},
    object::Pod,
};
use proptest::{collection::btree_map, prelude::*};

use crate::world::{SHOP, START, at, pod, version};

fn slot(name: &str, resource_version: u64) -> Slot {
    Slot {
        uid: pod(name).uid,
        namespace: SHOP.into(),
        name: name.into(),
        workload: "uid-of-web".into(),
        policy: "answers".into(),
        resource_version: version(resource_version),
        at: at(START),
        record: "0123".into(),
    }
}

fn empty() -> Ledger {
    Ledger::read(version(1), [])
}

fn later(seconds: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(seconds)
}

/// The pod `a` at version 7, changed.
fn found(change: impl FnOnce(&mut Pod)) -> Option<Pod> {
    let mut pod = pod("a");
    pod.resource_version = version(7);
    change(&mut pod);
    Some(pod)
}

fn out(pod: &mut Pod) {
    pod.labels
        .insert(keys::STATE.into(), keys::QUARANTINED.into());
}

fn recorded(pod: &mut Pod) {
    pod.annotations.insert(keys::RECORD.into(), "{".into());
}

#[test]
fn the_fate_of_a_slot_is_that_of_the_design() {
    let of_another = |pod: &mut Pod| {
        let text = r#"{"version":1,"uid":"another"}"#;
        pod.annotations.insert(keys::RECORD.into(), text.into());
    };
    // What a GET shows, the age of the slot at version 7, what becomes of it.
    let table = [
        ("gone", None, 0, SlotFate::Free),
        (
            "another uid",
            found(|pod| pod.uid = "new".into()),
            0,
            SlotFate::Free,
        ),
        (
            "another uid, quarantined",
            found(|pod| {
                pod.uid = "new".into();
                out(pod);
            }),
            0,
            SlotFate::Free,
        ),
        (
            "newer",
            found(|pod| pod.resource_version = version(8)),
            0,
            SlotFate::Free,
        ),
        ("unchanged and fresh", found(|_| {}), 29, SlotFate::Keep),
        ("unchanged and old", found(|_| {}), 30, SlotFate::Fence),
        (
            "unchanged, clock went back",
            found(|_| {}),
            -3600,
            SlotFate::Keep,
        ),
        (
            "older than the slot",
            found(|pod| pod.resource_version = version(6)),
            3600,
            SlotFate::Keep,
        ),
        ("quarantined", found(out), 3600, SlotFate::Keep),
        (
            "quarantined and newer",
            found(|pod| {
                out(pod);
                pod.resource_version = version(9);
            }),
            3600,
            SlotFate::Keep,
        ),
        ("a record alone", found(recorded), 3600, SlotFate::Keep),
        (
            "a record alone, newer",
            found(|pod| {
                recorded(pod);
                pod.resource_version = version(9);
            }),
            3600,
            SlotFate::Keep,
        ),
        (
            "another pod's record",
            found(|pod| {
                of_another(pod);
                pod.resource_version = version(9);
            }),
            0,
            SlotFate::Free,
        ),
        (
            "quarantined and terminating",
            found(|pod| {
                out(pod);
                pod.terminating = true;
            }),
            0,
            SlotFate::Free,
        ),
        (
            "terminating alone",
            found(|pod| pod.terminating = true),
            0,
            SlotFate::Keep,
        ),
    ];
    for (what, pod, age, expected) in table {
        let fate = fate(&slot("a", 7), pod.as_ref(), later(age));
        assert_eq!(fate, expected, "{what}");
    }
}

#[test]
fn a_slot_moves_forward_only() {
    let mut ledger = empty();
    assert!(ledger.take(slot("a", 5)));
    assert!(ledger.take(slot("a", 7)));
    assert!(!ledger.take(slot("a", 6)));
    assert_eq!(ledger.slots[&pod("a").uid], slot("a", 7));
    assert_eq!(ledger.slots.len(), 1);
}

#[test]
fn only_the_very_slot_that_was_judged_is_freed() {
    let mut ledger = empty();
    assert!(ledger.take(slot("a", 5)));
    assert!(!ledger.free(&slot("b", 5)));
    assert!(!ledger.free(&slot("a", 4)));
    let other_record = Slot {
        record: "4567".into(),
        ..slot("a", 5)
    };
    assert!(!ledger.free(&other_record));
    assert_eq!(ledger.slots.len(), 1);
    assert!(ledger.free(&slot("a", 5)));
    assert!(ledger.slots.is_empty());
    assert!(!ledger.free(&slot("a", 5)), "it is free already");
}

#[test]
fn an_entry_that_cannot_be_read_is_never_written_over() {
    let uid = pod("a").uid;
    let mut ledger = Ledger::read(version(1), [(&*uid, "{\"of\":\"a newer agent\"}")]);
    assert!(!ledger.take(slot("a", 5)));
    assert_eq!(ledger.entries()[&*uid], "{\"of\":\"a newer agent\"}");
}

#[test]
fn an_entry_under_another_pods_uid_is_no_slot() {
    let text = empty_with("a");
    let ledger = Ledger::read(version(1), [("uid-of-b", &*text)]);
    assert!(ledger.slots.is_empty());
    assert_eq!(&*ledger.unreadable["uid-of-b"], text);
}

fn empty_with(name: &str) -> String {
    let mut ledger = empty();
    assert!(ledger.take(slot(name, 5)));
    ledger.entries().into_values().next().expect("one entry")
}

#[test]
fn an_entry_has_the_fields_of_the_design() {
    let expected = r#"{"uid":"uid-of-a","namespace":"shop","name":"a","workload":"uid-of-web","policy":"answers","resourceVersion":"5","at":"2030-01-31T12:00:00Z","record":"0123"}"#;
    assert_eq!(empty_with("a"), expected);
}

#[test]
fn no_slot_is_added_while_the_ledger_is_deleted_or_was_just_rebuilt() {
    let mut ledger = empty();
    assert_eq!(ledger.closed(later(0)), None);
    ledger.terminating = true;
    assert!(ledger.closed(later(0)).is_some());
    ledger.terminating = false;
    ledger.rebuilt = Some(at(START));
    for (age, closed) in [(-3600, true), (0, true), (599, true), (600, false)] {
        assert_eq!(ledger.closed(later(age)).is_some(), closed, "after {age} s");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_entry_is_ever_lost(
        slots in btree_map("[a-d]", 0..u64::MAX, 0..4),
        rest in btree_map("[ -~]{0,12}", "([{}\\[\\]\":,0-9a-z]{0,40}|\\PC{0,20})", 0..4),
    ) {
        let mut ledger = empty();
        for (name, resource_version) in &slots {
            prop_assert!(ledger.take(slot(name, *resource_version)));
        }
        let mut entries = ledger.entries();
        entries.extend(rest.clone());
        let read = Ledger::read(
            version(2),
            entries.iter().map(|(key, text)| (key.as_str(), text.as_str())),
        );
        prop_assert_eq!(read.slots.len() + read.unreadable.len(), entries.len());
        for name in slots.keys() {
            prop_assert_eq!(read.slots.get(&pod(name).uid), ledger.slots.get(&pod(name).uid));
        }
        prop_assert_eq!(read.entries(), entries);
    }
}
