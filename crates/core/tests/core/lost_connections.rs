//! No connection to Ready pods: it may be the network of the agent.

use std::time::Duration;

use pod_quarantine_core::{
    judge::{MAX_UNREACHED, Verdict, WasUnreached},
    keys,
    reason::Reason,
};

use crate::{
    outcome::{quarantines, refusals},
    scene::Scene,
    storm::world,
    streaks_and_storms::Is,
    world::{World, workload_id},
};

/// The agent gets no connection to these pods, at once, and has had contrast.
fn unreached(world: &mut World, names: &[&str]) {
    for name in names {
        let mut finding = world.finding(name);
        finding.unreached_since = Some(world.now.moment);
        world.findings.push(finding);
    }
}

#[test]
fn ready_pods_of_two_workloads_without_a_connection_are_not_quarantined() {
    let mut world = world();
    unreached(&mut world, &["web-0", "api-0"]);
    assert_eq!(
        refusals(&world.planned()),
        [("web-0", Reason::Storm), ("api-0", Reason::Storm)]
    );
    let detail = &world
        .state
        .refused(&world.pod("web-0").uid.clone())
        .next()
        .unwrap()
        .refusal
        .detail
        .clone();
    assert_eq!(
        detail,
        "the agent lost its connections to Ready pods of other workloads, too: it may be the agent's network"
    );
    // A pod that answers, and a pod whose kubelet agrees, are another matter.
    world.unhealthy("web-1");
    world.change("api-0", |pod| pod.ready = false);
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 2);
}

#[test]
fn a_ready_pod_without_a_connection_is_quarantined_if_it_is_of_the_only_workload_with_such_pods() {
    let mut world = world();
    unreached(&mut world, &["web-0", "web-1"]);
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1);
    assert_eq!(refusals(&planned), [("web-1", Reason::Pacing)]);
}

#[test]
fn a_pod_that_answers_with_an_error_is_no_sign_of_a_broken_network() {
    let mut world = world();
    unreached(&mut world, &["web-0"]);
    world.unhealthy("api-0");
    assert_eq!(quarantines(&world.planned()).len(), 2);
}

#[test]
fn pods_that_lost_their_connections_longer_ago_than_the_cooldown_are_another_matter() {
    for (apart, reason) in [(10, Some(Reason::Storm)), (11, None)] {
        let mut world = world();
        unreached(&mut world, &["api-0", "web-0"]);
        let [of_api, of_web] = &mut *world.findings else {
            panic!("two findings");
        };
        let since = of_api.unreached_since;
        of_web.unreached_since = since.map(|since| since + Duration::from_mins(apart));
        // Its own quarantine is not in question.
        of_api.verdict = Verdict::Suspect;
        world.pass(Duration::from_mins(15));
        let planned = world.planned();
        let expected: Vec<_> = reason.map(|reason| ("web-0", reason)).into_iter().collect();
        assert_eq!(refusals(&planned), expected, "{apart}");
    }
}

#[test]
fn an_exempt_pod_that_nobody_gets_a_connection_to_holds_no_other_back() {
    let mut world = world();
    world.annotate("api-0", keys::EXEMPT, "true");
    unreached(&mut world, &["api-0", "web-0"]);
    let planned = world.planned();
    assert_eq!(&*quarantines(&planned)[0].pod.key.name, "web-0");
    assert_eq!(refusals(&planned), [("api-0", Reason::Exempt)]);
}

fn with_two_lost() -> World {
    let mut world = World::with_web();
    world.deployment("api", 4);
    unreached(&mut world, &["web-0", "api-0"]);
    let refused = [("web-0", Reason::Storm), ("api-0", Reason::Storm)];
    assert_eq!(refusals(&world.planned()), refused);
    world
}

