//! A released pod carries the highest deletion cost until its ReplicaSet has settled, then its own again; and it is
//! left alone for a while.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    notice::Notice,
    object::{ControllerKind, ObjectKey, Phase},
    policy::{Mode, Policy},
    reason::{Reason, Refusal},
    restore::{HIGHEST_COST, Released},
    write::{Act, Write},
};

use crate::{
    outcome::{Planned, the_quarantine, the_release},
    world::{SHOP, World, policy},
};

/// A world in which `web-0`, with that deletion cost, was quarantined, replaced and released.
fn with_released_pod(cost: Option<&str>) -> World {
    let mut world = with_quarantined_pod(cost);
    release(&mut world);
    world
}

/// A world in which `web-0`, with that deletion cost, was quarantined and replaced.
fn with_quarantined_pod(cost: Option<&str>) -> World {
    let mut world = World::with_web();
    if let Some(cost) = cost {
        world.annotate("web-0", keys::DELETION_COST, cost);
    }
    world.quarantine("web-0");
    let mut pod = world.pod("web-3").clone();
    pod.key = ObjectKey::new(SHOP, "web-new");
    pod.uid = "uid-of-web-new".into();
    world.put(pod);
    world
}

fn release(world: &mut World) {
    world.annotate("web-0", keys::RELEASE, "true");
    let release = the_release(&world.planned()).clone();
    world.patch(&release.pod, &release.change);
}

fn quarantine_manually(world: &mut World) {
    world.annotate("web-0", keys::QUARANTINE, "please");
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    world.change("web-0", |pod| pod.owner = None);
    world.replaced("web-0");
}

fn adopt(world: &mut World) {
    let owner = world.pod("web-3").owner.clone();
    world.change("web-0", |pod| pod.owner = owner);
}

fn remove(world: &mut World, name: &str) {
    let pod = world.pod(name).clone();
    assert!(world.view.remove_pod(&pod.key, &pod.uid));
}

/// Carries out the one thing to do after five minutes, which is to settle.
fn settle(world: &mut World) {
    world.pass(Duration::from_mins(5));
    let planned = world.planned();
    let [Planned::Write(Write::Settle { pod, change })] = &planned[..] else {
        panic!("not to be settled: {planned:?}");
    };
    world.patch(pod, change);
    assert_eq!(world.planned(), [], "a pod is settled once");
}

fn cost(world: &World) -> Option<&str> {
    assert_eq!(world.pod("web-0").annotation(keys::RELEASED), None);
    world.pod("web-0").annotation(keys::DELETION_COST)
}

#[test]
fn a_released_pod_is_settled_once_its_replica_set_owns_it_and_has_no_more_pods_than_it_wants() {
    let mut world = with_released_pod(Some("7"));
    assert_eq!(world.planned(), [], "nothing owns the pod yet");
    adopt(&mut world);
    assert_eq!(
        world.planned(),
        [],
        "the ReplicaSet has five pods and wants four"
    );
    world.change("web-1", |pod| pod.terminating = true);
    settle(&mut world);
    assert_eq!(cost(&world), Some("7"));
}

#[test]
fn a_released_pod_is_not_settled_while_another_pod_waits_to_be_adopted() {
    let mut world = with_released_pod(Some("7"));
    adopt(&mut world);
    remove(&mut world, "web-1");
    let mut other = world.pod("web-0").clone();
    other.key = ObjectKey::new(SHOP, "web-other");
    other.uid = "uid-of-web-other".into();
    other.owner = None;
    world.put(other);
    assert_eq!(world.planned(), [], "one of the five will be deleted");
    world.change("web-other", |pod| pod.terminating = true);
    settle(&mut world);
    assert_eq!(cost(&world), Some("7"));
}

