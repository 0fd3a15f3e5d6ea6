//! A quarantined pod that a new or edited Service selects is taken out again.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView},
    notice::{Notice, Topic},
    object::{Pod, PodSelectingKind},
    policy::Mode,
    reason::{Reason, Refusal},
    record::{self, RecordState},
    write::{Quarantine, Write},
};

use crate::{
    outcome::{Planned, reaps, the_notice, the_quarantine, the_release},
    world::{World, selecting, selector, version},
};

/// `web-0` is out, as `app=quarantined`, and a new Service selects just that.
fn selected_again() -> (World, Pod) {
    let mut world = World::with_web();
    let before = world.pod("web-0").clone();
    world.quarantine("web-0");
    assert_eq!(&*world.pod("web-0").labels["app"], "quarantined");
    assert_eq!(world.actions(), []);
    world.service("trap", &[("app", "quarantined")]);
    (world, before)
}

fn again(world: &mut World) -> Quarantine {
    let actions = world.actions();
    let quarantine = the_quarantine(&actions);
    assert!(quarantine.again);
    assert!(
        !quarantine.dry_run_first,
        "its slot shows that it is accepted"
    );
    quarantine.clone()
}

fn record_of(world: &World, name: &str) -> record::Record {
    match world.pod(name).record() {
        RecordState::Readable(record) => *record,
        other => panic!("{other:?}"),
    }
}

/// What is told instead of taking it out, after that change.
fn told(change: impl FnOnce(&mut World)) -> String {
    let (mut world, _) = selected_again();
    change(&mut world);
    let actions = world.actions();
    let notice = the_notice(&actions);
    assert_eq!(notice.topic, Topic::NotDrained);
    assert_eq!(world.actions(), [], "told once");
    notice.message.clone()
}

#[test]
fn a_new_service_is_left_and_the_release_gives_the_first_labels_back() {
    let (mut world, before) = selected_again();
    let first = record_of(&world, "web-0");
    let quarantine = again(&mut world);
    assert!(!quarantine.labels.contains_key("app"), "{quarantine:#?}");
    world.carry_out(&quarantine);
    assert_eq!(world.actions(), [], "it is out");
    let record = record_of(&world, "web-0");
    assert_eq!(record.labels, before.labels, "as they were at first");
    assert_eq!(record.edits["app"], None);
    assert_eq!(record.services, ["web".into(), "trap".into()]);
    assert_eq!((record.at, record.expires), (first.at, first.expires));

    world.change("web-0", |pod| pod.ready = true);
    world.annotate("web-0", keys::RELEASE, "true");
    let release = the_release(&world.actions()).clone();
    assert_eq!(release.left, Vec::<std::sync::Arc<str>>::new());
    world.patch(&release.pod, &release.change);
    assert_eq!(world.pod("web-0").labels, before.labels);
}

#[test]
fn it_needs_no_second_slot_and_no_room_within_the_limits() {
    let (mut world, _) = selected_again();
    world.file.limits.cluster.max = 1;
    let quarantine = again(&mut world);
    world.carry_out(&quarantine);
    assert_eq!(world.ledger().slots.len(), 1);
    assert_eq!(world.ledger().slots.values().next(), Some(&quarantine.slot));
}

#[test]
fn labels_that_came_since_are_put_back_too() {
    let (mut world, _) = selected_again();
    world.change("web-0", |pod| {
        pod.labels.insert("debug".into(), "true".into());
    });
    world.service("trap", &[("debug", "true")]);
    let quarantine = again(&mut world);
    assert_eq!(&*quarantine.labels["debug"], "false");
    world.carry_out(&quarantine);
    world.annotate("web-0", keys::RELEASE, "true");
    let release = the_release(&world.actions()).clone();
    world.patch(&release.pod, &release.change);
    assert_eq!(&*world.pod("web-0").labels["debug"], "true");
    assert_eq!(&*world.pod("web-0").labels["app"], "web");
}

