//! A quarantined pod that a new or edited Service selects is quarantined again.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView},
    notice::{Notice, Topic},
    object::{ObjectKey, Pod, PodSelectingKind},
    policy::Mode,
    reason::{Reason, Refusal},
    record::{self, RecordState},
    view::{LeaseView, Update},
    write::{Act, Quarantine, Write},
};

use crate::{
    outcome::{Planned, reaps, the_notice, the_quarantine, the_release},
    world::{World, selecting, selector, version},
};

/// `web-0` is in quarantine with `app=quarantined`, and a new Service selects that label.
fn selected_again() -> (World, Pod) {
    let mut world = World::with_web();
    let before = world.pod("web-0").clone();
    world.quarantine("web-0");
    assert_eq!(&*world.pod("web-0").labels["app"], "quarantined");
    assert_eq!(world.planned(), []);
    world.service("trap", &[("app", "quarantined")]);
    (world, before)
}

fn requarantine(world: &mut World) -> Quarantine {
    let planned = world.planned();
    let quarantine = the_quarantine(&planned);
    assert!(quarantine.again);
    assert!(
        !quarantine.dry_run_first,
        "its slot shows that the change is accepted"
    );
    quarantine.clone()
}

fn record_of(world: &World, name: &str) -> record::Record {
    match world.pod(name).record() {
        RecordState::Readable(record) => record.claimed().clone(),
        other => panic!("{other:?}"),
    }
}

/// The notification instead of a second quarantine, after that change.
fn notified_after(change: impl FnOnce(&mut World)) -> String {
    let (mut world, _) = selected_again();
    change(&mut world);
    let planned = world.planned();
    let notice = the_notice(&planned);
    assert_eq!(notice.topic, Topic::NotDrained);
    assert_eq!(world.planned(), [], "one Event is enough");
    notice.message.clone()
}

#[test]
fn a_quarantined_pod_leaves_a_new_service_and_its_release_restores_the_original_labels() {
    let (mut world, before) = selected_again();
    let first = record_of(&world, "web-0");
    let quarantine = requarantine(&mut world);
    assert!(!quarantine.labels.contains_key("app"), "{quarantine:#?}");
    world.carry_out(&quarantine);
    assert_eq!(world.planned(), [], "the pod has left the Service");
    let record = record_of(&world, "web-0");
    assert_eq!(record.labels, before.labels, "as they were at first");
    assert_eq!(record.edits["app"], None);
    assert_eq!(record.services, ["web".into(), "trap".into()]);
    assert_eq!((record.at, record.expires), (first.at, first.expires));

    world.change("web-0", |pod| pod.ready = true);
    world.annotate("web-0", keys::RELEASE, "true");
    let release = the_release(&world.planned()).clone();
    assert_eq!(release.left, Vec::<std::sync::Arc<str>>::new());
    world.patch(&release.pod, &release.change);
    assert_eq!(world.pod("web-0").labels, before.labels);
}

#[test]
fn a_second_quarantine_of_a_pod_needs_no_second_slot_and_no_room_within_the_limits() {
    let (mut world, _) = selected_again();
    world.file.limits.cluster.max = 1;
    let quarantine = requarantine(&mut world);
    world.carry_out(&quarantine);
    assert_eq!(world.ledger().slots.len(), 1);
    assert_eq!(world.ledger().slots.values().next(), Some(&quarantine.slot));
    let moved_to = quarantine.slot.resource_version;
    assert_eq!(moved_to, quarantine.pod.resource_version);
}

#[test]
fn labels_added_since_the_quarantine_are_restored_too() {
    let (mut world, _) = selected_again();
    world.change("web-0", |pod| {
        pod.labels.insert("debug".into(), "true".into());
    });
    world.service("trap", &[("debug", "true")]);
    let quarantine = requarantine(&mut world);
    assert_eq!(&*quarantine.labels["debug"], "false");
    world.carry_out(&quarantine);
    world.annotate("web-0", keys::RELEASE, "true");
    let release = the_release(&world.planned()).clone();
    world.patch(&release.pod, &release.change);
    assert_eq!(&*world.pod("web-0").labels["debug"], "true");
    assert_eq!(&*world.pod("web-0").labels["app"], "web");
}