/// A pod that the ledger does not know keeps no other from settling, whatever its record says of its owner.
#[test]
fn a_pod_with_a_forged_record_keeps_no_other_from_settling() {
    let mut world = with_quarantined_pod(Some("7"));
    let mut other = world.pod("web-0").clone();
    let record = other.annotation(keys::RECORD).unwrap();
    let forged = record.replace(&*other.uid, "uid-of-forged");
    other.key = ObjectKey::new(SHOP, "forged");
    other.uid = "uid-of-forged".into();
    for (key, value) in [(keys::RECORD, &*forged), (keys::RELEASE, "force")] {
        other.annotations.insert(key.into(), value.into());
    }
    release(&mut world);
    adopt(&mut world);
    remove(&mut world, "web-1");
    world.pass(Duration::from_mins(5));
    world.put(other);
    let planned = world.planned();
    let settles = |planned: &Planned| matches!(planned, Planned::Write(Write::Settle { .. }));
    assert!(planned.iter().any(settles), "{planned:?}");
}

#[test]
fn a_pod_without_a_deletion_cost_has_no_deletion_cost_afterwards() {
    let mut world = with_released_pod(None);
    adopt(&mut world);
    remove(&mut world, "web-1");
    settle(&mut world);
    assert_eq!(cost(&world), None);
}

#[test]
fn a_deletion_cost_that_others_wrote_stays() {
    let mut world = with_released_pod(Some("7"));
    world.annotate("web-0", keys::DELETION_COST, "9");
    adopt(&mut world);
    remove(&mut world, "web-1");
    settle(&mut world);
    assert_eq!(cost(&world), Some("9"));
}

#[test]
fn an_unreadable_released_annotation_loses_the_agents_deletion_cost_and_panics_nowhere() {
    let mut world = with_released_pod(Some("7"));
    world.annotate("web-0", keys::RELEASED, "{");
    adopt(&mut world);
    remove(&mut world, "web-1");
    settle(&mut world);
    assert_eq!(cost(&world), None);
}

#[test]
fn a_pod_released_again_before_it_was_settled_still_gets_its_own_deletion_cost_back() {
    let mut world = with_released_pod(Some("7"));
    adopt(&mut world);
    quarantine_manually(&mut world);
    assert_eq!(world.planned(), [], "a pod that is out is not settled");
    release(&mut world);
    let released = world.pod("web-0").annotation(keys::DELETION_COST);
    assert_eq!(released, Some(HIGHEST_COST));
    adopt(&mut world);
    remove(&mut world, "web-1");
    settle(&mut world);
    assert_eq!(cost(&world), Some("7"));
}

#[test]
fn a_released_pod_is_not_settled_until_a_scale_down_is_over() {
    let mut world = with_released_pod(None);
    adopt(&mut world);
    remove(&mut world, "web-1");
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "web-rs", |set| set.desired = 3);
    assert_eq!(world.planned(), []);
}

#[test]
fn no_pod_is_settled_in_the_mode_off() {
    let mut world = with_released_pod(None);
    adopt(&mut world);
    remove(&mut world, "web-1");
    world.namespace_mode("off");
    assert_eq!(world.planned(), []);
    world.namespace_mode("observe");
    world.policy(|policy| policy.mode = Mode::Off);
    world.file.mode = Mode::Off;
    assert_eq!(world.planned(), []);
    world.policy(|policy| policy.mode = Mode::Observe);
    settle(&mut world);
}

#[test]
fn a_pod_released_again_without_a_replica_set_gets_its_own_deletion_cost_at_once() {
    let mut world = with_released_pod(Some("7"));
    adopt(&mut world);
    quarantine_manually(&mut world);
    let key = ObjectKey::new(SHOP, "web-rs");
    world
        .view
        .remove_controller(ControllerKind::ReplicaSet, &key);
    world.annotate("web-0", keys::RELEASE, "force");
    let release = the_release(&world.planned()).clone();
    world.patch(&release.pod, &release.change);
    let pod = world.pod("web-0");
    assert_eq!(pod.annotation(keys::DELETION_COST), Some("7"));
    settle(&mut world);
}

