//! What stands in the way of a replacement: volumes, ports and strategies that two pods cannot share, and quotas.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    lookup::Lookup,
    needs::Claim,
    object::{ControllerKind, HostPort, ObjectKey, Phase, Pod},
    placement::{Node, Placement, Taint},
    policy::{Detach, Mode},
    quota::{Amounts, Quota, Taken},
    reason::Reason,
};

use crate::{
    outcome::{Planned, quarantines, refusals, the_quarantine, the_refusal},
    world::{SHOP, World, controller, labels, pod, selector},
};

fn with_bad_pod() -> World {
    let mut world = World::with_web();
    world.bad("web-0");
    world
}

fn claim(world: &mut World, modes: &[&str]) {
    world.needs.claims = Ok(vec![Claim {
        name: "data".into(),
        modes: modes.iter().map(|mode| Arc::from(*mode)).collect(),
    }]);
}

fn allow_exclusive(world: &mut World) {
    world.findings.clear();
    world.policy(|policy| policy.allow_exclusive = true);
    world.bad("web-0");
}

/// Why it is refused, and that `allowExclusive` takes it out all the same.
fn exclusive(mut world: World) -> String {
    let refusal = the_refusal(&world.actions()).clone();
    assert_eq!(refusal.refusal.reason, Reason::ExclusiveResource);
    allow_exclusive(&mut world);
    the_quarantine(&world.actions());
    refusal.refusal.detail
}

#[test]
fn a_volume_that_two_pods_cannot_use_keeps_the_pod_where_it_is() {
    for (modes, said) in [
        (&["ReadWriteOnce"][..], "ReadWriteOnce"),
        (&["ReadWriteOncePod"], "ReadWriteOncePod"),
        (&[], "not there"),
    ] {
        let mut world = with_bad_pod();
        claim(&mut world, modes);
        let why = exclusive(world);
        assert_eq!(why, format!("PersistentVolumeClaim data is {said}"));
    }
    for modes in [
        &["ReadWriteMany"][..],
        &["ReadWriteOnce", "ReadWriteMany"],
        &["ReadOnlyMany"],
    ] {
        let mut world = with_bad_pod();
        claim(&mut world, modes);
        the_quarantine(&world.actions());
    }
}

#[test]
fn what_cannot_be_read_is_taken_for_the_worst_and_said() {
    let why = "its PersistentVolumeClaims could not be read: HTTP 403";
    let mut world = with_bad_pod();
    world.needs.claims = Err(why.to_owned());
    assert_eq!(exclusive(world), why);

    let mut world = with_bad_pod();
    world.needs.quotas = Err("the ResourceQuotas of its namespace could not be read: late".into());
    let refusal = the_refusal(&world.actions()).clone();
    assert_eq!(refusal.refusal.reason, Reason::QuotaExhausted);
    allow_exclusive(&mut world);
    assert_eq!(world.actions(), [], "it is refused as before");
}

#[test]
fn a_deployment_that_recreates_lets_no_two_pods_run() {
    let mut world = with_bad_pod();
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    let why = exclusive(world);
    assert!(
        why.starts_with("the strategy of Deployment web is Recreate"),
        "{why}"
    );
}

#[test]
fn a_pod_that_stays_in_its_workload_shares_with_nobody() {
    let mut world = World::with_web();
    world.policy(|policy| policy.detach = Detach::Service);
    world.service("web", &[("app", "web"), ("on", "true")]);
    world.change("web-0", |pod| {
        pod.labels.insert("on".into(), "true".into());
    });
    world.beside("web-0");
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    claim(&mut world, &["ReadWriteOnce"]);
    world.bad("web-0");
    the_quarantine(&world.actions());
}

fn node(name: &str) -> Node {
    Node {
        name: name.into(),
        labels: labels(&[("disk", "fast")]),
        takes_pods: true,
        taints: Vec::new(),
    }
}

fn on_port(pod: &mut Pod, node: &str, address: Option<&str>, port: u16, protocol: &str) {
    pod.node = Some(node.into());
    pod.host_ports = vec![HostPort {
        address: address.map(Arc::from),
        port,
        protocol: protocol.into(),
    }];
}

