//! Quarantine by annotation: a command of people, and what it has to obey all the same.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    keys,
    notice::Topic,
    object::ControllerKind,
    policy::Mode,
    reason::Reason,
    record::{self, RecordState},
};

use crate::{
    outcome::{changed, quarantines, refusals, the_notice, the_quarantine, the_refusal},
    world::{START, World, at, pod, policy, selector},
};

fn with_command() -> World {
    let mut world = World::with_web();
    world.annotate("web-0", keys::QUARANTINE, "it leaks");
    world
}

#[test]
fn it_needs_no_finding_and_no_contrast() {
    let mut world = with_command();
    let actions = world.actions();
    let quarantine = the_quarantine(&actions);
    assert_eq!(&*quarantine.pod.key.name, "web-0");
    assert_eq!(&*quarantine.record.reason, "it leaks");
    assert_eq!(&*quarantine.record.policy, "answers");
    assert_eq!(quarantine.record.evidence, []);
}

#[test]
fn its_command_is_taken_off_by_the_patch_that_carries_it_out() {
    let mut world = with_command();
    world.annotate("web-0", keys::RELEASE, "false");
    let actions = world.actions();
    let pod = changed(world.pod("web-0"), &the_quarantine(&actions).change);
    assert_eq!(pod.annotation(keys::QUARANTINE), None);
    assert_eq!(
        pod.annotation(keys::RELEASE),
        None,
        "else it comes back at once"
    );
}

#[test]
fn a_pod_that_no_policy_selects_takes_the_ttl_and_the_mode_of_the_file() {
    let mut world = with_command();
    world.policy(|policy| policy.pods = selector(&[("app", "db")]));
    let actions = world.actions();
    let record = &the_quarantine(&actions).record;
    assert_eq!(&*record.policy, "by-hand");
    let kept = record.expires.duration_since(record.at);
    assert_eq!(kept.as_hours(), 24);

    world.file.mode = Mode::Observe;
    assert_eq!(refusals(&world.actions()), [("web-0", Reason::Observe)]);
}

#[test]
fn it_is_refused_where_only_observed_and_where_nothing_is_touched() {
    for (mode, reason) in [(Mode::Observe, Reason::Observe), (Mode::Off, Reason::Off)] {
        let mut world = with_command();
        world.policy(|policy| policy.mode = mode);
        let actions = world.actions();
        let refusal = the_refusal(&actions);
        assert_eq!(
            (refusal.refusal.reason, &*refusal.asked),
            (reason, "it leaks")
        );
        let mut world = with_command();
        world.namespace_mode(mode.as_str());
        assert_eq!(refusals(&world.actions()), [("web-0", reason)]);
    }
}

#[test]
fn an_exempt_pod_stays_where_it_is() {
    let mut world = with_command();
    world.annotate("web-0", keys::EXEMPT, "true");
    assert_eq!(refusals(&world.actions()), [("web-0", Reason::Exempt)]);
}

#[test]
fn it_obeys_the_limits() {
    let mut world = with_command();
    world.file.limits.cluster.max = 1;
    world.quarantine_waiting("web-0");
    world.annotate("web-1", keys::QUARANTINE, "this one too");
    assert_eq!(
        refusals(&world.actions()),
        [("web-1", Reason::ClusterLimit)]
    );
}

#[test]
fn it_comes_before_what_signals_found() {
    let mut world = World::with_web();
    world.deployment("api", 1);
    world.file.limits.cluster.max = 1;
    world.bad("api-0");
    world.annotate("web-3", keys::QUARANTINE, "");
    let actions = world.actions();
    let quarantines = quarantines(&actions);
    assert_eq!(quarantines.len(), 1);
    assert_eq!(&*quarantines[0].pod.key.name, "web-3");
    assert_eq!(&*quarantines[0].record.reason, "by hand");
    assert_eq!(refusals(&actions), [("api-0", Reason::ClusterLimit)]);
}