#[test]
fn an_agent_killed_between_slot_and_patch_loses_nothing() {
    let (mut world, _) = selected_again();
    let quarantine = requarantine(&mut world);
    // The slot has moved, the pod still carries the first record.
    assert!(world.ledger().take(quarantine.slot.clone()));
    world.restart();
    let once_more = requarantine(&mut world);
    world.carry_out(&once_more);
    assert_eq!(world.planned(), []);
    world.pass(Duration::from_hours(4));
    assert_eq!(
        reaps(&world.planned()).len(),
        1,
        "the ledger knows the record"
    );

    let (mut world, _) = selected_again();
    let quarantine = requarantine(&mut world);
    assert!(world.ledger().take(quarantine.slot.clone()));
    world.service("trap", &[("app", "elsewhere")]);
    world.pass(Duration::from_hours(4));
    assert_eq!(
        reaps(&world.planned()).len(),
        1,
        "the ledger knows the record before it, too"
    );
}

#[test]
fn an_altered_change_is_undone_to_the_first_quarantine() {
    let (mut world, _) = selected_again();
    let first = world.pod("web-0").clone();
    let quarantine = requarantine(&mut world);
    world.patch(&quarantine.pod, &quarantine.change);
    assert_eq!(quarantine.difference(world.pod("web-0")), None);
    world.change("web-0", |pod| {
        pod.labels.insert("app".into(), "altered".into());
        pod.annotations.remove(keys::RECORD);
    });
    assert_eq!(
        quarantine.difference(world.pod("web-0")).unwrap(),
        "annotation pod-quarantine.io/record, label app"
    );
    let altered = world.pod("web-0").clone();
    let undone = crate::outcome::changed(&altered, &quarantine.undo(&altered));
    assert_eq!(undone.labels, first.labels);
    assert_eq!(undone.annotations, first.annotations);
}

#[test]
fn a_disruption_budget_that_selects_a_quarantined_pod_is_left_too() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.view.put_selecting(selecting(
        PodSelectingKind::PodDisruptionBudget,
        "late",
        selector(&[("app", "quarantined")]),
    ));
    requarantine(&mut world);
}

#[test]
fn an_obstacle_to_the_second_quarantine_is_named_in_an_event() {
    let why = notified_after(|world| {
        world.service("trap", &[("pod-template-hash", "1")]);
        world.policy(|policy| {
            policy.keep_labels.insert("pod-template-hash".into());
        });
    });
    assert_eq!(
        why,
        "the pod is selected again by Service trap: no change of labels takes the pod out: in the way: Service trap (pod-template-hash=1)"
    );
    let why = notified_after(|world| {
        let uid = world.pod("web-0").uid.clone();
        let now = world.now.moment;
        world.state.record_denial(
            &uid,
            Act::Quarantine,
            Refusal::new(Reason::AdmissionDenied, "no"),
            now,
        );
    });
    assert_eq!(
        why,
        "the pod is selected again by Service trap: the API server denied the change: no"
    );
    let why = notified_after(|world| {
        world.view.ledger = LedgerView::Present(Ledger::read(version(9), []));
    });
    assert!(
        why.ends_with("its record is not the one that the ledger knows"),
        "{why}"
    );
    let why = notified_after(|world| world.ledger().terminating = true);
    assert!(why.ends_with("the ledger is being deleted"), "{why}");
    let why = notified_after(|world| {
        world.view.lease = LeaseView::NotLoaded;
        let planned = world.planned();
        assert_eq!(planned, [], "it is just being read");
        world.pass(Duration::from_mins(1));
    });
    assert!(why.ends_with("the Lease was not read yet"), "{why}");
    let why = notified_after(|world| {
        let key = ObjectKey::new("shop", "old");
        world.view.update(Update::Unreadable("services", key));
    });
    assert!(
        why.ends_with("services/old cannot be read: what it selects is not known"),
        "{why}"
    );
}

