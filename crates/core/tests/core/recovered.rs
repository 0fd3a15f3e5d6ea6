//! What a pod answered last is held against those that were bad when it was asked, whatever they have answered since and
//! whatever else stood in the way: between two answers, to the tenth of a second.

use std::time::Duration;

use pod_quarantine_core::{
    policy::{PrometheusQuery, Signal, Threshold},
    time::Moment,
};

use crate::{
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
    world::World,
};

/// Both pods of a workload answer 500 from 22 s to 45 s. Meanwhile, and a second longer, something else refuses.
fn taken_after_both_failed(
    refuses: impl FnOnce(&mut World),
    ends: impl FnOnce(&mut World),
) -> Vec<String> {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    refuses(&mut scene.cluster.world);
    scene.says(249, "d7-0", Is::Bad);
    scene.says(251, "d7-1", Is::Bad);
    scene.says(349, "d7-0", Is::Bad);
    scene.says(351, "d7-1", Is::Bad);
    scene.says(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    ends(&mut scene.cluster.world);
    scene.decide_at(460);
    scene.decide_at(470);
    scene.says(549, "d7-0", Is::Good);
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn the_end_of_a_failure_costs_no_pod_without_anything_else() {
    assert_eq!(taken_after_both_failed(|_| {}, |_| {}), [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_watches_were_out_of_sync() {
    let taken = taken_after_both_failed(
        |world| world.view.stale = Some("the pods are out of sync".into()),
        |world| world.view.stale = None,
    );
    assert_eq!(taken, [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_the_ledger_was_closed() {
    let taken = taken_after_both_failed(
        |world| {
            let now = world.now.wall;
            world.ledger().rebuilt = Some(now);
        },
        |world| world.ledger().rebuilt = None,
    );
    assert_eq!(taken, [""; 0]);
}

/// The agent's network fails from 22 s to 46 s: its watches do, too, and are in sync a little later.
#[test]
fn the_end_of_a_failure_of_the_agents_network_costs_no_pod_though_its_watches_failed_too() {
    let mut scene = Scene::new(&["d0-0", "d1-0"]);
    scene.says(150, "d0-0", Is::Good);
    scene.says(190, "d1-0", Is::Good);
    scene.cluster.world.view.stale = Some("the pods are out of sync".into());
    for second in [25, 35, 45] {
        scene.says(second * 10, "d0-0", Is::Unreached);
        scene.says(second * 10 + 5, "d1-0", Is::Unreached);
    }
    scene.says(550, "d0-0", Is::Good);
    scene.cluster.world.view.stale = None;
    scene.decide_at(552);
    scene.says(555, "d1-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

#[test]
fn the_end_of_a_failure_costs_no_pod_though_a_write_was_in_flight() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    scene.says(249, "d7-0", Is::Bad);
    scene.says(251, "d7-1", Is::Bad);
    scene.says(349, "d7-0", Is::Bad);
    scene.says(351, "d7-1", Is::Bad);
    scene.says_while_a_write_is_in_flight(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    scene.says(549, "d7-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

/// Both pods hang from 22 s to 45 s.
#[test]
fn the_end_of_a_failure_costs_no_pod_by_a_probe_that_began_before() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(145, "d7-0", Is::Good);
    scene.says(152, "d7-1", Is::Good);
    scene.hangs(255, "d7-0");
    scene.hangs(262, "d7-1");
    scene.hangs(355, "d7-0");
    scene.hangs(362, "d7-1");
    scene.says(452, "d7-1", Is::Good);
    scene.hangs(455, "d7-0");
    scene.decide_at(460);
    scene.says(545, "d7-0", Is::Good);
    assert_eq!(scene.taken(), [""; 0]);
}

/// `d7-0` is always bad, `d7-1` in every second answer of the query, which arrive in that order, each with the time of
/// the query. A decision is made after each, as after any event.
fn taken_beside_one_that_flaps(order: &[&'static str]) -> Vec<String> {
    let mut cluster = Cluster::new(30, 2, 1000);
    cluster.world.policy(|policy| {
        let query = PrometheusQuery::new("x".to_owned(), Threshold::Above(0.5));
        policy.signal = Signal::Prometheus(query);
    });
    cluster.judge.set_policies(&cluster.world.file);
    cluster.watch();
    let mut scene = Scene::of(cluster, &["d7-0", "d7-1", "d8-0"]);
    for turn in 0..100 {
        scene.at(100 + turn * 150);
        let asked = scene.cluster.world.now;
        for name in order {
            let is_bad = match *name {
                "d7-0" => turn > 1,
                "d7-1" => turn > 0 && turn.is_multiple_of(2),
                _ => false,
            };
            let is = if is_bad { Is::Bad } else { Is::Good };
            scene.hear(name, is, asked, asked.moment);
            scene.cluster.world.pass(Duration::from_millis(1));
            scene.cluster.decide();
        }
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_bad_pod_is_taken_beside_one_that_flaps() {
    assert_eq!(taken_beside_one_that_flaps(&["d7-1", "d7-0"]), ["d7-0"]);
}

#[test]
fn a_bad_pod_is_taken_beside_one_that_flaps_whatever_else_is_decided_about() {
    let order = ["d8-0", "d7-1", "d7-0"];
    assert_eq!(taken_beside_one_that_flaps(&order), ["d7-0"]);
}

#[test]
fn something_says_why_a_pod_that_is_asked_once_more_is_not_quarantined() {
    let mut scene = Scene::new(&["d7-0", "d7-1"]);
    scene.says(149, "d7-0", Is::Good);
    scene.says(151, "d7-1", Is::Good);
    for second in [25, 35] {
        scene.says(second * 10 - 1, "d7-0", Is::Bad);
        scene.says(second * 10 + 1, "d7-1", Is::Bad);
    }
    scene.says(449, "d7-0", Is::Bad);
    scene.says(451, "d7-1", Is::Good);
    let uid = scene.cluster.world.pod("d7-0").uid.clone();
    let now: Moment = scene.cluster.world.now.moment;
    let verdict = scene.cluster.judge.verdict("answers", &uid, now);
    assert_eq!(verdict.as_str(), "unhealthy");
    assert!(scene.cluster.world.state.refused(&uid).next().is_some());
}
