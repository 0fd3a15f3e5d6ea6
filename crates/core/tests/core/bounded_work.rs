//! A decision has a budget, whatever tenants write. Work is counted, not timed: machines are shared.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    detach::{Constraints, NamedSelector, detach},
    keys,
    object::{ControllerKind, ObjectKey, Pod, PodSelectingKind, PodSelectingObject},
    policy::Mode,
    reason::Reason,
    record::MAX_BYTES,
    restore::HIGHEST_COST,
    selector::{Operator, Requirement, Selector},
    text::Fingerprint,
    write::{PodVersion, Write},
};
use test_objects::namespace;

use crate::{
    outcome::{Planned, quarantines, reaps, refusals, the_quarantine, writes},
    world::{SHOP, World, controller, labels, pod, policy, selecting, selector},
};

/// A selector that no edit of labels leaves, of sixteen requirements.
fn cannot_be_left() -> Selector {
    let requirements = (0..16).map(|key| Requirement {
        key: format!("k{key}").into(),
        operator: Operator::NotIn(["x".into()].into()),
    });
    Selector::new(requirements.collect())
}

/// Puts an object into a namespace.
fn put_selecting(world: &mut World, namespace: &str, mut object: PodSelectingObject) {
    match &mut object {
        PodSelectingObject::Service(service) => service.key.namespace = namespace.into(),
        PodSelectingObject::PodDisruptionBudget(budget) => budget.key.namespace = namespace.into(),
        PodSelectingObject::NetworkPolicy(policy) => policy.key.namespace = namespace.into(),
    }
    world.view.put_selecting(object);
}

/// Selectors that can be left, but only into others: two edits of each of sixteen keys.
fn puzzle(world: &mut World, namespace: &str) {
    let budget = PodSelectingKind::PodDisruptionBudget;
    for key in 0..16 {
        let key = format!("k{key}");
        for value in ["quarantined", "x"] {
            let name = format!("{key}-{value}");
            let entered = selecting(budget, &name, selector(&[(&key, value)]));
            put_selecting(world, namespace, entered);
        }
        let absent = Selector::new(vec![Requirement {
            key: key.as_str().into(),
            operator: Operator::DoesNotExist,
        }]);
        let absent = selecting(budget, &format!("no-{key}"), absent);
        put_selecting(world, namespace, absent);
    }
}

/// The labels that [`puzzle`] is about.
fn puzzled(pod: &mut Pod) {
    for key in 0..16 {
        pod.labels.insert(format!("k{key}").into(), "x".into());
    }
}

/// `web` with so many pods that no change of labels takes out, each of them after a long search.
fn with_puzzle(pods: u32) -> World {
    let mut world = World::new();
    world.deployment("web", pods);
    puzzle(&mut world, SHOP);
    for index in 0..pods {
        world.change(&format!("web-{index}"), puzzled);
    }
    world
}

/// A Deployment of four pods in a namespace of its own, behind a Service. Gives the first pod.
pub(crate) fn deployment_in(world: &mut World, namespace: &str) -> ObjectKey {
    world.view.put_namespace(test_objects::namespace(namespace));
    let key = |name: &str| ObjectKey::new(namespace, name);
    let app = format!("db-of-{namespace}");
    let of_set = selector(&[("app", &app), ("pod-template-hash", "1")]);
    let selects = selector(&[("app", &app)]);
    let mut deployment = controller(ControllerKind::Deployment, &app, 4, selects.clone());
    deployment.key = key("db");
    deployment.revision = Some(Fingerprint::of("1"));
    let set_name = format!("{app}-rs");
    let mut set = controller(ControllerKind::ReplicaSet, &set_name, 4, of_set);
    set.key = key("db-rs");
    set.owner = Some(deployment.reference());
    set.revision = Some(Fingerprint::of("1"));
    let owner = set.reference();
    world.view.put_controller(deployment);
    world.view.put_controller(set);
    for index in 0..4 {
        let mut pod = pod(&format!("{app}-{index}"));
        pod.key = key(&format!("db-{index}"));
        pod.labels = labels(&[("app", &app), ("pod-template-hash", "1")]);
        pod.owner = Some(owner.clone());
        world.put(pod);
    }
    let service = selecting(PodSelectingKind::Service, "db", selects);
    put_selecting(world, namespace, service);
    key("db-0")
}

