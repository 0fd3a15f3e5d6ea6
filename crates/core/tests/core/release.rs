//! Putting back: when it is done, when it is refused, and what the pod is afterwards.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    notice::Topic,
    object::{ControllerKind, ObjectKey, Pod},
    policy::Mode,
    restore::HIGHEST_COST,
    write::Write,
};
use proptest::{collection::btree_map, option, prelude::*, sample::select};

use crate::{
    outcome::{Planned, changed, notices, the_notice, the_quarantine, the_release},
    world::{SHOP, World, labels},
};

/// A world with `web-0` out and its replacement there, and the pod as it was before.
fn with_one_out() -> (World, Pod) {
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

fn ask(world: &mut World, text: &str) {
    world.annotate("web-0", keys::RELEASE, text);
}

/// Why a release is refused after that change; and that force does it all the same.
fn refused(change: impl Fn(&mut World)) -> String {
    let (mut world, _) = with_one_out();
    change(&mut world);
    ask(&mut world, "true");
    let actions = world.actions();
    let notice = the_notice(&actions);
    assert_eq!(notice.topic, Topic::ReleaseRefused);
    let message = notice.message.clone();
    assert_eq!(world.actions(), [], "it is told once");
    ask(&mut world, "force");
    let actions = world.actions();
    assert_eq!(the_release(&actions).cause.as_str(), "force");
    message
}

#[test]
fn a_release_gives_labels_and_annotations_back_and_takes_the_agents_own_keys_off() {
    let (mut world, before) = with_one_out();
    ask(&mut world, "true");
    let actions = world.actions();
    let release = the_release(&actions).clone();
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
    assert_eq!(world.actions(), [], "it has not settled yet");
}

#[test]
fn a_command_to_quarantine_that_came_meanwhile_does_not_take_it_out_again() {
    let (mut world, _) = with_one_out();
    world.annotate("web-0", keys::QUARANTINE, "again");
    ask(&mut world, "true");
    let release = the_release(&world.actions()).clone();
    world.patch(&release.pod, &release.change);
    assert_eq!(world.actions(), []);
}

#[test]
fn a_release_that_would_hurt_is_refused_with_the_reason_and_force_does_it() {
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
        world.set_controller(deployment, "web", |web| web.revision = Some("2".into()));
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
    ask(&mut world, "true");
    assert_eq!(
        the_release(&world.actions()).workload.to_string(),
        "ReplicaSet web-rs"
    );
}

#[test]
fn a_release_by_force_into_no_replica_set_leaves_no_deletion_cost() {
    let (mut world, _) = with_one_out();
    let key = ObjectKey::new(SHOP, "web-rs");
    world
        .view
        .remove_controller(ControllerKind::ReplicaSet, &key);
    ask(&mut world, "force");
    let actions = world.actions();
    let pod = changed(world.pod("web-0"), &the_release(&actions).change);
    assert_eq!(pod.annotation(keys::DELETION_COST), None);
    assert!(pod.annotation(keys::RELEASED).is_some(), "it is left alone");
}

#[test]
fn what_follows_a_release_by_force_is_said() {
    let follows = |change: fn(&mut World)| {
        let (mut world, _) = with_one_out();
        change(&mut world);
        ask(&mut world, "force");
        the_release(&world.actions()).follows.clone()
    };
    assert_eq!(follows(|_| ()), None);
    let then = follows(|world| world.change("web-0", |pod| pod.ready = false));
    let expected = "the pod is not Ready: its ReplicaSet would delete it first; it is adopted, and deleted where there is one too many";
    assert_eq!(then.as_deref(), Some(expected));
    let then = follows(|world| {
        let key = ObjectKey::new(SHOP, "web-rs");
        world
            .view
            .remove_controller(ControllerKind::ReplicaSet, &key);
    });
    let expected = "ReplicaSet web-rs is gone: nobody would own the pod; it serves on, and nothing updates or replaces it";
    assert_eq!(then.as_deref(), Some(expected));
}

#[test]
fn a_release_is_carried_out_in_observe_and_not_in_off() {
    let (mut world, _) = with_one_out();
    world.policy(|policy| policy.mode = Mode::Observe);
    ask(&mut world, "true");
    the_release(&world.actions());

    let ways: [fn(&mut World); 2] = [
        |world| world.policy(|policy| policy.mode = Mode::Off),
        |world| world.namespace_mode("off"),
    ];
    for off in ways {
        for command in ["true", "force"] {
            let (mut world, _) = with_one_out();
            ask(&mut world, command);
            off(&mut world);
            let actions = world.actions();
            let notice = the_notice(&actions);
            assert_eq!(notice.topic, Topic::ReleaseRefused);
            assert_eq!(notice.message, "the mode is off: nothing is touched");
        }
    }
}

#[test]
fn another_agents_pod_is_not_released() {
    let (mut world, _) = with_one_out();
    world.file.agent = "second".into();
    ask(&mut world, "force");
    assert_eq!(world.actions(), []);
}

#[test]
fn another_agents_pod_of_a_newer_version_is_not_released_either() {
    let (mut world, _) = with_one_out();
    let text = world.pod("web-0").annotation(keys::RECORD).unwrap();
    let newer = text.replace(r#""version":1"#, r#""version":2"#);
    world.annotate("web-0", keys::RECORD, &newer);
    world.file.agent = "second".into();
    ask(&mut world, "force");
    assert_eq!(world.actions(), []);
}

#[test]
fn a_command_in_the_pod_template_releases_nothing() {
    let (mut world, _) = with_one_out();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::RELEASE.into()];
    });
    ask(&mut world, "true");
    let actions = world.actions();
    let notice = the_notice(&actions);
    assert_eq!(notice.topic, Topic::BadAnnotation);
    assert!(notice.message.contains("pod template"), "{notice:?}");
}

