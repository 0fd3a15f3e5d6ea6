//! What is known of the cluster never goes back, in whatever order it is told.

use std::collections::BTreeSet;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView},
    object::{Controller, ControllerKind, ObjectKey, Pod, PodSelectingKind, PodSelectingObject},
    view::{LeaseView, Update, View, Within},
    workload::WorkloadId,
};
use proptest::{collection::vec, prelude::*};
use test_objects::{namespace, service};

use crate::world::{SHOP, World, controller, labels, pod, reference, selecting, selector, version};

fn at(name: &str, resource_version: u64) -> Pod {
    let mut pod = pod(name);
    pod.resource_version = version(resource_version);
    pod
}

fn seen(view: &View) -> Option<(&str, u64)> {
    let pod = view.pod(&ObjectKey::new(SHOP, "a"))?;
    Some((&pod.uid, pod.resource_version.to_string().parse().unwrap()))
}

#[test]
fn an_older_or_equal_state_of_a_pod_changes_nothing() {
    let mut view = View::default();
    assert!(view.put_pod(at("a", 5)));
    assert!(!view.put_pod(at("a", 4)));
    let mut same = at("a", 5);
    same.ready = false;
    assert!(!view.put_pod(same));
    assert!(view.pod(&ObjectKey::new(SHOP, "a")).unwrap().ready);
    assert!(view.put_pod(at("a", 6)));
    assert_eq!(seen(&view), Some(("uid-of-a", 6)));
}

/// How many deleted pods are remembered.
const GONE: usize = 1024;

#[test]
fn of_the_pods_that_are_gone_the_last_are_remembered() {
    let mut view = View::default();
    let name = |index: usize| format!("pod-{index}");
    for index in 0..=GONE {
        let pod = at(&name(index), 5);
        assert!(view.put_pod(pod.clone()));
        assert!(view.remove_pod(&pod.key, &pod.uid));
    }
    for index in 1..=GONE {
        assert!(!view.put_pod(at(&name(index), 4)), "{index}");
    }
    assert!(view.put_pod(at(&name(0), 4)), "the first is forgotten");
}

#[test]
fn a_controller_that_is_another_one_or_selects_other_pods_changes_what_selects() {
    let mut view = View::default();
    let set = controller(
        ControllerKind::ReplicaSet,
        "a",
        1,
        selector(&[("app", "a")]),
    );
    view.put_controller(set.clone());
    let mut versions = BTreeSet::from([view.selectors_version(SHOP)]);
    let scaled = Controller { desired: 2, ..set };
    view.put_controller(scaled.clone());
    assert!(!versions.insert(view.selectors_version(SHOP)));
    let mut again = scaled;
    again.uid = "again".into();
    view.put_controller(again.clone());
    assert!(versions.insert(view.selectors_version(SHOP)));
    assert!(view.controller_of_uid("again").is_some());
    again.selector = selector(&[("app", "b")]);
    view.put_controller(again);
    assert!(versions.insert(view.selectors_version(SHOP)));
}

#[test]
fn versions_are_compared_as_numbers() {
    let mut view = View::default();
    assert!(view.put_pod(at("a", 9)));
    assert!(view.put_pod(at("a", 10)));
    assert!(!view.put_pod(at("a", 9)));
}

#[test]
fn a_late_answer_about_a_predecessor_does_not_replace_its_successor() {
    let mut view = View::default();
    view.put_pod(at("a", 5));
    let mut successor = at("a", 8);
    successor.uid = "successor".into();
    assert!(view.put_pod(successor));
    assert!(!view.put_pod(at("a", 6)));
    assert!(!view.put_pod(at("a", 9)), "however new");
    assert_eq!(seen(&view), Some(("successor", 8)));
    let key = ObjectKey::new(SHOP, "a");
    assert!(!view.remove_pod(&key, "uid-of-a"), "the predecessor went");
    assert_eq!(seen(&view), Some(("successor", 8)));
}

#[test]
fn a_late_answer_about_a_pod_that_is_gone_does_not_bring_it_back() {
    let key = ObjectKey::new(SHOP, "a");
    let mut view = View::default();
    view.put_pod(at("a", 5));
    assert!(view.remove_pod(&key, "uid-of-a"));
    assert!(!view.put_pod(at("a", 6)));
    assert_eq!(seen(&view), None);

    let mut view = View::default();
    view.put_pod(at("a", 5));
    assert_eq!(
        view.retain_pods(&Within::Cluster, &BTreeSet::new(), version(7)),
        [key]
    );
    assert!(!view.put_pod(at("a", 6)));
    assert_eq!(seen(&view), None);
    let mut successor = at("a", 8);
    successor.uid = "successor".into();
    assert!(view.put_pod(successor), "its successor may come");
}

