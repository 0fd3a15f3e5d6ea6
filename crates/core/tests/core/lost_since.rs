//! Since when and until when a pod is lost: one that the agent gets no connection to, though its kubelet does.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    decide::decide,
    judge::{Judge, MAX_UNREACHED},
    keys,
};

use crate::{
    outcome::quarantines,
    recovered::errors,
    scene::Scene,
    storm::world,
    streaks_and_storms::{Cluster, Is, sample},
    world::{World, policy, probe_of},
};

/// The agent's network loses `d0-0` and `d1-0` from 20 s to 50 s, or `d1-0` alone. `d0-0` has errors, says a query, but not for
/// a minute yet.
fn taken_of_lost(has_errors: bool, both: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.policies(|policies| policies.push(errors()));
    cluster.watch_for("errors", "d0-0", false);
    let mut scene = Scene::of(cluster, &["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(109, "d1-0", Is::Good);
    let of_query = |scene: &mut Scene, tenth| {
        let is = if has_errors && tenth > 120 {
            Is::Bad
        } else {
            Is::Good
        };
        scene.says_to("errors", tenth, "d0-0", is);
    };
    of_query(&mut scene, 120);
    of_query(&mut scene, 200);
    for tenth in [205, 305, 405] {
        if tenth == 405 {
            of_query(&mut scene, 350);
        }
        scene.says(tenth, "d0-0", if both { Is::Unreached } else { Is::Good });
        scene.says(tenth + 4, "d1-0", Is::Unreached);
    }
    of_query(&mut scene, 500);
    scene.says(505, "d0-0", Is::Good);
    scene.says(509, "d1-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_that_is_reached_again_was_lost_though_another_policy_finds_it_bad() {
    for has_errors in [false, true] {
        assert_eq!(taken_of_lost(has_errors, true), [""; 0]);
        assert_eq!(taken_of_lost(has_errors, false), ["d1-0"]);
    }
}

/// `s0-0`, alone in its Deployment and hence never taken while it is Ready, answers like that for eleven minutes, and was
/// lost at the beginning. Then it is restarted perhaps. Then the agent's network loses `d1-0`, and `s0-0` is like that.
fn taken_beside(before: Is, restarts: bool, is: Is) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.world.service("s0", &[("app", "s0")]);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.says(105, "s0-0", Is::Good);
    for turn in 2..=70 {
        let of_other = if turn == 2 { Is::Unreached } else { before };
        scene.says(turn * 100 + 5, "s0-0", of_other);
        scene.says(turn * 100 + 9, "d1-0", Is::Good);
    }
    if restarts {
        let run = scene.run(1);
        scene.set_run("s0-0", Some(run));
    }
    for turn in 71..=73 {
        scene.says(turn * 100 + 5, "s0-0", is);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.says(7405, "s0-0", Is::Good);
    scene.says(7409, "d1-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_pod_that_was_bad_for_long_and_is_lost_now_is_lost_now() {
    for before in [Is::Good, Is::Bad] {
        for restarts in [false, true] {
            assert_eq!(taken_beside(before, restarts, Is::Unreached), [""; 0]);
            assert_eq!(taken_beside(before, restarts, Is::Bad), ["d1-0"]);
        }
    }
}

/// The agent's network loses `d1-0`, and `s0-0`, which is alone in its Deployment, is like that; then the agent is restarted
/// perhaps.
fn taken_after_a_restart(restarts: bool, is: Is) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.says(105, "s0-0", Is::Good);
    scene.says(109, "d1-0", Is::Good);
    scene.says(205, "s0-0", is);
    scene.says(209, "d1-0", Is::Unreached);
    if restarts {
        scene.at(250);
        scene.cluster.restart();
    }
    for turn in 3..9 {
        scene.says(turn * 100 + 5, "s0-0", is);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_agent_that_starts_while_its_network_has_lost_two_pods_takes_none() {
    for restarts in [false, true] {
        assert_eq!(taken_after_a_restart(restarts, Is::Unreached), [""; 0]);
        assert_eq!(taken_after_a_restart(restarts, Is::Good), ["d1-0"]);
    }
}

/// It has never found `s0-0` good; a NetworkPolicy keeps it out, perhaps.
#[test]
fn what_a_new_agent_cannot_reach_holds_back_no_other_for_longer_than_the_cooldown() {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.cluster.restart();
    for turn in 2..64 {
        scene.says(turn * 100 + 5, "s0-0", Is::Unreached);
        let is = if turn < 30 { Is::Good } else { Is::Unreached };
        scene.says(turn * 100 + 9, "d1-0", is);
        // The cooldown is ten minutes.
        let taken = if turn < 62 { &[][..] } else { &["d1-0"] };
        assert_eq!(scene.taken(), taken, "{turn}");
    }
}

/// Two pods of two workloads crash at once: their sockets are gone for a moment, and then they answer 500.
#[test]
fn pods_that_answer_with_errors_again_are_not_lost() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    for (turn, is) in (1..8).zip([Is::Good, Is::Unreached].into_iter().chain([Is::Bad; 5])) {
        scene.says(turn * 100 + 5, "d0-0", is);
        scene.says(turn * 100 + 6, "d1-0", is);
        // Three bad answers suffice; an answer is old after thirty seconds.
        assert_eq!(scene.taken().is_empty(), turn < 6, "{turn}");
    }
}

/// `d0-0` is reached again before `d1-0` is asked.
#[test]
fn an_exempt_pod_that_is_reached_again_holds_no_other_back() {
    for exempt in [false, true] {
        let mut cluster = Cluster::new(30, 2, 1000);
        if exempt {
            cluster.world.annotate("d0-0", keys::EXEMPT, "true");
            cluster.watch();
        }
        let mut scene = Scene::of(cluster, &["d0-0", "d1-0"]);
        scene.all_say(&["d0-0", "d1-0"], 105, Is::Good);
        for tenth in [205, 305] {
            scene.all_say(&["d0-0", "d1-0"], tenth, Is::Unreached);
        }
        scene.says(405, "d0-0", Is::Unreached);
        scene.says_while_a_write_is_in_flight(406, "d1-0", Is::Unreached);
        scene.says(407, "d0-0", Is::Good);
        assert_eq!(scene.taken().is_empty(), !exempt);
    }
}

/// What happens once to a lost pod, which is lost still after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Once {
    Nothing,
    NotAsked,
    Restarted,
}

const ONCE: [Once; 3] = [Once::Nothing, Once::NotAsked, Once::Restarted];

/// The agent's network loses `d0-0` and `d1-0` at 20 s. After eleven minutes one of them cannot be asked once, or is restarted.
/// It is 17 minutes after they were lost.
fn taken_of_two_lost_at_once(once: Once) -> Vec<String> {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(109, "d1-0", Is::Good);
    for turn in 2..100 {
        if turn == 66 && once == Once::Restarted {
            let run = scene.run(1);
            scene.set_run("d0-0", Some(run));
        }
        let is = if turn == 66 && once == Once::NotAsked {
            Is::NotAsked
        } else {
            Is::Unreached
        };
        scene.says(turn * 100 + 5, "d0-0", is);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn two_pods_lost_at_once_are_held_back_though_one_could_not_be_asked_once() {
    let taken = ONCE.map(|once| (once, taken_of_two_lost_at_once(once)));
    assert!(taken.iter().all(|(_, taken)| taken.is_empty()), "{taken:?}");
}

/// The same two pods; somebody changes the policy's threshold after eleven minutes, but only one of them is in that policy.
#[test]
fn two_pods_lost_at_once_are_held_back_though_the_policy_of_one_was_changed() {
    for changes in [false, true] {
        let mut cluster = Cluster::new(30, 2, 1000);
        cluster.policies(|policies| policies.push(Arc::new(policy("second"))));
        cluster.watch_for("second", "d0-0", true);
        let mut scene = Scene::of(cluster, &["d0-0", "d1-0"]);
        scene.says_to("second", 105, "d0-0", Is::Good);
        scene.says(109, "d1-0", Is::Good);
        for turn in 2..100 {
            if changes && turn == 66 {
                scene.cluster.change_second_policy();
                scene.cluster.watch_for("second", "d0-0", true);
            }
            scene.says_to("second", turn * 100 + 5, "d0-0", Is::Unreached);
            scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
        }
        assert_eq!(scene.taken(), [""; 0], "{changes}");
    }
}

/// As `two_lost_pods_hold_each_other_back_for_twice_the_cooldown`, but both could not be asked once after ten minutes.
#[test]
fn pods_that_nobody_has_reached_for_twice_the_cooldown_are_held_back_no_longer() {
    for once in [Once::Nothing, Once::NotAsked] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(106, "d1-0", Is::Good);
        for turn in 2..135 {
            let is = if turn == 60 && once == Once::NotAsked {
                Is::NotAsked
            } else {
                Is::Unreached
            };
            scene.says(turn * 100 + 5, "d0-0", is);
            scene.says(turn * 100 + 6, "d1-0", is);
        }
        assert_eq!(scene.taken().len(), 2, "{once:?} {:?}", scene.why("d0-0"));
    }
}

/// The agent's network is bad from 20 s on. As `a_connection_that_breaks_under_way_is_a_lost_one_too`, but one was not asked in
/// between, or was restarted.
#[test]
fn a_connection_that_breaks_under_way_after_a_question_that_was_not_asked_is_a_lost_one_too() {
    let mut taken = Vec::new();
    for once in ONCE {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(109, "d1-0", Is::Good);
        scene.says(205, "d0-0", Is::Unreached);
        scene.says(209, "d1-0", Is::Unreached);
        let is = match once {
            Once::NotAsked => Is::NotAsked,
            _ => Is::Unreached,
        };
        scene.says(305, "d0-0", is);
        if once == Once::Restarted {
            let run = scene.run(1);
            scene.set_run("d0-0", Some(run));
        }
        scene.says(309, "d1-0", Is::Unreached);
        scene.says(405, "d0-0", Is::Bad);
        scene.says(409, "d1-0", Is::Unreached);
        scene.says(505, "d0-0", Is::Good);
        scene.says(509, "d1-0", Is::Good);
        taken.extend(scene.taken().iter().map(|name| format!("{once:?} {name}")));
    }
    assert_eq!(taken, [""; 0]);
}

/// `d1-0` is lost from 20 s on, and deleted at 51 s; `d0-0` is lost from 35 s on.
#[test]
fn a_lost_pod_that_could_not_be_asked_and_is_deleted_was_lost_all_the_same() {
    let mut taken = Vec::new();
    for once in ONCE {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d1-0", Is::Good);
        scene.says(106, "d0-0", Is::Good);
        for turn in 2..5 {
            scene.says(turn * 100, "d1-0", Is::Unreached);
            let is = if turn == 2 { Is::Good } else { Is::Unreached };
            scene.says(turn * 100 + 50, "d0-0", is);
        }
        let is = match once {
            Once::NotAsked => Is::NotAsked,
            _ => Is::Unreached,
        };
        scene.says(500, "d1-0", is);
        if once == Once::Restarted {
            let run = scene.run(1);
            scene.set_run("d1-0", Some(run));
            scene.decide_at(505);
        }
        scene.at(510);
        scene.cluster.recreate("d1-0", "again".to_owned());
        scene.decide_at(511);
        scene.says(550, "d0-0", Is::Unreached);
        scene.says(650, "d0-0", Is::Unreached);
        taken.extend(scene.taken().iter().map(|name| format!("{once:?} {name}")));
    }
    assert_eq!(taken, [""; 0]);
}

/// As `a_lost_pod_that_could_not_be_asked_and_is_deleted_was_lost_all_the_same`, but it is deleted before its third answer.
#[test]
fn a_suspect_lost_pod_that_is_deleted_was_lost_all_the_same() {
    for deletes in [false, true] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(109, "d1-0", Is::Good);
        for turn in 2..5 {
            if turn < 4 || !deletes {
                scene.says(turn * 100 + 5, "d0-0", Is::Unreached);
            }
            scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
            if turn == 3 && deletes {
                scene.at(350);
                scene.cluster.recreate("d0-0", "again".to_owned());
            }
        }
        assert_eq!(scene.taken(), [""; 0], "{deletes}");
    }
}

/// `web-0` is lost for 16 minutes; `api-0` was lost 15 minutes before it, `api-1` 15 minutes after it.
#[test]
fn lost_pods_of_one_workload_hold_back_none_that_was_lost_long_after_and_long_before() {
    let mut world = world();
    let began = world.now.moment;
    for (name, minute) in [("api-0", 0), ("api-1", 30), ("web-0", 15)] {
        let mut finding = world.finding(name);
        finding.unreached_since = Some(began + Duration::from_mins(minute));
        world.findings.push(finding);
    }
    world.pass(Duration::from_mins(31));
    let planned = world.planned();
    let mut taken = quarantines(&planned).into_iter();
    assert!(taken.any(|taken| &*taken.pod.key.name == "web-0"));
}

/// `d0-0` refuses one connection, and answers 500 from then on. `d1-0`, of somebody else, is not reached at all.
#[test]
fn a_pod_that_answers_with_an_error_is_not_held_back_by_a_lost_one_though_it_refused_once() {
    let mut taken_at = Vec::new();
    for first in [Is::Bad, Is::Unreached] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(109, "d1-0", Is::Good);
        for turn in 2..150 {
            let is = if turn == 2 { first } else { Is::Bad };
            scene.says(turn * 100 + 5, "d0-0", is);
            scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
        }
        taken_at.push(scene.taken_at("d0-0"));
    }
    assert!(
        taken_at.iter().all(|at| at.is_some_and(|at| at < 120)),
        "{taken_at:?}"
    );
}

/// The same of the other one: it refused one connection, and answers 500 since. `d0-0` is lost.
#[test]
fn a_pod_that_answers_with_an_error_holds_back_no_lost_one_though_it_refused_once() {
    let mut taken_at = Vec::new();
    for first in [Is::Bad, Is::Unreached] {
        let mut cluster = Cluster::new(30, 2, 1000);
        cluster.world.deployment("s0", 1);
        cluster.world.service("s0", &[("app", "s0")]);
        cluster.watch();
        let mut scene = Scene::of(cluster, &["d0-0", "s0-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(109, "s0-0", Is::Good);
        for turn in 2..150 {
            let is = if turn == 2 { first } else { Is::Bad };
            scene.says(turn * 100 + 5, "s0-0", is);
            scene.says(turn * 100 + 9, "d0-0", Is::Unreached);
        }
        taken_at.push(scene.taken_at("d0-0"));
    }
    assert!(
        taken_at.iter().all(|at| at.is_some_and(|at| at < 120)),
        "{taken_at:?}"
    );
}

/// `d0-0` and `d1-0` are lost from 20 s on. For so many tens of seconds of each quarter of an hour the agent cannot ask them. An
/// answer is old after thirty seconds.
#[test]
fn two_pods_that_cannot_be_asked_for_a_minute_are_held_back_for_twice_the_cooldown_and_no_longer() {
    for not_asked in [0, 2, 6] {
        let mut scene = Scene::new(&["d0-0", "d1-0"]);
        scene.says(105, "d0-0", Is::Good);
        scene.says(109, "d1-0", Is::Good);
        for turn in 2..135 {
            let is = if turn >= 90 && turn % 90 < not_asked {
                Is::NotAsked
            } else {
                Is::Unreached
            };
            scene.says(turn * 100 + 5, "d0-0", is);
            scene.says(turn * 100 + 9, "d1-0", is);
        }
        for name in ["d0-0", "d1-0"] {
            let at = scene.taken_at(name);
            assert!(
                at.is_some_and(|at| (1220..1260).contains(&at)),
                "{name} {at:?}"
            );
        }
    }
}

/// What happens to both lost pods before `d0-0` is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meanwhile {
    Nothing,
    NotAsked,
    PolicyChanged,
}

/// The agent's network loses `d0-0` and `d1-0` at 20 s, or `d1-0` alone. `d0-0` is deleted at 35 s. `s0-0`, alone in its
/// Deployment, answers 500 all the time perhaps, so that no decision is without a finding.
fn taken_after_deletion(meanwhile: Meanwhile, has_other: bool, both: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.world.service("s0", &[("app", "s0")]);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["d0-0", "d1-0", "s0-0"]);
    scene.says(105, "d0-0", Is::Good);
    scene.says(109, "d1-0", Is::Good);
    let other = if has_other { Is::Bad } else { Is::Good };
    scene.says(201, "s0-0", other);
    let of_first = if both { Is::Unreached } else { Is::Good };
    scene.says(205, "d0-0", of_first);
    scene.says(209, "d1-0", Is::Unreached);
    if meanwhile == Meanwhile::PolicyChanged {
        scene.at(290);
        scene.cluster.policies(|policies| {
            probe_of(policies).failure_threshold = 2.try_into().unwrap();
        });
        if has_other {
            scene.says(299, "s0-0", Is::Bad);
        }
        scene.decide_at(300);
    } else {
        let is = |is| match meanwhile {
            Meanwhile::NotAsked => Is::NotAsked,
            _ => is,
        };
        scene.says(301, "s0-0", other);
        scene.says(305, "d0-0", is(of_first));
        scene.says(309, "d1-0", is(Is::Unreached));
    }
    scene.decide_at(320);
    scene.at(350);
    scene.cluster.recreate("d0-0", "again".to_owned());
    scene.decide_at(351);
    for turn in 4..8 {
        scene.says(turn * 100 + 1, "s0-0", other);
        scene.says(turn * 100 + 5, "d0-0", Is::Good);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_that_is_deleted_was_lost_though_no_pod_was_found_bad_for_a_moment() {
    for meanwhile in [
        Meanwhile::Nothing,
        Meanwhile::NotAsked,
        Meanwhile::PolicyChanged,
    ] {
        for has_other in [true, false] {
            let what = format!("{meanwhile:?}, {has_other}");
            let both = taken_after_deletion(meanwhile, has_other, true);
            assert!(!both.contains(&"d1-0".to_owned()), "{what}: {both:?}");
            let alone = taken_after_deletion(meanwhile, has_other, false);
            assert!(alone.contains(&"d1-0".to_owned()), "{what}: {alone:?}");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    BadStill,
    NotAsked,
    Removed,
}

/// `s0-0`, alone in its Deployment, refuses one connection at 20 s perhaps, and answers 500 until 100 s; then that goes on, or
/// it cannot be asked any more, or its policy is removed. `d1-0` is lost from 90 s on.
fn dead_pod_beside_one_that_refused_once(first: Is, end: End) -> Option<u64> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.world.service("s0", &[("app", "s0")]);
    cluster.watch();
    cluster.policies(|policies| policies.push(Arc::new(policy("second"))));
    cluster.watch_for("second", "s0-0", true);
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.says_to("second", 105, "s0-0", Is::Good);
    for turn in 2..150 {
        let is = match turn {
            2 => first,
            11.. if end == End::NotAsked => Is::NotAsked,
            _ => Is::Bad,
        };
        if turn == 11 && end == End::Removed {
            scene.cluster.policies(|policies| {
                policies.pop();
            });
            let (uid, now) = (scene.uid("s0-0"), scene.cluster.world.now.moment);
            scene.cluster.judge.forget("answers", &uid, now);
        }
        if turn < 11 || end != End::Removed {
            scene.says_to("second", turn * 100 + 5, "s0-0", is);
        }
        let of_dead = if turn < 9 { Is::Good } else { Is::Unreached };
        scene.says(turn * 100 + 9, "d1-0", of_dead);
    }
    scene.taken_at("d1-0")
}

#[test]
fn a_pod_that_answered_with_errors_holds_back_no_lost_one_once_it_waits() {
    let mut taken = Vec::new();
    for end in [End::BadStill, End::NotAsked, End::Removed] {
        for first in [Is::Bad, Is::Unreached] {
            let at = dead_pod_beside_one_that_refused_once(first, end);
            taken.push((end, first == Is::Unreached, at));
        }
    }
    assert!(
        taken.iter().all(|(.., at)| at.is_some_and(|at| at < 120)),
        "{taken:?}"
    );
}

/// A tenant has a Deployment of fifty: `t-0` is well; the others are Ready, have no open port, and are deleted after their first
/// answer, every twenty seconds.
#[test]
fn lost_pods_that_were_deleted_are_remembered_up_to_a_bound() {
    let mut world = World::new();
    world.deployment("t", 50);
    let mut judge = Judge::default();
    judge.set_policies(&world.file, Duration::ZERO);
    let mut remembered = 0;
    for turn in 0..25 {
        for index in 0..50 {
            let mut pod = world.pod(&format!("t-{index}")).clone();
            if index > 0 {
                assert!(world.view.remove_pod(&pod.key, &pod.uid));
                judge.forget_pod(&pod.uid, world.now.moment);
                pod.uid = format!("t-{index}-{turn}").into();
                world.put(pod.clone());
            }
            let scopes = world.view.scopes_of(&pod);
            judge.watch("answers", &pod.uid, &pod.key, &scopes);
            world.pass(Duration::from_millis(1));
            let now = world.now;
            let is = if index == 0 { Is::Good } else { Is::Unreached };
            judge.record(&sample(&pod, is, now, now.moment));
        }
        let findings = judge.findings(world.now.moment);
        let (file, view, now) = (&world.file, &world.view, world.now);
        let _ = decide(&mut world.state, file, view, &findings, None, now);
        remembered = format!("{:?}", world.state).matches("LostPod").count();
        world.pass(Duration::from_secs(20));
    }
    assert_eq!(
        remembered,
        49 + MAX_UNREACHED,
        "those found now, and those out"
    );
}