#[test]
fn a_lost_pod_that_is_deleted_was_lost_all_the_same() {
    let mut world = with_two_lost();
    let gone = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&gone.key, &gone.uid));
    world.findings.remove(0);
    assert_eq!(quarantines(&world.planned()).len(), 0);
}

/// `web-0` and `api-0` have no connection; `web-0` is changed so, and is deleted.
fn taken_after_deletion(change: impl FnOnce(&mut World)) -> usize {
    let mut world = World::with_web();
    world.deployment("api", 4);
    unreached(&mut world, &["web-0", "api-0"]);
    change(&mut world);
    world.planned();
    let gone = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&gone.key, &gone.uid));
    world.findings.remove(0);
    quarantines(&world.planned()).len()
}

#[test]
fn a_deleted_pod_that_was_not_ready_or_not_bad_or_is_exempt_was_not_lost() {
    assert_eq!(taken_after_deletion(|_| {}), 0);
    let not_ready = |world: &mut World| world.change("web-0", |pod| pod.ready = false);
    assert_eq!(taken_after_deletion(not_ready), 1);
    let not_bad = |world: &mut World| world.findings[0].counts_as_bad = false;
    assert_eq!(taken_after_deletion(not_bad), 1);
    let exempt = |world: &mut World| world.annotate("web-0", keys::EXEMPT, "true");
    assert_eq!(taken_after_deletion(exempt), 1);
}

#[test]
fn a_pod_that_is_out_and_was_not_lost_holds_back_no_lost_one() {
    let mut world = World::with_web();
    world.deployment("api", 4);
    world.quarantine("api-0");
    unreached(&mut world, &["web-0"]);
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn a_lost_pod_that_people_take_out_was_lost_all_the_same() {
    let mut world = with_two_lost();
    world.annotate("web-0", keys::QUARANTINE, "x");
    let planned = world.planned();
    let quarantine = quarantines(&planned)[0].clone();
    assert_eq!(&*quarantine.pod.key.name, "web-0");
    world.carry_out(&quarantine);
    world.findings.remove(0);
    assert_eq!(quarantines(&world.planned()).len(), 0);
}

fn lose(scene: &mut Scene, name: &'static str, from: u64) {
    for second in [from, from + 10, from + 20, from + 30] {
        scene.says(second * 10, name, Is::Unreached);
    }
}

/// One pod is lost and taken out; the agent restarts perhaps.
fn with_one_lost(restart: bool) -> Scene {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(106, "d1-0", Is::Good);
    lose(&mut scene, "d0-0", 11);
    assert_eq!(scene.taken(), ["d0-0"]);
    if restart {
        scene.cluster.restart();
    }
    scene.special = vec!["d1-0"];
    scene
}

/// Which pods are taken out if one is lost, and one of another workload 100 s later.
fn taken_of_two_lost(restart: bool) -> Vec<String> {
    let mut scene = with_one_lost(restart);
    scene.at(1100);
    scene.says(1105, "d1-0", Is::Good);
    lose(&mut scene, "d1-0", 112);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_holds_back_those_of_other_workloads() {
    assert_eq!(taken_of_two_lost(false), ["d0-0"]);
}

#[test]
fn a_lost_pod_holds_back_those_of_other_workloads_after_a_restart_too() {
    assert_eq!(taken_of_two_lost(true), ["d0-0"]);
}

#[test]
fn a_connection_that_breaks_under_way_is_a_lost_one_too() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(107, "d1-0", Is::Good);
    // The connection was there, and no complete answer came in time.
    scene.says(205, "d0-0", Is::Bad);
    scene.says(207, "d1-0", Is::Unreached);
    for second in [30, 40, 50, 60] {
        scene.says(second * 10 + 5, "d0-0", Is::Unreached);
        scene.says(second * 10 + 7, "d1-0", Is::Unreached);
    }
    assert_eq!(scene.taken(), [""; 0]);
}

/// The other one was lost, and is out, for twice the cooldown; then this one may be as ill as any.
#[test]
fn a_pod_that_stays_lost_is_held_back_by_one_that_is_out_for_twice_the_cooldown() {
    for restart in [false, true] {
        let mut scene = with_one_lost(restart);
        scene.at(5300);
        scene.says(5305, "d1-0", Is::Good);
        for (until, taken) in [(1220, &["d0-0"] as &[_]), (1250, &["d0-0", "d1-0"])] {
            for second in (scene.tenth / 100 * 10 + 10..until).step_by(10) {
                scene.says(second * 10, "d1-0", Is::Unreached);
            }
            assert_eq!(scene.taken(), taken, "{restart}");
        }
    }
}

/// Probes hang, so that the agent has too many under way to ask once more.
#[test]
fn a_lost_pod_that_could_not_be_asked_is_still_lost() {
    for at_44_seconds in [Is::Unreached, Is::NotAsked] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(141, "d0-0", Is::Good);
        scene.says(149, "d1-0", Is::Good);
        for tenth in [241, 341] {
            scene.says(tenth, "d0-0", Is::Unreached);
            scene.says(tenth + 8, "d1-0", Is::Unreached);
        }
        scene.says(441, "d0-0", at_44_seconds);
        scene.says(449, "d1-0", Is::Unreached);
        assert_eq!(scene.taken(), [""; 0]);
    }
}

