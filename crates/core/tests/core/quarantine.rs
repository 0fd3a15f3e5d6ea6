//! What a quarantine holds: the slot, the labels, the record, and what it leaves alone.

use std::{collections::BTreeSet, sync::Arc};

use pod_quarantine_core::{
    keys,
    object::{ControllerKind, PodSelectingKind, PodSelectingObject},
    policy::Policy,
    reason::Reason,
    record::Evidence,
    selector::{Operator, Requirement, Selector},
    text::Fingerprint,
    workload::WorkloadId,
    write::Quarantine,
};

use crate::{
    outcome::{changed, refusals, the_quarantine},
    world::{SHOP, START, World, at, controller, labels, reference, selecting, selector, service},
};

/// The quarantine of `web-0` after that change.
fn of(change: impl FnOnce(&mut World)) -> Quarantine {
    let mut world = World::with_web();
    change(&mut world);
    world.unhealthy("web-0");
    the_quarantine(&world.planned()).clone()
}

fn label<'a>(quarantine: &'a Quarantine, key: &str) -> Option<&'a str> {
    quarantine.labels.get(key).map(AsRef::as_ref)
}

fn one(key: &str, operator: Operator) -> Selector {
    Selector::new(vec![Requirement {
        key: key.into(),
        operator,
    }])
}

#[test]
fn a_quarantine_has_all_that_the_writer_needs() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    let pod = world.pod("web-0");
    let slot = &quarantine.slot;
    assert_eq!(quarantine.pod.uid, pod.uid);
    assert_eq!(quarantine.pod.resource_version, pod.resource_version);
    assert_eq!(slot.resource_version, pod.resource_version);
    assert_eq!((&slot.uid, slot.key()), (&pod.uid, pod.key.clone()));
    assert_eq!(slot.workload.as_str(), "uid-of-Deployment-web");
    assert_eq!((&*slot.policy, slot.at), ("answers", world.now.wall));

    let after = changed(pod, &quarantine.change);
    assert_eq!(after.labels, quarantine.labels);
    let expected = [
        ("app", "quarantined"),
        ("pod-template-hash", "1"),
        (keys::STATE, "quarantined"),
        (keys::WORKLOAD, "web"),
    ];
    assert_eq!(after.labels, labels(&expected));
    let text = after.annotation(keys::RECORD).unwrap();
    assert_eq!(slot.record, Fingerprint::of(text));
    assert_eq!(after.annotations.keys().count(), 1);

    let record = &quarantine.record;
    assert_eq!(record.labels, pod.labels);
    assert_eq!(&*record.agent, "pod-quarantine/default");
    assert_eq!(record.owner, reference("ReplicaSet", "web-rs"));
    assert_eq!(record.workload, reference("Deployment", "web"));
    assert_eq!(record.services, ["web".into()]);
    let seen = Evidence {
        at: at(START),
        saw: "HTTP 500".into(),
    };
    assert_eq!(record.evidence, [seen]);
    assert_eq!(record.expires.duration_since(record.at).as_hours(), 4);
}

#[test]
fn a_dry_run_comes_first_only_if_the_workload_has_no_slot() {
    let mut world = World::with_web();
    world.deployment("db", 2);
    assert!(world.quarantine("web-0").dry_run_first);
    assert!(!world.quarantine("web-1").dry_run_first);
    assert!(world.quarantine("db-0").dry_run_first);
}

#[test]
fn the_node_is_kept_only_if_the_file_says_so_and_earlier_annotations_are_recorded() {
    let quarantine = of(|world| {
        world.file.keep_node = true;
        world.annotate("web-0", keys::SAFE_TO_EVICT, "true");
    });
    let annotations = &quarantine.change.annotations;
    assert_eq!(annotations[keys::DO_NOT_DISRUPT].as_deref(), Some("true"));
    assert_eq!(annotations[keys::SAFE_TO_EVICT].as_deref(), Some("false"));
    let recorded = &quarantine.record.annotations;
    assert_eq!(recorded.len(), 2);
    assert_eq!(recorded[keys::DO_NOT_DISRUPT], None);
    assert_eq!(recorded[keys::SAFE_TO_EVICT].as_deref(), Some("true"));
    assert_eq!(of(|_| {}).record.annotations.len(), 0);
}