/// A pod of another namespace is unhealthy, of the Deployment in `victim`: as that pod would be.
pub(crate) fn with_victim(world: &mut World, like: &str) -> ObjectKey {
    let key = deployment_in(world, "victim");
    let pod = world.view.pod(&key).unwrap();
    let mut finding = world.finding(like);
    finding.pod = key.clone();
    finding.uid = pod.uid.clone();
    finding.scopes = world.view.scopes_of(pod);
    world.findings.push(finding);
    key
}

/// In how many decisions that pod is quarantined, if it is in so many; before each, something is done.
fn decisions_until(
    world: &mut World,
    pod: &ObjectKey,
    most: u32,
    mut before: impl FnMut(&mut World, u32),
) -> Option<u32> {
    (1..=most).find(|number| {
        before(world, *number);
        let planned = world.tick();
        let planned = quarantines(&planned);
        planned.iter().any(|one| one.pod.key == *pod)
    })
}

/// Pods that people ask to quarantine, and PodDisruptionBudgets of sixteen `NotIn`.
fn with_asked_and_stuck(pods: u32, budgets: u32) -> World {
    let mut world = World::new();
    world.deployment("web", pods);
    for index in 0..pods {
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
    }
    for index in 0..budgets {
        let budget = PodSelectingKind::PodDisruptionBudget;
        let name = format!("b{index}");
        world
            .view
            .put_selecting(selecting(budget, &name, cannot_be_left()));
    }
    world
}

/// 50 PodDisruptionBudgets of sixteen `NotIn`, and 50 pods that people ask to quarantine, in `observe`.
pub(crate) fn with_budgets_that_cannot_be_left() -> World {
    let mut world = with_asked_and_stuck(50, 50);
    world.file.mode = Mode::Observe;
    world.policy(|policy| policy.mode = Mode::Observe);
    world
}

#[test]
fn selectors_that_cannot_be_left_are_found_without_a_search() {
    let mut world = with_budgets_that_cannot_be_left();
    let mut refused = Vec::new();
    for _ in 0..2 {
        let planned = world.tick();
        refused.extend(refusals(&planned).into_iter().map(|(_, reason)| reason));
    }
    assert_eq!(refused, [Reason::NoWayOut; 50]);
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
    let mut world = with_puzzle(20);
    for index in 0..20 {
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
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

#[test]
fn a_pod_that_two_policies_find_unhealthy_is_searched_once_for_each() {
    let mut world = with_puzzle(8);
    world.file.policies.push(Arc::new(policy("second")));
    for index in 0..8 {
        let mut finding = world.finding(&format!("web-{index}"));
        world.findings.push(finding.clone());
        finding.policy = world.file.policies[1].clone();
        world.findings.push(finding);
    }
    let mut put_off = Vec::new();
    for _ in 0..17 {
        world.tick();
        put_off.push(world.put_off);
    }
    assert!(put_off[0] >= 8, "{put_off:?}");
    assert_eq!(put_off.last(), Some(&0), "{put_off:?}");
}

#[test]
fn two_policies_that_keep_other_labels_have_two_answers() {
    let mut world = World::with_web();
    let mut keeps = policy("keeps");
    keeps.keep_labels = ["app".into()].into();
    world.file.policies.push(Arc::new(keeps));
    world.unhealthy("web-0");
    let mut finding = world.finding("web-0");
    finding.policy = world.file.policies[1].clone();
    world.findings.insert(0, finding);
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::NoWayOut)]);
    assert_eq!(&*quarantines(&planned)[0].record.policy, "answers");
    // The policy file is read again, and the other one keeps the label now.
    world.findings.clear();
    world.policy(|policy| policy.keep_labels = ["app".into()].into());
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::NoWayOut)]);
}

#[test]
fn long_searches_of_one_namespace_put_off_no_other() {
    let mut world = with_puzzle(20);
    for index in 0..20 {
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
    }
    let victim = with_victim(&mut world, "web-0");
    let after = decisions_until(&mut world, &victim, 1, |_, _| {});
    assert_eq!(after, Some(1));
    assert!(world.put_off > 10);
}

