//! Storms of a node and of a zone: its pods fail, of several workloads, and others do not.

use pod_quarantine_core::scope::Scope;

use crate::{
    outcome::quarantines,
    scene::Scene,
    storm::storms,
    streaks_and_storms::{Cluster, Is},
    world::{World, workload_id},
};

/// A hundred Deployments of ten pods, each with one pod on `node-1`; every pod has a verdict.
fn with_nodes() -> World {
    let mut world = World::new();
    world.file.limits.storm.node = 50;
    world.file.limits.storm.zone = 50;
    world.file.limits.storm.cluster = 20;
    world.file.limits.storm.workload = 50;
    for index in 0..100 {
        let name = format!("d{index}");
        world.deployment(&name, 10);
        world.with_verdict.insert(workload_id(&name), 10);
        world.change(&format!("{name}-0"), |pod| pod.node = Some("node-1".into()));
    }
    world
}

#[test]
fn when_one_node_cannot_be_reached_none_of_its_pods_is_quarantined() {
    let mut world = with_nodes();
    for index in 0..10 {
        world.unhealthy(&format!("d{index}-0"));
    }
    world.unhealthy("d50-5");
    let planned = world.planned();
    let taken = quarantines(&planned);
    assert_eq!(taken.len(), 1, "only the pod of another node");
    assert_eq!(&*taken[0].pod.key.name, "d50-5");
    assert_eq!(
        storms(&planned),
        [
            "ConfigMap pod-quarantine-ledger-default: 10 of 10 pods on node node-1 are unhealthy at once, more than 50%: nothing new is quarantined there until the percentage has been at or below that for 10m"
        ]
    );
    assert_eq!(world.state.storms()["node"], 1);
    let detail = world
        .state
        .refused(&world.pod("d0-0").uid.clone())
        .next()
        .unwrap()
        .refusal
        .to_string();
    assert!(
        detail.contains("the watched pods on node node-1"),
        "{detail}"
    );
}

#[test]
fn a_storm_of_a_node_needs_three_pods_of_two_workloads_and_more_than_the_share() {
    let taken = |names: &[&str], with_verdict: u32| {
        let mut world = with_nodes();
        for name in names {
            world.change(name, |pod| pod.node = Some("node-1".into()));
            world.unhealthy(name);
        }
        world.on_nodes = vec![(Scope::Node("node-1".into()), with_verdict)];
        quarantines(&world.planned()).len()
    };
    assert_eq!(taken(&["d0-0", "d1-0"], 3), 2, "two pods");
    assert_eq!(
        taken(&["d0-0", "d0-1", "d0-2"], 3),
        1,
        "one workload, one pod at a time"
    );
    assert_eq!(
        taken(&["d0-0", "d1-0", "d2-0"], 6),
        3,
        "half of the node's pods"
    );
    assert_eq!(taken(&["d0-0", "d1-0", "d2-0"], 5), 0, "more than half");
}

#[test]
fn a_recently_quarantined_pod_counts_for_a_storm_of_its_node() {
    let taken = |elsewhere: bool| {
        let mut world = with_nodes();
        world.quarantine("d0-0");
        world.replaced("d0-0");
        if elsewhere {
            world.change("d0-0", |pod| pod.node = Some("node-2".into()));
        }
        world.unhealthy("d1-0");
        world.unhealthy("d2-0");
        quarantines(&world.planned()).len()
    };
    assert_eq!(taken(false), 0, "the third pod of the node");
    assert_eq!(taken(true), 2);
}

#[test]
fn the_nodes_of_a_zone_are_counted_together() {
    let mut world = with_nodes();
    for (node, zone) in [("node-1", "east"), ("node-2", "east"), ("node-3", "west")] {
        world.view.put_zone(&node.into(), Some(zone.into()));
    }
    for (name, node) in [
        ("d0-0", "node-1"),
        ("d1-0", "node-2"),
        ("d2-0", "node-2"),
        ("d3-0", "node-3"),
    ] {
        world.change(name, |pod| pod.node = Some(node.into()));
        world.unhealthy(name);
    }
    let planned = world.planned();
    let taken: Vec<&str> = quarantines(&planned)
        .iter()
        .map(|one| &*one.pod.key.name)
        .collect();
    assert_eq!(taken, ["d3-0"], "in another zone");
    assert!(
        storms(&planned)[0].contains("3 of 3 pods in zone east"),
        "{:?}",
        storms(&planned)
    );
    assert_eq!(world.state.storms()["zone"], 1);
    // Its pods are counted elsewhere once a node is known to be in another zone.
    let mut world = with_nodes();
    world.view.put_zone(&"node-1".into(), Some("east".into()));
    let gone = world.pod("d0-0").clone();
    world.view.remove_pod(&gone.key, &gone.uid);
    let moved = world.view.put_zone(&"node-1".into(), Some("west".into()));
    assert_eq!(moved.len(), 99);
    assert_eq!(
        world.view.put_zone(&"node-1".into(), Some("west".into())),
        []
    );
}

/// Three unhealthy ones of one workload have that in common.
#[test]
fn a_suspect_pod_of_another_workload_begins_no_storm_of_a_node() {
    for is_bad_once in [false, true] {
        let mut cluster = Cluster::new(10, 8, 1000);
        let on_node = ["d0-0", "d0-1", "d0-2", "d1-0"];
        for name in on_node {
            cluster
                .world
                .change(name, |pod| pod.node = Some("node-x".into()));
        }
        cluster.watch();
        let mut scene = Scene::of(cluster, &on_node);
        scene.all_say(&on_node, 110, Is::Good);
        for turn in 2..5 {
            let is_bad = turn == 4 && is_bad_once;
            scene.says(
                turn * 100 + 5,
                "d1-0",
                if is_bad { Is::Bad } else { Is::Good },
            );
            scene.all_say(&on_node[..3], turn * 100 + 10, Is::Bad);
        }
        scene.says(505, "d1-0", Is::Good);
        let storms = scene.cluster.world.state.storms();
        for turn in 6..20 {
            scene.all_say(&on_node[..3], turn * 100 + 10, Is::Bad);
        }
        let taken = scene.taken().len();
        assert_eq!((storms["node"], taken > 0), (0, true), "{is_bad_once}");
    }
}