#[test]
fn argo_cd_is_asked_not_to_prune_only_if_its_tracking_label_stays() {
    let with_instance = |world: &mut World| {
        world.change("web-0", |pod| {
            pod.labels.insert(keys::INSTANCE.into(), "shop".into());
        });
    };
    for (before, after) in [
        (None, "Prune=false"),
        (Some(""), "Prune=false"),
        (Some("Replace=true"), "Replace=true,Prune=false"),
        (Some("Prune=true, A=b"), "A=b,Prune=false"),
    ] {
        let quarantine = of(|world| {
            with_instance(world);
            world.beside("web-0");
            if let Some(before) = before {
                world.annotate("web-0", keys::ARGO_SYNC_OPTIONS, before);
            }
        });
        assert_eq!(label(&quarantine, keys::INSTANCE), Some("shop"));
        let options = &quarantine.change.annotations[keys::ARGO_SYNC_OPTIONS];
        assert_eq!(options.as_deref(), Some(after));
    }
    let quarantine = of(|world| {
        with_instance(world);
        world.beside("web-0");
        let both = [("app", "web"), (keys::INSTANCE, "shop")];
        world.service("web", &both);
        for (kind, name) in [
            (ControllerKind::Deployment, "web"),
            (ControllerKind::ReplicaSet, "web-rs"),
        ] {
            world.set_controller(kind, name, |one| one.selector = selector(&both));
        }
    });
    assert_eq!(label(&quarantine, keys::INSTANCE), Some("quarantined"));
    let annotations = &quarantine.change.annotations;
    assert!(!annotations.contains_key(keys::ARGO_SYNC_OPTIONS));
}

#[test]
fn a_long_workload_name_is_cut_to_a_valid_label() {
    let quarantine = of(|world| {
        let name = format!("{}.{}", "w".repeat(62), "x".repeat(50));
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            set.owner = Some(reference("Rollout", &name));
        });
    });
    assert_eq!(label(&quarantine, keys::WORKLOAD), Some(&*"w".repeat(62)));
    assert_eq!(
        quarantine.record.workload.name.len(),
        113,
        "whole in the record"
    );
}

#[test]
fn services_budgets_and_the_selectors_of_also_leave_are_left() {
    let quarantine = of(|world| {
        world.change("web-0", |pod| {
            pod.labels
                .extend(labels(&[("tier", "front"), ("mesh", "a")]));
        });
        let budget = PodSelectingKind::PodDisruptionBudget;
        let front = selector(&[("tier", "front")]);
        world.view.put_selecting(selecting(budget, "web", front));
        let empty = selecting(budget, "everything", Selector::default());
        world.view.put_selecting(empty);
        world.policy(|policy| {
            policy.also_leave = vec![selector(&[("mesh", "a")]), selector(&[("mesh", "b")])];
        });
    });
    for key in ["app", "tier", "mesh"] {
        assert_eq!(label(&quarantine, key), Some("quarantined"), "{key}");
    }
}

#[test]
fn the_selectors_of_also_leave_are_not_entered_either() {
    let quarantine = of(|world| {
        world.policy(|policy| {
            let other = Operator::In(BTreeSet::from(["quarantined".into()]));
            policy.also_leave = vec![one("app", other)];
        });
    });
    assert_eq!(label(&quarantine, "app"), None);
}

#[test]
fn the_objects_of_other_namespaces_do_not_matter() {
    let quarantine = of(|world| {
        let mut elsewhere = service("second", selector(&[("pod-template-hash", "1")]));
        elsewhere.key.namespace = "elsewhere".into();
        world
            .view
            .put_selecting(PodSelectingObject::Service(elsewhere));
    });
    assert_eq!(label(&quarantine, "pod-template-hash"), Some("1"));
    assert_eq!(quarantine.record.services, ["web".into()]);
}

#[test]
fn services_for_quarantined_pods_and_services_without_a_selector_are_left_alone() {
    let quarantine = of(|world| {
        world.service("debug", &[(keys::STATE, "quarantined")]);
        let mut external = service("external", Selector::default());
        external.selector = None;
        world
            .view
            .put_selecting(PodSelectingObject::Service(external));
    });
    assert_eq!(label(&quarantine, "app"), Some("quarantined"));
    assert_eq!(quarantine.record.services, ["web".into()]);
}

#[test]
fn the_selector_of_a_custom_parent_is_left_too() {
    let quarantine = of(|world| {
        let deployment = pod_quarantine_core::object::ObjectKey::new("shop", "web");
        world
            .view
            .remove_controller(ControllerKind::Deployment, &deployment);
        world
            .view
            .remove_selecting(PodSelectingKind::Service, &deployment);
        let hash = "rollouts-pod-template-hash";
        world.change("web-0", |pod| {
            pod.labels = labels(&[("web", "app"), (hash, "1"), ("a", "b")]);
        });
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            set.owner = Some(reference("Rollout", "web"));
            set.selector = selector(&[("web", "app"), (hash, "1")]);
        });
    });
    assert_eq!(label(&quarantine, "web"), Some("quarantined"));
    assert_eq!(label(&quarantine, "rollouts-pod-template-hash"), Some("1"));
    let rollout = WorkloadId::named(SHOP, &reference("Rollout", "web"));
    assert_eq!(quarantine.slot.workload, rollout);
}