/// Each clock may be a minute from that of its API server.
#[test]
fn a_lost_pod_is_known_to_the_next_leader_though_its_clock_is_behind() {
    for behind in [0, 40, 119] {
        let mut scene = with_one_lost(true);
        let wall = &mut scene.cluster.world.now.wall;
        *wall = wall.checked_sub(Duration::from_secs(behind)).unwrap();
        scene.says(545, "d1-0", Is::Good);
        lose(&mut scene, "d1-0", 55);
        assert_eq!(scene.taken(), ["d0-0"], "{behind} s");
    }
}

/// Two processes of two workloads hang; all other pods are reached for half an hour: it is not the agent's network.
#[test]
fn two_lost_pods_hold_each_other_back_for_twice_the_cooldown() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(106, "d1-0", Is::Good);
    for (until, taken) in [(1210, 0), (1300, 2)] {
        for second in (scene.tenth / 100 * 10 + 10..until).step_by(10) {
            scene.says(second * 10 + 5, "d0-0", Is::Unreached);
            scene.says(second * 10 + 6, "d1-0", Is::Unreached);
        }
        assert_eq!(scene.taken().len(), taken, "{:?}", scene.why("d0-0"));
    }
}

/// `api-0` is lost since that minute; `web-0` was lost since another one, and is reached again; `web-1` is lost since a third.
/// It is a quarter of an hour after the start.
fn is_taken(api: u64, reached: Option<u64>, lost: Option<u64>) -> bool {
    let mut world = World::with_web();
    world.deployment("api", 4);
    let began = world.now.moment;
    let minute = |minute| began + Duration::from_mins(minute);
    world.pass(Duration::from_mins(15));
    unreached(&mut world, &["api-0", "web-1"]);
    world.findings[0].unreached_since = Some(minute(api));
    match lost {
        Some(lost) => world.findings[1].unreached_since = Some(minute(lost)),
        None => drop(world.findings.pop()),
    }
    if let Some(reached) = reached {
        let pod = world.pod("web-0").clone();
        world.was_unreached.push(WasUnreached {
            pod: pod.key,
            uid: pod.uid,
            workload: workload_id("web"),
            since: minute(reached),
            until: world.now.moment,
        });
    }
    let planned = world.planned();
    let mut taken = quarantines(&planned).into_iter();
    taken.any(|taken| &*taken.pod.key.name == "api-0")
}