/// How many decisions a pod waits beside those tenants, each of whom has four long searches and changes a selector before each
/// decision.
fn decisions_beside(tenants: &[&str]) -> Option<u32> {
    let mut world = World::new();
    world.deployment("web", 1);
    for tenant in tenants {
        deployment_in(&mut world, tenant);
        puzzle(&mut world, tenant);
        for index in 0..4 {
            let key = ObjectKey::new(*tenant, format!("db-{index}"));
            let mut pod = world.view.pod(&key).unwrap().clone();
            puzzled(&mut pod);
            pod.annotations.insert(keys::QUARANTINE.into(), "x".into());
            world.put(pod);
        }
    }
    let victim = with_victim(&mut world, "web-0");
    decisions_until(&mut world, &victim, 10, |world, number| {
        for tenant in tenants {
            let selects = selector(&[("a", &format!("b{number}"))]);
            let edited = selecting(PodSelectingKind::Service, "other", selects);
            put_selecting(world, tenant, edited);
        }
    })
}

/// The first decision goes to the first two namespaces. In each of the others one has its turn, beside one more.
#[test]
fn each_namespace_has_its_turn_whatever_the_others_change() {
    assert_eq!(decisions_beside(&["a"]), Some(1));
    assert_eq!(decisions_beside(&["a", "b"]), Some(4));
    assert_eq!(decisions_beside(&["a", "b", "c", "d"]), Some(6));
}

/// Helm charts of other sorts, and a NetworkPolicy that cannot be kept.
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
    let constraints = Constraints {
        leave: vec![NamedSelector {
            whose: "Service web".into(),
            selector: selector(&[("app", "web")]),
        }],
        avoid: (0..3000)
            .map(|index| NamedSelector {
                whose: format!("Service x{index}").into(),
                selector: selector(&[("app", &format!("x{index}")), ("release", "r")]),
            })
            .collect(),
        wish_to_keep: vec![NamedSelector {
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
    world.service("web", &[("enabled", "true")]);
    world.unhealthy("web-0");
    let enabled = |world: &mut World| {
        let labels = the_quarantine(&world.planned()).labels.clone();
        labels.get("enabled").map(ToString::to_string)
    };
    assert_eq!(enabled(&mut world).as_deref(), Some("false"));
    world.service("web", &[("enabled", "false")]);
    assert_eq!(enabled(&mut world).as_deref(), Some("true"));
}

#[test]
fn what_was_found_for_a_pod_is_found_anew_where_controllers_alone_change() {
    let mut world = World::with_web();
    let web = ObjectKey::new(SHOP, "web");
    world.view.remove_selecting(PodSelectingKind::Service, &web);
    world.unhealthy("web-0");
    let app = |world: &mut World| {
        let labels = the_quarantine(&world.planned()).labels.clone();
        labels.get("app").map(ToString::to_string)
    };
    assert_eq!(app(&mut world).as_deref(), Some("quarantined"));
    let quarantined = selector(&[("app", "quarantined")]);
    let other = controller(ControllerKind::ReplicaSet, "other", 1, quarantined);
    world.view.put_controller(other);
    assert_ne!(app(&mut world).as_deref(), Some("quarantined"));
}

/// The pods that a plan settles.
fn settled(planned: &[Planned]) -> Vec<PodVersion> {
    let writes = writes(planned).into_iter();
    let settled = writes.filter_map(|write| match write {
        Write::Settle { pod, .. } => Some(pod),
        _ => None,
    });
    settled.collect()
}

#[test]
fn a_decision_settles_a_bounded_number_of_pods_and_some_of_each_namespace() {
    let mut world = World::new();
    world.deployment("web", 100);
    for index in 0..100 {
        world.annotate(&format!("web-{index}"), keys::RELEASED, "x");
    }
    world.view.put_namespace(namespace("zoo"));
    let mut other = pod("other");
    other.key = ObjectKey::new("zoo", "other");
    other.annotations.insert(keys::RELEASED.into(), "x".into());
    world.put(other);
    let mut counts = Vec::new();
    for _ in 0..3 {
        let planned = world.decide();
        let pods = settled(&planned);
        let of_zoo = pods.iter().filter(|pod| &*pod.key.namespace == "zoo");
        counts.push((pods.len(), of_zoo.count()));
        for write in writes(&planned) {
            if let Write::Settle { pod, change } = write {
                world.patch(&pod, &change);
            }
        }
    }
    assert_eq!(counts, [(64, 1), (37, 0), (0, 0)]);
}

/// In a namespace with 2,000 pods that seem to wait for their adoption, 50 of 100 ReplicaSets are compared with them.
#[test]
fn a_decision_compares_a_bounded_number_of_controllers_with_the_pods_that_wait() {
    let mut world = World::new();
    let released = r#"{"at":"2030-01-01T00:00:00Z","until":"2100-01-01T00:00:00Z"}"#;
    for index in 0..2000 {
        let mut waiting = pod(&format!("waiting-{index}"));
        waiting.labels = labels(&[("app", "none")]);
        let annotations = &mut waiting.annotations;
        annotations.insert(keys::RELEASED.into(), released.into());
        world.put(waiting);
    }
    for index in 0..100 {
        let name = format!("d{index}");
        world.deployment(&name, 1);
        let pod = format!("{name}-0");
        world.annotate(&pod, keys::RELEASED, "x");
        world.annotate(&pod, keys::DELETION_COST, HIGHEST_COST);
    }
    let mut counts = Vec::new();
    for _ in 0..3 {
        let planned = world.decide();
        counts.push(settled(&planned).len());
        for write in writes(&planned) {
            if let Write::Settle { pod, change } = write {
                world.patch(&pod, &change);
            }
        }
    }
    assert_eq!(counts, [50, 50, 0]);
}

/// Labels by the thousand are not kept, so it is not known what selects the pod.
#[test]
fn a_pod_with_more_labels_than_are_kept_has_no_way_out() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    world.change("web-0", |pod| pod.labels_left_out = 1);
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::NoWayOut)]);
    world.change("web-0", |pod| pod.labels_left_out = 0);
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

