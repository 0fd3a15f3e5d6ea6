//! Why an unhealthy pod is left where it is: every reason, which comes first, and how often it is reported.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::Finding,
    keys,
    ledger::LedgerView,
    object::{ControllerKind, Namespace, PodSelectingKind},
    policy::{MaxPods, Mode},
    reason::{Reason, Refusal},
    selector::Selector,
    view::Update,
    write::Act,
};

use crate::{
    order_of_checks::with_unhealthy_pod,
    outcome::{Planned, quarantines, refusals, the_quarantine, the_refusal},
    world::{SHOP, World, controller, labels, pod, policy, reference, selecting, selector},
};

/// The reason and the detail after a change of that world.
fn refused(change: impl FnOnce(&mut World)) -> (Reason, String) {
    let mut world = with_unhealthy_pod();
    change(&mut world);
    let planned = world.planned();
    let refusal = the_refusal(&planned);
    assert_eq!(&*refusal.pod.name, "web-0");
    assert_eq!(&*refusal.policy, "answers");
    assert_eq!(&*refusal.asked, "3 bad probes in a row: HTTP 500");
    (refusal.refusal.reason, refusal.refusal.detail.clone())
}

fn detail(of: (Reason, String), reason: Reason) -> String {
    assert_eq!(of.0, reason, "{}", of.1);
    of.1
}

#[test]
fn an_unhealthy_pod_that_nothing_protects_is_quarantined() {
    the_quarantine(&with_unhealthy_pod().planned());
}

#[test]
fn a_pod_outside_every_policy_is_never_touched() {
    for outside in [
        |world: &mut World| world.policy(|policy| policy.pods = selector(&[("app", "db")])),
        |world: &mut World| {
            world.policy(|policy| policy.namespaces = Some(selector(&[("team", "shop")])));
        },
        |world: &mut World| world.view.remove_namespace(SHOP),
        |world: &mut World| world.view.own_namespace = SHOP.into(),
    ] {
        let mut world = World::with_web();
        outside(&mut world);
        world.unhealthy("web-0");
        assert_eq!(world.tick(), []);
    }
}

#[test]
fn a_namespace_of_kubernetes_itself_is_watched_only_if_a_policy_says_so() {
    let mut view = World::new().view;
    view.put_namespace(Namespace {
        name: "kube-system".into(),
        labels: labels(&[("team", "platform")]),
        mode: None,
        terminating: false,
    });
    let mut there = pod("dns");
    there.key.namespace = "kube-system".into();
    let mut policy = policy("answers");
    assert!(!view.selects(&policy, &there));
    policy.namespaces = Some(Selector::default());
    assert!(view.selects(&policy, &there));
    policy.namespaces = Some(selector(&[("team", "shop")]));
    assert!(!view.selects(&policy, &there));
}

#[test]
fn a_finding_about_a_replaced_terminating_or_deleted_pod_is_ignored() {
    let mut world = with_unhealthy_pod();
    world.findings[0].uid = "its-predecessor".into();
    assert_eq!(world.tick(), []);

    let mut world = with_unhealthy_pod();
    world.change("web-0", |pod| pod.terminating = true);
    assert_eq!(world.tick(), []);

    let mut world = with_unhealthy_pod();
    let pod = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&pod.key, &pod.uid));
    assert_eq!(world.tick(), []);
}

#[test]
fn a_finding_of_a_policy_that_has_changed_or_is_gone_is_ignored() {
    let mut world = with_unhealthy_pod();
    world.policy(|policy| policy.mode = Mode::Observe);
    assert_eq!(world.planned(), [], "it was in force as enforce");

    let mut world = with_unhealthy_pod();
    world.policy(|policy| policy.name = "another".into());
    assert_eq!(world.planned(), []);
}

#[test]
fn the_mode_off_of_the_policy_or_the_namespace_refuses() {
    detail(refused(|world| world.namespace_mode("off")), Reason::Off);
    let off = |world: &mut World| {
        world.policy(|policy| policy.mode = Mode::Off);
        world.findings = vec![world.finding("web-0")];
    };
    detail(refused(off), Reason::Off);
}

