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
    world.bad("web-0");
    world
}

fn keep(world: &mut World) {
    world.findings.clear();
    world.policy(|policy| policy.network_policies = NetworkPolicies::Keep);
    world.bad("web-0");
}

#[test]
fn a_network_policy_that_cannot_be_kept_is_left_counted_and_named() {
    let mut world = shielded(&[("app", "web")]);
    let actions = world.actions();
    let quarantine = the_quarantine(&actions);
    assert_eq!(quarantine.missed, [Arc::from("NetworkPolicy shield")]);
    assert_eq!(quarantine.network_policies_left, 1);
}

#[test]
fn or_the_pod_is_left_where_it_is_if_the_policy_says_so() {
    let mut world = shielded(&[("app", "web")]);
    keep(&mut world);
    let refusal = the_refusal(&world.actions()).clone();
    assert_eq!(refusal.refusal.reason, Reason::NetworkPolicy);
    assert_eq!(refusal.refusal.detail, "NetworkPolicy shield (app=web)");
}

#[test]
fn a_network_policy_that_can_be_kept_hinders_nothing() {
    let mut world = shielded(&[("pod-template-hash", "1")]);
    assert_eq!(the_quarantine(&world.actions()).network_policies_left, 0);
    let mut world = shielded(&[("pod-template-hash", "1")]);
    keep(&mut world);
    assert_eq!(the_quarantine(&world.actions()).network_policies_left, 0);
}

#[test]
fn to_keep_one_a_wish_of_less_weight_is_given_up() {
    // Either the placement rule is left or the NetworkPolicy is kept.
    let rule = [("zone", "a")];
    let mut world = shielded(&rule);
    world.change("web-0", |pod| {
        pod.labels.insert("zone".into(), "a".into());
        pod.spread_over = vec![selector(&rule)];
    });
    keep(&mut world);
    let actions = world.actions();
    let quarantine = the_quarantine(&actions);
    assert_eq!(
        quarantine.missed,
        [Arc::from("the pod's own spread constraint")]
    );
}

#[test]
fn where_another_selector_stands_in_the_way_that_is_named() {
    let mut world = shielded(&[("app", "web")]);
    world.policy(|policy| {
        policy.keep_labels.insert("app".into());
    });
    keep(&mut world);
    let refusal = the_refusal(&world.actions()).clone();
    assert_eq!(refusal.refusal.reason, Reason::NoWayOut);
    assert!(
        refusal.refusal.detail.contains("Service web"),
        "{refusal:?}"
    );
}

#[test]
fn a_budget_that_selects_every_pod_is_named_and_hinders_nothing() {
    let mut world = World::with_web();
    world.view.put_selecting(selecting(
        PodSelectingKind::PodDisruptionBudget,
        "all",
        Selector::default(),
    ));
    world.bad("web-0");
    assert_eq!(
        the_quarantine(&world.actions()).missed,
        [Arc::from("PodDisruptionBudget all")]
    );
}

#[test]
fn its_own_anti_affinity_cannot_be_left_by_labels_and_is_named() {
    let mut world = World::with_web();
    world.change("web-0", |pod| {
        pod.repels = vec![selector(&[("app", "web")]), selector(&[("app", "db")])];
    });
    world.bad("web-0");
    assert_eq!(
        the_quarantine(&world.actions()).missed,
        [Arc::from(
            "the pod's own anti-affinity keeps its replacement off its node"
        )]
    );
}
