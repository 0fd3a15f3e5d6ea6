//! The trial of a change while its pod is only suspect.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    lookup::Lookup,
    policy::Mode,
    reason::{Reason, Refusal},
};

use crate::{
    outcome::{Planned, the_quarantine, the_refusal},
    world::{World, workload_uid},
};

/// `web-0` has answered badly, and not yet often enough.
fn suspect() -> World {
    let mut world = World::with_web();
    world.bad("web-0");
    world.findings[0].verdict = Verdict::Suspect;
    world
}

fn past(world: &mut World) -> Vec<Planned> {
    world.findings[0].verdict = Verdict::Unhealthy;
    world.actions()
}

fn is_tried(actions: &[Planned]) -> bool {
    match actions {
        [] => false,
        [Planned::Lookup(Lookup::DryRun(quarantine))] => {
            assert!(quarantine.dry_run_first);
            true
        }
        other => panic!("more than a trial: {other:#?}"),
    }
}

#[test]
fn a_change_that_was_accepted_early_is_not_tried_again_when_it_is_needed() {
    let mut world = suspect();
    assert!(is_tried(&world.actions()));
    let workload = workload_uid("web");
    world.state.record_dry_run(&workload);
    assert!(!is_tried(&world.actions()));
    assert!(!the_quarantine(&past(&mut world)).dry_run_first);
}

#[test]
fn a_trial_without_an_answer_is_repeated_and_holds_nothing_up() {
    let mut world = suspect();
    assert!(is_tried(&world.actions()));
    assert!(is_tried(&world.actions()), "a second later");
    assert!(the_quarantine(&past(&mut world)).dry_run_first);
}

#[test]
fn what_was_accepted_is_believed_for_a_minute() {
    let mut world = suspect();
    assert!(is_tried(&world.actions()));
    let workload = workload_uid("web");
    world.state.record_dry_run(&workload);
    world.pass(Duration::from_secs(58));
    assert!(!is_tried(&world.actions()));
    world.pass(Duration::from_secs(1));
    assert!(is_tried(&world.actions()));
    assert!(the_quarantine(&past(&mut world)).dry_run_first);
}

#[test]
fn what_was_denied_early_is_told_when_the_pod_is_past_its_threshold() {
    let mut world = suspect();
    assert!(is_tried(&world.actions()));
    let uid = world.pod("web-0").uid.clone();
    let moment = world.now.moment;
    world.state.record_denial(
        &uid,
        Refusal::new(Reason::AdmissionDenied, "by policy"),
        moment,
    );
    assert!(world.actions().is_empty());
    let actions = past(&mut world);
    assert_eq!(
        the_refusal(&actions).refusal.reason,
        Reason::AdmissionDenied
    );
}

#[test]
fn nothing_is_tried_that_would_not_be_done() {
    let not_tried = |change: fn(&mut World)| {
        let mut world = suspect();
        change(&mut world);
        assert!(!is_tried(&world.actions()));
    };
    not_tried(|world| world.findings[0].contrast = false);
    not_tried(|world| world.annotate("web-0", keys::EXEMPT, "true"));
    not_tried(|world| world.view.stale = Some("a watch is silent".into()));
    not_tried(|world| world.namespace_mode("observe"));
    not_tried(|world| {
        world.policy(|policy| policy.mode = Mode::Observe);
        world.findings[0].policy = world.file.policies[0].clone();
    });
}

#[test]
fn one_pod_of_a_workload_is_enough_and_none_where_one_is_out() {
    let mut world = suspect();
    world.bad("web-1");
    world.findings[1].verdict = Verdict::Suspect;
    assert!(is_tried(&world.actions()));

    let mut world = World::with_web();
    world.quarantine("web-0");
    world.bad("web-1");
    world.findings[0].verdict = Verdict::Suspect;
    assert!(!is_tried(&world.actions()));
}