#[test]
fn a_complete_list_removes_what_it_lacks_but_not_what_came_later() {
    let mut view = View::default();
    for (name, resource_version) in [("a", 5), ("b", 5), ("c", 9)] {
        view.put_pod(at(name, resource_version));
    }
    let listed = BTreeSet::from([pod("a").uid]);
    let gone = view.retain_pods(&Within::Cluster, &listed, version(7));
    assert_eq!(gone, [ObjectKey::new(SHOP, "b")]);
    assert_eq!(view.pods().count(), 2);
}

/// An agent of some namespaces lists each of them.
#[test]
fn a_complete_list_of_one_namespace_leaves_the_others() {
    let mut view = View::default();
    let keys = ["blog", "shop"].map(|namespace| ObjectKey::new(namespace, "web"));
    for key in &keys {
        let uid = format!("uid-in-{}", key.namespace);
        view.put_pod(test_objects::pod(key.clone(), (&*uid).into()));
        view.put_selecting(PodSelectingObject::Service(service(
            key.clone(),
            selector(&[]),
        )));
        let mut deployment = controller(ControllerKind::Deployment, "web", 1, selector(&[]));
        deployment.key = key.clone();
        view.put_controller(deployment);
    }
    let within = Within::Namespace("shop".into());
    let later = version(1_000_000);
    view.update(Update::AllPods(within.clone(), BTreeSet::new(), later));
    let kind = PodSelectingKind::Service;
    view.update(Update::AllSelecting(within.clone(), kind, BTreeSet::new()));
    let kind = ControllerKind::Deployment;
    view.update(Update::AllControllers(within, kind, BTreeSet::new()));
    let pods: Vec<_> = view.pods().map(|pod| &pod.key).collect();
    assert_eq!(pods, [&keys[0]]);
    for (namespace, count) in [("blog", 1), ("shop", 0)] {
        assert_eq!(view.selecting(namespace).count(), count, "{namespace}");
        assert_eq!(view.controllers(namespace).count(), count, "{namespace}");
    }
}

#[test]
fn complete_lists_of_other_kinds_remove_what_they_lack_of_that_kind_alone() {
    let mut view = View::default();
    for name in ["a", "b"] {
        for kind in [PodSelectingKind::Service, PodSelectingKind::NetworkPolicy] {
            view.put_selecting(selecting(kind, name, selector(&[])));
        }
        let kinds = [ControllerKind::ReplicaSet, ControllerKind::Deployment];
        for kind in kinds {
            view.put_controller(controller(kind, name, 1, selector(&[])));
        }
    }
    // No object of another kind has its name.
    view.put_selecting(selecting(PodSelectingKind::Service, "c", selector(&[])));
    view.put_controller(controller(
        ControllerKind::ReplicaSet,
        "c",
        1,
        selector(&[]),
    ));
    let listed = BTreeSet::from([ObjectKey::new(SHOP, "b")]);
    view.update(Update::AllSelecting(
        Within::Cluster,
        PodSelectingKind::Service,
        listed.clone(),
    ));
    view.update(Update::AllControllers(
        Within::Cluster,
        ControllerKind::ReplicaSet,
        listed,
    ));
    let left: Vec<_> = view
        .selecting(SHOP)
        .map(|one| (one.kind(), one.key().name.to_string()))
        .collect();
    assert_eq!(left.len(), 3);
    for name in ["a", "c"] {
        assert!(!left.contains(&(PodSelectingKind::Service, name.to_owned())));
    }
    let left: Vec<_> = view
        .controllers(SHOP)
        .map(|one| (one.kind, one.key.name.to_string()))
        .collect();
    assert_eq!(left.len(), 3);
    for name in ["a", "c"] {
        assert!(!left.contains(&(ControllerKind::ReplicaSet, name.to_owned())));
    }
}

