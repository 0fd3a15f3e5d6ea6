//! `detach: service`: out of the Services alone, the controller keeps the pod.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    notice::Topic,
    object::{
        BudgetStatus, ControllerKind, DisruptionBudget, ObjectKey, PodSelectingKind,
        PodSelectingObject,
    },
    policy::{Detach, MaxPods},
    reason::Reason,
    restore::HIGHEST_COST,
    selector::{Operator, Requirement, Selector},
};

use crate::{
    outcome::{quarantines, reaps, refusals, the_notice, the_quarantine, the_refusal, the_release},
    world::{SHOP, World, controller, labels, pod, selecting, selector},
};

/// The set `db` of three pods, `db-0` to `db-2`, behind the Service `db` by a toggle that the set does not ask for.
fn world_of(kind: ControllerKind) -> World {
    let mut world = World::new();
    world.policy(|policy| policy.detach = Detach::Service);
    let set = controller(kind, "db", 3, selector(&[("app", "db")]));
    let owner = set.reference();
    world.view.put_controller(set);
    for index in 0..3 {
        let name = format!("db-{index}");
        let mut pod = pod(&name);
        pod.labels = labels(&[
            ("app", "db"),
            ("serving", "true"),
            ("statefulset.kubernetes.io/pod-name", &name),
        ]);
        pod.owner = Some(owner.clone());
        world.put(pod);
    }
    world.service("db", &[("app", "db"), ("serving", "true")]);
    world
}

fn stateful() -> World {
    world_of(ControllerKind::StatefulSet)
}

