//! The ledger's own object: named by the Lease, and complete.

use std::collections::BTreeMap;

use pod_quarantine_core::{
    decide::Doubt,
    keys,
    ledger::Pause,
    object::Pod,
    reason::Reason,
    view::{LeaseView, Update},
    write::Write,
};

use crate::{
    outcome::{Planned, quarantines, reaps, refusals, the_quarantine},
    slots::checks,
    world::{World, version},
};

fn name_in_lease(world: &mut World, uid: Option<&str>) {
    world.view.lease = LeaseView::Names(uid.map(Into::into));
}

#[test]
fn no_slot_is_taken_before_the_lease_names_the_ledger() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    name_in_lease(&mut world, None);
    assert_eq!(world.planned(), [Planned::Write(Write::NameLedger)]);
    world.view.lease = LeaseView::NotLoaded;
    assert_eq!(world.planned(), []);
    name_in_lease(&mut world, Some("another"));
    assert_eq!(quarantines(&world.planned()).len(), 0);
    name_in_lease(&mut world, Some(""));
    the_quarantine(&world.planned());
}

/// Nobody is told that an agent that has just started makes its ledger.
#[test]
fn a_ledger_that_is_not_there_is_told_of_only_once_it_has_taken_long() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let uid = world.ledger().uid.to_string();
    name_in_lease(&mut world, None);
    for _ in 0..5 {
        assert_eq!(world.planned(), [Planned::Write(Write::NameLedger)]);
    }
    assert_eq!(
        refusals(&world.planned()),
        [("web-0", Reason::LedgerUnavailable)]
    );
    let pod = world.pod("web-0").uid.clone();
    let why = world.state.refused(&pod).next().unwrap();
    assert_eq!(why.refusal.detail, "the Lease does not name the ledger yet");
    name_in_lease(&mut world, Some(&uid));
    the_quarantine(&world.planned());
    name_in_lease(&mut world, None);
    assert_eq!(refusals(&world.planned()), [], "the time begins anew");
}

/// Somebody has deleted the ledger by force and created another: requests under way may still arrive.
#[test]
fn a_ledger_that_the_lease_does_not_name_counts_as_rebuilt() {
    let mut world = World::with_web();
    name_in_lease(&mut world, Some("another"));
    let rebuilt = world.now.wall + jiff::SignedDuration::from_secs(1);
    assert_eq!(
        world.planned(),
        [Planned::Write(Write::RepairLedger { rebuilt })]
    );
    world.ledger().rebuilt = Some(rebuilt);
    assert_eq!(world.planned(), [Planned::Write(Write::NameLedger)]);
    name_in_lease(&mut world, Some(""));
    world.unhealthy("web-0");
    assert_eq!(
        refusals(&world.planned()),
        [("web-0", Reason::LedgerUnavailable)]
    );
    world.pass(std::time::Duration::from_mins(10));
    the_quarantine(&world.planned());
}

/// A finalizer keeps it.
#[test]
fn a_ledger_that_is_being_deleted_gives_no_slot_and_loses_none() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().terminating = true;
    world.unhealthy("web-1");
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::LedgerUnavailable)]
    );
    world.pass(std::time::Duration::from_hours(24));
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn a_quarantined_pod_without_a_slot_counts_and_is_neither_given_one_nor_reaped() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().slots.clear();
    world.pass(std::time::Duration::from_hours(1000));
    assert_eq!(quarantines(&world.planned()).len(), 0);
    assert_eq!(reaps(&world.planned()).len(), 0);
    world.file.limits.cluster.max = 1;
    world.unhealthy("web-1");
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::ClusterLimit)]
    );
    world.file.limits.cluster.max = 2;
    assert_eq!(quarantines(&world.planned()).len(), 1);
    // A person releases the pod.
    world.annotate("web-0", keys::RELEASE, "force");
    let planned = world.planned();
    assert!(
        planned
            .iter()
            .any(|one| matches!(one, Planned::Write(Write::Release(_))))
    );
}