#[test]
fn an_older_ledger_does_not_replace_a_newer_one() {
    let mut view = View::default();
    view.update(Update::Ledger(Ledger::read(version(5), [("x", "?")])));
    view.update(Update::Ledger(Ledger::read(version(4), [])));
    let LedgerView::Present(ledger) = &view.ledger else {
        panic!("it is there");
    };
    assert_eq!(ledger.resource_version, version(5));
}

#[test]
fn a_late_answer_about_a_ledger_that_is_gone_does_not_bring_it_back() {
    let mut view = View::default();
    let ledger = |number| Ledger::read(version(number), []);
    view.update(Update::Ledger(ledger(5)));
    view.update(Update::LedgerGone(Some(version(7))));
    view.update(Update::Ledger(ledger(6)));
    assert!(view.ledger.present().is_none());
    view.update(Update::Ledger(ledger(8)));
    assert_eq!(
        view.ledger,
        LedgerView::Present(ledger(8)),
        "the ledger was created again"
    );
}

#[test]
fn the_tracked_and_the_owned_pods_follow_every_change() {
    let mut view = View::default();
    let set = controller(ControllerKind::ReplicaSet, "web-rs", 1, selector(&[]));
    let owner = set.reference();
    let mut pod = at("a", 1);
    pod.owner = Some(owner.clone());
    pod.annotations.insert(keys::RELEASE.into(), "true".into());
    view.put_pod(pod);
    assert_eq!((view.tracked().count(), view.owned(&set).count()), (1, 1));
    view.put_pod(at("a", 2));
    assert_eq!((view.tracked().count(), view.owned(&set).count()), (0, 0));
    let mut again = at("a", 3);
    again.owner = Some(owner.clone());
    again.labels.insert(keys::STATE.into(), "forged".into());
    view.put_pod(again);
    assert_eq!((view.tracked().count(), view.owned(&set).count()), (1, 1));
    view.remove_pod(&ObjectKey::new(SHOP, "a"), "uid-of-a");
    assert_eq!((view.tracked().count(), view.owned(&set).count()), (0, 0));
}

#[test]
fn a_pod_is_tracked_for_every_annotation_that_needs_it() {
    for (key, text, tracked) in [
        (keys::RECORD, "?", true),
        (keys::RELEASED, "?", true),
        (keys::QUARANTINE, "", true),
        (keys::RELEASE, "false", true),
        (keys::EXEMPT, "true", false),
        (keys::EXEMPT, "?", true),
        (keys::HOLD, "true", false),
        (keys::HOLD, "?", true),
        (keys::TTL, "4h", false),
        (keys::TTL, "?", true),
        (keys::FENCE, "5", false),
        (keys::DELETION_COST, "5", false),
    ] {
        let mut pod = pod("a");
        pod.annotations.insert(key.into(), text.into());
        assert_eq!(pod.tracked(), tracked, "{key}: {text:?}");
    }
}

#[test]
fn the_workload_of_a_pod_is_the_top_of_its_owners() {
    let mut world = World::with_web();
    let top = |world: &World| {
        let workload = world.view.workload(world.pod("web-0")).unwrap();
        (
            workload.reference().to_string(),
            workload.id().as_str().to_owned(),
            workload.desired(),
        )
    };
    let rollout = WorkloadId::named(SHOP, &reference("Rollout", "web"));
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "web-rs", |set| set.desired = 3);
    let expected = ("Deployment web", "uid-of-Deployment-web", 4);
    assert_eq!(top(&world), (expected.0.into(), expected.1.into(), 4));
    world.set_controller(set, "web-rs", |set| {
        set.owner = Some(reference("Rollout", "web"));
    });
    assert_eq!(
        top(&world),
        ("Rollout web".into(), rollout.as_str().into(), 3)
    );
    world.set_controller(set, "web-rs", |set| set.owner = None);
    assert_eq!(
        top(&world),
        (
            "ReplicaSet web-rs".into(),
            "uid-of-ReplicaSet-web-rs".into(),
            3
        )
    );
}

proptest! {
    #![proptest_config(crate::proptest_cases(1_000))]

    /// Any update may come twice; after the deletion the pod stays gone.
    #[test]
    fn in_any_order_of_updates_the_newest_state_of_a_pod_is_known(updates in vec(0..8u64, 1..20)) {
        let mut view = View::default();
        let mut expected = None;
        let mut gone = false;
        for one in updates {
            if one == 0 {
                view.update(Update::PodGone(ObjectKey::new(SHOP, "a"), "uid-of-a".into()));
                gone |= expected.is_some();
            } else {
                view.update(Update::Pod(at("a", one)));
                expected = expected.max(Some(("uid-of-a", one)));
            }
            expected = expected.filter(|_| !gone);
            prop_assert_eq!(seen(&view), expected);
        }
    }
}