#[test]
fn a_death_between_slot_and_patch_loses_nothing() {
    let (mut world, _) = selected_again();
    let quarantine = again(&mut world);
    // The slot is moved, the pod still carries the first record.
    assert!(world.ledger().take(quarantine.slot.clone()));
    world.restart();
    let once_more = again(&mut world);
    world.carry_out(&once_more);
    assert_eq!(world.actions(), []);
    world.pass(Duration::from_hours(4));
    assert_eq!(
        reaps(&world.actions()).len(),
        1,
        "the ledger knows the record"
    );

    let (mut world, _) = selected_again();
    let quarantine = again(&mut world);
    assert!(world.ledger().take(quarantine.slot.clone()));
    world.service("trap", &[("app", "elsewhere")]);
    world.pass(Duration::from_hours(4));
    assert_eq!(reaps(&world.actions()).len(), 1, "and the one before it");
}

#[test]
fn an_altered_change_is_undone_to_the_quarantine_before_it() {
    let (mut world, _) = selected_again();
    let first = world.pod("web-0").clone();
    let quarantine = again(&mut world);
    world.patch(&quarantine.pod, &quarantine.change);
    world.change("web-0", |pod| {
        pod.labels.insert("app".into(), "altered".into());
    });
    assert!(quarantine.difference(world.pod("web-0")).is_some());
    let altered = world.pod("web-0").clone();
    let undone = crate::outcome::changed(&altered, &quarantine.undo(&altered));
    assert_eq!(undone.labels, first.labels);
    assert_eq!(undone.annotations, first.annotations);
}

#[test]
fn a_controller_or_budget_that_would_take_it_in_is_left_too() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.view.put_selecting(selecting(
        PodSelectingKind::PodDisruptionBudget,
        "late",
        selector(&[("app", "quarantined")]),
    ));
    again(&mut world);
}

#[test]
fn what_stands_in_the_way_is_told() {
    let why = told(|world| {
        world.service("trap", &[("pod-template-hash", "1")]);
        world.policy(|policy| {
            policy.keep_labels.insert("pod-template-hash".into());
        });
    });
    assert_eq!(
        why,
        "the pod is selected again by Service trap: no change of labels takes the pod out: in the way: Service trap (pod-template-hash=1)"
    );
    let why = told(|world| {
        let uid = world.pod("web-0").uid.clone();
        let now = world.now.moment;
        world
            .state
            .record_denial(&uid, Refusal::new(Reason::AdmissionDenied, "no"), now);
    });
    assert_eq!(
        why,
        "the pod is selected again by Service trap: the API server denied the change: no"
    );
    let why = told(|world| {
        world.view.ledger = LedgerView::Present(Ledger::read(version(9), []));
    });
    assert!(
        why.ends_with("its record is not the one that the ledger knows"),
        "{why}"
    );
    let why = told(|world| world.ledger().terminating = true);
    assert!(why.ends_with("the ledger is being deleted"), "{why}");
}

/// Nothing is done about it after that change.
fn left_alone(change: impl FnOnce(&mut World)) {
    let (mut world, _) = selected_again();
    change(&mut world);
    let actions = world.actions();
    let out = |action: &Planned| {
        matches!(
            action,
            Planned::Write(Write::Quarantine(_)) | Planned::Notice(Notice::Notify(_))
        )
    };
    assert!(!actions.iter().any(out), "{actions:#?}");
}

#[test]
fn nothing_is_done_in_a_lower_mode_on_a_stale_view_or_before_the_view_has_caught_up() {
    left_alone(|world| world.policy(|policy| policy.mode = Mode::Observe));
    left_alone(|world| world.namespace_mode("off"));
    left_alone(|world| world.view.stale = Some("services: silent".into()));
    left_alone(|world| {
        let mut slot = world.slot("web-0").unwrap();
        slot.resource_version = version(1_000_000);
        assert!(world.ledger().take(slot));
    });
    left_alone(|world| world.change("web-0", |pod| pod.terminating = true));
}

#[test]
fn it_is_not_taken_out_while_it_is_put_back_or_deleted() {
    let (mut world, _) = selected_again();
    world.annotate("web-0", keys::RELEASE, "true");
    the_release(&world.actions());
    let (mut world, _) = selected_again();
    world.pass(Duration::from_hours(4));
    let actions = world.actions();
    assert_eq!((actions.len(), reaps(&actions).len()), (1, 1));
}
