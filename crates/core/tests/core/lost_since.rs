//! Since when and until when a pod is lost: one that the agent gets no connection to, though its kubelet does.

use crate::{
    recovered::errors,
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
};

/// The agent's network loses `d0-0` and `d1-0` from 20 s to 50 s. `d0-0` has errors, says a query, but not for a minute yet.
fn taken_of_two_lost(has_errors: bool) -> Vec<String> {
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
        scene.says(tenth, "d0-0", Is::Unreached);
        scene.says(tenth + 4, "d1-0", Is::Unreached);
    }
    of_query(&mut scene, 500);
    scene.says(505, "d0-0", Is::Good);
    scene.says(509, "d1-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_lost_pod_that_is_reached_again_was_lost_though_another_policy_finds_it_bad() {
    assert_eq!(taken_of_two_lost(false), [""; 0], "control");
    assert_eq!(taken_of_two_lost(true), [""; 0]);
}

/// `s0-0`, alone in its Deployment and hence never taken while it is Ready, answers 500 for eleven minutes perhaps. Then the
/// agent's network loses it and `d1-0`. It is restarted before that perhaps.
fn taken_beside_a_lost_one(was_bad: bool, restarts: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.world.service("s0", &[("app", "s0")]);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.says(105, "s0-0", Is::Good);
    for turn in 2..=70 {
        let is = if was_bad { Is::Bad } else { Is::Good };
        scene.says(turn * 100 + 5, "s0-0", is);
        scene.says(turn * 100 + 9, "d1-0", Is::Good);
    }
    if restarts {
        let run = scene.run(1);
        scene.set_run("s0-0", Some(run));
    }
    for turn in 71..=73 {
        scene.says(turn * 100 + 5, "s0-0", Is::Unreached);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.says(7405, "s0-0", Is::Good);
    scene.says(7409, "d1-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_pod_that_was_bad_for_long_and_is_lost_now_is_lost_now() {
    for was_bad in [false, true] {
        for restarts in [false, true] {
            assert_eq!(taken_beside_a_lost_one(was_bad, restarts), [""; 0]);
        }
    }
}

/// The agent's network loses `s0-0`, alone in its Deployment, and `d1-0`; then the agent is restarted perhaps.
fn taken_of_two_lost_after_a_restart(restarts: bool) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.deployment("s0", 1);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["s0-0", "d1-0"]);
    scene.says(105, "s0-0", Is::Good);
    scene.says(109, "d1-0", Is::Good);
    scene.says(205, "s0-0", Is::Unreached);
    scene.says(209, "d1-0", Is::Unreached);
    if restarts {
        scene.at(250);
        scene.cluster.restart();
    }
    for turn in 3..9 {
        scene.says(turn * 100 + 5, "s0-0", Is::Unreached);
        scene.says(turn * 100 + 9, "d1-0", Is::Unreached);
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn an_agent_that_starts_while_its_network_has_lost_two_pods_takes_none() {
    assert_eq!(taken_of_two_lost_after_a_restart(false), [""; 0], "control");
    assert_eq!(taken_of_two_lost_after_a_restart(true), [""; 0]);
}