/// Carries out the quarantine of `db-0`. Its controller still owns the pod.
fn take_out(world: &mut World) {
    world.unhealthy("db-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    world.findings.clear();
}

#[test]
fn a_pod_leaves_its_services_by_the_toggle_and_stays_in_its_stateful_set() {
    for kind in [ControllerKind::StatefulSet, ControllerKind::DaemonSet] {
        let mut world = world_of(kind);
        world.unhealthy("db-0");
        let planned = world.planned();
        let quarantine = the_quarantine(&planned);
        assert_eq!(&*quarantine.labels["serving"], "false");
        assert_eq!(&*quarantine.labels["app"], "db");
        assert_eq!(quarantine.record.detach, Detach::Service);
        assert_eq!(quarantine.record.services, ["db".into()]);
        assert_eq!(quarantine.record.workload.kind.as_str(), kind.as_str());
        assert_eq!(quarantine.missed, Vec::<std::sync::Arc<str>>::new());
    }
}

#[test]
fn a_deployments_pod_stays_in_its_replica_set_too() {
    let mut world = World::with_web();
    world.policy(|policy| policy.detach = Detach::Service);
    world.unhealthy("web-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(
        refusal.refusal.reason,
        Reason::NoWayOut,
        "app is asked for by both"
    );
    world.service("web", &[("app", "web"), ("serving", "yes")]);
    world.change("web-0", |pod| {
        pod.labels.insert("serving".into(), "yes".into());
    });
    world.beside("web-0");
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(&*quarantine.labels["serving"], "quarantined");
    assert_eq!(&*quarantine.labels["pod-template-hash"], "1");
}

#[test]
fn a_service_with_the_keys_of_the_stateful_set_refuses_the_quarantine_and_is_named() {
    let mut world = stateful();
    world.service("peers", &[("app", "db")]);
    world.unhealthy("db-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::NoWayOut);
    assert!(
        refusal.refusal.detail.contains("Service peers (app=db)"),
        "{refusal:?}"
    );
    assert!(!refusal.refusal.detail.contains("serving"), "{refusal:?}");

    let mut world = stateful();
    let of_one = [("statefulset.kubernetes.io/pod-name", "db-0")];
    world.service("the-first", &of_one);
    world.unhealthy("db-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert!(
        refusal.refusal.detail.contains("Service the-first"),
        "{refusal:?}"
    );
}

#[test]
fn a_pod_behind_no_service_has_nothing_to_leave() {
    let mut world = stateful();
    world
        .view
        .remove_selecting(PodSelectingKind::Service, &ObjectKey::new(SHOP, "db"));
    world.unhealthy("db-0");
    assert_eq!(
        refusals(&world.planned()),
        [("db-0", Reason::NothingToLeave)]
    );
    world.policy(|policy| policy.also_leave = vec![selector(&[("serving", "true")])]);
    world.findings.clear();
    world.unhealthy("db-0");
    the_quarantine(&world.planned());
}

#[test]
fn one_pod_of_a_workload_is_quarantined_at_a_time_whatever_the_limit() {
    let mut world = stateful();
    world.file.limits.workload.max = MaxPods::Percent(100);
    world.unhealthy("db-0");
    world.unhealthy("db-1");
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1);
    assert_eq!(refusals(&planned), [("db-1", Reason::WorkloadLimit)]);
}

#[test]
fn a_budget_with_the_selector_of_the_stateful_set_is_not_left_and_is_named() {
    let mut world = stateful();
    let budget = PodSelectingKind::PodDisruptionBudget;
    world
        .view
        .put_selecting(selecting(budget, "db", selector(&[("app", "db")])));
    world.view.put_selecting(selecting(
        budget,
        "serving",
        selector(&[("serving", "true")]),
    ));
    world.unhealthy("db-0");
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(quarantine.missed, ["PodDisruptionBudget db".into()]);
}

#[test]
fn the_pods_own_placement_rules_are_kept_as_no_replacement_starts() {
    let mut world = stateful();
    world.change("db-0", |pod| {
        pod.spread_over = vec![selector(&[("app", "db")]), selector(&[("serving", "true")])];
    });
    world.unhealthy("db-0");
    assert_eq!(
        the_quarantine(&world.planned()).missed,
        Vec::<std::sync::Arc<str>>::new()
    );
}

#[test]
fn a_release_puts_the_toggle_back_and_writes_no_deletion_cost() {
    let mut world = stateful();
    let before = world.pod("db-0").clone();
    take_out(&mut world);
    assert_eq!(world.planned(), []);
    world.annotate("db-0", keys::RELEASE, "true");
    let release = the_release(&world.planned()).clone();
    assert_eq!(release.detach, Detach::Service);
    world.patch(&release.pod, &release.change);
    let now = world.pod("db-0");
    assert_eq!(now.labels, before.labels);
    assert_ne!(now.annotation(keys::DELETION_COST), Some(HIGHEST_COST));
    assert_eq!(now.owner, before.owner);
}

/// The set's budget, with that many disruptions allowed.
fn budget(world: &mut World, allowed: Option<u32>) {
    let status = allowed.map(|disruptions_allowed| BudgetStatus {
        disruptions_allowed,
        desired_healthy: 0,
    });
    world
        .view
        .put_selecting(PodSelectingObject::PodDisruptionBudget(DisruptionBudget {
            status,
            ..crate::world::budget("db", selector(&[("app", "db")]))
        }));
}

#[test]
fn a_pod_owned_by_a_stateful_set_is_reaped_only_if_its_budget_allows_it() {
    for allowed in [Some(0), None] {
        let mut world = stateful();
        take_out(&mut world);
        budget(&mut world, allowed);
        world.pass(Duration::from_hours(4));
        let planned = world.planned();
        let notice = the_notice(&planned);
        assert_eq!(notice.topic, Topic::HeldPastTtl);
        assert!(
            notice
                .message
                .ends_with("PodDisruptionBudget db allows no disruption now"),
            "{notice:?}"
        );
        budget(&mut world, Some(1));
        assert_eq!(reaps(&world.planned()).len(), 1);
    }
}

#[test]
fn a_pod_that_is_not_ready_or_no_longer_owned_costs_the_budget_nothing() {
    let mut world = stateful();
    take_out(&mut world);
    budget(&mut world, Some(0));
    world.change("db-0", |pod| pod.ready = false);
    world.pass(Duration::from_hours(4));
    assert_eq!(reaps(&world.planned()).len(), 1);

    let mut world = stateful();
    take_out(&mut world);
    budget(&mut world, Some(0));
    world.change("db-0", |pod| pod.owner = None);
    world.pass(Duration::from_hours(4));
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn one_budget_allows_one_reaped_pod_a_minute() {
    let mut world = stateful();
    let other = controller(
        ControllerKind::StatefulSet,
        "log",
        1,
        selector(&[("app", "log")]),
    );
    let mut log = pod("log-0");
    log.labels = labels(&[("app", "log"), ("serving", "true")]);
    log.owner = Some(other.reference());
    world.view.put_controller(other);
    world.put(log);
    world.service("log", &[("app", "log"), ("serving", "true")]);
    let both = DisruptionBudget {
        status: Some(BudgetStatus {
            disruptions_allowed: 2,
            desired_healthy: 0,
        }),
        ..crate::world::budget("both", selector(&[("team", "shop")]))
    };
    world
        .view
        .put_selecting(PodSelectingObject::PodDisruptionBudget(both));
    for name in ["db-0", "log-0"] {
        world.change(name, |pod| {
            pod.labels.insert("team".into(), "shop".into());
        });
    }
    world.policy(|policy| {
        policy.keep_labels.insert("team".into());
    });
    world.unhealthy("db-0");
    world.unhealthy("log-0");
    for quarantine in quarantines(&world.planned()) {
        world.carry_out(quarantine);
    }
    world.findings.clear();
    world.pass(Duration::from_hours(4));
    assert_eq!(reaps(&world.planned()).len(), 1);
    world.pass(Duration::from_mins(1));
    // The first pod still exists: nothing has deleted it.
    assert_eq!(reaps(&world.planned()).len(), 1);
}

/// By `app` alone it would leave the Service, and be under the budget of another application.
#[test]
fn a_pod_comes_under_no_budget_that_it_was_not_under() {
    let mut world = stateful();
    let others = requirements("serving", Operator::NotIn(["true".into()].into()));
    world.view.put_selecting(selecting(
        PodSelectingKind::PodDisruptionBudget,
        "others",
        others,
    ));
    world.unhealthy("db-0");
    assert_eq!(
        the_refusal(&world.planned()).refusal.reason,
        Reason::NoWayOut
    );
}

/// It does not own the pod, and what owns it keeps it.
#[test]
fn a_controller_that_matches_the_pod_of_another_does_not_matter() {
    let mut world = stateful();
    let kind = ControllerKind::ReplicaSet;
    world
        .view
        .put_controller(controller(kind, "stray", 1, selector(&[("app", "db")])));
    world.unhealthy("db-0");
    the_quarantine(&world.planned());
}

#[test]
fn a_pod_comes_under_no_controller_that_did_not_match_it() {
    let mut world = stateful();
    let others = requirements("serving", Operator::NotIn(["true".into()].into()));
    let kind = ControllerKind::ReplicaSet;
    world
        .view
        .put_controller(controller(kind, "others", 1, others));
    world.unhealthy("db-0");
    assert_eq!(
        the_refusal(&world.planned()).refusal.reason,
        Reason::NoWayOut
    );
}

fn requirements(key: &str, operator: Operator) -> Selector {
    let key = key.into();
    Selector::new(vec![Requirement { key, operator }])
}
