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

fn with_unhealthy_pod() -> World {
    let mut world = World::with_web();
    world.unhealthy("web-0");
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
    world.unhealthy("web-0");
}

/// Why the quarantine is refused; with `allowExclusive` it is carried out all the same.
fn exclusive(mut world: World) -> String {
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::ExclusiveResource);
    allow_exclusive(&mut world);
    the_quarantine(&world.planned());
    refusal.refusal.detail
}

#[test]
fn a_volume_that_two_pods_cannot_share_refuses_the_quarantine() {
    for (modes, said) in [
        (&["ReadWriteOnce"][..], "ReadWriteOnce"),
        (&["ReadWriteOncePod"], "ReadWriteOncePod"),
        (&[], "not there"),
    ] {
        let mut world = with_unhealthy_pod();
        claim(&mut world, modes);
        let why = exclusive(world);
        assert_eq!(why, format!("PersistentVolumeClaim data is {said}"));
    }
    for modes in [
        &["ReadWriteMany"][..],
        &["ReadWriteOnce", "ReadWriteMany"],
        &["ReadOnlyMany"],
    ] {
        let mut world = with_unhealthy_pod();
        claim(&mut world, modes);
        the_quarantine(&world.planned());
    }
}

#[test]
fn needs_that_cannot_be_read_refuse_the_quarantine_with_the_error() {
    let why = "its PersistentVolumeClaims could not be read: HTTP 403";
    let mut world = with_unhealthy_pod();
    world.needs.claims = Err(why.to_owned());
    assert_eq!(exclusive(world), why);

    let mut world = with_unhealthy_pod();
    world.needs.quotas = Err("the ResourceQuotas of its namespace could not be read: late".into());
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::QuotaExhausted);
    allow_exclusive(&mut world);
    assert_eq!(world.planned(), [], "the refusal is the same as before");
}

#[test]
fn a_deployment_with_the_strategy_recreate_refuses_the_quarantine() {
    let mut world = with_unhealthy_pod();
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    let why = exclusive(world);
    assert!(
        why.starts_with("the strategy of Deployment web is Recreate"),
        "{why}"
    );
}

#[test]
fn a_pod_that_stays_in_its_workload_shares_nothing_with_a_replacement() {
    let mut world = World::with_web();
    world.policy(|policy| policy.detach = Detach::Service);
    world.service("web", &[("app", "web"), ("on", "true")]);
    world.change("web-0", |pod| {
        pod.labels.insert("on".into(), "true".into());
    });
    world.beside("web-0");
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    claim(&mut world, &["ReadWriteOnce"]);
    world.unhealthy("web-0");
    the_quarantine(&world.planned());
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
    world.unhealthy("web-0");
    world
}

fn nodes(world: &mut World) -> &mut (Placement, Vec<Node>) {
    world.needs.nodes.as_mut().expect("nodes")
}

/// A pod without an owner on the node `n4`.
fn neighbour(world: &mut World, address: Option<&str>, port: u16, protocol: &str) {
    let mut other = pod("neighbour");
    on_port(&mut other, "n4", address, port, protocol);
    world.put(other);
}

#[test]
fn a_host_port_needs_another_node_with_that_port_free() {
    the_quarantine(&with_ports().planned());
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
        the_quarantine(&world.planned());
    }
}

#[test]
fn a_pod_on_the_host_network_needs_a_node_without_a_pod_of_its_workload() {
    let mut world = with_ports();
    for index in 0..4 {
        world.change(&format!("web-{index}"), |pod| {
            pod.host_ports.clear();
            pod.host_network = true;
        });
    }
    the_quarantine(&world.planned());
    nodes(&mut world).1.pop();
    world.pass(Duration::from_secs(10));
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::ExclusiveResource)]);
}

/// Both are quarantined on the only other node.
#[test]
fn a_quarantined_pod_on_the_host_network_takes_the_ports_of_its_own_workload_alone() {
    for (name, refused) in [("api-0", None), ("web-1", Some(Reason::ExclusiveResource))] {
        let mut world = World::with_web();
        world.deployment("api", 4);
        world.quarantine(name);
        world.replaced(name);
        for pod in ["web-0", "web-2", "web-3", name] {
            world.change(pod, |pod| {
                pod.node = Some(
                    if pod.key.name == name.into() {
                        "n4"
                    } else {
                        "n0"
                    }
                    .into(),
                );
                pod.host_network = true;
            });
        }
        let nodes = ["n0", "n4"].map(node);
        world.needs.nodes = Ok((Placement::default(), nodes.into()));
        world.unhealthy("web-0");
        let planned = world.planned();
        let expected: Vec<_> = refused
            .map(|reason| ("web-0", reason))
            .into_iter()
            .collect();
        assert_eq!(refusals(&planned), expected, "{name}");
    }
}

/// A node is looked at once for each reading: who looks at all of them in each decision looks at thousands.
#[test]
fn a_node_that_had_no_room_is_looked_at_again_once_the_nodes_are_read_again() {
    let mut world = with_ports();
    neighbour(&mut world, None, 80, "TCP");
    assert_eq!(
        refusals(&world.tick()),
        [("web-0", Reason::ExclusiveResource)]
    );
    world.change("neighbour", |pod| pod.phase = Phase::Failed);
    for _ in 0..9 {
        world.pass(Duration::from_secs(1));
        assert_eq!(world.decide(), [], "that the port is free is not seen");
    }
    world.pass(Duration::from_secs(1));
    the_quarantine(&world.planned());
}

