//! A patch is not a quarantine: the pod must be out of its Services, let go by its controller, and replaced.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::Note,
    lookup::Lookup,
    notice::{Notification, Topic},
    object::{ControllerKind, ObjectKey, Pod},
    policy::{Mode, OnReplacementTimeout},
    write::Write,
};

use crate::{
    outcome::{Planned, notices, reaps, the_quarantine, the_release},
    world::{SHOP, World, at, reference},
};

/// `web-0` is out since 12:00:01 and let go; its replacement is not there yet.
fn unreplaced() -> World {
    let mut world = World::with_web();
    world.bad("web-0");
    take_out(&mut world);
    world
}

fn take_out(world: &mut World) {
    let quarantine = the_quarantine(&world.actions()).clone();
    world.carry_out(&quarantine);
    world.findings.clear();
    let name = quarantine.pod.key.name;
    world.change(&name, |pod| pod.owner = None);
}

/// Another pod of the ReplicaSet, made at that time.
fn another(world: &World, name: &str, created: &str) -> Pod {
    let mut pod = world.pod("web-3").clone();
    pod.key = ObjectKey::new(SHOP, name);
    pod.uid = format!("uid-of-{name}").into();
    pod.created = Some(at(created));
    pod
}

fn noted(actions: &[Planned]) -> Vec<&str> {
    let mut names = Vec::new();
    for action in actions {
        if let Planned::Write(Write::Note(Note::Replaced(slot))) = action {
            assert!(slot.replaced.is_some());
            names.push(&*slot.name);
        }
    }
    names
}

fn about(actions: &[Planned], topic: Topic) -> Vec<Notification> {
    let told = notices(actions)
        .into_iter()
        .filter(|one| one.topic == topic);
    told.cloned().collect()
}

/// What is told of the replacement after five minutes.
fn late(world: &mut World) -> Vec<Planned> {
    world.pass(Duration::from_mins(5));
    world.actions()
}

#[test]
fn a_pod_is_followed_out_of_its_services_once_and_again_by_a_new_agent() {
    let mut world = unreplaced();
    let follows = |actions: Vec<Planned>| {
        actions.into_iter().find_map(|action| match action {
            Planned::Lookup(Lookup::Drain(follow)) => Some(follow),
            _ => None,
        })
    };
    let follow = follows(world.tick()).expect("it is followed");
    assert_eq!(follow.services, ["web".into()]);
    assert_eq!(follow.at, at("2030-01-31T12:00:01Z"));
    assert_eq!(follows(world.tick()), None);
    world.restart();
    assert!(follows(world.tick()).is_some());
    world.service("trap", &[("app", "quarantined")]);
    let again = the_quarantine(&world.actions()).clone();
    world.carry_out(&again);
    let follow = follows(world.tick()).expect("it has left another one");
    assert_eq!(follow.services, ["web".into(), "trap".into()]);
}

#[test]
fn a_pod_that_is_still_in_a_slice_is_told_of_until_it_is_out() {
    let mut world = unreplaced();
    let uid = world.pod("web-0").uid.clone();
    world.state.record_drain(&uid, vec!["web".into()]);
    let actions = world.actions();
    let told = about(&actions, Topic::NotDrained);
    assert_eq!(
        told[0].message,
        "the pod is still in the EndpointSlices of web"
    );
    assert_eq!(told[0].policy.as_deref(), Some("answers"));
    assert_eq!(told[0].about.kind.as_str(), "Pod");
    assert_eq!(world.actions(), []);
    world.state.record_drain(&uid, Vec::new());
    assert_eq!(world.actions(), []);
    world.state.record_drain(&uid, vec!["web".into()]);
    assert_eq!(world.actions().len(), 1, "it is in again");
}

#[test]
fn a_controller_that_does_not_let_go_is_told_of() {
    let mut world = unreplaced();
    let owner = reference("ReplicaSet", "web-rs");
    world.change("web-0", |pod| pod.owner = Some(owner));
    world.pass(Duration::from_secs(9));
    assert_eq!(world.actions(), []);
    let told = about(&world.actions(), Topic::NotDrained);
    assert_eq!(told[0].message, "ReplicaSet web-rs still owns the pod");
}

#[test]
fn a_replacement_is_there_when_the_workload_has_all_its_pods_ready_again() {
    let mut world = unreplaced();
    assert_eq!(noted(&world.actions()), Vec::<&str>::new());
    let mut pod = another(&world, "web-new", "2020-01-01T00:00:00Z");
    pod.ready = false;
    world.put(pod);
    assert_eq!(noted(&world.actions()), Vec::<&str>::new());
    world.change("web-new", |pod| pod.ready = true);
    assert_eq!(noted(&world.actions()), ["web-0"]);
    world.replaced("web-0");
    assert_eq!(noted(&world.actions()), Vec::<&str>::new());
    world.change("web-new", |pod| pod.ready = false);
    assert_eq!(late(&mut world), [], "it was there once");
}