#[test]
fn lost_pods_that_are_each_no_reason_are_none_together() {
    // It has been reached again, or is another matter, being lost later or earlier by more than the cooldown.
    assert!(is_taken(0, Some(5), None));
    assert!(is_taken(0, None, Some(11)));
    assert!(is_taken(0, Some(5), Some(11)));
    assert!(is_taken(12, None, Some(1)));
    assert!(is_taken(12, Some(5), Some(1)));
    assert!(!is_taken(12, Some(5), Some(2)));
    assert!(!is_taken(0, Some(5), Some(10)));
}

#[test]
fn a_pod_that_was_reached_again_after_another_was_asked_was_lost_then() {
    for (after, taken) in [(0, true), (1, false)] {
        let mut world = World::with_web();
        world.deployment("api", 4);
        unreached(&mut world, &["api-0"]);
        let pod = world.pod("web-0").clone();
        world.was_unreached.push(WasUnreached {
            pod: pod.key,
            uid: pod.uid,
            workload: workload_id("web"),
            since: world.now.moment,
            // A second passes until the decision, in which it is asked.
            until: world.now.moment + Duration::from_secs(1 + after),
        });
        assert_eq!(quarantines(&world.planned()).len(), usize::from(taken));
    }
}

/// The others are all reached.
#[test]
fn why_says_what_is_so_of_a_pod_that_is_held_back_by_one_that_is_out() {
    let mut scene = with_one_lost(false);
    scene.at(1100);
    scene.says(1105, "d1-0", Is::Good);
    lose(&mut scene, "d1-0", 112);
    assert_eq!(
        scene.why("d1-0"),
        [
            "too many pods are unhealthy at once: it may not be the pod: the agent lost its connections to Ready pods of other workloads, too: it may be the agent's network"
        ]
    );
}

/// Its container starts again and again, and does not listen yet when it is asked: no kubelet reaches it.
#[test]
fn a_pod_that_was_not_ready_when_it_was_lost_holds_back_no_other() {
    for restarts in [false, true] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(110, "d0-0", Is::Good);
        scene.says(120, "d1-0", Is::Good);
        scene.cluster.world.change("d1-0", |pod| pod.ready = false);
        for turn in 2..5 {
            if turn > 2 {
                scene.says(turn * 100, "d1-0", Is::Unreached);
            }
            if turn == 4 && restarts {
                let run = scene.run(1);
                scene.set_run("d1-0", Some(run));
            }
            scene.says(turn * 100 + 50, "d0-0", Is::Unreached);
        }
        let why = scene.why("d0-0");
        assert_eq!(scene.taken(), ["d0-0"], "{restarts}: {why:?}");
    }
}

/// Suspect or lost: what happened to it before the other was asked again is the same.
#[test]
fn a_lost_pod_that_is_deleted_before_another_is_asked_again_was_lost_then() {
    for says_before in [Is::Unreached, Is::NotAsked] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(106, "d1-0", Is::Good);
        for tenth in [200, 300] {
            scene.says(tenth, "d1-0", Is::Unreached);
            scene.says(tenth + 50, "d0-0", Is::Unreached);
        }
        scene.says(400, "d1-0", says_before);
        scene.says(450, "d0-0", Is::Unreached);
        scene.at(455);
        scene.cluster.recreate("d1-0", "again".to_owned());
        scene.decide_at(460);
        assert_eq!(scene.taken(), [""; 0]);
    }
}

/// All that are known are of its own workload.
#[test]
fn where_very_many_pods_are_reached_again_one_may_be_of_another_workload() {
    for (count, taken) in [(MAX_UNREACHED - 1, 1), (MAX_UNREACHED, 0)] {
        let mut world = World::with_web();
        unreached(&mut world, &["web-0"]);
        let pod = world.pod("web-1").clone();
        let reached = WasUnreached {
            pod: pod.key,
            uid: pod.uid,
            workload: workload_id("web"),
            since: world.now.moment,
            until: world.now.moment + Duration::from_mins(1),
        };
        world.was_unreached = vec![reached; count];
        assert_eq!(quarantines(&world.planned()).len(), taken, "{count}");
    }
}