#[test]
fn a_namespace_only_lowers_the_mode_and_an_unreadable_mode_is_off() {
    detail(
        refused(|world| world.namespace_mode("Enforce")),
        Reason::Off,
    );
    detail(refused(|world| world.namespace_mode("")), Reason::Off);
    let observe = |world: &mut World| {
        world.policy(|policy| policy.mode = Mode::Observe);
        world.findings = vec![world.finding("web-0")];
        world.namespace_mode("enforce");
    };
    detail(refused(observe), Reason::Observe);
}

#[test]
fn an_exempt_annotation_refuses_whether_readable_or_not() {
    let exempt = |world: &mut World| world.annotate("web-0", keys::EXEMPT, "true");
    detail(refused(exempt), Reason::Exempt);
    let mut world = with_unhealthy_pod();
    world.annotate("web-0", keys::EXEMPT, "perhaps");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Exempt)]);
    let mut world = with_unhealthy_pod();
    world.annotate("web-0", keys::EXEMPT, "false");
    the_quarantine(&world.planned());
}

#[test]
fn a_signal_without_contrast_is_refused() {
    let none = |world: &mut World| world.findings[0].contrast = false;
    detail(refused(none), Reason::NeverSeenGood);
}

#[test]
fn a_stale_view_is_not_acted_on() {
    let stale = |world: &mut World| world.view.stale = Some("pods: silent for 60 s".into());
    let why = detail(refused(stale), Reason::StaleView);
    assert_eq!(why, "pods: silent for 60 s");
}

#[test]
fn a_pod_whose_owner_is_not_in_the_view_waits() {
    for (kind, name) in [
        (ControllerKind::ReplicaSet, "web-rs"),
        (ControllerKind::Deployment, "web"),
    ] {
        let unseen = |world: &mut World| {
            let key = pod_quarantine_core::object::ObjectKey::new(SHOP, name);
            world.view.remove_controller(kind, &key);
        };
        let why = detail(refused(unseen), Reason::StaleView);
        assert_eq!(why, format!("{} {name} was not seen yet", kind.as_str()));
        // A successor of the same name is another owner.
        let renewed = |world: &mut World| {
            world.set_controller(kind, name, |controller| controller.uid = "new".into());
        };
        detail(refused(renewed), Reason::StaleView);
    }
}

#[test]
fn no_pod_is_quarantined_without_an_open_ledger() {
    let lacking = [
        (LedgerView::NotLoaded, "the ledger was not read yet"),
        (LedgerView::Gone(None), "there is no ledger"),
    ];
    for (ledger, expected) in lacking {
        let mut world = with_unhealthy_pod();
        world.view.ledger = ledger;
        world.planned();
        world.pass(Duration::from_secs(5));
        assert_eq!(
            refusals(&world.planned()),
            [("web-0", Reason::LedgerUnavailable)]
        );
        let uid = world.pod("web-0").uid.clone();
        let why = world.state.refused(&uid).next().unwrap();
        assert_eq!(why.refusal.detail, expected);
    }
    let going = |world: &mut World| {
        world.ledger().terminating = true;
    };
    let why = detail(refused(going), Reason::LedgerUnavailable);
    assert_eq!(why, "the ledger is being deleted");
    let rebuilt = |world: &mut World| world.ledger().rebuilt = Some(world.now.wall);
    let why = detail(refused(rebuilt), Reason::LedgerUnavailable);
    assert_eq!(
        why,
        "the ledger was lost and rebuilt less than ten minutes ago"
    );
}

#[test]
fn a_pod_with_an_unreadable_ledger_entry_gets_no_second_entry() {
    let unreadable = |world: &mut World| {
        let uid = world.pod("web-0").uid.clone();
        world.ledger().unreadable.insert(uid.into(), "?".into());
    };
    detail(refused(unreadable), Reason::LedgerUnavailable);
}