#[test]
fn where_it_is_only_observed_it_takes_no_room_from_what_is_enforced() {
    let mut world = World::with_web();
    let mut observing = policy("observing");
    observing.mode = Mode::Observe;
    observing.pods = selector(&[("app", "db")]);
    world.file.policies.insert(0, Arc::new(observing));
    Arc::make_mut(&mut world.file.policies[1]).pods = selector(&[("app", "web")]);
    world.deployment("db", 1);
    world.file.limits.cluster.max = 1;
    world.annotate("db-0", keys::QUARANTINE, "by hand");
    let mut found = world.finding("web-0");
    found.policy = world.file.policies[1].clone();
    world.findings.push(found);
    let actions = world.actions();
    assert_eq!(quarantines(&actions).len(), 1, "{actions:#?}");
    assert_eq!(&*quarantines(&actions)[0].pod.key.name, "web-0");
}

#[test]
fn of_several_policies_that_select_the_pod_the_one_that_goes_furthest_counts() {
    let mut world = with_command();
    let mut observing = policy("observing");
    observing.mode = Mode::Observe;
    world.file.policies.insert(0, Arc::new(observing));
    the_quarantine(&world.actions());
}

#[test]
fn a_pod_that_is_asked_for_by_hand_and_by_signal_is_quarantined_once() {
    let mut world = with_command();
    world.bad("web-0");
    the_quarantine(&world.actions());
}

#[test]
fn a_pod_refused_for_both_is_told_of_once_for_each() {
    let mut world = with_command();
    world.bad("web-0");
    world.findings[0].contrast = false;
    world.file.limits.cluster.max = 1;
    world.quarantine_waiting("web-0");
    world.annotate("web-1", keys::QUARANTINE, "it leaks");
    world.bad("web-1");
    world.findings.remove(0);
    world.findings[0].contrast = false;
    let told = refusals(&world.actions()).len();
    assert_eq!(told, 2);
    assert_eq!(world.actions(), []);
    assert_eq!(world.actions(), []);
}

#[test]
fn a_command_in_the_pod_template_is_ignored_and_told() {
    let mut world = with_command();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::QUARANTINE.into()];
    });
    let actions = world.actions();
    let notice = the_notice(&actions);
    assert_eq!(notice.topic, Topic::BadAnnotation);
    assert_eq!(
        notice.message,
        "pod-quarantine.io/quarantine is ignored: it stands in the pod template of ReplicaSet web-rs"
    );
    assert_eq!(world.actions(), [], "and told once");
}

#[test]
fn another_command_in_the_pod_template_does_not_matter() {
    let mut world = with_command();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::RELEASE.into()];
    });
    the_quarantine(&world.actions());
}

#[test]
fn a_pod_that_goes_away_or_is_out_already_is_let_be() {
    let mut world = with_command();
    world.change("web-0", |pod| pod.terminating = true);
    assert_eq!(world.actions(), []);
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::QUARANTINE, "again");
    assert_eq!(world.actions(), []);
}

#[test]
fn an_unowned_pod_is_refused() {
    let mut world = World::new();
    world.put(pod("bare"));
    world.annotate("bare", keys::QUARANTINE, "");
    assert_eq!(refusals(&world.actions()), [("bare", Reason::OwnerKind)]);
}

#[test]
fn a_ttl_annotation_counts_from_the_quarantine() {
    let mut world = with_command();
    world.annotate("web-0", keys::TTL, "2d");
    world.pass(Duration::from_mins(1));
    let actions = world.actions();
    let quarantine = the_quarantine(&actions);
    assert_eq!(quarantine.record.at, at("2030-01-31T12:01:01Z"));
    assert_eq!(quarantine.record.expires, at("2030-02-02T12:01:01Z"));
    assert!(quarantine.record.at > at(START));
}

#[test]
fn the_record_is_on_the_pod_and_in_the_slot() {
    let mut world = with_command();
    let quarantine = world.quarantine_waiting("web-0");
    let pod = world.pod("web-0").clone();
    let read = RecordState::Readable(Box::new(quarantine.record.clone()));
    assert_eq!(pod.record(), read);
    let text = pod.annotation(keys::RECORD).unwrap();
    assert_eq!(
        world.slot("web-0").unwrap().record,
        record::fingerprint(text)
    );
}
