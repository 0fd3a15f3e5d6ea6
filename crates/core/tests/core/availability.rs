//! What a Ready pod must leave behind: enough of its workload, its budgets, and its Services.

use std::{num::NonZeroU32, time::Duration};

use pod_quarantine_core::{
    keys,
    object::{BudgetStatus, DisruptionBudget, ObjectKey, PodSelectingObject, Service},
    policy::{MaxPods, MinPods},
    reason::Reason,
};

use crate::{
    outcome::{quarantines, refusals, the_quarantine, the_refusal},
    world::{SHOP, World, selector},
};

#[test]
fn a_percentage_of_ready_pods_rounds_up() {
    for (percent, desired, expected) in [
        (50, 0, 0),
        (50, 1, 1),
        (50, 2, 1),
        (50, 3, 2),
        (50, 4, 2),
        (0, 7, 0),
        (1, 1, 1),
        (34, 3, 2),
        (33, 3, 1),
        (100, 5, 5),
        (100, u32::MAX, u32::MAX),
    ] {
        let least = MinPods::Percent(percent).of(desired);
        assert_eq!(least, expected, "{percent}% of {desired}");
    }
    assert_eq!(MinPods::Count(3).of(1), 3);
}

fn with_least(least: MinPods) -> World {
    let mut world = World::with_web();
    world.file.limits.workload.min_ready = least;
    world.unhealthy("web-0");
    world
}

#[test]
fn a_ready_pod_is_quarantined_only_if_min_ready_pods_stay() {
    the_quarantine(&with_least(MinPods::Count(3)).planned());
    let mut world = with_least(MinPods::Count(4));
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::MinReady);
    assert_eq!(
        refusal.refusal.detail,
        "3 of its other pods are Ready, at least 4 must stay so"
    );
}

#[test]
fn a_pod_that_is_not_ready_costs_neither_min_ready_nor_a_budget() {
    let mut world = with_least(MinPods::Percent(100));
    world.change("web-0", |pod| pod.ready = false);
    budget(&mut world, "web", Some(0), 4);
    for name in ["web-1", "web-2", "web-3"] {
        world.change(name, |pod| pod.ready = false);
    }
    the_quarantine(&world.planned());
}

#[test]
fn terminating_pods_and_pods_with_a_slot_do_not_count_as_ready() {
    let mut world = with_least(MinPods::Count(3));
    world.change("web-1", |pod| pod.terminating = true);
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::MinReady)]);
    world.change("web-1", |pod| pod.terminating = false);
    the_quarantine(&world.planned());

    // A pod with a slot may be quarantined at any moment.
    let mut other = World::with_web();
    other.unhealthy("web-1");
    let slot = the_quarantine(&other.planned()).slot.clone();
    assert!(world.ledger().take(slot));
    world.replaced("web-1");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::MinReady)]);
}

#[test]
fn ready_pods_of_all_revisions_count_for_min_ready() {
    let mut world = with_least(MinPods::Count(4));
    world.another_revision("web", 1);
    the_quarantine(&world.planned());
}

#[test]
fn min_ready_holds_for_manual_quarantines_too() {
    let mut world = with_least(MinPods::Count(4));
    world.findings.clear();
    world.annotate("web-0", keys::QUARANTINE, "");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::MinReady)]);
}

fn budget(world: &mut World, app: &str, allowed: Option<u32>, desired_healthy: u32) {
    let status = allowed.map(|disruptions_allowed| BudgetStatus {
        disruptions_allowed,
        desired_healthy,
    });
    world
        .view
        .put_selecting(PodSelectingObject::PodDisruptionBudget(DisruptionBudget {
            status,
            ..crate::world::budget(app, selector(&[("app", app)]))
        }));
}

#[test]
fn a_budget_that_allows_no_disruption_or_has_an_old_status_refuses() {
    for (allowed, least, why) in [
        (Some(0), 3, "web allows no disruption now"),
        (None, 3, "web: its status is not of its present spec"),
        // Its status lags behind what is known of its pods.
        (Some(1), 4, "web wants 4 healthy pods, 3 would stay"),
    ] {
        let mut world = with_least(MinPods::Count(0));
        budget(&mut world, "web", allowed, least);
        let refusal = the_refusal(&world.planned()).clone();
        assert_eq!(refusal.refusal.reason, Reason::DisruptionBudget);
        assert_eq!(refusal.refusal.detail, why);
    }
    let mut world = with_least(MinPods::Count(0));
    budget(&mut world, "web", Some(1), 3);
    the_quarantine(&world.planned());
}