#[test]
fn the_deletion_cost_is_restored_at_once_and_the_released_annotation_goes_after_the_settle_time() {
    let mut world = with_released_pod(Some("7"));
    adopt(&mut world);
    remove(&mut world, "web-1");
    let planned = world.planned();
    let [Planned::Write(Write::Settle { pod, change })] = &planned[..] else {
        panic!("not to be settled: {planned:?}");
    };
    world.patch(pod, change);
    let now = world.pod("web-0");
    assert_eq!(now.annotation(keys::DELETION_COST), Some("7"));
    assert!(now.annotation(keys::RELEASED).is_some());
    assert_eq!(world.planned(), []);
    settle(&mut world);
    assert_eq!(cost(&world), Some("7"));
}

#[test]
fn a_pod_whose_own_deletion_cost_is_the_highest_keeps_it() {
    let mut world = with_released_pod(Some(HIGHEST_COST));
    adopt(&mut world);
    remove(&mut world, "web-1");
    assert_eq!(world.planned(), []);
    settle(&mut world);
    assert_eq!(cost(&world), Some(HIGHEST_COST));
}

#[test]
fn a_released_pod_is_left_alone_for_the_settle_time_of_its_policy() {
    let mut world = World::with_web();
    world.policy(|policy| policy.settle = Duration::from_mins(1));
    world.quarantine("web-0");
    release(&mut world);
    adopt(&mut world);
    remove(&mut world, "web-1");
    world.unhealthy("web-0");
    let planned = world.planned();
    let [
        Planned::Write(Write::Settle { pod, change }),
        Planned::Notice(Notice::Refused(refusal)),
    ] = &planned[..]
    else {
        panic!("{planned:?}");
    };
    assert_eq!(refusal.refusal.reason, Reason::Settling);
    assert_eq!(
        refusal.refusal.detail,
        "the pod is left alone until 2030-01-31T12:01:02Z"
    );
    world.patch(pod, change);
    world.pass(Duration::from_secs(56));
    assert_eq!(world.planned(), []);
    world.pass(Duration::from_secs(1));
    let planned = world.planned();
    assert!(
        matches!(planned[0], Planned::Write(Write::Settle { .. })),
        "{planned:?}"
    );
}

#[test]
fn a_released_pod_can_be_quarantined_manually_at_once() {
    let mut world = with_released_pod(None);
    adopt(&mut world);
    quarantine_manually(&mut world);
}

/// Failed, still owned, and not counted by its ReplicaSet.
fn evicted(world: &mut World, name: &str, owned: bool) {
    let mut pod = world.pod("web-3").clone();
    pod.key = ObjectKey::new(SHOP, name);
    pod.uid = format!("uid-of-{name}").into();
    pod.phase = Phase::Failed;
    pod.ready = false;
    if !owned {
        pod.owner = None;
        pod.annotations = world.pod("web-0").annotations.clone();
    }
    world.put(pod);
}

#[test]
fn an_evicted_pod_of_the_replica_set_does_not_keep_a_released_one_from_settling() {
    let mut world = with_released_pod(Some("7"));
    evicted(&mut world, "web-evicted", true);
    remove(&mut world, "web-1");
    adopt(&mut world);
    settle(&mut world);
    assert_eq!(cost(&world), Some("7"));
}

/// No controller adopts a pod that was evicted while it was out and is released by force.
#[test]
fn a_pod_that_has_ended_is_not_waited_for() {
    let mut world = with_released_pod(Some("7"));
    evicted(&mut world, "web-ended", false);
    remove(&mut world, "web-1");
    adopt(&mut world);
    world.pass(Duration::from_mins(5));
    let planned = world.planned();
    let settled = planned.iter().any(
        |one| matches!(one, Planned::Write(Write::Settle { pod, .. }) if &*pod.key.name == "web-0"),
    );
    assert!(settled, "{planned:?}");
}

#[test]
fn each_replica_set_settles_by_itself() {
    let mut world = World::with_web();
    world.deployment("api", 2);
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "api-rs", |set| set.desired = 1);
    for name in ["api-0", "api-1", "web-0", "web-1"] {
        world.annotate(name, keys::RELEASED, "{");
        world.annotate(name, keys::DELETION_COST, HIGHEST_COST);
    }
    let planned = world.planned();
    let settled = planned.iter().map(|one| match one {
        Planned::Write(Write::Settle { pod, .. }) => &*pod.key.name,
        other => panic!("{other:?}"),
    });
    assert_eq!(settled.collect::<Vec<_>>(), ["web-0", "web-1"]);
}

