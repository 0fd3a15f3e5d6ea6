//! The dry run of a change while its pod is only suspect.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    lookup::Lookup,
    policy::Mode,
    reason::{Reason, Refusal},
    write::Act,
};

use crate::{
    outcome::{Planned, the_quarantine, the_refusal},
    world::{World, workload_id},
};

/// `web-0` has given bad answers, but not enough of them yet.
fn suspect() -> World {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    world.findings[0].verdict = Verdict::Suspect;
    world
}

fn turned_unhealthy(world: &mut World) -> Vec<Planned> {
    world.findings[0].verdict = Verdict::Unhealthy;
    world.planned()
}

fn is_dry_run(planned: &[Planned]) -> bool {
    match planned {
        [] => false,
        [Planned::Lookup(Lookup::DryRun(quarantine))] => {
            assert!(quarantine.dry_run_first);
            true
        }
        other => panic!("more than a dry run: {other:#?}"),
    }
}

#[test]
fn a_change_accepted_in_a_dry_run_is_not_dry_run_again() {
    let mut world = suspect();
    assert!(is_dry_run(&world.planned()));
    let workload = workload_id("web");
    world.state.record_dry_run(&workload);
    assert!(!is_dry_run(&world.planned()));
    assert!(!the_quarantine(&turned_unhealthy(&mut world)).dry_run_first);
}

#[test]
fn a_dry_run_without_an_answer_is_repeated_and_delays_no_quarantine() {
    let mut world = suspect();
    assert!(is_dry_run(&world.planned()));
    assert!(is_dry_run(&world.planned()), "a second later");
    assert!(the_quarantine(&turned_unhealthy(&mut world)).dry_run_first);
}

#[test]
fn an_accepted_dry_run_counts_for_a_minute() {
    let mut world = suspect();
    assert!(is_dry_run(&world.planned()));
    let workload = workload_id("web");
    world.state.record_dry_run(&workload);
    world.pass(Duration::from_secs(58));
    assert!(!is_dry_run(&world.planned()));
    world.pass(Duration::from_secs(1));
    assert!(is_dry_run(&world.planned()));
    assert!(the_quarantine(&turned_unhealthy(&mut world)).dry_run_first);
}

#[test]
fn the_denial_of_a_dry_run_is_a_refusal_once_the_pod_is_unhealthy() {
    let mut world = suspect();
    assert!(is_dry_run(&world.planned()));
    let uid = world.pod("web-0").uid.clone();
    let moment = world.now.moment;
    world.state.record_denial(
        &uid,
        Act::Quarantine,
        Refusal::new(Reason::AdmissionDenied, "by policy"),
        moment,
    );
    assert!(world.planned().is_empty());
    let planned = turned_unhealthy(&mut world);
    assert_eq!(
        the_refusal(&planned).refusal.reason,
        Reason::AdmissionDenied
    );
}

#[test]
fn a_change_that_would_be_refused_is_not_dry_run() {
    let not_dry_run = |change: fn(&mut World)| {
        let mut world = suspect();
        change(&mut world);
        assert!(!is_dry_run(&world.planned()));
    };
    not_dry_run(|world| world.findings[0].contrast = false);
    not_dry_run(|world| world.annotate("web-0", keys::EXEMPT, "true"));
    not_dry_run(|world| world.view.stale = Some("a watch is silent".into()));
    not_dry_run(|world| world.namespace_mode("observe"));
    not_dry_run(|world| {
        world.policy(|policy| policy.mode = Mode::Observe);
        world.findings[0].policy = world.file.policies[0].clone();
    });
}

#[test]
fn one_pod_of_a_workload_is_dry_run_and_none_beside_a_quarantined_pod() {
    let mut world = suspect();
    world.unhealthy("web-1");
    world.findings[1].verdict = Verdict::Suspect;
    assert!(is_dry_run(&world.planned()));

    let mut world = World::with_web();
    world.quarantine("web-0");
    world.unhealthy("web-1");
    world.findings[0].verdict = Verdict::Suspect;
    assert!(!is_dry_run(&world.planned()));
}
