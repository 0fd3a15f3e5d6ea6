//! When a node fails, none of its pods is quarantined, however its failure shows.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::{Finding, Verdict},
    policy::{Policy, PrometheusQuery, Signal, Threshold},
};

use crate::{
    outcome::quarantines,
    scene::Scene,
    streaks_and_storms::{Cluster, Is},
    world::{World, policy, probe_of, workload_id},
};

/// Four pods of four workloads on one node. `d7-0` is alone in being asked by the policy `answers` in most tests.
const ON_NODE: [&str; 4] = ["d7-0", "d1-0", "d2-0", "d3-0"];
const OTHERS: [&str; 3] = ["d1-0", "d2-0", "d3-0"];

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(30, 2, 1000);
    put_on_node(&mut cluster, &ON_NODE);
    cluster.watch();
    cluster
}

fn put_on_node(cluster: &mut Cluster, names: &[&str]) {
    for name in names {
        let node = Some("node-x".into());
        cluster.world.change(name, |pod| pod.node = node);
    }
}

/// The other three are judged by a query: their errors go up, and then they are not in its result any more, or still.
#[test]
fn a_node_that_fails_costs_no_pod_once_prometheus_cannot_scrape_it() {
    for then in [Is::Bad, Is::NotAsked] {
        let mut cluster = cluster();
        let query = PrometheusQuery::new("x".to_owned(), Threshold::Above(0.05));
        let errors = Policy {
            signal: Signal::Prometheus(query),
            ..policy("errors")
        };
        cluster.policies(|policies| policies.push(Arc::new(errors)));
        for name in OTHERS {
            cluster.watch_for("errors", name, true);
        }
        let mut scene = Scene::of(cluster, &ON_NODE);
        let of_query = |scene: &mut Scene, tenth: u64, is: Is| {
            for name in OTHERS {
                scene.says_to("errors", tenth, name, is);
            }
        };
        of_query(&mut scene, 140, Is::Good);
        scene.says(145, "d7-0", Is::Good);
        scene.says(245, "d7-0", Is::Bad);
        of_query(&mut scene, 290, Is::Bad);
        scene.says(345, "d7-0", Is::Bad);
        of_query(&mut scene, 440, then);
        scene.says(445, "d7-0", Is::Bad);
        assert!(!scene.taken().contains(&"d7-0"));
    }
}

/// The policy wants six bad answers. The others have a liveness probe: their kubelet kills them at 45 s, and they wait in
/// back-off, without an answer.
#[test]
fn a_node_that_fails_costs_no_pod_while_the_containers_of_others_are_restarted() {
    for restarts in [false, true] {
        let mut cluster = cluster();
        cluster.policies(|policies| {
            probe_of(policies).failure_threshold = 6.try_into().unwrap();
        });
        let mut scene = Scene::of(cluster, &ON_NODE);
        let first = Some(scene.run(0));
        for name in OTHERS {
            scene.set_run(name, first);
        }
        for turn in (100..1000).step_by(100) {
            let is = if turn == 100 { Is::Good } else { Is::Bad };
            for name in OTHERS {
                let is_down = restarts && turn >= 500;
                scene.says(turn + 40, name, if is_down { Is::NotAsked } else { is });
            }
            scene.says(turn + 45, "d7-0", is);
            if restarts && turn == 400 {
                for name in OTHERS {
                    scene.set_run(name, None);
                    scene.cluster.world.change(name, |pod| pod.ready = false);
                }
            }
        }
        assert_eq!(scene.taken(), [""; 0]);
    }
}

/// Nine pods of as many workloads.
const SINGLE: [&str; 9] = [
    "s0-0", "s1-0", "s2-0", "s3-0", "s4-0", "s5-0", "s6-0", "s7-0", "s8-0",
];

/// On one node they and `d0-0`, whose sibling is elsewhere; all were good.
fn with_single_pods_on_node() -> (Scene, Vec<&'static str>) {
    let mut cluster = Cluster::new(30, 2, 1000);
    for name in SINGLE {
        cluster.world.deployment(&name[..2], 1);
    }
    let mut on_node = SINGLE.to_vec();
    on_node.push("d0-0");
    put_on_node(&mut cluster, &on_node);
    cluster.watch();
    let mut scene = Scene::of(cluster, &on_node);
    scene.all_say(&on_node, 110, Is::Good);
    (scene, on_node)
}

/// The next leader has found none of them good. At the end of the failure they are good before `d0-0` is asked again.
#[test]
fn a_node_that_fails_with_the_leader_costs_no_pod() {
    for with_the_leader in [false, true] {
        let (mut scene, on_node) = with_single_pods_on_node();
        if with_the_leader {
            scene.cluster.restart();
        }
        for turn in 2..8 {
            scene.all_say(&on_node, turn * 100 + 10, Is::Bad);
        }
        assert_eq!(scene.taken(), [""; 0], "{with_the_leader}");
        scene.all_say(&on_node, 810, Is::Good);
        assert_eq!(scene.taken(), [""; 0], "{with_the_leader}");
    }
}