/// The same of those that were lost and are deleted.
#[test]
fn where_very_many_lost_pods_are_deleted_one_may_be_of_another_workload() {
    for (count, taken) in [(MAX_UNREACHED - 1, 1), (MAX_UNREACHED, 0)] {
        let mut world = World::new();
        world.deployment("web", u32::try_from(count).unwrap() + 1);
        let lost: Vec<String> = (1..=count).map(|index| format!("web-{index}")).collect();
        let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
        unreached(&mut world, &lost);
        let _ = world.planned();
        world.findings.clear();
        for name in &lost {
            let pod = world.pod(name).clone();
            assert!(world.view.remove_pod(&pod.key, &pod.uid));
        }
        world.pass(Duration::from_secs(1));
        unreached(&mut world, &["web-0"]);
        assert_eq!(quarantines(&world.planned()).len(), taken, "{count}");
    }
}

/// As `a_lost_pod_that_is_deleted_was_lost_all_the_same`, with the time that a container has to end.
#[test]
fn a_lost_pod_that_is_being_deleted_was_lost_all_the_same() {
    let mut world = with_two_lost();
    world.change("web-0", |pod| pod.terminating = true);
    world.findings.remove(0);
    assert_eq!(quarantines(&world.planned()).len(), 0, "it is ending");
    let gone = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&gone.key, &gone.uid));
    assert_eq!(quarantines(&world.planned()).len(), 0, "it is gone");
}

/// As `a_lost_pod_that_is_deleted_before_another_is_asked_again_was_lost_then`, but it takes a while to end.
#[test]
fn a_lost_pod_that_is_being_deleted_before_another_is_asked_again_was_lost_then() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(106, "d1-0", Is::Good);
    for tenth in [200, 300] {
        scene.says(tenth, "d1-0", Is::Unreached);
        scene.says(tenth + 50, "d0-0", Is::Unreached);
    }
    scene.says(400, "d1-0", Is::Unreached);
    scene.says(450, "d0-0", Is::Unreached);
    scene.at(455);
    let uid = scene.uid("d1-0");
    let now = scene.cluster.world.now.moment;
    scene.cluster.world.change("d1-0", |pod| {
        pod.terminating = true;
        pod.ready = false;
    });
    scene.cluster.judge.forget_pod(&uid, now);
    scene.decide_at(460);
    assert_eq!(scene.taken(), [""; 0]);
}

/// As `a_lost_pod_holds_back_those_of_other_workloads`, but people delete the one that is out: its slot is freed, and goes.
fn taken_of_two_lost_one_out(deletes: bool) -> Vec<String> {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(106, "d1-0", Is::Good);
    for turn in 1..5 {
        scene.says(turn * 100 + 10, "d0-0", Is::Unreached);
        if scene.taken() == ["d0-0"] {
            break;
        }
    }
    assert_eq!(scene.taken(), ["d0-0"]);
    scene.decide_at(600);
    scene.special = vec!["d1-0"];
    let gone = scene.cluster.world.pod("d0-0").clone();
    if deletes {
        scene
            .cluster
            .world
            .change("d0-0", |pod| pod.terminating = true);
        scene.decide_at(610);
    }
    scene.at(620);
    scene.cluster.world.ledger().slots.remove(&gone.uid);
    assert!(scene.cluster.world.view.remove_pod(&gone.key, &gone.uid));
    scene.at(1100);
    scene.says(1105, "d1-0", Is::Good);
    for turn in 12..16 {
        scene.says(turn * 100 + 10, "d1-0", Is::Unreached);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_that_is_out_and_is_being_deleted_was_lost_all_the_same() {
    assert_eq!(taken_of_two_lost_one_out(false), ["d0-0"], "at once");
    assert_eq!(taken_of_two_lost_one_out(true), ["d0-0"]);
}
