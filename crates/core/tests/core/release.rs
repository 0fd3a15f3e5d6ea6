//! Putting back: when it is done, when it is refused, and what the pod is afterwards.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    notice::Topic,
    object::{ControllerKind, ObjectKey, Pod},
    policy::Mode,
    restore::HIGHEST_COST,
    text::Fingerprint,
    write::Write,
};
use proptest::{collection::btree_map, option, prelude::*, sample::select};

use crate::{
    outcome::{Planned, changed, notices, the_notice, the_quarantine, the_release},
    world::{SHOP, World, labels, reference},
};

/// A world with `web-0` in quarantine and its replacement Ready, and the pod as it was before.
fn with_quarantined_pod() -> (World, Pod) {
    let mut world = World::with_web();
    let before = world.pod("web-0").clone();
    world.quarantine("web-0");
    replacement(&mut world, "web-new");
    (world, before)
}

fn replacement(world: &mut World, name: &str) {
    let mut pod = world.pod("web-3").clone();
    pod.key = ObjectKey::new(SHOP, name);
    pod.uid = format!("uid-of-{name}").into();
    world.put(pod);
}

fn request_release(world: &mut World, text: &str) {
    world.annotate("web-0", keys::RELEASE, text);
}

/// Why a release is refused after that change; a forced release is carried out all the same.
fn refused(change: impl Fn(&mut World)) -> String {
    let (mut world, _) = with_quarantined_pod();
    change(&mut world);
    request_release(&mut world, "true");
    let planned = world.planned();
    let notice = the_notice(&planned);
    assert_eq!(notice.topic, Topic::ReleaseRefused);
    let message = notice.message.clone();
    assert_eq!(world.planned(), [], "one Event is enough");
    request_release(&mut world, "force");
    let planned = world.planned();
    assert_eq!(the_release(&planned).cause.as_str(), "force");
    message
}

#[test]
fn a_release_restores_labels_and_annotations_and_removes_the_agents_own_keys() {
    let (mut world, before) = with_quarantined_pod();
    request_release(&mut world, "true");
    let planned = world.planned();
    let release = the_release(&planned).clone();
    assert_eq!(
        (release.cause.as_str(), &*release.policy),
        ("annotation", "answers")
    );
    assert_eq!(release.left, Vec::<std::sync::Arc<str>>::new());
    assert_eq!(release.workload.to_string(), "Deployment web");
    world.patch(&release.pod, &release.change);
    let pod = world.pod("web-0").clone();
    assert_eq!(pod.labels, before.labels);
    assert_eq!(pod.annotation(keys::RECORD), None);
    assert_eq!(pod.annotation(keys::RELEASE), None);
    assert_eq!(pod.annotation(keys::DELETION_COST), Some(HIGHEST_COST));
    assert_eq!(world.planned(), [], "it has not settled yet");
}

#[test]
fn a_quarantine_command_on_a_quarantined_pod_does_not_survive_its_release() {
    let (mut world, _) = with_quarantined_pod();
    world.annotate("web-0", keys::QUARANTINE, "again");
    request_release(&mut world, "true");
    let release = the_release(&world.planned()).clone();
    world.patch(&release.pod, &release.change);
    assert_eq!(world.planned(), []);
}

#[test]
fn a_harmful_release_is_refused_with_its_reason_and_carried_out_by_force() {
    let why = refused(|world| world.change("web-0", |pod| pod.ready = false));
    assert_eq!(
        why,
        "the pod is not Ready: its ReplicaSet would delete it first"
    );

    let set = ControllerKind::ReplicaSet;
    let gone = "ReplicaSet web-rs is gone: nobody would own the pod";
    let why = refused(|world| {
        let key = ObjectKey::new(SHOP, "web-rs");
        world.view.remove_controller(set, &key);
    });
    assert_eq!(why, gone);
    let why = refused(|world| world.set_controller(set, "web-rs", |set| set.uid = "new".into()));
    assert_eq!(why, gone);
    let why = refused(|world| world.set_controller(set, "web-rs", |set| set.terminating = true));
    assert_eq!(why, gone);

    let why = refused(|world| world.set_controller(set, "web-rs", |set| set.desired = 0));
    assert_eq!(
        why,
        "ReplicaSet web-rs wants no pods: it would delete the pod"
    );

    let deployment = ControllerKind::Deployment;
    let why = refused(|world| {
        world.set_controller(deployment, "web", |web| {
            web.revision = Some(Fingerprint::of("2"));
        });
    });
    assert_eq!(
        why,
        "ReplicaSet web-rs is of an older revision of Deployment web"
    );
    let why = refused(|world| {
        let key = ObjectKey::new(SHOP, "web");
        world.view.remove_controller(deployment, &key);
    });
    assert_eq!(why, "Deployment web was not seen yet");

    let why = refused(|world| world.view.stale = Some("pods: silent".into()));
    assert_eq!(
        why,
        "what is known of the cluster may be out of date: pods: silent"
    );
}