/// `web-0` to `web-3` on the nodes `n0` to `n3`, each on its port 80; and the node `n4`.
fn with_ports() -> World {
    let mut world = World::with_web();
    for index in 0..4 {
        world.change(&format!("web-{index}"), |pod| {
            on_port(pod, &format!("n{index}"), None, 80, "TCP");
        });
    }
    let nodes = (0..5).map(|index| node(&format!("n{index}"))).collect();
    world.needs.nodes = Ok((Placement::default(), nodes));
    world.bad("web-0");
    world
}

fn nodes(world: &mut World) -> &mut (Placement, Vec<Node>) {
    world.needs.nodes.as_mut().expect("nodes")
}

/// A pod of nobody on the node `n4`.
fn neighbour(world: &mut World, address: Option<&str>, port: u16, protocol: &str) {
    let mut other = pod("neighbour");
    on_port(&mut other, "n4", address, port, protocol);
    world.put(other);
}

#[test]
fn a_port_of_the_node_needs_another_node_where_it_is_free() {
    the_quarantine(&with_ports().actions());
    let no_room = "the pod takes ports of its node, and no other node that it fits has them free";
    let spoil: [fn(&mut World); 6] = [
        |world| drop(nodes(world).1.pop()),
        |world| nodes(world).1[4].takes_pods = false,
        |world| {
            nodes(world).1[4].taints = vec![Taint {
                key: "gpu".into(),
                value: Arc::default(),
                effect: "NoSchedule".into(),
            }];
        },
        |world| nodes(world).0.node_selector = labels(&[("disk", "slow")]),
        |world| neighbour(world, None, 80, "TCP"),
        |world| neighbour(world, Some("10.0.0.1"), 80, "TCP"),
    ];
    for spoil in spoil {
        let mut world = with_ports();
        spoil(&mut world);
        assert_eq!(exclusive(world), no_room);
    }
    let harmless: [fn(&mut World); 3] = [
        |world| neighbour(world, None, 81, "TCP"),
        |world| neighbour(world, None, 80, "UDP"),
        |world| {
            neighbour(world, None, 80, "TCP");
            world.change("neighbour", |pod| {
                pod.phase = Phase::Failed;
            });
        },
    ];
    for harmless in harmless {
        let mut world = with_ports();
        harmless(&mut world);
        the_quarantine(&world.actions());
    }
}

#[test]
fn a_pod_with_its_nodes_address_needs_a_node_without_one_of_its_workload() {
    let mut world = with_ports();
    for index in 0..4 {
        world.change(&format!("web-{index}"), |pod| {
            pod.host_ports.clear();
            pod.host_network = true;
        });
    }
    the_quarantine(&world.actions());
    nodes(&mut world).1.pop();
    world.pass(Duration::from_secs(10));
    let actions = world.actions();
    assert_eq!(refusals(&actions), [("web-0", Reason::ExclusiveResource)]);
}

fn amounts(pairs: &[(&str, &str)]) -> Amounts {
    let pair =
        |(name, amount): &(&str, &str)| (Arc::from(*name), amount.parse().expect("an amount"));
    pairs.iter().map(pair).collect()
}

/// A quota of so many pods, of which those that there are, are taken.
fn quota(world: &mut World, hard: &str) {
    let taken = Taken {
        amounts: amounts(&[("pods", "1")]),
        ..Taken::default()
    };
    let quota = Quota {
        name: "shop".into(),
        hard: amounts(&[("pods", hard)]),
        used: amounts(&[("pods", "4")]),
        ..Quota::default()
    };
    world.needs.quotas = Ok((taken, vec![quota]));
}

#[test]
fn a_quota_that_would_forbid_the_replacement_keeps_the_pod_where_it_is() {
    let mut world = with_bad_pod();
    quota(&mut world, "4");
    let refusal = the_refusal(&world.actions()).clone();
    assert_eq!(refusal.refusal.reason, Reason::QuotaExhausted);
    assert_eq!(
        refusal.refusal.detail,
        "ResourceQuota shop has no pods left for it"
    );
    quota(&mut world, "5");
    world.pass(Duration::from_secs(9));
    the_quarantine(&world.actions());
}