#[test]
fn a_node_that_had_room_is_looked_at_again_in_each_decision() {
    let mut world = with_ports();
    world.policy(|policy| policy.mode = Mode::Observe);
    world.findings.clear();
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.tick()), [("web-0", Reason::Observe)]);
    neighbour(&mut world, None, 80, "TCP");
    world.pass(Duration::from_secs(1));
    assert_eq!(
        refusals(&world.decide()),
        [("web-0", Reason::ExclusiveResource)]
    );
}

fn amounts(pairs: &[(&str, &str)]) -> Amounts {
    let pair =
        |(name, amount): &(&str, &str)| (Arc::from(*name), amount.parse().expect("an amount"));
    pairs.iter().map(pair).collect()
}

/// A quota of that many pods, of which four are used.
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
fn a_quota_that_would_forbid_the_replacement_refuses_the_quarantine() {
    let mut world = with_unhealthy_pod();
    quota(&mut world, "4");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::QuotaExhausted);
    assert_eq!(
        refusal.refusal.detail,
        "ResourceQuota shop has no pods left for it"
    );
    quota(&mut world, "5");
    world.pass(Duration::from_secs(9));
    the_quarantine(&world.planned());
}

#[test]
fn each_of_several_replacements_needs_room_of_its_own_in_the_quota() {
    let mut world = with_unhealthy_pod();
    world.deployment("api", 1);
    world.unhealthy("api-0");
    quota(&mut world, "5");
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1);
    assert_eq!(refusals(&planned), [("api-0", Reason::QuotaExhausted)]);
    world.carry_out(quarantines(&planned)[0]);
    // The needs were read before the first quarantine: the quota may not count its replacement yet.
    assert_eq!(world.planned(), []);
    world.pass(Duration::from_secs(9));
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1, "read again since");
}

#[test]
fn the_needs_of_a_replacement_are_read_once_and_again_when_they_may_have_changed() {
    let mut world = with_unhealthy_pod();
    world.pass(Duration::from_secs(1));
    let planned = world.decide();
    let [Planned::Lookup(Lookup::Needs(inquiry))] = &planned[..] else {
        panic!("not one inquiry: {planned:?}");
    };
    assert_eq!(inquiry.pod, ObjectKey::new(SHOP, "web-0"));
    assert!(!inquiry.with_nodes);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.decide(), [], "the look-up is under way");
    world.pass(Duration::from_secs(25));
    let planned = world.decide();
    let [Planned::Lookup(Lookup::Needs(again))] = &planned[..] else {
        panic!("it had no answer: {planned:?}");
    };
    world.read(&again.clone());
    the_quarantine(&world.decide());
    world.pass(Duration::from_secs(10));
    let planned = world.decide();
    assert!(
        matches!(planned[..], [Planned::Lookup(Lookup::Needs(_))]),
        "{planned:?}"
    );
}

#[test]
fn the_needs_of_a_replacement_are_read_while_the_pod_is_only_suspect() {
    let mut world = with_unhealthy_pod();
    world.findings[0].verdict = Verdict::Suspect;
    world.pass(Duration::from_secs(1));
    let planned = world.decide();
    let [Planned::Lookup(Lookup::Needs(inquiry))] = &planned[..] else {
        panic!("not one inquiry: {planned:?}");
    };
    world.read(&inquiry.clone());
    world.findings[0].verdict = Verdict::Unhealthy;
    the_quarantine(&world.decide());
}

#[test]
fn a_quarantine_refused_for_its_replacement_uses_no_room_within_the_limits() {
    let mut world = with_unhealthy_pod();
    world.file.limits.cluster.max = 1;
    world.deployment("db", 1);
    world.unhealthy("db-0");
    let mut planned = world.tick();
    assert_eq!(refusals(&planned), [("db-0", Reason::ClusterLimit)]);
    let mut world = with_unhealthy_pod();
    world.set_controller(ControllerKind::Deployment, "web", |web| web.recreate = true);
    world.file.limits.cluster.max = 1;
    world.deployment("db", 1);
    world.unhealthy("db-0");
    planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::ExclusiveResource)]);
    assert_eq!(quarantines(&planned)[0].pod.key.name.as_ref(), "db-0");
}

#[test]
fn a_replacement_that_could_not_run_is_the_refusal_in_observe_too() {
    let mut world = with_unhealthy_pod();
    world.policy(|policy| policy.mode = Mode::Observe);
    world.findings.clear();
    world.unhealthy("web-0");
    claim(&mut world, &["ReadWriteOnce"]);
    assert_eq!(
        refusals(&world.planned()),
        [("web-0", Reason::ExclusiveResource)]
    );
}

#[test]
fn a_manual_quarantine_is_refused_for_its_replacement_too() {
    let mut world = World::with_web();
    claim(&mut world, &["ReadWriteOnce"]);
    world.annotate("web-0", keys::QUARANTINE, "please");
    assert_eq!(
        refusals(&world.planned()),
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
    world.unhealthy("bare-0");
    the_quarantine(&world.planned());
}

/// The nodes of a large cluster, or a slow API server.
#[test]
fn needs_that_took_longer_to_read_than_they_last_count_when_they_arrive() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let asked = world.decide();
    let [Planned::Lookup(Lookup::Needs(query))] = &asked[..] else {
        panic!("{asked:?}");
    };
    world.pass(Duration::from_secs(20));
    world.read(query);
    assert_eq!(quarantines(&world.decide()).len(), 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(
        quarantines(&world.decide()).len(),
        0,
        "they are old, and are read again"
    );
}