/// Nor is it known that it is behind a Service, where it might be the only other Ready pod.
#[test]
fn a_pod_with_more_labels_than_are_kept_is_no_other_ready_pod() {
    let mut world = World::new();
    world.deployment("web", 2);
    world.service("web", &[("app", "web")]);
    world.unhealthy("web-0");
    world.change("web-1", |pod| pod.labels_left_out = 1);
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::LastEndpoint)]);
}

/// Whoever may patch a quarantined pod adds labels to it: it counts, and is deleted at its time.
#[test]
fn a_quarantined_pod_that_gets_more_labels_than_are_kept_is_deleted_as_any_other() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.change("web-0", |pod| pod.labels_left_out = 1);
    world.pass(Duration::from_hours(48));
    assert_eq!(reaps(&world.tick()).len(), 1);
}

fn requirement(key: &str, operator: Operator) -> Requirement {
    Requirement {
        key: key.into(),
        operator,
    }
}

/// So many selectors that [`puzzled`] labels must not enter. Each has so many requirements that hold, before one that does
/// not.
fn long_selectors(selectors: u32, requirements: u32) -> Vec<Selector> {
    let long = (0..selectors).map(|_| {
        let not = |value| Operator::NotIn([format!("v{value}").into()].into());
        let not = (0..requirements).map(|value| requirement("app", not(value)));
        let last = requirement("k0", Operator::In(["quarantined".into()].into()));
        Selector::new(not.chain([last]).collect())
    });
    long.collect()
}

#[test]
fn a_search_ends_in_time_whatever_the_length_and_number_of_selectors() {
    let named = |selector| NamedSelector {
        whose: "a selector".into(),
        selector,
    };
    let mut pod = pod("web-0");
    puzzled(&mut pod);
    // No set of edits leaves the first selector, which all of them must try.
    for (selectors, requirements) in [(1, 1), (1, 900), (300, 3), (300, 900)] {
        let keys = (0..16).map(|key| format!("k{key}"));
        let any = keys.map(|key| requirement(&key, Operator::Exists));
        let none = keys_absent();
        let constraints = Constraints {
            leave: vec![named(Selector::new(any.collect()))],
            avoid: long_selectors(selectors, requirements)
                .into_iter()
                .chain(none)
                .map(named)
                .collect(),
            ..Constraints::default()
        };
        let work = match detach(&pod.labels, &constraints) {
            Ok(found) => found.work,
            Err(no_way_out) => no_way_out.work,
        };
        // The last set of edits, and the last copy, may take more.
        let size = (selectors * (2 * requirements + 2)) as usize;
        assert!(
            work < 300_000 + 3 * size,
            "{selectors} selectors of {requirements} requirements: {work}"
        );
    }
}