#[test]
fn or_when_there_is_a_new_pod_for_it_and_for_those_before_it() {
    let mut world = World::with_web();
    // The workload is not whole whatever happens.
    world.change("web-3", |pod| pod.ready = false);
    world.bad("web-0");
    take_out(&mut world);
    world.pass(Duration::from_secs(10));
    // People need not wait for the first one's replacement.
    world.annotate("web-1", keys::QUARANTINE, "");
    take_out(&mut world);
    let mut first = another(&world, "web-new", "2030-01-31T12:00:01Z");
    first.ready = true;
    world.put(first);
    assert_eq!(noted(&world.actions()), ["web-0"]);
    let mut second = another(&world, "web-newer", "2030-01-31T12:00:12Z");
    second.ready = true;
    world.put(second);
    assert_eq!(noted(&world.actions()), ["web-0", "web-1"]);
    world.replaced("web-0");
    // One of them was for the other.
    world.change("web-newer", |pod| pod.ready = false);
    assert_eq!(noted(&world.actions()), Vec::<&str>::new());
}

#[test]
fn a_replacement_that_is_late_is_told_of_on_the_workload_and_the_pod_is_kept() {
    let mut world = unreplaced();
    world.pass(Duration::from_secs(298));
    assert_eq!(world.actions(), []);
    let actions = world.actions();
    let told = about(&actions, Topic::ReplacementNotReady);
    assert_eq!(actions.len(), 1);
    assert_eq!(told[0].about, reference("Deployment", "web"));
    assert_eq!(
        told[0].message,
        "no replacement of the pod web-0 was Ready within 5m"
    );
    assert_eq!(world.actions(), []);
}

#[test]
fn where_the_workload_is_of_an_unread_kind_it_is_told_on_its_replica_set() {
    let mut world = World::with_web();
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "web-rs", |set| {
        set.owner = Some(reference("Rollout", "web"));
    });
    world
        .view
        .remove_controller(ControllerKind::Deployment, &ObjectKey::new(SHOP, "web"));
    world.bad("web-0");
    take_out(&mut world);
    let told = about(&late(&mut world), Topic::ReplacementNotReady);
    assert_eq!(told[0].about, reference("ReplicaSet", "web-rs"));
}

#[test]
fn none_is_waited_for_where_the_workload_is_gone() {
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
fn it_is_put_back_if_the_policy_says_so_ready_or_not() {
    let mut world = on_timeout(OnReplacementTimeout::Release);
    world.change("web-0", |pod| pod.ready = false);
    let mut actions = late(&mut world);
    assert_eq!(about(&actions, Topic::ReplacementNotReady).len(), 1);
    actions.retain(|action| matches!(action, Planned::Write(Write::Release(_))));
    assert_eq!(the_release(&actions).cause.as_str(), "replacement-timeout");
    let release = the_release(&actions).clone();
    world.patch(&release.pod, &release.change);
    assert!(world.pod("web-0").annotation(keys::RELEASED).is_some());
}

#[test]
fn it_is_not_put_back_where_it_would_be_deleted() {
    let mut world = on_timeout(OnReplacementTimeout::Release);
    let deployment = ControllerKind::Deployment;
    world.set_controller(deployment, "web", |web| web.revision = Some("2".into()));
    let actions = late(&mut world);
    assert_eq!(
        about(&actions, Topic::ReleaseRefused).len(),
        1,
        "{actions:?}"
    );
}

#[test]
fn it_is_deleted_if_the_policy_says_so_unless_it_must_be_kept() {
    let mut world = on_timeout(OnReplacementTimeout::Reap);
    let actions = late(&mut world);
    assert_eq!(
        reaps(&actions)[0].why,
        "its replacement was not Ready within 5m"
    );
    let spared: [fn(&mut World); 4] = [
        |world| world.annotate("web-0", keys::HOLD, "true"),
        |world| world.policy(|policy| policy.mode = Mode::Observe),
        |world| world.view.stale = Some("pods: silent".into()),
        |world| {
            let uid = world.pod("web-0").uid.clone();
            world.ledger().slots.get_mut(&uid).unwrap().record = "another".into();
        },
    ];
    for spare in spared {
        let mut world = on_timeout(OnReplacementTimeout::Reap);
        spare(&mut world);
        assert_eq!(reaps(&late(&mut world)).len(), 0);
    }
}