#[test]
fn no_pod_is_reaped_while_the_clock_is_off_and_none_quarantined_while_the_policy_file_is_refused() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.pass(std::time::Duration::from_hours(5));
    world.doubt = Some(Doubt::ClockIsOff);
    assert_eq!(reaps(&world.planned()).len(), 0);
    world.doubt = Some(Doubt::PolicyFileRefused);
    world.unhealthy("web-1");
    let planned = world.planned();
    assert_eq!(reaps(&planned).len(), 1, "reaping continues");
    assert_eq!(refusals(&planned), [("web-1", Reason::StaleView)]);
    let refused = world.pod("web-1").uid.clone();
    let refused = world.state.refused(&refused).next().unwrap();
    assert_eq!(
        refused.refusal.detail,
        "the policy file has changed, and is refused"
    );
}

/// With its slots, its pods are deleted when their time is up.
#[test]
fn what_was_read_of_a_deleted_ledger_is_in_the_next_ledger() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().memory.pause = Some(Pause {
        reason: "moving".into(),
        since: None,
    });
    world.ledger().unreadable = BTreeMap::from([
        ("pause".into(), "{".into()),
        ("uid-of-web-1".into(), "{".into()),
    ]);
    let memory = world.ledger().memory.clone();
    for named in [Some(""), None] {
        name_in_lease(&mut world, named);
        let gone = Update::LedgerGone(Some(version(8_000_000)));
        world.view.update(gone);
        let planned = world.planned();
        let [
            Planned::Write(Write::CreateLedger {
                lost: Some(_),
                before: Some(before),
            }),
        ] = &planned[..]
        else {
            panic!("{planned:?}");
        };
        assert_eq!(before.memory, memory);
        let slots = before.slots.values();
        let slots: Vec<_> = slots.map(|slot| (&*slot.name, slot.carried_over)).collect();
        assert_eq!(slots, [("web-0", true)]);
        let unreadable: Vec<_> = before.unreadable.keys().map(|key| &**key).collect();
        assert_eq!(unreadable, ["pause"], "the other may have been a slot");
    }
}

/// The agent may have read the ledger before the slot was freed.
#[test]
fn a_slot_of_the_ledger_before_is_no_right_to_quarantine_its_pod() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let mut slot = the_quarantine(&world.planned()).slot.clone();
    slot.carried_over = true;
    assert!(world.ledger().take(slot));
    assert_eq!(
        refusals(&world.tick()),
        [("web-0", Reason::LedgerUnavailable)]
    );
    assert_eq!(checks(&world.tick()), 1, "it is freed first");
    world.ledger().slots.clear();
    assert!(!the_quarantine(&world.tick()).slot.carried_over);
}

/// The agent may not even have the right to read it, and no watch would tell what becomes of it.
#[test]
fn the_slot_of_a_namespace_that_is_not_watched_any_more_stays_and_nothing_is_asked() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let pod = world.pod("web-0").clone();
    world.view.remove_pod(&pod.key, &pod.uid);
    world.view.watched_namespaces = std::collections::BTreeSet::from(["blog".into()]);
    assert_eq!(checks(&world.tick()), 0);
    let successor = Pod {
        uid: "successor".into(),
        ..pod.clone()
    };
    world.view.update(Update::Pod(successor));
    assert!(world.view.pod(&pod.key).is_none());
    world.view.watched_namespaces.insert(pod.key.namespace);
    assert_eq!(checks(&world.tick()), 1);
}

#[test]
fn a_pod_whose_slot_is_of_the_ledger_before_is_reaped() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let uid = world.pod("web-0").uid.clone();
    let slot = world.ledger().slots.get_mut(&uid).unwrap();
    slot.carried_over = true;
    assert_eq!(checks(&world.tick()), 0);
    world.pass(std::time::Duration::from_hours(24));
    assert_eq!(reaps(&world.planned()).len(), 1);
}