/// How many sets of edits are tried beside those NetworkPolicies, and how much work that is.
fn search_beside(network_policies: Vec<Selector>) -> (usize, usize) {
    let named = |selector| NamedSelector {
        whose: "a selector".into(),
        selector,
    };
    let mut pod = pod("web-0");
    puzzled(&mut pod);
    let keys = (0..16).map(|key| requirement(&format!("k{key}"), Operator::Exists));
    let constraints = Constraints {
        leave: vec![named(Selector::new(keys.collect()))],
        wish_to_keep: network_policies.into_iter().map(named).collect(),
        ..Constraints::default()
    };
    let found = detach(&pod.labels, &constraints).unwrap();
    (found.tried as usize, found.work)
}

#[test]
fn each_selector_that_is_looked_at_is_work_and_each_requirement_once_for_each_set() {
    let (tried, alone) = search_beside(Vec::new());
    let (_, beside) = search_beside(vec![Selector::default(); 300]);
    assert_eq!(beside - alone, 300, "they select all pods");
    let one = Selector::new(vec![requirement("k0", Operator::Exists)]);
    let (tried_too, beside) = search_beside(vec![one; 300]);
    assert_eq!(tried, tried_too);
    let work = (beside - alone) / 300;
    // Half of the sets do not leave the first selector: no other is looked at.
    assert!((tried / 2..tried).contains(&work), "{tried}: {work}");
}

/// A selector for each key of [`puzzled`] that a pod without the key enters.
fn keys_absent() -> Vec<Selector> {
    let keys = (0..16).map(|key| format!("k{key}"));
    let absent = keys.map(|key| Selector::new(vec![requirement(&key, Operator::DoesNotExist)]));
    absent.collect()
}

/// Half a dozen sets of edits, each beside thousands of requirements.
#[test]
fn a_few_searches_beside_long_selectors_fill_a_decision() {
    let mut world = World::new();
    world.deployment("web", 20);
    let budget = PodSelectingKind::PodDisruptionBudget;
    for (number, long) in long_selectors(40, 450).into_iter().enumerate() {
        let long = selecting(budget, &format!("b{number}"), long);
        world.view.put_selecting(long);
    }
    for index in 0..20 {
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
    }
    let mut put_off = Vec::new();
    for _ in 0..20 {
        world.decide();
        put_off.push(world.put_off);
    }
    assert!(put_off[0] >= 10, "{put_off:?}");
    assert_eq!(put_off.last(), Some(&0), "{put_off:?}");
}

/// What cannot be left is found without a search, but all selectors are looked at.
#[test]
fn searches_that_fail_at_once_are_put_off_too() {
    let mut world = with_asked_and_stuck(100, 100);
    let decisions = |world: &mut World| {
        let mut put_off = Vec::new();
        while put_off.last() != Some(&0) {
            world.decide();
            put_off.push(world.put_off);
        }
        put_off
    };
    let first = decisions(&mut world);
    assert!(first[0] > 80 && first.len() <= 10, "{first:?}");
    world.service("other", &[("a", "b")]);
    let again = decisions(&mut world);
    assert!(again[0] > 80 && again.len() <= 10, "{again:?}");
}

#[test]
fn labels_that_are_too_long_for_a_record_are_refused_before_one_is_written() {
    let refusal = |bytes: usize| {
        let mut world = World::with_web();
        world.unhealthy("web-0");
        world.change("web-0", |pod| {
            let length = |pod: &Pod| -> usize {
                let labels = pod.labels.iter();
                labels.map(|(key, value)| key.len() + value.len()).sum()
            };
            while length(pod) < bytes {
                let key = format!("l{:03}", pod.labels.len());
                let rest = bytes - length(pod) - key.len();
                pod.labels
                    .insert(key.into(), "v".repeat(rest.min(50)).into());
            }
        });
        assert_eq!(refusals(&world.planned()), [("web-0", Reason::NoWayOut)]);
        let uid = world.pod("web-0").uid.clone();
        let refused = world.state.refused(&uid).next().unwrap();
        refused.refusal.detail.clone()
    };
    let alone = "its labels alone have";
    let (most, more) = (refusal(MAX_BYTES), refusal(MAX_BYTES + 1));
    assert!(
        !most.contains(alone) && more.contains(alone),
        "{most}, {more}"
    );
}
