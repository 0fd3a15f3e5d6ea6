//! Pods of one workload follow each other into quarantine one by one, and stop after too many retries.

use std::time::Duration;

use jiff::SignedDuration;
use pod_quarantine_core::{
    keys, ledger::Note, object::ControllerKind, policy::Detach, reason::Reason, text::Fingerprint,
    write::Write,
};

use crate::{
    outcome::{Planned, quarantines, refusals, the_quarantine, the_refusal},
    world::{World, at, workload_id},
};

fn paced() -> World {
    let mut world = World::with_web();
    world.file.limits.pacing.retries = 3;
    world.file.limits.pacing.during_rollout = false;
    world
}

#[test]
fn a_second_pod_waits_until_the_first_is_replaced() {
    let mut world = paced();
    world.unhealthy("web-0");
    let first = the_quarantine(&world.planned()).clone();
    world.carry_out(&first);
    world.findings.clear();
    world.unhealthy("web-1");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::Pacing);
    assert_eq!(
        refusal.refusal.detail,
        "waiting for the replacement of web-0"
    );
    world.replaced("web-0");
    the_quarantine(&world.planned());
}

#[test]
fn of_two_unhealthy_pods_of_a_workload_the_second_waits() {
    let mut world = paced();
    world.unhealthy("web-0");
    world.unhealthy("web-1");
    let planned = world.planned();
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "web-0");
    assert_eq!(refusals(&planned), [("web-1", Reason::Pacing)]);
}

#[test]
fn workloads_do_not_wait_for_each_other() {
    let mut world = paced();
    world.deployment("api", 2);
    world.unhealthy("web-0");
    world.unhealthy("api-0");
    assert_eq!(quarantines(&world.planned()).len(), 2);
}

#[test]
fn a_missing_replacement_stops_the_workload() {
    let mut world = paced();
    world.unhealthy("web-0");
    let first = the_quarantine(&world.planned()).clone();
    world.carry_out(&first);
    world.findings.clear();
    world.pass(Duration::from_hours(1));
    world.unhealthy("web-1");
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-1", Reason::Pacing)]);
    let refusal = world
        .state
        .refused(&world.pod("web-1").uid)
        .next()
        .unwrap()
        .clone();
    assert_eq!(
        refusal.refusal.detail,
        "the replacement of web-0 was not Ready within 5m"
    );
}

#[test]
fn a_manual_quarantine_waits_for_no_replacement_and_no_rollout() {
    let mut world = paced();
    world.unhealthy("web-0");
    let first = the_quarantine(&world.planned()).clone();
    world.carry_out(&first);
    world.findings.clear();
    for kind in [ControllerKind::Deployment, ControllerKind::ReplicaSet] {
        let name = if kind == ControllerKind::Deployment {
            "web"
        } else {
            "web-rs"
        };
        world.set_controller(kind, name, |one| one.rolling = true);
    }
    world.annotate("web-1", keys::QUARANTINE, "");
    let taken = the_quarantine(&world.planned()).clone();
    assert_eq!(taken.pacing, None, "a manual quarantine is no retry");
}

#[test]
fn no_replacement_is_awaited_for_a_pod_that_stays_in_its_workload() {
    let mut world = paced();
    world.unhealthy("web-0");
    let mut first = the_quarantine(&world.planned()).clone();
    first.record.detach = Detach::Service;
    let text = first.record.to_text().unwrap();
    first.slot.record = Fingerprint::of(&text);
    let record = first.change.annotations.get_mut(keys::RECORD).unwrap();
    *record = Some(text.into());
    world.carry_out(&first);
    world.findings.clear();
    world.unhealthy("web-1");
    the_quarantine(&world.planned());
}

#[test]
fn no_pod_is_quarantined_during_a_rollout_of_its_workload_unless_the_file_says_so() {
    let mut world = paced();
    world.set_controller(ControllerKind::Deployment, "web", |web| web.rolling = true);
    world.unhealthy("web-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::Rollout);
    assert_eq!(refusal.refusal.detail, "Deployment web");
    world.file.limits.pacing.during_rollout = true;
    the_quarantine(&world.planned());
}

#[test]
fn a_custom_parent_has_a_rollout_in_progress_while_two_of_its_replica_sets_want_pods() {
    let mut world = paced();
    world.another_revision("web", 1);
    for name in ["web-rs", "web-rs-2"] {
        world.set_controller(ControllerKind::ReplicaSet, name, |set| {
            set.owner = Some(crate::world::reference("Rollout", "web"));
        });
    }
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Rollout)]);
    world.set_controller(ControllerKind::ReplicaSet, "web-rs-2", |set| {
        set.desired = 0;
    });
    the_quarantine(&world.planned());
}