#[test]
fn an_object_is_named_with_its_namespace() {
    assert_eq!(ObjectKey::new(SHOP, "web-0").to_string(), "shop/web-0");
}

#[test]
fn objects_that_cannot_be_read_are_counted_by_kind_until_they_can() {
    let mut view = View::default();
    let unreadable = |kind, namespace: &str, name: &str| {
        Update::Unreadable(kind, ObjectKey::new(namespace, name))
    };
    view.update(unreadable("pods", SHOP, "a"));
    for (namespace, name) in [(SHOP, "a"), (SHOP, "a"), (SHOP, "b"), ("other", "a")] {
        view.update(unreadable("services", namespace, name));
    }
    assert_eq!(view.unreadable(), [("pods", 1), ("services", 3)].into());
    let of_shop: Vec<_> = view.unreadable_in(SHOP).cloned().collect();
    assert_eq!(
        of_shop,
        [("services", "a".into()), ("services", "b".into())]
    );
    for name in ["a", "b"] {
        let key = ObjectKey::new(SHOP, name);
        view.update(Update::Readable("services", key));
    }
    assert_eq!(view.unreadable(), [("pods", 1), ("services", 1)].into());
    assert_eq!(view.unreadable_in(SHOP).next(), None);
}

#[test]
fn nothing_is_kept_of_a_namespace_that_is_gone() {
    let mut view = View::default();
    let key = ObjectKey::new("preview-4711", "web");
    let kind = ControllerKind::ReplicaSet;
    let mut set = controller(kind, "web", 1, selector(&[("a", "b")]));
    set.key = key.clone();
    let service = service(key.clone(), selector(&[("a", "b")]));
    let service = PodSelectingObject::Service(service);
    view.put_namespace(namespace(&key.namespace));
    view.update(Update::Selecting(service));
    view.update(Update::Controller(set));
    assert!(format!("{view:?}").contains(&*key.namespace), "{view:?}");
    view.update(Update::SelectingGone(
        PodSelectingKind::Service,
        key.clone(),
    ));
    view.update(Update::ControllerGone(kind, key.clone()));
    view.update(Update::NamespaceGone(key.namespace.clone()));
    assert!(!format!("{view:?}").contains(&*key.namespace), "{view:?}");
}

/// What a policy selects by them may have changed.
#[test]
fn the_pods_of_a_namespace_whose_labels_have_changed_are_looked_at_again() {
    let mut view = View::default();
    view.put_namespace(namespace(SHOP));
    view.put_pod(pod("a"));
    let mut changed = namespace(SHOP);
    assert_eq!(view.update(Update::Namespace(changed.clone())), []);
    changed.labels = labels(&[("team", "a")]);
    let pods = [ObjectKey::new(SHOP, "a")];
    assert_eq!(view.update(Update::Namespace(changed.clone())), pods);
    assert_eq!(view.update(Update::Namespace(changed)), []);
}

/// They may be of another workload now.
#[test]
fn the_pods_below_a_controller_whose_owner_has_changed_are_looked_at_again() {
    let mut world = World::with_web();
    let mut set = |change: fn(&mut Controller)| {
        let reference = reference("ReplicaSet", "web-rs");
        let mut set = world.view.controller(SHOP, &reference).unwrap().clone();
        change(&mut set);
        world.view.update(Update::Controller(set)).len()
    };
    assert_eq!(set(|set| set.desired = 7), 0);
    assert_eq!(set(|set| set.owner = Some(reference("Rollout", "web"))), 4);
    assert_eq!(set(|set| set.owner = None), 4);
}

#[test]
fn an_older_state_of_the_lease_changes_nothing() {
    let mut view = View::default();
    let names = |uid: &str| LeaseView::Names(Some(uid.into()));
    for (uid, at, known) in [("a", 5, "a"), ("b", 4, "a"), ("c", 5, "c"), ("d", 6, "d")] {
        view.update(Update::Lease(Some(uid.into()), version(at)));
        assert_eq!(view.lease, names(known), "{uid}");
    }
}
