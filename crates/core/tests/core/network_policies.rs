//! NetworkPolicies: kept where a choice exists, else as the policy says; and budgets that nobody can leave.

use std::sync::Arc;

use pod_quarantine_core::{
    object::PodSelectingKind, policy::NetworkPolicies, reason::Reason, selector::Selector,
};

use crate::{
    outcome::{the_quarantine, the_refusal},
    world::{World, selecting, selector},
};

fn shielded(by: &[(&str, &str)]) -> World {
    let mut world = World::with_web();
    world.view.put_selecting(selecting(
        PodSelectingKind::NetworkPolicy,
        "shield",
        selector(by),
    ));
    world.unhealthy("web-0");
    world
}

fn keep(world: &mut World) {
    world.findings.clear();
    world.policy(|policy| policy.network_policies = NetworkPolicies::Keep);
    world.unhealthy("web-0");
}

#[test]
fn a_network_policy_that_cannot_be_kept_is_left_counted_and_named() {
    let mut world = shielded(&[("app", "web")]);
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(quarantine.missed, [Arc::from("NetworkPolicy shield")]);
    assert_eq!(quarantine.network_policies_left, 1);
}

#[test]
fn a_network_policy_that_cannot_be_kept_refuses_the_quarantine_if_the_policy_says_keep() {
    let mut world = shielded(&[("app", "web")]);
    keep(&mut world);
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::NetworkPolicy);
    assert_eq!(refusal.refusal.detail, "NetworkPolicy shield (app=web)");
}

#[test]
fn a_network_policy_that_can_be_kept_refuses_nothing() {
    let mut world = shielded(&[("pod-template-hash", "1")]);
    assert_eq!(the_quarantine(&world.planned()).network_policies_left, 0);
    let mut world = shielded(&[("pod-template-hash", "1")]);
    keep(&mut world);
    assert_eq!(the_quarantine(&world.planned()).network_policies_left, 0);
}

#[test]
fn a_network_policy_is_kept_at_the_cost_of_a_placement_rule() {
    // Either the placement rule is left or the NetworkPolicy is kept.
    let rule = [("zone", "a")];
    let mut world = shielded(&rule);
    world.change("web-0", |pod| {
        pod.labels.insert("zone".into(), "a".into());
        pod.spread_over = vec![selector(&rule)];
    });
    keep(&mut world);
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(
        quarantine.missed,
        [Arc::from("the pod's own spread constraint")]
    );
}

#[test]
fn the_refusal_names_the_service_in_the_way_rather_than_the_network_policy() {
    let mut world = shielded(&[("app", "web")]);
    world.policy(|policy| {
        policy.keep_labels.insert("app".into());
    });
    keep(&mut world);
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::NoWayOut);
    assert!(
        refusal.refusal.detail.contains("Service web"),
        "{refusal:?}"
    );
}

#[test]
fn a_budget_that_selects_every_pod_is_named_and_refuses_nothing() {
    let mut world = World::with_web();
    world.view.put_selecting(selecting(
        PodSelectingKind::PodDisruptionBudget,
        "all",
        Selector::default(),
    ));
    world.unhealthy("web-0");
    assert_eq!(
        the_quarantine(&world.planned()).missed,
        [Arc::from("PodDisruptionBudget all")]
    );
}

#[test]
fn a_pods_own_anti_affinity_cannot_be_left_and_is_named() {
    let mut world = World::with_web();
    world.change("web-0", |pod| {
        pod.repels = vec![selector(&[("app", "web")]), selector(&[("app", "db")])];
    });
    world.unhealthy("web-0");
    assert_eq!(
        the_quarantine(&world.planned()).missed,
        [Arc::from(
            "the pod's own anti-affinity keeps its replacement off its node"
        )]
    );
}