#[test]
fn a_budget_of_other_pods_refuses_nothing() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    budget(&mut world, "other", Some(0), 4);
    the_quarantine(&world.planned());
    budget(&mut world, "web", Some(0), 4);
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::DisruptionBudget)]);
}

/// Two workloads under one budget.
fn under_one_budget() -> World {
    let mut world = World::with_web();
    world.deployment("api", 4);
    let both = crate::world::budget("both", selector(&[("pod-template-hash", "1")]));
    world
        .view
        .put_selecting(PodSelectingObject::PodDisruptionBudget(both));
    world
}

#[test]
fn a_budget_over_two_workloads_allows_one_quarantine_at_a_time() {
    let mut world = under_one_budget();
    world.unhealthy("web-0");
    world.unhealthy("api-0");
    let planned = world.planned();
    let first = quarantines(&planned)[0].clone();
    assert_eq!(refusals(&planned), [("api-0", Reason::DisruptionBudget)]);
    world.carry_out(&first);
    assert_eq!(refusals(&world.planned()), []);
    // The status of the budget is up to date by then.
    world.pass(Duration::from_mins(1));
    let planned = world.planned();
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "api-0");
}

/// For a minute the status may not know of it yet.
#[test]
fn a_budget_waits_for_its_status_after_each_quarantine_of_its_pods_and_of_no_others() {
    let held_after = |seconds: u64, change: fn(&mut World)| {
        let mut world = under_one_budget();
        world.unhealthy("web-0");
        let quarantine = the_quarantine(&world.planned()).clone();
        world.carry_out(&quarantine);
        world.findings.clear();
        change(&mut world);
        world.unhealthy("api-0");
        world.pass(Duration::from_secs(seconds - 1));
        !refusals(&world.planned()).is_empty()
    };
    assert!(held_after(59, |_| {}));
    assert!(!held_after(60, |_| {}));
    // It has other labels since: those that it had before count.
    assert!(held_after(59, |world| {
        world.change("web-0", |pod| pod.labels = crate::world::labels(&[]));
    }));
    assert!(!held_after(59, |world| {
        let slots = world.ledger().slots.values_mut();
        slots.for_each(|slot| slot.namespace = "other".into());
    }));
    assert!(!held_after(59, |world| {
        let slots = world.ledger().slots.values_mut();
        slots.for_each(|slot| slot.ready = false);
    }));
}

#[test]
fn a_ready_replacement_frees_the_budget() {
    let mut world = under_one_budget();
    world.quarantine("web-0");
    world.unhealthy("api-0");
    the_quarantine(&world.planned());
}

#[test]
fn a_quarantined_pod_that_was_not_ready_uses_nothing_of_a_budget() {
    let mut world = under_one_budget();
    world.change("web-0", |pod| pod.ready = false);
    world.unhealthy("web-0");
    world.unhealthy("api-0");
    assert_eq!(quarantines(&world.planned()).len(), 2);
}

fn ask_for(world: &mut World, names: &[&str]) {
    for name in names {
        world.annotate(name, keys::QUARANTINE, "");
    }
}

#[test]
fn a_pod_that_is_about_to_be_quarantined_no_longer_counts_as_ready() {
    let mut world = World::with_web();
    world.file.limits.workload.min_ready = MinPods::Count(2);
    ask_for(&mut world, &["web-0", "web-1", "web-2"]);
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 2);
    assert_eq!(refusals(&planned), [("web-2", Reason::MinReady)]);

    // One that was not Ready did not count before either.
    world.change("web-0", |pod| pod.ready = false);
    world.restart();
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 2);
    assert_eq!(refusals(&planned), [("web-2", Reason::MinReady)]);
}

