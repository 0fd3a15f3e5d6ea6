//! Since when and until when a pod is lost: one that the agent gets no connection to, though its kubelet does.

use pod_quarantine_core::keys;

use crate::{
    recovered::errors,
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
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
