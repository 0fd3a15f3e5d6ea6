//! A patch is not a quarantine: the pod must be out of its Services, no longer owned by its controller, and replaced.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::Note,
    lookup::Lookup,
    notice::{Notification, Topic},
    object::{ControllerKind, ObjectKey, Pod},
    policy::{Mode, OnReplacementTimeout},
    text::Fingerprint,
    write::Write,
};

use crate::{
    outcome::{Planned, notices, reaps, the_quarantine, the_release},
    world::{SHOP, World, at, reference},
};

/// `web-0` is quarantined since 12:00:01 and has no owner; its replacement does not exist yet.
fn unreplaced() -> World {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    take_out(&mut world);
    world
}

fn take_out(world: &mut World) {
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    world.findings.clear();
    let name = quarantine.pod.key.name;
    world.change(&name, |pod| pod.owner = None);
}

/// Another pod of the ReplicaSet, created at that time.
fn another(world: &World, name: &str, created: &str) -> Pod {
    let mut pod = world.pod("web-3").clone();
    pod.key = ObjectKey::new(SHOP, name);
    pod.uid = format!("uid-of-{name}").into();
    pod.created = Some(at(created));
    pod
}

fn noted(planned: &[Planned]) -> Vec<&str> {
    let mut names = Vec::new();
    for one in planned {
        if let Planned::Write(Write::Note(Note::Replaced(slot))) = one {
            assert!(slot.replaced.is_some());
            names.push(&*slot.name);
        }
    }
    names
}

fn about(planned: &[Planned], topic: Topic) -> Vec<Notification> {
    let notified = notices(planned)
        .into_iter()
        .filter(|one| one.topic == topic);
    notified.cloned().collect()
}

/// The plan after the five minutes that a replacement may take.
fn late(world: &mut World) -> Vec<Planned> {
    world.pass(Duration::from_mins(5));
    world.planned()
}

#[test]
fn the_drain_of_a_pod_is_looked_up_once_and_again_after_a_restart() {
    let mut world = unreplaced();
    let drain = |planned: Vec<Planned>| {
        planned.into_iter().find_map(|one| match one {
            Planned::Lookup(Lookup::Drain(query)) => Some(query),
            _ => None,
        })
    };
    let query = drain(world.tick()).expect("the drain is looked up");
    assert_eq!(query.services, ["web".into()]);
    assert_eq!(query.at, at("2030-01-31T12:00:01Z"));
    assert_eq!(drain(world.tick()), None);
    world.restart();
    assert!(drain(world.tick()).is_some());
    let uid = world.pod("web-0").uid.clone();
    world.state.record_drain(&uid, Vec::new());
    world.service("trap", &[("app", "quarantined")]);
    let again = the_quarantine(&world.planned()).clone();
    world.carry_out(&again);
    let query = drain(world.tick()).expect("the pod has left another Service");
    assert_eq!(query.services, ["web".into(), "trap".into()]);
}

#[test]
fn an_event_names_the_endpoint_slices_that_a_pod_is_still_in() {
    let mut world = unreplaced();
    assert_eq!(world.planned(), []);
    let uid = world.pod("web-0").uid.clone();
    world.state.record_drain(&uid, vec!["web".into()]);
    let planned = world.planned();
    let notified = about(&planned, Topic::NotDrained);
    assert_eq!(
        notified[0].message,
        "the pod is still in the EndpointSlices of web"
    );
    assert_eq!(notified[0].policy.as_deref(), Some("answers"));
    assert_eq!(notified[0].about.kind.as_str(), "Pod");
    assert_eq!(world.planned(), []);
    world.state.record_drain(&uid, Vec::new());
    assert_eq!(world.planned(), []);
    world.state.record_drain(&uid, vec!["web".into()]);
    assert_eq!(world.planned().len(), 1, "the pod is in the slice again");
}

#[test]
fn an_event_names_a_controller_that_still_owns_the_pod() {
    let mut world = unreplaced();
    let owner = reference("ReplicaSet", "web-rs");
    world.change("web-0", |pod| pod.owner = Some(owner));
    world.pass(Duration::from_secs(9));
    assert_eq!(world.planned(), []);
    let notified = about(&world.planned(), Topic::NotDrained);
    assert_eq!(notified[0].message, "ReplicaSet web-rs still owns the pod");
}

#[test]
fn a_pod_counts_as_replaced_when_its_workload_has_all_pods_ready_again() {
    let mut world = unreplaced();
    assert_eq!(noted(&world.planned()), Vec::<&str>::new());
    let mut pod = another(&world, "web-new", "2020-01-01T00:00:00Z");
    pod.ready = false;
    world.put(pod);
    assert_eq!(noted(&world.planned()), Vec::<&str>::new());
    world.change("web-new", |pod| pod.ready = true);
    assert_eq!(noted(&world.planned()), ["web-0"]);
    world.replaced("web-0");
    assert_eq!(noted(&world.planned()), Vec::<&str>::new());
    world.change("web-new", |pod| pod.ready = false);
    assert_eq!(late(&mut world), [], "the replacement was Ready once");
}