/// Their probes hang, and the agent has too many under way to ask once more.
#[test]
fn a_node_that_fails_with_the_leader_costs_no_pod_while_others_cannot_be_asked() {
    let (mut scene, _) = with_single_pods_on_node();
    scene.cluster.restart();
    for turn in 2..5 {
        scene.all_say(&SINGLE, turn * 100 + 10, Is::Bad);
        if turn == 4 {
            scene.all_say(&SINGLE, turn * 100 + 20, Is::NotAsked);
        }
        scene.says(turn * 100 + 50, "d0-0", Is::Bad);
    }
    assert_eq!(scene.taken(), [""; 0]);
}

/// It has led for a quarter of an hour, loses the Lease with the node, and takes it again.
#[test]
fn a_node_that_fails_while_the_leader_stands_by_for_a_moment_costs_no_pod() {
    let (mut scene, on_node) = with_single_pods_on_node();
    for turn in 2..90 {
        scene.all_say(&on_node, turn * 100 + 10, Is::Good);
    }
    let cluster = &mut scene.cluster;
    cluster.world.restart();
    let now = cluster.world.now.moment;
    for pod in cluster.world.view.pods() {
        cluster.judge.forget("answers", &pod.uid, now);
    }
    cluster.watch();
    for turn in 90..97 {
        scene.all_say(&on_node, turn * 100 + 10, Is::Bad);
    }
    assert_eq!(scene.taken(), [""; 0]);
}

/// What a new agent has never found good is bad in earnest for all that it knows after the cooldown: some policies are wrong.
#[test]
fn pods_that_were_never_good_hold_back_no_other_for_longer_than_the_cooldown() {
    let mut cluster = Cluster::new(30, 2, 1000);
    for index in 0..20 {
        cluster.world.deployment(&format!("wrong{index}"), 1);
    }
    cluster.watch();
    let wrong: Vec<String> = (0..20).map(|index| format!("wrong{index}-0")).collect();
    let mut special: Vec<&'static str> = wrong.into_iter().map(|name| &*name.leak()).collect();
    special.push("d0-0");
    let mut scene = Scene::of(cluster, &special);
    scene.cluster.restart();
    scene.says(110, "d0-0", Is::Good);
    for (until, taken) in [(59, &[] as &[&str]), (65, &["d0-0"])] {
        for turn in scene.tenth / 100 + 1..until {
            for name in &special {
                scene.says(turn * 100 + 10, name, Is::Bad);
            }
        }
        assert_eq!(scene.taken(), taken, "{:?}", scene.why("d0-0"));
    }
}

/// The others are suspect by another policy, whose threshold somebody changes.
#[test]
fn a_node_that_fails_costs_no_pod_while_the_policy_of_others_changes() {
    for changes in [false, true] {
        let mut cluster = cluster();
        cluster.policies(|policies| policies.push(Arc::new(policy("second"))));
        for name in OTHERS {
            cluster.watch_for("second", name, true);
        }
        let mut scene = Scene::of(cluster, &ON_NODE);
        scene.says(149, "d7-0", Is::Good);
        for (tenth, is) in [
            (150, Is::Good),
            (250, Is::Good),
            (350, Is::Bad),
            (440, Is::Bad),
        ] {
            for name in OTHERS {
                scene.says_to("second", tenth, name, is);
            }
            if tenth > 150 && tenth < 440 {
                scene.says(tenth + 1, "d7-0", Is::Bad);
            }
        }
        if changes {
            scene.cluster.change_second_policy();
        }
        scene.says(449, "d7-0", Is::Bad);
        assert_eq!(scene.taken(), [""; 0], "{changes}");
    }
}

/// 1 and 1 of 5 are more than 20%.
#[test]
fn what_a_new_agent_has_never_found_good_counts_as_bad_for_one_cooldown() {
    for (never_good, seconds, taken) in [(1, 599, 0), (1, 600, 1), (0, 1, 1)] {
        let mut world = World::with_web();
        world.file.limits.storm.cluster = 20;
        world.with_verdict.insert(workload_id("web"), 4);
        world.judging_since = Some(world.now.moment);
        world.never_good = never_good;
        world.unhealthy("web-0");
        world.pass(Duration::from_secs(seconds - 1));
        let planned = world.planned();
        assert_eq!(quarantines(&planned).len(), taken, "{never_good} {seconds}");
    }
}

