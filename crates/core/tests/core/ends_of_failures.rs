//! When a failure ends, each pod answers at its own turn: none is taken out meanwhile for what it answered before.

use std::time::Duration;

use pod_quarantine_core::{object::ObjectKey, reason::Reason};

use crate::streaks_and_storms::{Cluster, Is};

/// How often each pod is probed.
const PERIOD: Duration = Duration::from_secs(10);

/// A cluster of which each pod is probed at its own turn in the period, with a decision after each answer.
struct InTurns {
    cluster: Cluster,
    turns: Vec<ObjectKey>,
    turn: usize,
}

impl InTurns {
    /// So many Deployments of so many pods, all of which have been good for 20 s.
    fn new(deployments: u32, replicas: u32) -> Self {
        let cluster = Cluster::new(deployments, replicas, 1000);
        let pods: Vec<ObjectKey> = cluster
            .world
            .view
            .pods()
            .map(|pod| pod.key.clone())
            .collect();
        // 7919 is a prime: each pod once, neighbours apart.
        let turns = (0..pods.len()).map(|index| pods[index * 7919 % pods.len()].clone());
        let mut this = Self {
            turns: turns.collect(),
            cluster,
            turn: 0,
        };
        this.until(20, |_| Is::Good);
        this
    }

    /// Probes until so many seconds after the start.
    fn until(&mut self, second: u64, is: impl Fn(&str) -> Is) {
        let end = self.cluster.began + Duration::from_secs(second);
        let count = self.turns.len();
        while self.cluster.world.now.moment < end {
            self.cluster
                .world
                .pass(PERIOD / u32::try_from(count).unwrap());
            let key = &self.turns[self.turn % count];
            self.turn += 1;
            let pod = self.cluster.world.view.pod(key).unwrap().clone();
            if pod.counts_as_quarantined() {
                continue;
            }
            self.cluster.record(&pod, is(&pod.key.name));
            self.cluster.decide();
        }
    }
}

fn bad_if(is_bad: bool) -> Is {
    if is_bad { Is::Bad } else { Is::Good }
}

#[test]
fn the_end_of_a_failure_of_the_agents_network_costs_no_pod() {
    let mut pods = InTurns::new(20, 10);
    pods.until(80, |name| match name {
        "d0-0" | "d1-0" => Is::Unreached,
        _ => Is::Good,
    });
    assert!(pods.cluster.refused.contains(&Reason::Storm));
    pods.until(120, |_| Is::Good);
    assert_eq!(pods.cluster.taken(), [""; 0]);
}

/// The agent loses its pods one after the other: the first one is the only one then.
#[test]
fn a_network_that_fails_bit_by_bit_costs_one_pod_at_most() {
    let mut pods = InTurns::new(20, 10);
    for last in 0..8 {
        pods.until(60 + 40 * last, |name| {
            let lost = (0..=last).any(|index| *name == format!("d{index}-0"));
            if lost { Is::Unreached } else { Is::Good }
        });
    }
    assert!(pods.cluster.taken().len() <= 1, "{:?}", pods.cluster.taken);
}

/// Which pods are taken out if one is lost, and one of another workload so long after it.
fn taken_of_two_lost(seconds_apart: u64) -> Vec<String> {
    let mut pods = InTurns::new(20, 10);
    for (second, lost) in [(20, "d0-0"), (20 + seconds_apart, "d1-0")] {
        pods.until(second, |_| Is::Good);
        pods.until(second + 60, |name| {
            if name == lost {
                Is::Unreached
            } else {
                Is::Good
            }
        });
    }
    pods.cluster
        .taken()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// What was quarantined because the agent got no connection to it holds back what is lost within the cooldown of ten minutes.
#[test]
fn a_pod_that_is_lost_half_an_hour_after_another_is_another_matter() {
    assert_eq!(taken_of_two_lost(540), ["d0-0"]);
    assert_eq!(taken_of_two_lost(1800), ["d0-0", "d1-0"]);
}

#[test]
fn the_end_of_a_failure_of_every_pod_of_a_workload_costs_no_pod() {
    for length in 21..=25 {
        let mut pods = InTurns::new(20, 10);
        pods.until(20 + length, |name| bad_if(name.starts_with("d0-")));
        pods.until(90, |_| Is::Good);
        assert_eq!(pods.cluster.taken(), [""; 0], "{length} s");
    }
}

#[test]
fn the_end_of_a_failure_of_both_pods_of_a_workload_costs_none() {
    for length in [22, 25, 28] {
        for begin in 20..30 {
            let mut pods = InTurns::new(30, 2);
            pods.until(begin, |_| Is::Good);
            pods.until(begin + length, |name| bad_if(name.starts_with("d7-")));
            pods.until(begin + 60, |_| Is::Good);
            assert_eq!(pods.cluster.taken(), [""; 0], "{length} s from {begin} s");
        }
    }
}

#[test]
fn the_end_of_a_failure_of_every_pod_of_the_cluster_costs_no_pod() {
    for length in [21, 22] {
        let mut pods = InTurns::new(20, 10);
        pods.until(20 + length, |_| Is::Bad);
        pods.until(90, |_| Is::Good);
        assert_eq!(pods.cluster.taken(), [""; 0], "{length} s");
    }
}

/// With the first good answer of one pod the other one has contrast, by what it answered before.
#[test]
fn an_agent_that_starts_during_a_failure_takes_out_no_pod_at_its_end() {
    let bad = |name: &str| bad_if(name.starts_with("d7-"));
    for restart in [22, 27, 32] {
        let mut pods = InTurns::new(30, 2);
        pods.until(restart, bad);
        pods.cluster.restart();
        pods.until(100, bad);
        assert!(pods.cluster.refused.contains(&Reason::NeverSeenGood));
        pods.until(140, |_| Is::Good);
        assert_eq!(pods.cluster.taken(), [""; 0], "{restart} s");
    }
}

/// It goes with its next bad answer: there was no storm.
#[test]
fn a_pod_that_is_bad_after_the_failure_too_is_taken_out() {
    let mut pods = InTurns::new(20, 10);
    pods.until(41, |name| bad_if(name.starts_with("d0-")));
    assert_eq!(pods.cluster.taken(), [""; 0]);
    pods.until(65, |name| bad_if(name == "d0-3"));
    assert_eq!(pods.cluster.taken(), ["d0-3"]);
}