#[test]
fn only_an_unseen_deployment_keeps_a_pod_from_its_release() {
    for (kind, is_released) in [
        ("Deployment", false),
        ("StatefulSet", true),
        ("DaemonSet", true),
        ("Rollout", true),
    ] {
        let mut world = World::with_web();
        world.quarantine("web-0");
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            set.owner = Some(reference(kind, "unseen"));
        });
        request_release(&mut world, "true");
        let planned = world.planned();
        let released = planned
            .iter()
            .any(|one| matches!(one, Planned::Write(Write::Release(_))));
        assert_eq!(released, is_released, "{kind}");
    }
}

#[test]
fn a_pod_of_a_bare_replica_set_is_released_without_a_revision() {
    let mut world = World::with_web();
    let set = ControllerKind::ReplicaSet;
    world.set_controller(set, "web-rs", |set| {
        set.owner = None;
        set.revision = None;
    });
    let key = ObjectKey::new(SHOP, "web");
    world
        .view
        .remove_controller(ControllerKind::Deployment, &key);
    world.quarantine("web-0");
    request_release(&mut world, "true");
    assert_eq!(
        the_release(&world.planned()).workload.to_string(),
        "ReplicaSet web-rs"
    );
}

#[test]
fn a_forced_release_without_a_replica_set_leaves_no_deletion_cost() {
    let (mut world, _) = with_quarantined_pod();
    let key = ObjectKey::new(SHOP, "web-rs");
    world
        .view
        .remove_controller(ControllerKind::ReplicaSet, &key);
    request_release(&mut world, "force");
    let planned = world.planned();
    let pod = changed(world.pod("web-0"), &the_release(&planned).change);
    assert_eq!(pod.annotation(keys::DELETION_COST), None);
    assert!(pod.annotation(keys::RELEASED).is_some(), "it is left alone");
}

#[test]
fn a_forced_release_names_its_consequence() {
    let follows = |change: fn(&mut World)| {
        let (mut world, _) = with_quarantined_pod();
        change(&mut world);
        request_release(&mut world, "force");
        the_release(&world.planned()).follows.clone()
    };
    assert_eq!(follows(|_| ()), None);
    let then = follows(|world| world.change("web-0", |pod| pod.ready = false));
    let expected = "the pod is not Ready: its ReplicaSet would delete it first; it is adopted, and deleted if the ReplicaSet then has a pod too many";
    assert_eq!(then.as_deref(), Some(expected));
    let then = follows(|world| {
        let key = ObjectKey::new(SHOP, "web-rs");
        world
            .view
            .remove_controller(ControllerKind::ReplicaSet, &key);
    });
    let expected = "ReplicaSet web-rs is gone: nobody would own the pod; the pod continues to serve, and no controller updates or replaces it";
    assert_eq!(then.as_deref(), Some(expected));
}

#[test]
fn a_release_is_carried_out_in_observe_and_not_in_off() {
    let (mut world, _) = with_quarantined_pod();
    world.policy(|policy| policy.mode = Mode::Observe);
    request_release(&mut world, "true");
    the_release(&world.planned());

    let ways: [fn(&mut World); 2] = [
        |world| world.policy(|policy| policy.mode = Mode::Off),
        |world| world.namespace_mode("off"),
    ];
    for off in ways {
        for command in ["true", "force"] {
            let (mut world, _) = with_quarantined_pod();
            request_release(&mut world, command);
            off(&mut world);
            let planned = world.planned();
            let notice = the_notice(&planned);
            assert_eq!(notice.topic, Topic::ReleaseRefused);
            assert_eq!(notice.message, "the mode is off: nothing is touched");
        }
    }
}