#[test]
fn a_refusal_says_how_many_pods_a_new_agent_has_never_found_good() {
    for never_good in [0, 3] {
        let mut world = World::with_web();
        world.file.limits.storm.cluster = 20;
        world.with_verdict.insert(workload_id("web"), 4);
        world.judging_since = Some(world.now.moment);
        world.never_good = never_good;
        for name in ["web-0", "web-1"] {
            let suspect = Finding {
                verdict: Verdict::Suspect,
                ..world.finding(name)
            };
            world.findings.push(suspect);
        }
        world.findings[0].verdict = Verdict::Unhealthy;
        world.planned();
        let uid = world.pod("web-0").uid.clone();
        let detail = world
            .state
            .refused(&uid)
            .next()
            .unwrap()
            .refusal
            .to_string();
        let expected = "with 3 that this agent has never found good";
        assert_eq!(
            detail.contains("never found good"),
            never_good > 0,
            "{detail}"
        );
        assert_eq!(detail.contains(expected), never_good > 0, "{detail}");
    }
}

/// As `a_node_that_fails_costs_no_pod_while_the_containers_of_others_are_restarted`, but `d7-0` could not be asked once, or was
/// restarted itself, or is found bad by a second policy, too, from 94 s on. Or it is `d7-0` alone that fails.
fn taken_with(what: &str, node_fails: bool) -> Vec<String> {
    let mut cluster = cluster();
    cluster.policies(|policies| {
        probe_of(policies).failure_threshold = 6.try_into().unwrap();
        let second = Policy {
            name: "second".into(),
            ..(*policies[0]).clone()
        };
        policies.push(Arc::new(second));
    });
    if what == "second" {
        cluster.watch_for("second", "d7-0", false);
    }
    let mut scene = Scene::of(cluster, &ON_NODE);
    let first = Some(scene.run(0));
    for name in OTHERS {
        scene.set_run(name, first);
    }
    for turn in (100..2500).step_by(100) {
        let is = if turn == 100 { Is::Good } else { Is::Bad };
        for name in OTHERS {
            let of_other = match (node_fails, turn) {
                (false, _) => Is::Good,
                (true, ..500) => is,
                (true, _) => Is::NotAsked,
            };
            scene.says(turn + 40, name, of_other);
        }
        let not_asked = what == "not asked" && turn == 800;
        scene.says(turn + 45, "d7-0", if not_asked { Is::NotAsked } else { is });
        if what == "second" {
            let is = if turn < 900 { Is::Good } else { Is::Bad };
            scene.says_to("second", turn + 46, "d7-0", is);
        }
        if what == "restarted" && turn == 800 {
            let run = scene.run(1);
            scene.set_run("d7-0", Some(run));
        }
        if turn == 400 && node_fails {
            for name in OTHERS {
                scene.set_run(name, None);
                scene.cluster.world.change(name, |pod| pod.ready = false);
            }
        }
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_node_that_fails_costs_no_pod_that_could_not_be_asked_once() {
    assert_eq!(taken_with("not asked", true), [""; 0]);
    assert_eq!(taken_with("not asked", false), ["d7-0"]);
}

#[test]
fn a_node_that_fails_costs_no_pod_that_was_restarted_too() {
    assert_eq!(taken_with("restarted", true), [""; 0]);
    assert_eq!(taken_with("restarted", false), ["d7-0"]);
}

#[test]
fn a_node_that_fails_costs_no_pod_that_a_second_policy_finds_bad_later() {
    assert_eq!(taken_with("second", true), [""; 0]);
    assert_eq!(taken_with("second", false), ["d7-0"]);
}

/// The others, which the policy `second` alone asks, are bad on their node from 725 s on. Somebody changes a threshold. They
/// stay bad; a minute later `d7-0` fails as well. The agent has led for a quarter of an hour.
fn taken_after_policy_changes(changes: bool) -> Vec<String> {
    let mut cluster = cluster();
    cluster.policies(|policies| policies.push(Arc::new(policy("second"))));
    for name in OTHERS {
        cluster.watch_for("second", name, true);
    }
    let mut scene = Scene::of(cluster, &ON_NODE);
    scene.says(110, "d7-0", Is::Good);
    scene.decide_at(120);
    scene.at(7000);
    for turn in 70..95 {
        let is = if turn < 72 { Is::Good } else { Is::Bad };
        for name in OTHERS {
            scene.says_to("second", turn * 100 + 50, name, is);
        }
        let is = if turn < 80 { Is::Good } else { Is::Bad };
        scene.says(turn * 100 + 60, "d7-0", is);
        if changes && turn == 73 {
            scene.cluster.change_second_policy();
            for name in OTHERS {
                scene.cluster.watch_for("second", name, true);
            }
        }
    }
    scene.taken().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_node_that_fails_costs_no_pod_a_minute_after_the_policy_of_others_was_changed() {
    for changes in [false, true] {
        let taken = taken_after_policy_changes(changes);
        assert!(!taken.contains(&"d7-0".to_owned()), "{taken:?}");
    }
}
