//! Storms: when so many pods are unhealthy that the cause lies elsewhere.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    ledger::{Ledger, LedgerView, MAX_STORMS, Note, Storm},
    notice::Topic,
    reason::Reason,
    scope::Scope,
    write::Write,
};

use crate::{
    outcome::{Planned, notices, quarantines, refusals, the_quarantine, writes},
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
    world::{START, World, at, reference, version, workload_id},
};

/// Ten pods each of `web` and `api`, all with a verdict; the thresholds are 50% and 20%.
pub(crate) fn world() -> World {
    let mut world = World::new();
    for name in ["web", "api"] {
        world.deployment(name, 10);
        world.with_verdict.insert(workload_id(name), 10);
    }
    world.file.limits.storm.workload = 50;
    world.file.limits.storm.cluster = 20;
    world.file.limits.storm.cooldown = Duration::from_mins(10);
    world
}

fn unhealthy(world: &mut World, of: &str, count: u32) {
    for index in 0..count {
        world.unhealthy(&format!("{of}-{index}"));
    }
}

fn suspect(world: &mut World, name: &str) {
    let mut finding = world.finding(name);
    finding.verdict = Verdict::Suspect;
    world.findings.push(finding);
}

/// Storms of the cluster, and of workloads.
fn storm_count(world: &World) -> (i64, i64) {
    let storms = world.state.storms();
    (storms["cluster"], storms["workload"])
}

pub(crate) fn storms(planned: &[Planned]) -> Vec<String> {
    let notified = notices(planned).into_iter();
    let storms = notified.filter(|notice| notice.topic == Topic::QuarantineStorm);
    storms
        .map(|notice| format!("{}: {}", notice.about, notice.message))
        .collect()
}

#[test]
fn a_storm_of_a_workload_refuses_every_quarantine_there_and_gives_one_event() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 6);
    world.unhealthy("api-0");
    let planned = world.planned();
    assert_eq!(
        storms(&planned),
        [
            "Deployment web: 6 of 10 pods are unhealthy at once, more than 50%: nothing new is quarantined until the percentage has been at or below that for 10m"
        ]
    );
    let taken = quarantines(&planned);
    assert_eq!(taken.len(), 1);
    assert_eq!(&*taken[0].pod.key.name, "api-0", "there is no storm of api");
    assert_eq!(refusals(&planned).len(), 6);
    assert!(
        refusals(&planned)
            .iter()
            .all(|(_, reason)| *reason == Reason::Storm)
    );
    assert_eq!(storms(&world.planned()), Vec::<String>::new());
    assert_eq!(storm_count(&world), (0, 1));
}

#[test]
fn exactly_the_threshold_is_no_storm() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 5);
    assert_eq!(quarantines(&world.planned()).len(), 1);
    assert_eq!(storm_count(&world), (0, 0));
}

#[test]
fn a_storm_of_the_cluster_refuses_every_quarantine() {
    let mut world = world();
    unhealthy(&mut world, "web", 3);
    world.unhealthy("api-0");
    assert_eq!(quarantines(&world.planned()).len(), 2, "4 of 20 are 20%");
    world.unhealthy("api-1");
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 0);
    assert!(storms(&planned)[0].starts_with("ConfigMap pod-quarantine-ledger-default: 5 of 20"));
    assert_eq!(storm_count(&world), (1, 0));
}

#[test]
fn one_unhealthy_pod_is_no_storm() {
    let mut world = World::new();
    world.deployment("web", 1);
    world.file.limits.storm.workload = 1;
    world.file.limits.storm.cluster = 1;
    world.unhealthy("web-0");
    the_quarantine(&world.planned());
}

#[test]
fn a_pod_found_by_two_policies_counts_once() {
    let mut world = world();
    world.file.limits.storm.workload = 10;
    world.file.limits.storm.cluster = 100;
    world.unhealthy("web-0");
    world.unhealthy("web-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

/// Pods that fail together become unhealthy one after the other.
#[test]
fn suspect_pods_hold_a_quarantine_back_and_are_no_storm() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    world.unhealthy("web-0");
    for index in 1..6 {
        suspect(&mut world, &format!("web-{index}"));
    }
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::Storm)]);
    assert_eq!(storms(&planned), Vec::<String>::new());
    assert_eq!(storm_count(&world), (0, 0));
    world.findings.truncate(5);
    assert_eq!(
        quarantines(&world.planned()).len(),
        1,
        "there is no cooldown"
    );
}

#[test]
fn recently_quarantined_pods_count_for_a_storm() {
    let mut world = world();
    world.file.limits.storm.workload = 20;
    world.file.limits.storm.cluster = 100;
    world.quarantine("web-0");
    world.replaced("web-0");
    unhealthy(&mut world, "web", 3);
    // Two pods are unhealthy, one was quarantined, and eleven have a verdict.
    assert_eq!(quarantines(&world.planned()).len(), 0);
    assert_eq!(storm_count(&world), (0, 1));

    // The window of the policy is three times ten seconds, and one for the answer.
    let mut world = self::world();
    world.file.limits.storm.workload = 20;
    world.file.limits.storm.cluster = 100;
    world.quarantine("web-0");
    world.pass(Duration::from_secs(30));
    unhealthy(&mut world, "web", 3);
    assert_eq!(quarantines(&world.planned()).len(), 1, "31 s later");
}

