//! At which port a pod is asked, which run of a container answers, and which ports of a node it takes.

use pod_quarantine_core::{
    object::{Container, ContainerRun, ContainerState, HostPort, Pod},
    policy::Port,
};

use crate::world::{START, at, pod};

fn running(restarts: u32) -> ContainerState {
    ContainerState::Running(run(restarts))
}

fn run(restarts: u32) -> ContainerRun {
    ContainerRun {
        since: at(START),
        restarts,
    }
}

/// `admin` is on 9000 of a container beside the one with `http` on 8080 and a port without a name.
fn two_containers(first: ContainerState, second: ContainerState) -> Pod {
    let mut pod = pod("a");
    let container = |ports: &[(Option<&str>, u16)], state| Container {
        ports: ports
            .iter()
            .map(|(name, number)| (name.map(Into::into), *number))
            .collect(),
        state,
    };
    pod.containers = vec![
        container(&[(None, 7000), (Some("http"), 8080)], first),
        container(&[(Some("admin"), 9000)], second),
    ];
    pod
}

#[test]
fn a_port_is_found_by_its_name_in_any_container() {
    let pod = two_containers(running(1), running(2));
    for (port, number) in [
        (Port::Name("http".into()), Some(8080)),
        (Port::Name("admin".into()), Some(9000)),
        (Port::Name("metrics".into()), None),
        // Declared or not: the kubelet asks there, too.
        (Port::Number(1234), Some(1234)),
    ] {
        assert_eq!(pod.port(&port), number, "{port:?}");
    }
}

#[test]
fn the_container_with_the_port_answers() {
    let pod = two_containers(running(1), running(2));
    for (port, restarts) in [
        (Port::Name("http".into()), 1),
        (Port::Name("admin".into()), 2),
        (Port::Number(7000), 1),
        (Port::Number(9000), 2),
    ] {
        assert_eq!(pod.run(Some(&port)), Some(run(restarts)), "{port:?}");
    }
}

#[test]
fn where_no_container_has_the_port_the_latest_run_counts() {
    let undeclared = Port::Number(1234);
    for port in [None, Some(&undeclared)] {
        for (first, second, latest) in [
            (running(1), running(2), Some(run(2))),
            (running(2), running(1), Some(run(2))),
            (running(1), ContainerState::Ended, Some(run(1))),
            (running(1), ContainerState::Starting, None),
            (ContainerState::Ended, ContainerState::Ended, None),
        ] {
            assert_eq!(
                two_containers(first, second).run(port),
                latest,
                "{first:?} {second:?}"
            );
        }
    }
}

#[test]
fn another_container_that_has_not_started_up_does_not_matter() {
    let pod = two_containers(running(1), ContainerState::Starting);
    assert_eq!(pod.run(Some(&Port::Name("http".into()))), Some(run(1)));
    assert_eq!(pod.run(Some(&Port::Name("admin".into()))), None);
}

#[test]
fn two_pods_take_one_port_of_a_node_only_at_different_addresses_or_by_different_protocols() {
    let port = |address: Option<&str>, port, protocol: &str| HostPort {
        address: address.map(Into::into),
        port,
        protocol: protocol.into(),
    };
    let http = port(Some("10.0.0.1"), 80, "TCP");
    for (other, conflicts) in [
        (http.clone(), true),
        (port(None, 80, "TCP"), true),
        (port(Some("10.0.0.2"), 80, "TCP"), false),
        (port(Some("10.0.0.1"), 81, "TCP"), false),
        (port(Some("10.0.0.1"), 80, "UDP"), false),
    ] {
        assert_eq!(http.conflicts_with(&other), conflicts, "{other:?}");
        assert_eq!(other.conflicts_with(&http), conflicts, "{other:?}");
    }
}