/// Quarantines the pod; its replacement `next` is Ready half a minute later. Returns the number of retries.
fn turn_unhealthy(world: &mut World, name: &str, next: &str) -> u32 {
    world.findings.clear();
    world.unhealthy(name);
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    let retries = quarantine.pacing.clone().unwrap().retries;
    let made = world.now.wall;
    world.change(name, |pod| pod.owner = None);
    world.replaced(name);
    let mut replacement = world.pod("web-3").clone();
    replacement.key.name = next.into();
    replacement.uid = format!("uid-of-{next}").into();
    replacement.created = Some(made);
    world.put(replacement);
    world.pass(Duration::from_secs(30));
    retries
}

fn exhausted() -> World {
    let mut world = paced();
    for (retries, name, next) in [
        (0, "web-0", "first"),
        (1, "first", "second"),
        (2, "second", "third"),
        (3, "third", "fourth"),
    ] {
        assert_eq!(turn_unhealthy(&mut world, name, next), retries);
    }
    for name in ["web-0", "first", "second", "third"] {
        let out = world.pod(name).clone();
        world.view.remove_pod(&out.key, &out.uid);
    }
    world.ledger().slots.clear();
    world.findings.clear();
    world.unhealthy("fourth");
    world
}

#[test]
fn a_workload_is_left_alone_after_too_many_unhealthy_replacements() {
    let mut world = exhausted();
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::RetriesExhausted);
    assert_eq!(
        refusal.refusal.detail,
        "3 in a row; Deployment web is left alone until its next rollout, or until its annotation pod-quarantine.io/reset changes"
    );
    // The retries outlive time and a restart.
    world.pass(Duration::from_hours(100));
    world.restart();
    world.findings.clear();
    world.unhealthy("web-1");
    let planned = world.planned();
    assert!(refusals(&planned).contains(&("web-1", Reason::RetriesExhausted)));
    // A manual quarantine goes on.
    world.findings.clear();
    world.annotate("web-2", keys::QUARANTINE, "");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn the_reset_annotation_clears_the_retries() {
    let mut world = exhausted();
    world.set_controller(ControllerKind::Deployment, "web", |web| {
        web.reset = Some(Fingerprint::of("now"));
    });
    let quarantine = the_quarantine(&world.planned()).clone();
    assert_eq!(quarantine.pacing.unwrap().retries, 0);
    assert!(forgotten(&mut world));
}

fn forgotten(world: &mut World) -> bool {
    let forgotten = Planned::Write(Write::Note(Note::Forgotten(workload_id("web"))));
    world.tick().contains(&forgotten)
}

#[test]
fn a_rollout_clears_the_retries() {
    let mut world = exhausted();
    assert!(!forgotten(&mut world));
    world.another_revision("web", 4);
    world.set_controller(ControllerKind::Deployment, "web", |web| {
        web.revision = Some(Fingerprint::of("2"));
    });
    assert!(
        forgotten(&mut world),
        "its ReplicaSet is no longer the current one"
    );
    world.findings.clear();
    world.unhealthy("web-of-2-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn a_quarantine_long_after_the_last_is_no_retry_and_the_pacing_record_is_forgotten() {
    let mut world = paced();
    turn_unhealthy(&mut world, "web-0", "first");
    turn_unhealthy(&mut world, "first", "second");
    // Half a minute has passed already.
    world.pass(Duration::from_secs(9 * 60 + 28));
    assert!(!forgotten(&mut world));
    assert!(forgotten(&mut world), "ten minutes are over");
    world.findings.clear();
    world.unhealthy("second");
    let quarantine = the_quarantine(&world.planned()).clone();
    assert_eq!(quarantine.pacing.unwrap().retries, 0);
}

#[test]
fn the_quarantine_of_an_older_pod_is_no_retry() {
    let mut world = paced();
    world.change("web-1", |pod| {
        pod.created = Some(at("2030-01-31T11:00:00Z"));
    });
    assert_eq!(turn_unhealthy(&mut world, "web-0", "first"), 0);
    assert_eq!(turn_unhealthy(&mut world, "web-1", "second"), 0);
    assert_eq!(
        turn_unhealthy(&mut world, "first", "third"),
        1,
        "created since the quarantine of web-0"
    );
}

/// Ten minutes after its start it has shown that it stays healthy.
#[test]
fn the_quarantine_of_a_replacement_that_was_well_for_long_is_no_retry() {
    for (seconds, retries) in [(599, 2), (600, 1)] {
        let mut world = paced();
        assert_eq!(turn_unhealthy(&mut world, "web-0", "first"), 0);
        assert_eq!(turn_unhealthy(&mut world, "first", "second"), 1);
        let now = world.now.wall;
        let record = world.ledger().memory.pacing.values_mut().next().unwrap();
        record.since = now - SignedDuration::from_hours(1);
        record.last = now;
        let created = now - SignedDuration::from_secs(seconds - 1);
        world.change("second", |pod| pod.created = Some(created));
        assert_eq!(
            turn_unhealthy(&mut world, "second", "third"),
            retries,
            "{seconds}"
        );
    }
}