#[test]
fn a_release_that_is_denied_keeps_no_other_pod_from_settling() {
    for is_denied in [false, true] {
        let mut world = World::with_web();
        world.quarantine("web-1");
        world.annotate("web-1", keys::RELEASE, "true");
        world.annotate("web-0", keys::RELEASED, "x");
        world.annotate("web-0", keys::DELETION_COST, HIGHEST_COST);
        if is_denied {
            let refusal = Refusal::new(Reason::AdmissionDenied, "no");
            let (uid, now) = (world.pod("web-1").uid.clone(), world.now.moment);
            world.state.record_denial(&uid, Act::Release, refusal, now);
        }
        let planned = world.planned();
        let is_settled = planned
            .iter()
            .any(|one| matches!(one, Planned::Write(Write::Settle { .. })));
        assert_eq!(is_settled, is_denied, "{planned:?}");
    }
}

/// `web-0` is released; a release of `web-1` is asked for that does not come.
fn settles_beside(change: impl FnOnce(&mut World)) -> bool {
    let mut world = with_released_pod(None);
    adopt(&mut world);
    world.quarantine("web-1");
    world.annotate("web-1", keys::RELEASE, "force");
    change(&mut world);
    remove(&mut world, "web-new");
    remove(&mut world, "web-3");
    (0..10).any(|_| {
        world.pass(Duration::from_mins(1));
        let planned = world.tick();
        let settles = |one: &Planned| matches!(one, Planned::Write(Write::Settle { .. }));
        planned.iter().any(settles)
    })
}

#[test]
fn a_release_that_nothing_hinders_is_waited_for() {
    assert!(!settles_beside(|_| {}));
    assert!(!settles_beside(
        |world| world.change("web-1", |pod| pod.ready = false)
    ));
    assert!(!settles_beside(|world| world.annotate(
        "web-1",
        keys::RELEASE,
        "true"
    )));
}

#[test]
fn a_release_that_is_refused_is_not_waited_for() {
    assert!(settles_beside(|world| {
        world.change("web-1", |pod| pod.ready = false);
        world.annotate("web-1", keys::RELEASE, "true");
    }));
}

#[test]
fn a_release_that_is_put_off_for_its_labels_keeps_no_other_pod_from_settling() {
    assert!(settles_beside(|world| {
        world.change("web-1", |pod| pod.labels_left_out = 1);
    }));
}

#[test]
fn a_release_that_the_pod_template_asks_for_keeps_no_other_pod_from_settling() {
    assert!(settles_beside(|world| {
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            set.template_commands = vec![keys::RELEASE.into()];
        });
    }));
}

#[test]
fn a_release_in_a_namespace_whose_mode_is_off_keeps_no_other_pod_from_settling() {
    assert!(settles_beside(|world| {
        let off = Policy {
            mode: Mode::Off,
            ..policy("answers")
        };
        world.policy(|policy| *policy = off);
    }));
}

#[test]
fn the_refusal_of_a_pod_that_is_left_alone_says_until_when_while_that_lies_ahead() {
    for (seconds, detail) in [
        (299, "the pod is left alone until 2030-01-31T12:05:00Z"),
        (300, ""),
    ] {
        let mut world = World::with_web();
        let at = world.now.wall;
        let released = Released {
            at,
            until: at + Duration::from_mins(5),
            deletion_cost: None,
        };
        let text = serde_json::to_string(&released).unwrap();
        world.annotate("web-0", keys::RELEASED, &text);
        world.unhealthy("web-0");
        world.pass(Duration::from_secs(seconds - 1));
        world.planned();
        let uid = world.pod("web-0").uid.clone();
        let refused = world.state.refused(&uid).next().unwrap();
        assert_eq!(refused.refusal.detail, detail);
    }
}
