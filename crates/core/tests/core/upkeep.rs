//! The ledger's own object: named by the Lease, kept by a finalizer, and complete.

use pod_quarantine_core::{
    decide::Doubt,
    keys,
    ledger::{Ledger, Note},
    object::Namespace,
    reason::Reason,
    selector::Labels,
    view::LeaseView,
    write::Write,
};

use crate::{
    outcome::{Planned, quarantines, reaps, refusals, the_quarantine},
    world::{World, version},
};

fn named(world: &mut World, uid: Option<&str>) {
    world.view.lease = LeaseView::Names(uid.map(Into::into));
}

#[test]
fn no_slot_is_taken_before_the_lease_names_the_ledger() {
    let mut world = World::with_web();
    world.bad("web-0");
    named(&mut world, None);
    let actions = world.actions();
    assert!(actions.contains(&Planned::Write(Write::NameLedger)));
    assert_eq!(refusals(&actions), [("web-0", Reason::LedgerUnavailable)]);
    world.view.lease = LeaseView::NotLoaded;
    assert_eq!(world.actions(), []);
    named(&mut world, Some(""));
    the_quarantine(&world.actions());
}

/// Somebody has deleted it by force, and made another one by hand: what was on its way may still arrive.
#[test]
fn a_ledger_that_is_not_the_one_that_the_lease_names_stands_for_a_lost_one() {
    let mut world = World::with_web();
    named(&mut world, Some("another"));
    let rebuilt = Some(world.now.wall + jiff::SignedDuration::from_secs(1));
    assert_eq!(
        world.actions(),
        [Planned::Write(Write::RepairLedger { rebuilt })]
    );
    world.ledger().rebuilt = rebuilt;
    assert_eq!(world.actions(), [Planned::Write(Write::NameLedger)]);
    named(&mut world, Some(""));
    world.bad("web-0");
    assert_eq!(
        refusals(&world.actions()),
        [("web-0", Reason::LedgerUnavailable)]
    );
    world.pass(std::time::Duration::from_mins(10));
    the_quarantine(&world.actions());
}

#[test]
fn a_ledger_without_its_finalizer_gets_it() {
    let mut world = World::with_web();
    world.ledger().guarded = false;
    assert_eq!(
        world.actions(),
        [Planned::Write(Write::RepairLedger { rebuilt: None })]
    );
}

#[test]
fn a_ledger_that_is_deleted_stays_until_its_last_slot_is_free() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().terminating = true;
    world.bad("web-1");
    assert_eq!(
        refusals(&world.actions()),
        [("web-1", Reason::LedgerUnavailable)]
    );
    assert_eq!(world.actions(), []);
    world.ledger().slots.clear();
    world.change("web-0", |pod| pod.terminating = true);
    assert_eq!(world.actions(), [Planned::Write(Write::ReleaseLedger)]);
    world.ledger().guarded = false;
    assert_eq!(world.actions(), []);
}

#[test]
fn where_the_agents_namespace_goes_the_ledger_goes_with_it() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.view.put_namespace(Namespace {
        name: "pod-quarantine".into(),
        labels: Labels::new(),
        mode: None,
        terminating: true,
    });
    assert_eq!(world.actions(), [Planned::Write(Write::ReleaseLedger)]);
    world.ledger().guarded = false;
    assert_eq!(world.actions(), [], "it is not guarded again");
}

fn counted(world: &mut World) -> Vec<Note> {
    let actions = world.tick();
    let notes = actions.into_iter().filter_map(|action| match action {
        Planned::Write(Write::Note(note @ Note::Counted(_))) => Some(note),
        _ => None,
    });
    notes.collect()
}

#[test]
fn a_pod_that_counts_and_has_no_slot_gets_one_and_is_never_reaped_by_it() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().slots.clear();
    let [note] = &counted(&mut world)[..] else {
        panic!("one slot");
    };
    assert!(world.ledger().note(note));
    assert!(!world.ledger().note(note));
    assert_eq!(counted(&mut world), []);
    let slot = world.slot("web-0").unwrap();
    assert_eq!(slot.resource_version, world.pod("web-0").resource_version);
    assert_eq!(&*slot.record, "");
    world.pass(std::time::Duration::from_hours(1000));
    assert_eq!(reaps(&world.actions()).len(), 0);
    // Its replacement is not waited for, and it counts once.
    world.file.limits.cluster.max = 2;
    world.bad("web-1");
    assert_eq!(quarantines(&world.actions()).len(), 1);
    // People put it back, and its slot is looked at then.
    world.annotate("web-0", keys::RELEASE, "force");
    let actions = world.actions();
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Planned::Write(Write::Release(_))))
    );
}

#[test]
fn who_is_not_surely_its_own_gets_no_slot() {
    let mut world = World::with_web();
    world.quarantine("web-1");
    world.change("web-0", |pod| {
        pod.labels
            .insert(keys::STATE.into(), keys::QUARANTINED.into());
    });
    world.ledger().slots.clear();
    world.file.agent = "another".into();
    assert_eq!(counted(&mut world), []);
    world.file.agent = "default".into();
    world.view.stale = Some("pods".into());
    assert_eq!(counted(&mut world), []);
    world.view.stale = None;
    assert_eq!(counted(&mut world).len(), 1);
    world.ledger().terminating = true;
    assert_eq!(counted(&mut world), []);
}

#[test]
fn a_clock_that_is_off_lets_nothing_be_reaped_and_a_doubt_lets_nothing_be_taken_out() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.pass(std::time::Duration::from_hours(5));
    world.doubt = Some(Doubt::ClockIsOff);
    assert_eq!(reaps(&world.actions()).len(), 0);
    world.doubt = Some(Doubt::PolicyFileRefused);
    world.bad("web-1");
    let actions = world.actions();
    assert_eq!(reaps(&actions).len(), 1, "times go on");
    assert_eq!(refusals(&actions), [("web-1", Reason::StaleView)]);
}

#[test]
fn what_the_ledger_remembered_is_in_the_next_one() {
    let mut world = World::with_web();
    let mut ledger = Ledger::read(version(7), [("pause", "moving")]);
    ledger.uid = "first".into();
    world
        .view
        .update(pod_quarantine_core::view::Update::Ledger(ledger.clone()));
    world
        .view
        .update(pod_quarantine_core::view::Update::LedgerGone(Some(
            version(8),
        )));
    let actions = world.actions();
    let [Planned::Write(Write::CreateLedger { memory, .. })] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(*memory, ledger.memory);
}