#[test]
fn each_of_several_at_once_needs_room_of_its_own() {
    let mut world = with_bad_pod();
    world.deployment("api", 1);
    world.bad("api-0");
    quota(&mut world, "5");
    let actions = world.actions();
    assert_eq!(quarantines(&actions).len(), 1);
    assert_eq!(refusals(&actions), [("api-0", Reason::QuotaExhausted)]);
    world.carry_out(quarantines(&actions)[0]);
    // Read before the first one went: its replacement may not be counted yet.
    assert_eq!(world.actions(), []);
    world.pass(Duration::from_secs(9));
    let actions = world.actions();
    assert_eq!(quarantines(&actions).len(), 1, "read again since");
}

#[test]
fn it_is_read_once_and_again_when_it_may_have_changed() {
    let mut world = with_bad_pod();
    world.pass(Duration::from_secs(1));
    let actions = world.decide();
    let [Planned::Lookup(Lookup::Needs(inquiry))] = &actions[..] else {
        panic!("not one inquiry: {actions:?}");
    };
    assert_eq!(inquiry.pod, ObjectKey::new(SHOP, "web-0"));
    assert!(!inquiry.with_nodes);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.decide(), [], "it is under way");
    world.pass(Duration::from_secs(25));
    let actions = world.decide();
    let [Planned::Lookup(Lookup::Needs(again))] = &actions[..] else {
        panic!("it had no answer: {actions:?}");
    };
    world.read(&again.clone());
    the_quarantine(&world.decide());
    world.pass(Duration::from_secs(10));
    let actions = world.decide();
    assert!(
        matches!(actions[..], [Planned::Lookup(Lookup::Needs(_))]),
        "{actions:?}"
    );
}

#[test]
fn it_is_read_of_a_suspect_before_it_is_needed() {
    let mut world = with_bad_pod();
    world.findings[0].verdict = Verdict::Suspect;
    world.pass(Duration::from_secs(1));
    let actions = world.decide();
    let [Planned::Lookup(Lookup::Needs(inquiry))] = &actions[..] else {
        panic!("not one inquiry: {actions:?}");
    };
    world.read(&inquiry.clone());
    world.findings[0].verdict = Verdict::Unhealthy;
    the_quarantine(&world.decide());
}

#[test]
fn what_is_refused_for_it_takes_no_other_pods_place() {
    let mut world = with_bad_pod();
    world.file.limits.cluster.max = 1;
    world.deployment("db", 1);
    world.bad("db-0");
    let mut actions = world.tick();
    assert_eq!(refusals(&actions), [("db-0", Reason::ClusterLimit)]);
    let mut world = with_bad_pod();
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    world.file.limits.cluster.max = 1;
    world.deployment("db", 1);
    world.bad("db-0");
    actions = world.actions();
    assert_eq!(refusals(&actions), [("web-0", Reason::ExclusiveResource)]);
    assert_eq!(quarantines(&actions)[0].pod.key.name.as_ref(), "db-0");
}

#[test]
fn it_is_said_in_observe_too() {
    let mut world = with_bad_pod();
    world.policy(|policy| policy.mode = Mode::Observe);
    world.findings.clear();
    world.bad("web-0");
    claim(&mut world, &["ReadWriteOnce"]);
    assert_eq!(
        refusals(&world.actions()),
        [("web-0", Reason::ExclusiveResource)]
    );
}

#[test]
fn people_are_refused_for_it_as_well() {
    let mut world = World::with_web();
    claim(&mut world, &["ReadWriteOnce"]);
    world.annotate("web-0", keys::QUARANTINE, "please");
    assert_eq!(
        refusals(&world.actions()),
        [("web-0", Reason::ExclusiveResource)]
    );
}

#[test]
fn a_bare_replica_set_has_no_strategy() {
    let mut world = World::new();
    let set = controller(
        ControllerKind::ReplicaSet,
        "bare",
        1,
        selector(&[("app", "bare")]),
    );
    let mut one = pod("bare-0");
    one.labels = labels(&[("app", "bare")]);
    one.owner = Some(set.reference());
    world.view.put_controller(set);
    world.put(one);
    world.bad("bare-0");
    the_quarantine(&world.actions());
}