#[test]
fn a_release_of_a_pod_that_is_not_out_is_told_and_does_nothing() {
    let mut world = World::with_web();
    ask(&mut world, "true");
    let actions = world.actions();
    assert_eq!(
        the_notice(&actions).message,
        "pod-quarantine.io/release is ignored: the pod is not quarantined"
    );
}

#[test]
fn a_pod_without_a_readable_record_cannot_be_put_back_even_by_force() {
    for (record, why) in [
        (None, "it carries the state label and no record"),
        (Some("{"), "its record cannot be read"),
    ] {
        let (mut world, _) = with_one_out();
        world.change("web-0", |pod| {
            pod.annotations.remove(keys::RECORD);
            let record = record.map(|text| (keys::RECORD.into(), text.into()));
            pod.annotations.extend(record);
        });
        ask(&mut world, "force");
        let actions = world.actions();
        let told = notices(&actions);
        let topics: Vec<Topic> = told.iter().map(|notice| notice.topic).collect();
        assert_eq!(topics, [Topic::BadAnnotation, Topic::ReleaseRefused]);
        assert_eq!(actions.len(), 2);
        assert!(told[1].message.starts_with(why), "{told:?}");
    }
}

#[test]
fn a_record_of_a_newer_version_is_released_by_force_alone() {
    let (mut world, before) = with_one_out();
    let text = world.pod("web-0").annotation(keys::RECORD).unwrap();
    let newer = text.replace(r#""version":1"#, r#""version":2"#);
    world.annotate("web-0", keys::RECORD, &newer);
    ask(&mut world, "true");
    let actions = world.actions();
    let topics: Vec<Topic> = notices(&actions).iter().map(|one| one.topic).collect();
    assert_eq!(topics, [Topic::BadAnnotation, Topic::ReleaseRefused]);
    ask(&mut world, "force");
    let actions = world.actions();
    let pod = changed(world.pod("web-0"), &the_release(&actions).change);
    assert_eq!(pod.labels, before.labels);
}

#[test]
fn a_pod_whose_state_label_was_taken_off_counts_is_told_and_can_be_released() {
    let (mut world, before) = with_one_out();
    world.change("web-0", |pod| {
        pod.labels.remove(keys::STATE);
    });
    assert_eq!(the_notice(&world.actions()).topic, Topic::BadAnnotation);
    ask(&mut world, "true");
    let actions = world.actions();
    let pod = changed(world.pod("web-0"), &the_release(&actions).change);
    assert_eq!(pod.labels, before.labels);
}

#[test]
fn what_someone_else_changed_meanwhile_is_left_and_named() {
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
    ask(&mut world, "true");
    let actions = world.actions();
    let release = the_release(&actions);
    assert_eq!(release.left, ["app".into(), keys::SAFE_TO_EVICT.into()]);
    let pod = changed(world.pod("web-0"), &release.change);
    let expected = [("app", "debug"), ("by", "hand"), ("pod-template-hash", "1")];
    assert_eq!(pod.labels, labels(&expected));
    assert_eq!(pod.annotation(keys::SAFE_TO_EVICT), Some("true"));
    assert_eq!(pod.annotation(keys::DO_NOT_DISRUPT), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn release_and_settling_give_back_exactly_what_was_there(
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
        world.bad("web-0");
        let quarantine = the_quarantine(&world.actions()).clone();
        world.carry_out(&quarantine);
        prop_assert_eq!(&world.pod("web-0").labels, &quarantine.labels);
        prop_assert_ne!(&quarantine.labels, &before.labels);
        world.change("web-0", |pod| pod.owner = None);
        world.findings.clear();

        ask(&mut world, "true");
        let release = the_release(&world.actions()).clone();
        prop_assert!(release.left.is_empty());
        world.patch(&release.pod, &release.change);
        prop_assert_eq!(&world.pod("web-0").labels, &before.labels);
        world.change("web-0", |pod| pod.owner.clone_from(&before.owner));
        world.pass(Duration::from_mins(5));
        let actions = world.actions();
        let [Planned::Write(Write::Settle { pod, change })] = &actions[..] else {
            panic!("not settled: {actions:?}");
        };
        world.patch(pod, change);
        prop_assert_eq!(&world.pod("web-0").annotations, &before.annotations);
        world.pass(Duration::from_hours(1));
        prop_assert_eq!(world.actions(), []);
    }
}