#[test]
fn another_agents_pod_is_not_released() {
    let (mut world, _) = with_quarantined_pod();
    world.file.agent = "second".into();
    request_release(&mut world, "force");
    assert_eq!(world.planned(), []);
}

#[test]
fn another_agents_pod_with_a_newer_record_is_not_released_either() {
    let (mut world, _) = with_quarantined_pod();
    let text = world.pod("web-0").annotation(keys::RECORD).unwrap();
    let newer = text.replace(r#""version":1"#, r#""version":2"#);
    world.annotate("web-0", keys::RECORD, &newer);
    world.file.agent = "second".into();
    request_release(&mut world, "force");
    assert_eq!(world.planned(), []);
}

#[test]
fn a_command_in_the_pod_template_releases_nothing() {
    let (mut world, _) = with_quarantined_pod();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::RELEASE.into()];
    });
    request_release(&mut world, "true");
    let planned = world.planned();
    let notice = the_notice(&planned);
    assert_eq!(notice.topic, Topic::BadAnnotation);
    assert!(notice.message.contains("pod template"), "{notice:?}");
}

#[test]
fn a_release_of_a_pod_that_is_not_quarantined_only_gives_an_event() {
    let mut world = World::with_web();
    request_release(&mut world, "true");
    let planned = world.planned();
    assert_eq!(
        the_notice(&planned).message,
        "pod-quarantine.io/release is ignored: the pod is not quarantined"
    );
}

#[test]
fn a_pod_without_a_readable_record_cannot_be_released_even_by_force() {
    for (record, why) in [
        (None, "it carries the state label and no record"),
        (Some("{"), "its record cannot be read"),
    ] {
        let (mut world, _) = with_quarantined_pod();
        world.change("web-0", |pod| {
            pod.annotations.remove(keys::RECORD);
            let record = record.map(|text| (keys::RECORD.into(), text.into()));
            pod.annotations.extend(record);
        });
        request_release(&mut world, "force");
        let planned = world.planned();
        let notified = notices(&planned);
        let topics: Vec<Topic> = notified.iter().map(|notice| notice.topic).collect();
        assert_eq!(topics, [Topic::BadAnnotation, Topic::ReleaseRefused]);
        assert_eq!(planned.len(), 2);
        assert!(notified[1].message.starts_with(why), "{notified:?}");
    }
}

