//! Manual quarantine by annotation, and what limits it all the same.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    keys, notice::Topic, object::ControllerKind, policy::Mode, reason::Reason, record::RecordState,
    text::Fingerprint,
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
fn a_manual_quarantine_needs_no_finding_and_no_contrast() {
    let mut world = with_command();
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(&*quarantine.pod.key.name, "web-0");
    assert_eq!(&*quarantine.record.reason, "it leaks");
    assert_eq!(&*quarantine.record.policy, "answers");
    assert_eq!(quarantine.record.evidence, []);
}

#[test]
fn the_patch_that_quarantines_a_pod_removes_the_command() {
    let mut world = with_command();
    world.annotate("web-0", keys::RELEASE, "false");
    let planned = world.planned();
    let pod = changed(world.pod("web-0"), &the_quarantine(&planned).change);
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
    let planned = world.planned();
    let record = &the_quarantine(&planned).record;
    assert_eq!(&*record.policy, "by-hand");
    let kept = record.expires.duration_since(record.at);
    assert_eq!(kept.as_hours(), 24);

    world.file.mode = Mode::Observe;
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Observe)]);
}

#[test]
fn a_manual_quarantine_is_refused_in_the_modes_observe_and_off() {
    for (mode, reason) in [(Mode::Observe, Reason::Observe), (Mode::Off, Reason::Off)] {
        let mut world = with_command();
        world.policy(|policy| policy.mode = mode);
        let planned = world.planned();
        let refusal = the_refusal(&planned);
        assert_eq!(
            (refusal.refusal.reason, &*refusal.asked),
            (reason, "it leaks")
        );
        let mut world = with_command();
        world.namespace_mode(mode.as_str());
        assert_eq!(refusals(&world.planned()), [("web-0", reason)]);
    }
}

#[test]
fn an_exempt_pod_is_not_quarantined_manually() {
    let mut world = with_command();
    world.annotate("web-0", keys::EXEMPT, "true");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Exempt)]);
}

#[test]
fn a_manual_quarantine_obeys_the_limits() {
    let mut world = with_command();
    world.file.limits.cluster.max = 1;
    world.quarantine_waiting("web-0");
    world.annotate("web-1", keys::QUARANTINE, "this one too");
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::ClusterLimit)]
    );
}

#[test]
fn manual_quarantines_come_before_unhealthy_pods() {
    let mut world = World::with_web();
    world.deployment("api", 1);
    world.file.limits.cluster.max = 1;
    world.unhealthy("api-0");
    world.annotate("web-3", keys::QUARANTINE, "");
    let planned = world.planned();
    let quarantines = quarantines(&planned);
    assert_eq!(quarantines.len(), 1);
    assert_eq!(&*quarantines[0].pod.key.name, "web-3");
    assert_eq!(&*quarantines[0].record.reason, "by hand");
    assert_eq!(refusals(&planned), [("api-0", Reason::ClusterLimit)]);
}

#[test]
fn a_manual_quarantine_in_observe_uses_no_room_within_the_limits() {
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
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1, "{planned:#?}");
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "web-0");
}

#[test]
fn of_several_policies_that_select_a_pod_the_one_with_the_highest_mode_applies() {
    let mut world = with_command();
    let mut observing = policy("observing");
    observing.mode = Mode::Observe;
    world.file.policies.insert(0, Arc::new(observing));
    the_quarantine(&world.planned());
}

#[test]
fn a_pod_with_a_manual_command_and_a_finding_is_quarantined_once() {
    let mut world = with_command();
    world.unhealthy("web-0");
    the_quarantine(&world.planned());
}

#[test]
fn a_pod_with_a_manual_command_and_a_finding_has_one_refusal_for_each() {
    let mut world = with_command();
    world.unhealthy("web-0");
    world.findings[0].contrast = false;
    world.file.limits.cluster.max = 1;
    world.quarantine_waiting("web-0");
    world.annotate("web-1", keys::QUARANTINE, "it leaks");
    world.unhealthy("web-1");
    world.findings.remove(0);
    world.findings[0].contrast = false;
    let refused = refusals(&world.planned()).len();
    assert_eq!(refused, 2);
    assert_eq!(world.planned(), []);
    assert_eq!(world.planned(), []);
}

#[test]
fn a_command_in_the_pod_template_is_ignored_with_an_event() {
    let mut world = with_command();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::QUARANTINE.into()];
    });
    let planned = world.planned();
    let notice = the_notice(&planned);
    assert_eq!(notice.topic, Topic::BadAnnotation);
    assert_eq!(
        notice.message,
        "pod-quarantine.io/quarantine is ignored: it stands in the pod template of ReplicaSet web-rs"
    );
    assert_eq!(world.planned(), [], "one Event is enough");
}

#[test]
fn a_release_command_in_the_pod_template_does_not_prevent_a_manual_quarantine() {
    let mut world = with_command();
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.template_commands = vec![keys::RELEASE.into()];
    });
    the_quarantine(&world.planned());
}

#[test]
fn a_command_on_a_terminating_or_quarantined_pod_does_nothing() {
    let mut world = with_command();
    world.change("web-0", |pod| pod.terminating = true);
    assert_eq!(world.planned(), []);
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::QUARANTINE, "again");
    assert_eq!(world.planned(), []);
}

#[test]
fn a_manual_quarantine_of_a_pod_without_an_owner_is_refused() {
    let mut world = World::new();
    world.put(pod("bare"));
    world.annotate("bare", keys::QUARANTINE, "");
    assert_eq!(refusals(&world.planned()), [("bare", Reason::OwnerKind)]);
}

#[test]
fn a_ttl_annotation_counts_from_the_quarantine() {
    let mut world = with_command();
    world.annotate("web-0", keys::TTL, "2d");
    world.pass(Duration::from_mins(1));
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert_eq!(quarantine.record.at, at("2030-01-31T12:01:01Z"));
    assert_eq!(quarantine.record.expires, at("2030-02-02T12:01:01Z"));
    assert!(quarantine.record.at > at(START));
}

#[test]
fn the_record_is_on_the_pod_and_in_the_slot() {
    let mut world = with_command();
    let quarantine = world.quarantine_waiting("web-0");
    let pod = world.pod("web-0").clone();
    assert!(quarantine.record.manual);
    let read = RecordState::Readable(Box::new(quarantine.record.clone().into()));
    assert_eq!(*pod.record(), read);
    let text = pod.annotation(keys::RECORD).unwrap();
    assert_eq!(world.slot("web-0").unwrap().record, Fingerprint::of(text));
}

#[test]
fn where_no_policy_selects_the_pod_only_the_default_installation_obeys() {
    for (agent, selected, obeys) in [
        ("default", false, true),
        ("other", false, false),
        ("other", true, true),
        ("default", true, true),
    ] {
        let mut world = with_command();
        world.file.agent = agent.into();
        if !selected {
            world.policy(|policy| policy.pods = selector(&[("app", "another")]));
        }
        let planned = world.planned();
        assert_eq!(
            quarantines(&planned).len(),
            usize::from(obeys),
            "{agent}, {selected}"
        );
    }
}
