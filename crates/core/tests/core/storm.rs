//! When it is not the pod.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    ledger::{Note, Storm, StormScope},
    notice::Topic,
    reason::Reason,
    write::Write,
};

use crate::{
    outcome::{Planned, notices, quarantines, refusals, the_quarantine},
    world::{START, World, at, reference, workload_uid},
};

/// Ten pods each of `web` and `api`, of all of which something is known; the marks are 50% and 20%.
fn world() -> World {
    let mut world = World::new();
    for name in ["web", "api"] {
        world.deployment(name, 10);
        world.with_verdict.insert(workload_uid(name), 10);
    }
    world.file.limits.storm.workload = 50;
    world.file.limits.storm.cluster = 20;
    world.file.limits.storm.cooldown = Duration::from_mins(10);
    world
}

fn bad(world: &mut World, of: &str, count: u32) {
    for index in 0..count {
        world.bad(&format!("{of}-{index}"));
    }
}

fn suspect(world: &mut World, name: &str) {
    let mut finding = world.finding(name);
    finding.verdict = Verdict::Suspect;
    world.findings.push(finding);
}

fn storms(actions: &[Planned]) -> Vec<String> {
    let told = notices(actions).into_iter();
    let storms = told.filter(|notice| notice.topic == Topic::QuarantineStorm);
    storms
        .map(|notice| format!("{}: {}", notice.about, notice.message))
        .collect()
}

#[test]
fn more_than_the_share_of_a_workload_stops_everything_there_and_is_told_once() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    bad(&mut world, "web", 6);
    world.bad("api-0");
    let actions = world.actions();
    assert_eq!(
        storms(&actions),
        [
            "Deployment web: 6 of 10 pods are unhealthy at once, more than 50%: nothing new is quarantined until that has been over for 10m"
        ]
    );
    let taken = quarantines(&actions);
    assert_eq!(taken.len(), 1);
    assert_eq!(&*taken[0].pod.key.name, "api-0", "it is calm there");
    assert_eq!(refusals(&actions).len(), 6);
    assert!(
        refusals(&actions)
            .iter()
            .all(|(_, reason)| *reason == Reason::Storm)
    );
    assert_eq!(storms(&world.actions()), Vec::<String>::new());
    assert_eq!(world.state.storms(), (false, 1));
}

#[test]
fn exactly_the_share_is_none() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    bad(&mut world, "web", 5);
    assert_eq!(quarantines(&world.actions()).len(), 1);
    assert_eq!(world.state.storms(), (false, 0));
}

#[test]
fn more_than_the_share_of_all_stops_everything() {
    let mut world = world();
    bad(&mut world, "web", 3);
    world.bad("api-0");
    assert_eq!(quarantines(&world.actions()).len(), 2, "4 of 20 are 20%");
    world.bad("api-1");
    let actions = world.actions();
    assert_eq!(quarantines(&actions).len(), 0);
    assert!(storms(&actions)[0].starts_with("ConfigMap pod-quarantine-ledger-default: 5 of 20"));
    assert_eq!(world.state.storms(), (true, 0));
}

#[test]
fn one_pod_alone_is_no_storm() {
    let mut world = World::new();
    world.deployment("web", 1);
    world.file.limits.storm.workload = 1;
    world.file.limits.storm.cluster = 1;
    world.bad("web-0");
    the_quarantine(&world.actions());
}

#[test]
fn a_pod_that_two_policies_find_bad_is_one() {
    let mut world = world();
    world.file.limits.storm.workload = 10;
    world.file.limits.storm.cluster = 100;
    world.bad("web-0");
    world.bad("web-0");
    assert_eq!(quarantines(&world.actions()).len(), 1);
}

/// Thirty pods that fail together pass their thresholds one after the other.
#[test]
fn those_that_are_about_to_be_bad_hold_it_back_and_are_no_storm() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    world.bad("web-0");
    for index in 1..6 {
        suspect(&mut world, &format!("web-{index}"));
    }
    let actions = world.actions();
    assert_eq!(refusals(&actions), [("web-0", Reason::Storm)]);
    assert_eq!(storms(&actions), Vec::<String>::new());
    assert_eq!(world.state.storms(), (false, 0));
    world.findings.truncate(5);
    assert_eq!(
        quarantines(&world.actions()).len(),
        1,
        "there is no cooldown"
    );
}