#[test]
fn a_pod_with_a_newer_record_is_released_only_by_force() {
    let (mut world, before) = with_quarantined_pod();
    let text = world.pod("web-0").annotation(keys::RECORD).unwrap();
    let newer = text.replace(r#""version":1"#, r#""version":2"#);
    world.annotate("web-0", keys::RECORD, &newer);
    request_release(&mut world, "true");
    let planned = world.planned();
    let topics: Vec<Topic> = notices(&planned).iter().map(|one| one.topic).collect();
    assert_eq!(topics, [Topic::BadAnnotation, Topic::ReleaseRefused]);
    request_release(&mut world, "force");
    let planned = world.planned();
    let pod = changed(world.pod("web-0"), &the_release(&planned).change);
    assert_eq!(pod.labels, before.labels);
}

#[test]
fn a_pod_whose_state_label_was_removed_gets_an_event_and_can_be_released() {
    let (mut world, before) = with_quarantined_pod();
    world.change("web-0", |pod| {
        pod.labels.remove(keys::STATE);
    });
    assert_eq!(the_notice(&world.planned()).topic, Topic::BadAnnotation);
    request_release(&mut world, "true");
    let planned = world.planned();
    let pod = changed(world.pod("web-0"), &the_release(&planned).change);
    assert_eq!(pod.labels, before.labels);
}

#[test]
fn labels_and_annotations_changed_by_others_are_left_and_named() {
    let mut world = World::with_web();
    world.file.keep_node = true;
    world.quarantine("web-0");
    world.change("web-0", |pod| {
        pod.labels.insert("app".into(), "debug".into());
        pod.labels.insert("by".into(), "hand".into());
        let cost = keys::SAFE_TO_EVICT;
        pod.annotations.insert(cost.into(), "true".into());
        pod.annotations.remove(keys::DO_NOT_DISRUPT);
    });
    request_release(&mut world, "true");
    let planned = world.planned();
    let release = the_release(&planned);
    assert_eq!(release.left, ["app".into(), keys::SAFE_TO_EVICT.into()]);
    let pod = changed(world.pod("web-0"), &release.change);
    let expected = [("app", "debug"), ("by", "hand"), ("pod-template-hash", "1")];
    assert_eq!(pod.labels, labels(&expected));
    assert_eq!(pod.annotation(keys::SAFE_TO_EVICT), Some("true"));
    assert_eq!(pod.annotation(keys::DO_NOT_DISRUPT), None);
}

proptest! {
    #![proptest_config(crate::proptest_cases(1_000))]

    #[test]
    fn release_and_settling_restore_exactly_the_original_labels_and_annotations(
        more in btree_map(
            select(vec!["a", "enabled", keys::INSTANCE, keys::WORKLOAD]),
            select(vec!["true", "false", "quarantined", "x"]),
            0..4,
        ),
        service in option::of(select(vec!["enabled", "a", keys::INSTANCE])),
        cost in option::of("[0-9]{1,3}"),
        disrupt in option::of(select(vec!["true", "false"])),
        evict in option::of(select(vec!["true", "false"])),
        argo in option::of(select(vec!["", "Prune=true", "Replace=true", "Prune=false", "A=b, Prune=confirm"])),
        keep_node: bool,
    ) {
        let mut world = World::with_web();
        world.file.keep_node = keep_node;
        world.change("web-0", |pod| {
            let more = more.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            pod.labels.extend(more);
            let annotations = [
                (keys::DELETION_COST, cost.as_deref()),
                (keys::DO_NOT_DISRUPT, disrupt),
                (keys::SAFE_TO_EVICT, evict),
                (keys::ARGO_SYNC_OPTIONS, argo),
            ];
            let there = annotations.into_iter().filter_map(|(key, value)| Some((key.into(), value?.into())));
            pod.annotations.extend(there);
        });
        if let Some((key, value)) = service.and_then(|key| more.get_key_value(key)) {
            world.service("second", &[(key, value)]);
            world.beside("web-0");
        }
        let before = world.pod("web-0").clone();
        world.unhealthy("web-0");
        let quarantine = the_quarantine(&world.planned()).clone();
        world.carry_out(&quarantine);
        prop_assert_eq!(&world.pod("web-0").labels, &quarantine.labels);
        prop_assert_ne!(&quarantine.labels, &before.labels);
        world.change("web-0", |pod| pod.owner = None);
        world.findings.clear();

        request_release(&mut world, "true");
        let release = the_release(&world.planned()).clone();
        prop_assert!(release.left.is_empty());
        world.patch(&release.pod, &release.change);
        prop_assert_eq!(&world.pod("web-0").labels, &before.labels);
        world.change("web-0", |pod| pod.owner.clone_from(&before.owner));
        world.pass(Duration::from_mins(5));
        let planned = world.planned();
        let [Planned::Write(Write::Settle { pod, change })] = &planned[..] else {
            panic!("not settled: {planned:?}");
        };
        world.patch(pod, change);
        prop_assert_eq!(&world.pod("web-0").annotations, &before.annotations);
        world.pass(Duration::from_hours(1));
        prop_assert_eq!(world.planned(), []);
    }
}

/// Labels by the thousand are not kept: one that the quarantine changed may be among those that are left out.
#[test]
fn a_pod_with_more_labels_than_are_kept_is_not_released() {
    for command in ["true", "force"] {
        let (mut world, _) = with_quarantined_pod();
        world.change("web-0", |pod| {
            pod.labels.remove("app");
            pod.labels_left_out = 1;
        });
        request_release(&mut world, command);
        let planned = world.planned();
        let is_write = |one: &Planned| matches!(one, Planned::Write(_));
        assert!(!planned.iter().any(is_write), "{planned:?}");
        let notice = the_notice(&planned);
        assert_eq!(notice.topic, Topic::ReleaseRefused);
        assert_eq!(
            notice.message,
            "the pod has more than the 1000 labels that are read: remove some first"
        );
    }
}