/// The pod is not quarantined again after that change, and no Event is published.
fn left_alone(change: impl FnOnce(&mut World)) {
    let (mut world, _) = selected_again();
    change(&mut world);
    let planned = world.planned();
    let out = |one: &Planned| {
        matches!(
            one,
            Planned::Write(Write::Quarantine(_)) | Planned::Notice(Notice::Notify(_))
        )
    };
    assert!(!planned.iter().any(out), "{planned:#?}");
}

#[test]
fn no_pod_is_quarantined_again_in_a_lower_mode_on_a_stale_view_or_on_a_view_behind_its_slot() {
    left_alone(|world| world.policy(|policy| policy.mode = Mode::Observe));
    left_alone(|world| world.namespace_mode("off"));
    left_alone(|world| world.view.stale = Some("services: silent".into()));
    left_alone(|world| {
        let mut slot = world.slot("web-0").unwrap();
        slot.resource_version = version(1_000_000);
        assert!(world.ledger().take(slot));
    });
    left_alone(|world| world.change("web-0", |pod| pod.terminating = true));
    // An agent that has just started reads the Lease last.
    left_alone(|world| world.view.lease = LeaseView::NotLoaded);
}

#[test]
fn a_pod_that_is_released_or_reaped_is_not_quarantined_again() {
    let (mut world, _) = selected_again();
    world.annotate("web-0", keys::RELEASE, "true");
    the_release(&world.planned());
    let (mut world, _) = selected_again();
    world.pass(Duration::from_hours(4));
    let planned = world.planned();
    assert_eq!((planned.len(), reaps(&planned).len()), (1, 1));
}

/// A person moves the pod to another tier while it is out, and a Service of that tier takes it in.
#[test]
fn a_label_that_a_person_changed_while_the_pod_was_out_is_put_back_as_the_person_left_it() {
    let mut world = World::with_web();
    world.change("web-0", |pod| {
        pod.labels.insert("tier".into(), "a".into());
    });
    let record = world.quarantine("web-0").record;
    assert!(!record.edits.contains_key("tier"), "{record:?}");
    world.change("web-0", |pod| {
        pod.labels.insert("tier".into(), "b".into());
    });
    world.service("tier-b", &[("tier", "b")]);
    let quarantine = requarantine(&mut world);
    world.carry_out(&quarantine);
    world.annotate("web-0", keys::RELEASE, "force");
    let planned = world.planned();
    let release = planned.iter().find_map(|one| match one {
        Planned::Write(Write::Release(release)) => Some(release.clone()),
        _ => None,
    });
    let release = release.expect("a release");
    world.patch(&release.pod, &release.change);
    let tier = world.pod("web-0").labels.get("tier");
    assert_eq!(tier.map(|value| &**value), Some("b"));
}

/// An operator that keeps its role label, or a tenant in a loop, twenty milliseconds later each time.
#[test]
fn a_label_that_is_written_back_again_and_again_is_not_fought_over_at_full_speed() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let (mut written, mut told) = (0, Vec::new());
    for step in 0..3000 {
        world.change("web-0", |pod| {
            pod.labels.insert("app".into(), "web".into());
        });
        world.pass(Duration::from_millis(20));
        for one in world.decide() {
            match one {
                Planned::Write(Write::Quarantine(again)) => {
                    written += 1;
                    world.carry_out(&again);
                }
                Planned::Notice(Notice::Notify(notice)) => told.push((step / 50, notice.message)),
                _ => {}
            }
        }
    }
    assert_eq!(written, 6, "within a minute: at 0, 1, 3, 7, 15 and 31 s");
    told.retain(|(_, text)| text.contains("again and again"));
    let text = "the pod is selected again and again by Service web, Deployment web, ReplicaSet web-rs: something else writes its labels back";
    assert_eq!(told, [(3, text.to_owned())], "at 3 s, the third time");
}
