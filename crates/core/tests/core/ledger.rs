//! The ledger: how a slot is taken, moved and freed, and how it is read.

use jiff::{SignedDuration, Timestamp};
use pod_quarantine_core::{
    keys,
    ledger::{Ledger, Note, Slot, SlotFate, fate},
    object::Pod,
    text::Fingerprint,
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
        record: Fingerprint::of("0123"),
        record_before: None,
        ready: false,
        lost: false,
        replaced: None,
        carried_over: false,
        expires: None,
    }
}

fn empty() -> Ledger {
    Ledger::read(version(1), [])
}

fn later(seconds: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(seconds)
}

/// The pod `a` at version 7, changed.
fn found(change: impl FnOnce(&mut Pod)) -> Pod {
    let mut pod = pod("a");
    pod.resource_version = version(7);
    change(&mut pod);
    pod
}

fn out(pod: &mut Pod) {
    pod.labels
        .insert(keys::STATE.into(), keys::QUARANTINED.into());
}

fn recorded(pod: &mut Pod) {
    pod.annotations.insert(keys::RECORD.into(), "{".into());
}

/// The state of a pod, and the change that brings it about.
type Change = (&'static str, fn(&mut Pod));

fn newer(pod: &mut Pod) {
    pod.resource_version = version(9);
}

/// Of the slot of `a` at version 7, by what a GET shows and the age of the slot.
fn assert_fate(what: &str, pod: Option<&Pod>, age: i64, expected: SlotFate) {
    assert_eq!(fate(&slot("a", 7), pod, later(age)), expected, "{what}");
}

#[test]
fn a_slot_is_free_once_no_delayed_patch_can_succeed() {
    assert_fate("gone", None, 0, SlotFate::Free);
    let table: [Change; 5] = [
        ("another uid", |pod| pod.uid = "new".into()),
        ("another uid, quarantined", |pod| {
            pod.uid = "new".into();
            out(pod);
        }),
        ("newer", |pod| pod.resource_version = version(8)),
        ("another pod's record, newer", |pod| {
            let text = r#"{"version":1,"uid":"another"}"#;
            pod.annotations.insert(keys::RECORD.into(), text.into());
            newer(pod);
        }),
        ("quarantined and terminating", |pod| {
            out(pod);
            pod.terminating = true;
        }),
    ];
    for (what, change) in table {
        assert_fate(what, Some(&found(change)), 0, SlotFate::Free);
    }
}

#[test]
fn a_slot_is_kept_while_its_pod_is_quarantined_or_may_become_so() {
    let table: [Change; 5] = [
        ("quarantined", out),
        ("quarantined and newer", |pod| {
            out(pod);
            newer(pod);
        }),
        ("a record alone", recorded),
        ("a record alone, newer", |pod| {
            recorded(pod);
            newer(pod);
        }),
        ("older than the slot", |pod| {
            pod.resource_version = version(6);
        }),
    ];
    for (what, change) in table {
        assert_fate(what, Some(&found(change)), 3600, SlotFate::Keep);
    }
    let going = found(|pod| pod.terminating = true);
    assert_fate("terminating alone", Some(&going), 0, SlotFate::Keep);
}

#[test]
fn a_slot_of_an_unchanged_pod_is_fenced_when_it_is_half_a_minute_old() {
    let unchanged = found(|_| {});
    for (age, expected) in [
        (0, SlotFate::Keep),
        (29, SlotFate::Keep),
        (30, SlotFate::Fence),
        (3600, SlotFate::Fence),
        (-29, SlotFate::Keep),
        (-3600, SlotFate::Fence),
    ] {
        assert_fate("unchanged", Some(&unchanged), age, expected);
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
fn only_the_slot_that_was_checked_is_freed() {
    let mut ledger = empty();
    assert!(ledger.take(slot("a", 5)));
    assert!(!ledger.free(&slot("b", 5)));
    assert!(!ledger.free(&slot("a", 4)));
    let other_record = Slot {
        record: Fingerprint::of("4567"),
        record_before: None,
        ready: false,
        lost: false,
        replaced: None,
        carried_over: false,
        ..slot("a", 5)
    };
    assert!(!ledger.free(&other_record));
    assert_eq!(ledger.slots.len(), 1);
    assert!(ledger.free(&slot("a", 5)));
    assert!(ledger.slots.is_empty());
    assert!(!ledger.free(&slot("a", 5)), "it is free already");
}

#[test]
fn an_unreadable_entry_is_never_overwritten() {
    let uid = pod("a").uid;
    let mut ledger = Ledger::read(version(1), [(&*uid, "{\"of\":\"a newer agent\"}")]);
    assert_eq!(ledger.closed(at(START)), None, "others take slots");
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
    ledger.entries().remove(&*pod(name).uid).expect("its entry")
}

#[test]
fn an_entry_has_the_fields_of_the_design() {
    let expected = r#"{"uid":"uid-of-a","namespace":"shop","name":"a","workload":"uid-of-web","policy":"answers","resourceVersion":"5","at":"2030-01-31T12:00:00Z","record":"1be2e452b46d7a0d9656bbb1f768e824"}"#;
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
    #![proptest_config(crate::proptest_cases(1_000))]

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
        let remembered = read.memory.entries().len();
        prop_assert_eq!(read.slots.len() + read.unreadable.len() + remembered, entries.len());
        for name in slots.keys() {
            prop_assert_eq!(read.slots.get(&pod(name).uid), ledger.slots.get(&pod(name).uid));
        }
        prop_assert_eq!(read.entries(), entries);
    }
}

/// A note is about a slot as it was at the decision.
#[test]
fn a_note_of_a_slot_that_is_another_by_now_or_has_it_already_changes_nothing() {
    let mut ledger = empty();
    assert!(ledger.take(slot("a", 7)));
    let replaced = |version| {
        Note::Replaced(Slot {
            replaced: Some(later(5)),
            ..slot("a", version)
        })
    };
    assert!(!ledger.note(&replaced(6)), "the slot has moved since");
    assert_eq!(ledger.slots[&pod("a").uid].replaced, None);
    assert!(ledger.note(&replaced(7)));
    assert_eq!(ledger.slots[&pod("a").uid].replaced, Some(later(5)));
    assert!(!ledger.note(&replaced(7)), "it is noted already");
}