#[test]
fn a_replica_set_that_selects_by_its_hash_alone_says_nothing_of_its_custom_parent() {
    let quarantine = of(|world| {
        let hash = "rollouts-pod-template-hash";
        world.change("web-0", |pod| {
            pod.labels = labels(&[("app", "web"), (hash, "1")]);
        });
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            set.owner = Some(reference("Rollout", "web"));
            set.selector = selector(&[(hash, "1")]);
        });
    });
    assert_eq!(label(&quarantine, "app"), Some("quarantined"));
    assert_ne!(label(&quarantine, "rollouts-pod-template-hash"), Some("1"));
}

#[test]
fn a_foreign_controller_is_not_entered() {
    let quarantine = of(|world| {
        let rest = one("app", Operator::In(BTreeSet::from(["quarantined".into()])));
        let rest = controller(ControllerKind::DaemonSet, "rest", 1, rest);
        world.view.put_controller(rest);
    });
    assert_eq!(label(&quarantine, "app"), None);
}

#[test]
fn network_policies_and_placement_rules_are_wishes_and_unmet_wishes_are_named() {
    let quarantine = of(|world| {
        let policy = PodSelectingKind::NetworkPolicy;
        let web = selector(&[("app", "web")]);
        world.view.put_selecting(selecting(policy, "web", web));
        let other = selector(&[("app", "db")]);
        world.view.put_selecting(selecting(policy, "db", other));
        world.change("web-0", |pod| {
            pod.labels.insert("zone".into(), "a".into());
            pod.spread_over = vec![selector(&[("zone", "a")]), selector(&[("zone", "b")])];
        });
    });
    assert_eq!(quarantine.missed, ["NetworkPolicy web".into()]);
    assert_eq!(label(&quarantine, "zone"), Some("quarantined"));
}

#[test]
fn labels_that_identify_a_pod_to_its_controller_are_never_edited() {
    for key in keys::NEVER_EDITED {
        let mut world = World::with_web();
        world.change("web-0", |pod| {
            pod.labels.insert(key.into(), "x".into());
        });
        world.service("only", &[(key, "x")]);
        world.unhealthy("web-0");
        assert_eq!(
            refusals(&world.planned()),
            [("web-0", Reason::NoWayOut)],
            "{key}"
        );
    }
}

#[test]
fn the_policys_own_ttl_and_kept_labels_are_used() {
    let quarantine = of(|world| {
        world.change("web-0", |pod| {
            pod.labels.insert("enabled".into(), "true".into());
        });
        world.beside("web-0");
        world.service("web", &[("app", "web"), ("enabled", "true")]);
        for (kind, name) in [
            (ControllerKind::Deployment, "web"),
            (ControllerKind::ReplicaSet, "web-rs"),
        ] {
            let both = selector(&[("app", "web"), ("enabled", "true")]);
            world.set_controller(kind, name, |one| one.selector = both);
        }
        world.policy(|policy| {
            policy.keep_labels = BTreeSet::from([Arc::from("enabled")]);
            policy.ttl = std::time::Duration::from_mins(1);
        });
    });
    assert_eq!(label(&quarantine, "enabled"), Some("true"));
    assert_eq!(label(&quarantine, "app"), Some("quarantined"));
    let record = quarantine.record;
    assert_eq!(record.expires.duration_since(record.at).as_secs(), 60);
}

/// The policy file was read again, and says the same.
#[test]
fn a_finding_of_a_policy_that_has_not_changed_counts() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let again = (*world.file.policies[0]).clone();
    world.file.policies[0] = Arc::new(again.clone());
    the_quarantine(&world.planned());
    let changed = Policy {
        allow_exclusive: true,
        ..again
    };
    world.file.policies[0] = Arc::new(changed);
    assert_eq!(world.planned(), []);
}

#[test]
fn labels_that_fit_into_a_record_are_no_reason_however_long_each_is() {
    let mut world = World::with_web();
    let key = format!("{}/{}", "d".repeat(150), "n".repeat(40));
    world.change("web-0", |pod| {
        pod.labels
            .insert(key.as_str().into(), "v".repeat(60).into());
    });
    world.unhealthy("web-0");
    the_quarantine(&world.planned());
}