#[test]
fn neither_a_quarantined_pod_nor_an_earlier_pod_of_the_name_counts_for_a_storm() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 5);
    let mut earlier = world.finding("web-5");
    earlier.uid = "an-earlier-pod".into();
    world.findings.push(earlier);
    world.unhealthy("web-6");
    world.change("web-6", |pod| {
        pod.annotations.insert(keys::RECORD.into(), "{".into());
    });
    assert_eq!(quarantines(&world.planned()).len(), 1);
    assert_eq!(storm_count(&world), (0, 0), "5 of 10 are 50%");
}

#[test]
fn a_storm_goes_on_while_the_ledger_is_gone() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 6);
    world.planned();
    world.view.ledger = LedgerView::Gone(None);
    world.planned();
    assert_eq!(storm_count(&world), (0, 1));
    world.findings.clear();
    world.pass(Duration::from_mins(10));
    world.planned();
    assert_eq!(storm_count(&world), (0, 0), "the cooldown is over");
}

/// A label of its node changed, and nobody has asked it since.
#[test]
fn a_pod_that_was_counted_in_another_zone_is_asked_again_first() {
    let mut world = world();
    unhealthy(&mut world, "web", 1);
    world.findings[0].scopes.zone = Some("east".into());
    assert_eq!(quarantines(&world.planned()).len(), 1);
    let mut world = self::world();
    world.change("web-0", |pod| pod.node = Some("node-1".into()));
    unhealthy(&mut world, "web", 1);
    world.findings[0].scopes.node = None;
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::StaleView)]);
}

#[test]
fn pods_without_contrast_make_no_storm() {
    let mut world = world();
    unhealthy(&mut world, "web", 6);
    for finding in &mut world.findings {
        finding.contrast = false;
        finding.counts_as_bad = false;
    }
    let planned = world.planned();
    assert_eq!(storm_count(&world), (0, 0));
    assert!(
        refusals(&planned)
            .iter()
            .all(|(_, reason)| *reason == Reason::NeverSeenGood)
    );
}

#[test]
fn a_storm_ends_only_after_the_cooldown() {
    let mut world = world();
    unhealthy(&mut world, "web", 6);
    world.planned();
    world.findings.truncate(1);
    world.pass(Duration::from_secs(598));
    assert_eq!(refusals(&world.planned()), []);
    assert_eq!(storm_count(&world), (1, 1), "9 m 59 s");
    assert_eq!(quarantines(&world.planned()).len(), 1, "10 m");
    assert_eq!(storm_count(&world), (0, 0));
}

#[test]
fn a_storm_that_returns_restarts_the_cooldown() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 6);
    world.planned();
    let all = std::mem::take(&mut world.findings);
    world.pass(Duration::from_mins(9));
    world.findings.clone_from(&all);
    world.planned();
    world.findings.truncate(1);
    world.pass(Duration::from_mins(9));
    assert_eq!(quarantines(&world.planned()).len(), 0);
    world.pass(Duration::from_mins(1));
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

fn notes(world: &mut World) -> Vec<Note> {
    let notes = world.tick().into_iter().filter_map(|one| match one {
        Planned::Write(Write::Note(note)) => Some(note),
        _ => None,
    });
    notes.collect()
}

#[test]
fn a_storm_survives_a_restart() {
    let mut world = world();
    world.file.limits.storm.cluster = 100;
    unhealthy(&mut world, "web", 6);
    let [Note::StormBegan(storm)] = &notes(&mut world)[..] else {
        panic!("the storm is to be noted in the ledger");
    };
    let scope = &storm.scope;
    assert_eq!(*scope, Scope::Workload(workload_id("web")));
    assert_eq!(&*storm.name, "shop/Deployment web");
    let began = Note::StormBegan(storm.clone());
    assert!(world.ledger().note(&began));
    assert_eq!(notes(&mut world), []);
    world.restart();
    world.findings.clear();
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Storm)]);
    world.pass(Duration::from_secs(599));
    assert_eq!(notes(&mut world), [Note::StormEnded(scope.clone())]);
    // The note is repeated until it is written.
    assert_eq!(notes(&mut world), [Note::StormEnded(scope.clone())]);
    assert!(world.ledger().note(&Note::StormEnded(scope.clone())));
    assert_eq!(notes(&mut world), []);
    assert_eq!(storm_count(&world), (0, 0));
}

