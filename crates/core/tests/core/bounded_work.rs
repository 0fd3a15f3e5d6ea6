//! A decision has a budget, whatever tenants write. Work is counted, not timed: machines are shared.

use pod_quarantine_core::{
    detach::detach,
    keys,
    object::{ControllerKind, PodSelectingKind},
    policy::Mode,
    reason::Reason,
    selector::{Operator, Requirement, Selector},
};

use crate::{
    outcome::{quarantines, refusals, the_quarantine},
    world::{World, controller, selecting, selector},
};

/// A selector that no edit of labels leaves, of sixteen requirements.
fn cannot_be_left() -> Selector {
    let requirements = (0..16).map(|key| Requirement {
        key: format!("k{key}").into(),
        operator: Operator::NotIn(["x".into()].into()),
    });
    Selector::new(requirements.collect())
}

/// A selector that can be left, but only into another one: two edits of each of sixteen keys.
fn puzzle(world: &mut World) {
    for key in 0..16 {
        let key = format!("k{key}");
        for value in ["quarantined", "x"] {
            world.view.put_selecting(selecting(
                PodSelectingKind::PodDisruptionBudget,
                &format!("{key}-{value}"),
                selector(&[(&key, value)]),
            ));
        }
        let absent = Selector::new(vec![Requirement {
            key: key.as_str().into(),
            operator: Operator::DoesNotExist,
        }]);
        let budget = PodSelectingKind::PodDisruptionBudget;
        world
            .view
            .put_selecting(selecting(budget, &format!("no-{key}"), absent));
    }
}

/// 50 PodDisruptionBudgets of sixteen `NotIn`, and 50 pods that people ask to quarantine, in `observe`.
pub(crate) fn with_budgets_that_cannot_be_left() -> World {
    let mut world = World::new();
    world.deployment("web", 50);
    for index in 0..50 {
        let budget = PodSelectingKind::PodDisruptionBudget;
        let name = format!("b{index}");
        world
            .view
            .put_selecting(selecting(budget, &name, cannot_be_left()));
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
    }
    world.file.mode = Mode::Observe;
    world.policy(|policy| policy.mode = Mode::Observe);
    world
}

#[test]
fn selectors_that_cannot_be_left_are_found_without_a_search() {
    let mut world = with_budgets_that_cannot_be_left();
    let planned = world.tick();
    let refused = refusals(&planned);
    assert_eq!(refused.len(), 50);
    assert!(
        refused
            .iter()
            .all(|(_, reason)| *reason == Reason::NoWayOut)
    );
    let uid = world.pod("web-0").uid.clone();
    let detail = world
        .state
        .refused(&uid)
        .next()
        .unwrap()
        .refusal
        .detail
        .clone();
    assert!(
        detail.len() < 3000 && detail.ends_with("; and 45 more"),
        "{detail}"
    );
}

#[test]
fn what_does_not_fit_into_a_decision_is_put_off_and_remembered() {
    let mut world = World::new();
    world.deployment("web", 20);
    puzzle(&mut world);
    for index in 0..20 {
        let name = format!("web-{index}");
        world.change(&name, |pod| {
            for key in 0..16 {
                pod.labels.insert(format!("k{key}").into(), "x".into());
            }
        });
        world.annotate(&name, keys::QUARANTINE, "x");
    }
    world.file.mode = Mode::Observe;
    world.policy(|policy| policy.mode = Mode::Observe);
    let mut put_off = Vec::new();
    for _ in 0..22 {
        world.tick();
        put_off.push(world.put_off);
    }
    assert!(put_off[0] >= 15, "{put_off:?}");
    assert!(put_off.is_sorted_by(|a, b| a >= b), "{put_off:?}");
    assert_eq!(put_off.last(), Some(&0));
    let refused = (0..20).filter(|index| {
        let uid = world.pod(&format!("web-{index}")).uid.clone();
        world.state.refused(&uid).next().is_some()
    });
    assert_eq!(refused.count(), 20, "each had its turn");
    // A change of a pod alone asks again about that pod; a change of a selector about all.
    world.change("web-0", |pod| pod.restarts += 1);
    world.tick();
    assert_eq!(world.put_off, 0);
    world.service("other", &[("a", "b")]);
    world.tick();
    assert!(world.put_off > 10);
}

/// Helm charts of other sorts: 300 Deployments with ten old ReplicaSets each, and a NetworkPolicy that cannot be kept.
#[test]
fn selectors_of_other_applications_are_not_searched() {
    let mut world = World::with_web();
    let policy = PodSelectingKind::NetworkPolicy;
    world
        .view
        .put_selecting(selecting(policy, "web", selector(&[("app", "web")])));
    for index in 0..300 {
        let name = format!("x{index}");
        let of = [
            ("app.kubernetes.io/name", &*name),
            ("app.kubernetes.io/instance", &name),
            ("tier", "t"),
        ];
        let deployment = controller(ControllerKind::Deployment, &name, 1, selector(&of));
        world.view.put_controller(deployment);
        world.service(&name, &of);
    }
    world.unhealthy("web-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
    let constraints = pod_quarantine_core::detach::Constraints {
        leave: vec![pod_quarantine_core::detach::NamedSelector {
            whose: "Service web".into(),
            selector: selector(&[("app", "web")]),
        }],
        avoid: (0..3000)
            .map(|index| pod_quarantine_core::detach::NamedSelector {
                whose: format!("Service x{index}").into(),
                selector: selector(&[("app", &format!("x{index}")), ("release", "r")]),
            })
            .collect(),
        wish_to_keep: vec![pod_quarantine_core::detach::NamedSelector {
            whose: "NetworkPolicy web".into(),
            selector: selector(&[("app", "web")]),
        }],
        ..Default::default()
    };
    let found = detach(&world.pod("web-0").labels, &constraints).unwrap();
    assert!(found.tried <= 3, "{} sets of one key's edits", found.tried);
}

#[test]
fn what_was_found_for_a_pod_is_found_anew_once_a_selector_changes() {
    let mut world = World::with_web();
    for index in 0..4 {
        world.change(&format!("web-{index}"), |pod| {
            pod.labels.insert("enabled".into(), "true".into());
        });
    }
    world.service("web", &[("enabled", "true"), ("app", "web")]);
    world.policy(|policy| policy.mode = Mode::Observe);
    world.unhealthy("web-0");
    world.planned();
    world.service("web", &[("enabled", "false")]);
    world.policy(|policy| policy.mode = Mode::Enforce);
    world.findings.clear();
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    let enters = quarantine
        .labels
        .get("enabled")
        .is_some_and(|value| &**value == "false");
    assert!(!enters, "{:?}", quarantine.labels);
}