#[test]
fn pods_of_other_owners_are_refused_and_the_owner_is_named() {
    let of_kind = |world: &mut World, kind: ControllerKind| {
        let owner = controller(kind, "db", 1, selector(&[("app", "db")]));
        world.change("web-0", |pod| pod.owner = Some(owner.reference()));
        world.view.put_controller(owner);
    };
    for kind in [ControllerKind::StatefulSet, ControllerKind::DaemonSet] {
        let why = detail(refused(|world| of_kind(world, kind)), Reason::OwnerKind);
        let begins = format!("the pod belongs to {} db, wh", kind.as_str());
        assert!(why.starts_with(&begins), "{why}");
        assert!(why.contains("detach: service"), "{why}");
    }
    for (kind, ends) in [
        ("Job", "whose work would be done twice"),
        ("Node", "of a kind that the agent does not read"),
        ("CloneSet", "of a kind that the agent does not read"),
    ] {
        let foreign = |world: &mut World| {
            world.change("web-0", |pod| pod.owner = Some(reference(kind, "it")));
        };
        let why = detail(refused(foreign), Reason::OwnerKind);
        assert_eq!(why, format!("the pod belongs to {kind} it, {ends}"));
    }
    let unowned = |world: &mut World| world.change("web-0", |pod| pod.owner = None);
    let why = detail(refused(unowned), Reason::OwnerKind);
    assert_eq!(why, "no controller would replace the pod");
    let mirror = |world: &mut World| world.annotate("web-0", keys::MIRROR, "hash");
    let why = detail(refused(mirror), Reason::OwnerKind);
    assert!(why.starts_with("a static pod"), "{why}");
}

#[test]
fn no_pod_leaves_a_controller_that_is_being_deleted() {
    for (kind, name) in [
        (ControllerKind::ReplicaSet, "web-rs"),
        (ControllerKind::Deployment, "web"),
    ] {
        let deleted = |world: &mut World| {
            world.set_controller(kind, name, |controller| controller.terminating = true);
        };
        let why = detail(refused(deleted), Reason::OwnerKind);
        assert_eq!(why, format!("{} {name} is being deleted", kind.as_str()));
    }
}

#[test]
fn a_selector_that_cannot_be_left_stands_in_the_way_and_is_named() {
    let kept = |world: &mut World| {
        world.policy(|policy| policy.keep_labels = [Arc::from("app")].into());
        world.findings = vec![world.finding("web-0")];
    };
    let why = detail(refused(kept), Reason::NoWayOut);
    assert_eq!(
        why,
        "in the way: Service web (app=web); Deployment web (app=web)"
    );
    let taken_in = |world: &mut World| {
        let all = Selector::new(vec![pod_quarantine_core::selector::Requirement {
            key: "app".into(),
            operator: pod_quarantine_core::selector::Operator::NotIn(["web".into()].into()),
        }]);
        let service = selecting(PodSelectingKind::PodDisruptionBudget, "rest", all);
        world.view.put_selecting(service);
    };
    let why = detail(refused(taken_in), Reason::NoWayOut);
    assert!(
        why.contains("PodDisruptionBudget rest (app notin (web))"),
        "{why}"
    );
}

#[test]
fn a_pod_whose_labels_do_not_fit_into_a_record_is_refused() {
    let long = |world: &mut World| {
        world.change("web-0", |pod| {
            for index in 0..200 {
                let key = format!("{index}-{}", "k".repeat(50));
                pod.labels.insert(key.into(), "x".into());
            }
        });
    };
    let why = detail(refused(long), Reason::NoWayOut);
    assert!(why.ends_with("bytes, at most 8192 fit"), "{why}");
}

#[test]
fn a_change_that_the_api_server_refused_is_not_tried_again_for_a_minute() {
    let mut world = with_unhealthy_pod();
    let uid = world.pod("web-0").uid.clone();
    let moment = world.now.moment;
    let why = "denied by policy".to_owned();
    world.state.record_denial(
        &uid,
        Act::Quarantine,
        Refusal::new(Reason::AdmissionDenied, &*why),
        moment,
    );
    let planned = world.planned();
    let refusal = the_refusal(&planned);
    assert_eq!(
        (refusal.refusal.reason, &refusal.refusal.detail),
        (Reason::AdmissionDenied, &why)
    );
    world.pass(Duration::from_secs(57));
    assert_eq!(world.planned(), []);
    the_quarantine(&world.planned());
}

#[test]
fn each_limit_that_is_reached_refuses_by_its_name() {
    for (limit, reason) in [
        (Limit::Cluster, Reason::ClusterLimit),
        (Limit::Namespace, Reason::NamespaceLimit),
        (Limit::Workload, Reason::WorkloadLimit),
    ] {
        let mut world = World::with_web();
        match limit {
            Limit::Cluster => world.file.limits.cluster.max = 1,
            Limit::Namespace => world.file.limits.namespace.max = 1,
            Limit::Workload => world.file.limits.workload.max = MaxPods::Percent(25),
        }
        world.quarantine("web-1");
        world.unhealthy("web-0");
        assert_eq!(refusals(&world.planned()), [("web-0", reason)]);
    }
}