#[test]
fn those_that_were_taken_out_just_now_count_too() {
    let mut world = world();
    world.file.limits.storm.workload = 20;
    world.file.limits.storm.cluster = 100;
    world.quarantine("web-0");
    world.replaced("web-0");
    bad(&mut world, "web", 3);
    // Two are bad, one was taken out, and eleven are known of.
    assert_eq!(quarantines(&world.actions()).len(), 0);
    assert_eq!(world.state.storms(), (false, 1));

    // The window of the policy is three times ten seconds, and one for the answer.
    let mut world = self::world();
    world.file.limits.storm.workload = 20;
    world.file.limits.storm.cluster = 100;
    world.quarantine("web-0");
    world.pass(Duration::from_secs(31));
    bad(&mut world, "web", 3);
    assert_eq!(quarantines(&world.actions()).len(), 1);
}

#[test]
fn what_was_never_seen_good_tells_nothing() {
    let mut world = world();
    bad(&mut world, "web", 6);
    for finding in &mut world.findings {
        finding.contrast = false;
    }
    assert_eq!(world.state.storms(), (false, 0));
    let actions = world.actions();
    assert!(
        refusals(&actions)
            .iter()
            .all(|(_, reason)| *reason == Reason::NeverSeenGood)
    );
}

#[test]
fn it_ends_only_after_the_cooldown() {
    let mut world = world();
    bad(&mut world, "web", 6);
    world.actions();
    world.findings.truncate(1);
    world.pass(Duration::from_secs(598));
    assert_eq!(refusals(&world.actions()), []);
    assert_eq!(world.state.storms(), (true, 1), "9 m 59 s");
    assert_eq!(quarantines(&world.actions()).len(), 1, "10 m");
    assert_eq!(world.state.storms(), (false, 0));
}

#[test]
fn what_flares_up_begins_the_cooldown_anew() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    bad(&mut world, "web", 6);
    world.actions();
    let all = std::mem::take(&mut world.findings);
    world.pass(Duration::from_mins(9));
    world.findings.clone_from(&all);
    world.actions();
    world.findings.truncate(1);
    world.pass(Duration::from_mins(9));
    assert_eq!(quarantines(&world.actions()).len(), 0);
    world.pass(Duration::from_mins(1));
    assert_eq!(quarantines(&world.actions()).len(), 1);
}

fn notes(world: &mut World) -> Vec<Note> {
    let notes = world.tick().into_iter().filter_map(|action| match action {
        Planned::Write(Write::Note(note)) => Some(note),
        _ => None,
    });
    notes.collect()
}

#[test]
fn a_restart_does_not_forget_it() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    bad(&mut world, "web", 6);
    let [Note::StormBegan(scope, storm)] = &notes(&mut world)[..] else {
        panic!("it is to be written down");
    };
    assert_eq!(*scope, StormScope::Workload(workload_uid("web")));
    assert_eq!(&*storm.place, "shop/Deployment web");
    let began = Note::StormBegan(scope.clone(), storm.clone());
    assert!(world.ledger().note(&began));
    assert_eq!(notes(&mut world), []);
    world.restart();
    world.findings.clear();
    world.bad("web-0");
    assert_eq!(refusals(&world.actions()), [("web-0", Reason::Storm)]);
    world.pass(Duration::from_secs(599));
    assert_eq!(notes(&mut world), [Note::StormEnded(scope.clone())]);
    // Until that is written, it is not heard of anew.
    assert_eq!(notes(&mut world), [Note::StormEnded(scope.clone())]);
    assert!(world.ledger().note(&Note::StormEnded(scope.clone())));
    assert_eq!(notes(&mut world), []);
    assert_eq!(world.state.storms(), (false, 0));
}

#[test]
fn another_agents_storm_is_not_told_again() {
    let mut world = world();
    let storm = Storm {
        place: "shop/Deployment web".into(),
        since: at(START),
    };
    let scope = StormScope::Workload(workload_uid("web"));
    world.ledger().memory.storms.insert(scope, storm);
    bad(&mut world, "web", 6);
    let actions = world.actions();
    let of_web = notices(&actions)
        .into_iter()
        .filter(|notice| notice.about == reference("Deployment", "web"));
    assert_eq!(of_web.count(), 0);
}

#[test]
fn people_go_on() {
    let mut world = world();
    bad(&mut world, "web", 6);
    world.actions();
    world.annotate("web-9", keys::QUARANTINE, "");
    let actions = world.actions();
    assert_eq!(&*quarantines(&actions)[0].pod.key.name, "web-9");
}