#[test]
fn a_ledger_that_has_no_room_for_a_storm_gets_no_note_of_it() {
    for (known, noted) in [(MAX_STORMS - 1, 1), (MAX_STORMS, 0)] {
        let mut world = world();
        for number in 0..known {
            let scope = Scope::Workload(format!("uid-{number}").as_str().into());
            let storm = Storm {
                scope: scope.clone(),
                name: format!("{number}/Deployment {number}").into(),
                since: at(START),
            };
            world.ledger().memory.storms.insert(scope, storm);
        }
        world.file.limits.storm.cluster = 100;
        unhealthy(&mut world, "web", 6);
        let began = |note: &&Note| matches!(note, Note::StormBegan(_));
        let notes = notes(&mut world);
        assert_eq!(notes.iter().filter(began).count(), noted, "{notes:?}");
    }
}

#[test]
fn a_storm_of_another_agent_gives_no_second_event() {
    let mut world = world();
    let scope = Scope::Workload(workload_id("web"));
    let storm = Storm {
        scope: scope.clone(),
        name: "shop/Deployment web".into(),
        since: at(START),
    };
    world.ledger().memory.storms.insert(scope, storm);
    unhealthy(&mut world, "web", 6);
    let planned = world.planned();
    let of_web = notices(&planned)
        .into_iter()
        .filter(|notice| notice.about == reference("Deployment", "web"));
    assert_eq!(of_web.count(), 0);
}

#[test]
fn pods_that_people_took_out_are_no_sign_of_a_storm_of_the_cluster() {
    for (manual, expected) in [(true, 0), (false, 1)] {
        let mut world = world();
        world.deployment("other", 10);
        for (name, index) in [("web", 0), ("api", 0), ("other", 0)] {
            let name = format!("{name}-{index}");
            if manual {
                world.annotate(&name, keys::QUARANTINE, "to be looked into");
            } else {
                world.unhealthy(&name);
            }
            world.file.limits.storm.cluster = 100;
            let quarantine = the_quarantine(&world.planned()).clone();
            world.carry_out(&quarantine);
            world.replaced(&name);
            world.findings.clear();
        }
        world.file.limits.storm.cluster = 15;
        world.unhealthy("api-1");
        assert_eq!(storms(&world.planned()).len(), expected, "manual: {manual}");
    }
}

#[test]
fn manual_quarantines_continue_during_a_storm() {
    let mut world = world();
    unhealthy(&mut world, "web", 6);
    world.planned();
    world.annotate("web-9", keys::QUARANTINE, "");
    let planned = world.planned();
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "web-9");
}

#[test]
fn exempt_pods_that_stay_bad_hold_no_other_workload_back() {
    let mut world = world();
    for index in 0..9 {
        let name = format!("api-{index}");
        world.annotate(&name, keys::EXEMPT, "true");
        world.unhealthy(&name);
    }
    world.unhealthy("api-9");
    world.unhealthy("web-0");
    let planned = world.planned();
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "web-0");
    assert!(refusals(&planned).contains(&("api-9", Reason::Storm)));
    assert_eq!(storm_count(&world), (0, 1));
}

/// Nothing there is ever quarantined, and no Event may read as if it was a storm of the cluster.
#[test]
fn there_is_no_storm_of_a_workload_that_the_agent_does_not_read() {
    let mut world = World::with_web();
    world.file.limits.storm.workload = 50;
    for name in ["web-0", "web-1", "web-2"] {
        world.change(name, |pod| pod.owner = Some(reference("Job", "crunch")));
        world.unhealthy(name);
    }
    let planned = world.planned();
    assert_eq!(storms(&planned), [""; 0]);
    assert_eq!(storm_count(&world).1, 0);
}

/// It would be planned again at once, for ever.
#[test]
fn a_note_that_the_ledger_never_takes_is_not_planned() {
    let mut world = world();
    *world.ledger() = Ledger::read(version(1), [("storm.cluster", "?")]);
    unhealthy(&mut world, "web", 5);
    let writes = writes(&world.tick());
    assert_eq!(storm_count(&world).0, 1);
    let notes = writes
        .iter()
        .filter(|write| matches!(write, Write::Note(_)));
    assert_eq!(notes.count(), 0, "{writes:?}");
}

/// Thirteen of 60 pods are exempt, and bad. Their owner replaces them, as in a rollout that mends them.
#[test]
fn exempt_pods_that_are_gone_hold_back_no_other() {
    let exempt: Vec<String> = (10..23).map(|index| format!("d{index}-0")).collect();
    let mut special: Vec<&'static str> = exempt.into_iter().map(|name| &*name.leak()).collect();
    let mut cluster = Cluster::new(30, 2, 1000);
    for name in &special {
        cluster.world.annotate(name, keys::EXEMPT, "true");
    }
    cluster.watch();
    special.push("d7-0");
    let mut scene = Scene::of(cluster, &special);
    scene.says(149, "d7-0", Is::Good);
    let (_, exempt) = special.split_last().unwrap();
    for turn in [200, 300, 400] {
        for name in exempt {
            scene.says(turn + 10, name, Is::Bad);
            if turn == 400 {
                scene.cluster.recreate(name, format!("{name}-again"));
            }
        }
        scene.says(turn + 49, "d7-0", Is::Bad);
    }
    assert_eq!(scene.taken(), ["d7-0"], "{:?}", scene.why("d7-0"));
}