#[test]
fn a_pod_counts_as_replaced_when_there_is_a_new_ready_pod_for_each_quarantine() {
    let mut world = World::with_web();
    // The workload never has all its pods Ready.
    world.change("web-3", |pod| pod.ready = false);
    world.unhealthy("web-0");
    take_out(&mut world);
    world.pass(Duration::from_secs(10));
    // A manual quarantine need not wait for the replacement of web-0.
    world.annotate("web-1", keys::QUARANTINE, "");
    take_out(&mut world);
    let mut first = another(&world, "web-new", "2030-01-31T12:00:01Z");
    first.ready = true;
    world.put(first);
    assert_eq!(noted(&world.planned()), ["web-0"]);
    let mut second = another(&world, "web-newer", "2030-01-31T12:00:12Z");
    second.ready = true;
    world.put(second);
    assert_eq!(noted(&world.planned()), ["web-0", "web-1"]);
    world.replaced("web-0");
    // One of the new pods was for web-1.
    world.change("web-newer", |pod| pod.ready = false);
    assert_eq!(noted(&world.planned()), Vec::<&str>::new());
}

/// The pods that have been replaced when two are out, and web has one new pod. It never has all its pods Ready.
fn replaced_of(out: [&str; 2]) -> Vec<String> {
    let mut world = World::with_web();
    world.deployment("api", 4);
    world.change("web-3", |pod| pod.ready = false);
    for name in out {
        world.annotate(name, keys::QUARANTINE, "");
        take_out(&mut world);
    }
    let mut new = another(&world, "web-new", "2030-01-31T12:00:12Z");
    new.ready = true;
    world.put(new);
    let planned = world.planned();
    noted(&planned).into_iter().map(str::to_owned).collect()
}

#[test]
fn one_new_pod_replaces_the_first_of_two_that_are_out() {
    assert_eq!(replaced_of(["web-0", "web-1"]), ["web-0"]);
}

#[test]
fn a_pod_that_is_out_of_another_workload_wants_no_replacement_of_this_one() {
    assert_eq!(replaced_of(["api-0", "web-0"]), ["web-0"]);
}

#[test]
fn a_late_replacement_gives_an_event_on_the_workload_and_the_pod_is_kept() {
    let mut world = unreplaced();
    world.pass(Duration::from_secs(298));
    assert_eq!(world.planned(), []);
    let planned = world.planned();
    let notified = about(&planned, Topic::ReplacementNotReady);
    assert_eq!(planned.len(), 1);
    assert_eq!(notified[0].about, reference("Deployment", "web"));
    assert_eq!(
        notified[0].message,
        "no replacement of the pod web-0 was Ready within 5m"
    );
    assert_eq!(world.planned(), []);
}

#[test]
fn a_late_replacement_under_a_custom_parent_gives_an_event_on_the_replica_set() {
    let mut world = World::with_web();
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "web-rs", |set| {
        set.owner = Some(reference("Rollout", "web"));
    });
    world
        .view
        .remove_controller(ControllerKind::Deployment, &ObjectKey::new(SHOP, "web"));
    world.unhealthy("web-0");
    take_out(&mut world);
    let notified = about(&late(&mut world), Topic::ReplacementNotReady);
    assert_eq!(notified[0].about, reference("ReplicaSet", "web-rs"));
}

#[test]
fn no_replacement_is_awaited_once_the_workload_is_gone() {
    let mut world = on_timeout(OnReplacementTimeout::Reap);
    let set = ObjectKey::new(SHOP, "web-rs");
    world
        .view
        .remove_controller(ControllerKind::ReplicaSet, &set);
    let deployment = ObjectKey::new(SHOP, "web");
    world
        .view
        .remove_controller(ControllerKind::Deployment, &deployment);
    assert_eq!(late(&mut world), []);
}

fn on_timeout(what: OnReplacementTimeout) -> World {
    let mut world = unreplaced();
    world.policy(|policy| policy.on_replacement_timeout = what);
    world
}

#[test]
fn a_late_replacement_releases_the_pod_ready_or_not_if_the_policy_says_release() {
    let mut world = on_timeout(OnReplacementTimeout::Release);
    world.change("web-0", |pod| pod.ready = false);
    let mut planned = late(&mut world);
    assert_eq!(about(&planned, Topic::ReplacementNotReady).len(), 1);
    planned.retain(|one| matches!(one, Planned::Write(Write::Release(_))));
    assert_eq!(the_release(&planned).cause.as_str(), "replacement-timeout");
    let release = the_release(&planned).clone();
    world.patch(&release.pod, &release.change);
    assert!(world.pod("web-0").annotation(keys::RELEASED).is_some());
}

#[test]
fn a_late_replacement_releases_no_pod_that_would_be_deleted() {
    let mut world = on_timeout(OnReplacementTimeout::Release);
    let deployment = ControllerKind::Deployment;
    world.set_controller(deployment, "web", |web| {
        web.revision = Some(Fingerprint::of("2"));
    });
    let planned = late(&mut world);
    assert_eq!(
        about(&planned, Topic::ReleaseRefused).len(),
        1,
        "{planned:?}"
    );
}

#[test]
fn a_late_replacement_reaps_the_pod_if_the_policy_says_reap_unless_the_pod_must_be_kept() {
    let mut world = on_timeout(OnReplacementTimeout::Reap);
    let planned = late(&mut world);
    assert_eq!(
        reaps(&planned)[0].why,
        "its replacement was not Ready within 5m"
    );
    let spared: [fn(&mut World); 4] = [
        |world| world.annotate("web-0", keys::HOLD, "true"),
        |world| world.policy(|policy| policy.mode = Mode::Observe),
        |world| world.view.stale = Some("pods: silent".into()),
        |world| {
            let uid = world.pod("web-0").uid.clone();
            world.ledger().slots.get_mut(&uid).unwrap().record = Fingerprint::of("another");
        },
    ];
    for spare in spared {
        let mut world = on_timeout(OnReplacementTimeout::Reap);
        spare(&mut world);
        assert_eq!(reaps(&late(&mut world)).len(), 0);
    }
}