enum Limit {
    Cluster,
    Namespace,
    Workload,
}

/// A reason, and the change that removes it.
type Undo = (Reason, fn(&mut World));

#[test]
fn of_several_reasons_the_plainest_is_the_refusal() {
    let mut world = with_unhealthy_pod();
    world.ledger().terminating = true;
    world.view.stale = Some("pods".into());
    world.findings[0].contrast = false;
    world.annotate("web-0", keys::EXEMPT, "true");
    world.namespace_mode("off");
    let undo: [Undo; 5] = [
        (Reason::Off, |world| world.namespace_mode("enforce")),
        (Reason::Exempt, |world| {
            world.annotate("web-0", keys::EXEMPT, "false");
        }),
        (Reason::NeverSeenGood, |world| {
            world.findings[0].contrast = true;
        }),
        (Reason::StaleView, |world| world.view.stale = None),
        (Reason::LedgerUnavailable, |world| {
            world.ledger().terminating = false;
        }),
    ];
    for (reason, undo) in undo {
        assert_eq!(refusals(&world.planned()), [("web-0", reason)]);
        undo(&mut world);
    }
    the_quarantine(&world.planned());
}

#[test]
fn a_refusal_is_reported_once_and_again_after_it_has_ended() {
    let mut world = with_unhealthy_pod();
    world.annotate("web-0", keys::EXEMPT, "true");
    assert_eq!(refusals(&world.planned()).len(), 1);
    assert_eq!(world.planned(), []);
    assert_eq!(world.planned(), []);
    let findings = std::mem::take(&mut world.findings);
    assert_eq!(world.planned(), []);
    world.findings = findings;
    assert_eq!(refusals(&world.planned()).len(), 1);
    world.findings[0].contrast = false;
    world.annotate("web-0", keys::EXEMPT, "false");
    assert_eq!(
        refusals(&world.planned()),
        [("web-0", Reason::NeverSeenGood)],
        "another reason is reported, too"
    );
    world.restart();
    let planned: Vec<Planned> = world.planned();
    assert_eq!(refusals(&planned).len(), 1, "a new agent reports it again");
}

/// The order is the same whatever order the findings come in.
#[test]
fn pods_found_by_most_policies_come_first_then_the_longest_unhealthy_then_by_name() {
    let mut world = World::new();
    world.file.policies.push(Arc::new(policy("works")));
    for name in ["a", "b", "c", "d"] {
        world.deployment(name, 2);
        world.service(name, &[("app", name)]);
    }
    let found = |world: &World, name: &str, policy: usize, since: u64| {
        let mut finding = world.finding(name);
        finding.policy = world.file.policies[policy].clone();
        finding.since = Duration::from_secs(since);
        finding
    };
    let mut findings = vec![
        found(&world, "d-0", 0, 1),
        found(&world, "b-0", 0, 2),
        found(&world, "c-0", 0, 2),
        found(&world, "a-0", 0, 5),
        found(&world, "a-0", 1, 9),
    ];
    for _ in 0..findings.len() {
        let by_time = |one: &Finding| (one.since, one.pod.clone());
        world.findings = findings.clone();
        world.findings.sort_by_key(by_time);
        let planned = world.planned();
        let names: Vec<&str> = quarantines(&planned)
            .iter()
            .map(|one| &*one.pod.key.name)
            .collect();
        assert_eq!(names, ["a-0", "d-0", "b-0", "c-0"]);
        world.restart();
        findings.rotate_left(1);
    }
}

#[test]
fn what_an_object_selects_that_cannot_be_read_counts_as_in_the_way() {
    let key = pod_quarantine_core::object::ObjectKey::new("shop", "b");
    let mut world = World::with_web();
    world.view.update(Update::Unreadable("pods", key.clone()));
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [], "a pod selects nothing");
    world
        .view
        .update(Update::Unreadable("poddisruptionbudgets", key.clone()));
    let planned = world.planned();
    let refusal = &the_refusal(&planned).refusal;
    assert_eq!(refusal.reason, Reason::NoWayOut);
    assert_eq!(
        refusal.detail,
        "poddisruptionbudgets/b cannot be read: what it selects is not known"
    );
    world
        .view
        .update(Update::Readable("poddisruptionbudgets", key));
    assert_eq!(refusals(&world.planned()), []);
}
