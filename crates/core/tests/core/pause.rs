//! One switch for all.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView, Pause},
    notice::Topic,
    reason::Reason,
};

use crate::{
    outcome::{notices, reaps, refusals, the_quarantine, the_refusal},
    world::{World, version},
};

fn pause(world: &mut World) {
    world.ledger().memory.pause = Some(Pause {
        reason: "we move the cluster".into(),
        since: None,
    });
}

#[test]
fn a_pause_refuses_quarantines_by_policies_and_by_people() {
    let mut world = World::with_web();
    pause(&mut world);
    world.planned();
    world.unhealthy("web-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::Paused);
    assert_eq!(refusal.refusal.detail, "we move the cluster");
    world.annotate("web-1", keys::QUARANTINE, "");
    assert_eq!(refusals(&world.planned()), [("web-1", Reason::Paused)]);
}

#[test]
fn a_pause_stops_reaping_but_not_releases() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    pause(&mut world);
    world.pass(Duration::from_hours(5));
    assert_eq!(reaps(&world.planned()).len(), 0);
    world.annotate("web-0", keys::RELEASE, "true");
    crate::outcome::the_release(&world.planned());
    world.ledger().memory.pause = None;
    world.change("web-0", |pod| {
        pod.annotations.remove(keys::RELEASE);
    });
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn the_beginning_and_the_end_of_a_pause_give_events() {
    let mut world = World::with_web();
    world.planned();
    pause(&mut world);
    let events = |world: &mut World| {
        let planned = world.planned();
        let notified = notices(&planned).into_iter();
        let notified = notified.map(|notice| {
            (
                notice.topic,
                notice.about.to_string(),
                notice.message.clone(),
            )
        });
        notified.collect::<Vec<_>>()
    };
    let ledger = "ConfigMap pod-quarantine-ledger-default".to_owned();
    let message =
        "paused: nothing is quarantined and nothing is reaped: we move the cluster".to_owned();
    assert_eq!(
        events(&mut world),
        [(Topic::Paused, ledger.clone(), message)]
    );
    assert_eq!(events(&mut world), []);
    world.ledger().memory.pause = None;
    assert_eq!(
        events(&mut world),
        [(
            Topic::Resumed,
            ledger,
            "resumed: quarantining and reaping continue".to_owned()
        )]
    );
    assert_eq!(events(&mut world), []);
}

#[test]
fn a_pause_survives_the_loss_of_the_ledger() {
    let mut world = World::with_web();
    pause(&mut world);
    let LedgerView::Present(ledger) = world.view.ledger.clone() else {
        panic!("there is a ledger");
    };
    world
        .view
        .update(pod_quarantine_core::view::Update::Ledger(ledger));
    world
        .view
        .update(pod_quarantine_core::view::Update::LedgerGone(None));
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Paused)]);
}

#[test]
fn any_text_of_the_pause_entry_pauses() {
    for (text, reason) in [
        ("maintenance", "maintenance"),
        ("", ""),
        (
            "{\"reason\":\"moving\",\"since\":\"2030-01-31T12:00:00Z\"}",
            "moving",
        ),
        ("{\"since\":\"yesterday\"}", "{\"since\":\"yesterday\"}"),
    ] {
        let ledger = Ledger::read(version(1), [("pause", text)]);
        assert_eq!(&*ledger.memory.pause.unwrap().reason, reason);
        assert!(ledger.unreadable.is_empty());
    }
    let mut world = World::with_web();
    world.unhealthy("web-0");
    the_quarantine(&world.planned());
}