#[test]
fn of_the_pods_of_a_service_the_last_one_stays_on_each_node() {
    let all = ["web-0", "web-1", "web-2", "web-3"];
    let mut world = World::with_web();
    ask_for(&mut world, &all);
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 3);
    assert_eq!(refusals(&planned), [("web-3", Reason::LastEndpoint)]);

    for (name, node) in all.into_iter().zip(["one", "two", "two", "one"]) {
        world.change(name, |pod| pod.node = Some(node.into()));
    }
    let local = Service {
        local: true,
        ..crate::world::service("web", selector(&[("app", "web")]))
    };
    world.view.put_selecting(PodSelectingObject::Service(local));
    world.restart();
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 2);
    let last = Reason::LastEndpoint;
    assert_eq!(refusals(&planned), [("web-2", last), ("web-3", last)]);
}

#[test]
fn the_healthy_pods_of_a_budget_are_counted_without_the_pod_that_asks() {
    let mut world = World::with_web();
    budget(&mut world, "web", Some(1), 3);
    world.change("web-0", |pod| pod.ready = false);
    ask_for(&mut world, &["web-1", "web-2"]);
    let budget = Reason::DisruptionBudget;
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", budget), ("web-2", budget)]
    );
    world.change("web-0", |pod| pod.ready = true);
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1);
}

#[test]
fn a_service_keeps_one_ready_endpoint() {
    let mut world = World::with_web();
    for name in ["web-1", "web-2", "web-3"] {
        world.change(name, |pod| pod.ready = false);
    }
    world.unhealthy("web-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::LastEndpoint);
    assert_eq!(
        refusal.refusal.detail,
        "the pod is the only Ready pod of web"
    );
    // A pod of another workload serves it, too.
    world.beside("web-0");
    the_quarantine(&world.planned());
}

#[test]
fn a_service_with_local_traffic_keeps_one_ready_endpoint_on_each_node() {
    let mut world = World::with_web();
    for (name, node) in [
        ("web-0", "one"),
        ("web-1", "two"),
        ("web-2", "two"),
        ("web-3", "two"),
    ] {
        world.change(name, |pod| pod.node = Some(node.into()));
    }
    let local = Service {
        local: true,
        ..crate::world::service("web", selector(&[("app", "web")]))
    };
    world.view.put_selecting(PodSelectingObject::Service(local));
    world.unhealthy("web-0");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::LastEndpoint);
    assert_eq!(
        refusal.refusal.detail,
        "the pod is the only Ready pod of web on its node"
    );
    world.findings.clear();
    world.unhealthy("web-1");
    the_quarantine(&world.planned());
}

/// The refusals with the default limits, when that many pods of a workload are unhealthy, and Ready or not.
fn small(pods: u32, bad: u32, ready: bool) -> Vec<Reason> {
    let mut world = World::new();
    world.deployment("web", pods);
    world.file.limits.workload.max = MaxPods::Percent(10);
    world.file.limits.workload.min_ready = MinPods::Percent(50);
    world.file.limits.storm.workload = 50;
    world.file.limits.storm.cluster = 20;
    let uid = crate::world::workload_id("web");
    world.with_verdict.insert(uid, pods);
    for index in 0..bad {
        let name = format!("web-{index}");
        world.change(&name, |pod| pod.ready = ready);
        world.unhealthy(&name);
    }
    let planned = world.planned();
    let refused = refusals(&planned).into_iter().map(|(_, reason)| reason);
    refused.collect()
}

#[test]
fn workloads_of_one_to_three_pods_behave_as_the_readme_says() {
    assert_eq!(small(1, 1, true), [Reason::MinReady]);
    assert_eq!(small(1, 1, false), []);
    assert_eq!(small(2, 1, true), []);
    assert_eq!(small(2, 2, true), [Reason::Storm; 2]);
    assert_eq!(small(3, 1, true), []);
    assert_eq!(small(3, 2, true), [Reason::Storm; 2]);
    assert_eq!(small(3, 2, false), [Reason::Storm; 2]);
}

#[test]
fn a_pod_that_is_gone_no_longer_counts_for_its_workload() {
    let mut world = World::with_web();
    world.file.limits.workload.max = MaxPods::Count(NonZeroU32::MIN);
    world.quarantine("web-0");
    world.unhealthy("web-1");
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::WorkloadLimit)]
    );
    let gone = world.pod("web-0").clone();
    assert!(
        world
            .view
            .remove_pod(&ObjectKey::new(SHOP, "web-0"), &gone.uid)
    );
    world.ledger().slots.clear();
    the_quarantine(&world.planned());
}
