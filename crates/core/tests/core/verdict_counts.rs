//! How many pods have a verdict, and how many are unhealthy.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::Answer::{Bad, Good, None as NoAnswer},
    object::{ContainerRun, ObjectKey},
    policy::Policy,
    scope::{PodScopes, Scope},
};

use crate::{
    judge::{Court, bad_from, court},
    world::{START, at, policy, probe_of, selector},
};

/// A court with a second policy, which probes as often.
fn of_two_policies() -> Court {
    let mut court = court(|_| {});
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    court
}

fn watch_at(court: &mut Court, policy: &str, pod: &str, node: &str) {
    let scopes = PodScopes {
        node: Some(node.into()),
        ..PodScopes::of("web".into())
    };
    let key = ObjectKey::new("shop", pod);
    court.judge.watch(policy, &pod.into(), &key, &scopes);
}

#[test]
fn an_exempt_pod_counts_in_its_workload_alone() {
    let mut court = court(|_| {});
    for (pod, exempt) in [("a", true), ("b", true), ("c", false)] {
        let scopes = PodScopes {
            node: Some("n1".into()),
            exempt,
            ..PodScopes::of("web".into())
        };
        let key = ObjectKey::new("shop", pod);
        court.judge.watch("answers", &pod.into(), &key, &scopes);
        court.record(pod, 5, Good);
    }
    court.record("a", 10, Bad);
    assert_eq!(with_verdict(&mut court, 10), [None, None, Some(3), Some(1)]);
    court.record("c", 11, Bad);
    let counts = with_verdict(&mut court, 11);
    assert_eq!(counts, [Some(1), None, Some(3), Some(1)]);
}

/// How many pods have a verdict at that second: on the node `n1`, on `n2`, of the workload, of the cluster. Where no pod is
/// bad, none are counted but for the cluster.
fn with_verdict(court: &mut Court, second: u64) -> [Option<u32>; 4] {
    let findings = court.judge.findings(Duration::from_secs(second));
    let scopes = [
        Scope::Node("n1".into()),
        Scope::Node("n2".into()),
        Scope::Workload("web".into()),
        Scope::Cluster,
    ];
    scopes.map(|scope| findings.with_verdict.get(&scope).copied())
}

#[test]
fn unhealthy_pods_are_counted_for_each_policy_that_has_any() {
    let mut court = of_two_policies();
    for (policy, pod) in [
        ("answers", "a"),
        ("answers", "b"),
        ("answers", "c"),
        ("other", "a"),
    ] {
        watch_at(&mut court, policy, pod, "n1");
    }
    for pod in ["a", "b"] {
        bad_from(&mut court, pod, 10);
    }
    court.record("c", 30, Bad);
    court.record_for("other", "a", 30, Bad);
    let counted = court.judge.unhealthy_by_policy(Duration::from_secs(30));
    assert_eq!(counted, [("answers".into(), 2)].into());
    court.record_for("other", "a", 40, Bad);
    court.record_for("other", "a", 50, Bad);
    let counted = court.judge.unhealthy_by_policy(Duration::from_secs(50));
    assert_eq!(counted, [("answers".into(), 2), ("other".into(), 1)].into());
}

#[test]
fn a_pod_with_a_verdict_counts_once_whatever_the_policies_say_of_it() {
    let mut court = of_two_policies();
    for (pod, node) in [("a", "n1"), ("b", "n1"), ("c", "n2"), ("d", "n2")] {
        watch_at(&mut court, "answers", pod, node);
        watch_at(&mut court, "other", pod, node);
    }
    // One says of `a` what the other does not; both find `b` bad, `c` good; nothing is known of `d`.
    for (policy, pod, answer) in [
        ("answers", "a", Good),
        ("other", "a", Bad),
        ("answers", "b", Bad),
        ("other", "b", Bad),
        ("answers", "c", Good),
        ("other", "c", Good),
    ] {
        court.record_for(policy, pod, 10, answer);
    }
    let expected = [Some(2), None, Some(3), Some(3)];
    assert_eq!(with_verdict(&mut court, 10), expected);
}

#[test]
fn a_pod_of_which_nothing_is_known_has_no_verdict() {
    let mut court = court(|_| {});
    watch_at(&mut court, "answers", "a", "n1");
    court.record("a", 10, Bad);
    assert_eq!(with_verdict(&mut court, 10), [None, None, None, Some(0)]);
}

#[test]
fn a_healthy_pod_counts_until_the_last_of_its_good_answers_is_old() {
    let mut court = of_two_policies();
    watch_at(&mut court, "answers", "bad", "n1");
    court.record("bad", 5, Good);
    for policy in ["answers", "other"] {
        watch_at(&mut court, policy, "a", "n1");
    }
    court.record("a", 20, Good);
    court.record_for("other", "a", 10, Good);
    court.record("bad", 20, Bad);
    court.record("bad", 40, Bad);
    let both = [Some(2), None, Some(2), Some(2)];
    assert_eq!(with_verdict(&mut court, 45), both);
    assert_eq!(with_verdict(&mut court, 50), both);
    let alone = [Some(1), None, Some(1), Some(1)];
    assert_eq!(with_verdict(&mut court, 51), alone);
}

#[test]
fn a_healthy_pod_counts_where_it_is_now() {
    let mut court = of_two_policies();
    for (pod, node) in [("bad-1", "n1"), ("bad-2", "n2")] {
        watch_at(&mut court, "answers", pod, node);
        court.record(pod, 5, Good);
        court.record(pod, 10, Bad);
    }
    for policy in ["answers", "other"] {
        watch_at(&mut court, policy, "a", "n1");
        court.record_for(policy, "a", 10, Good);
    }
    let expected = [Some(2), Some(1), Some(3), Some(3)];
    assert_eq!(with_verdict(&mut court, 10), expected);
    watch_at(&mut court, "answers", "a", "n2");
    let expected = [Some(1), Some(2), Some(3), Some(3)];
    assert_eq!(with_verdict(&mut court, 10), expected);
}

/// A court in which `bad` is bad, and a policy each finds `a` and `b` healthy.
fn with_two_healthy() -> Court {
    let mut court = of_two_policies();
    for (policy, pod, second, answer) in [
        ("answers", "bad", 5, Good),
        ("answers", "bad", 10, Bad),
        ("answers", "a", 10, Good),
        ("other", "b", 10, Good),
    ] {
        watch_at(&mut court, policy, pod, "n1");
        court.record_for(policy, pod, second, answer);
    }
    let expected = [Some(3), None, Some(3), Some(3)];
    assert_eq!(with_verdict(&mut court, 10), expected);
    court
}

#[test]
fn what_a_policy_found_healthy_counts_no_longer_once_it_has_changed_or_is_gone() {
    let changes: [fn(&mut Vec<Arc<Policy>>); 2] = [
        |policies| {
            policies.pop();
        },
        |policies| Arc::make_mut(&mut policies[1]).pods = selector(&[("app", "web")]),
    ];
    for change in changes {
        let mut court = with_two_healthy();
        court.new_policies(change);
        let expected = [Some(2), None, Some(2), Some(2)];
        assert_eq!(with_verdict(&mut court, 10), expected);
    }
}

#[test]
fn a_healthy_pod_counts_no_longer_once_its_container_is_in_another_run() {
    let mut court = with_two_healthy();
    let run = ContainerRun {
        since: at(START),
        restarts: 1,
    };
    for (run, healthy) in [(None, 3), (Some(run), 2)] {
        court.judge.set_run("answers", &"a".into(), run);
        let expected = [Some(healthy), None, Some(healthy), Some(healthy)];
        assert_eq!(with_verdict(&mut court, 10), expected);
    }
}

/// `a`, whose workload has no other pod, was bad to one of two policies, and could not be asked since; `b` is bad.
#[test]
fn a_pod_that_was_bad_and_never_good_is_counted_while_a_policy_watches_it() {
    let never_good = |court: &mut Court| {
        let findings = court.judge.findings(Duration::from_secs(20));
        findings.never_good[&Scope::Cluster]
    };
    let mut court = of_two_policies();
    for policy in ["answers", "other"] {
        court.watch_for(policy, "a", "alone");
    }
    court.watch_for("other", "b", "web");
    court.record_for("other", "b", 5, Good);
    court.record_for("other", "b", 10, Bad);
    assert_eq!(never_good(&mut court), 0, "nothing was said of it");
    court.record_for("other", "a", 10, Bad);
    court.record_for("other", "a", 11, NoAnswer);
    assert_eq!(never_good(&mut court), 1);
    court.new_policies(|policies| {
        probe_of(policies).failure_threshold = 5.try_into().unwrap();
    });
    assert_eq!(never_good(&mut court), 1, "the other one watches it");
    court.record_for("other", "a", 12, Good);
    assert_eq!(never_good(&mut court), 0);
    court.watch_for("answers", "a", "alone");
    court.record("a", 13, Bad);
    assert_eq!(never_good(&mut court), 0, "it was good to the other one");
    court
        .judge
        .forget("other", &"a".into(), Duration::from_secs(14));
    assert_eq!(never_good(&mut court), 1);
    court.judge.forget_pod(&"a".into(), Duration::from_secs(15));
    assert_eq!(never_good(&mut court), 0);
}

/// Their workload has contrast by another pod.
#[test]
fn a_bad_pod_that_was_never_good_counts_as_bad_alone() {
    let mut court = court(|_| {});
    for pod in ["a", "b", "c"] {
        watch_at(&mut court, "answers", pod, "n1");
    }
    court.record("b", 5, Good);
    for pod in ["a", "c"] {
        court.record(pod, 10, Bad);
    }
    court.record("c", 11, NoAnswer);
    let findings = court.judge.findings(Duration::from_secs(11));
    assert_eq!(findings.never_good[&Scope::Cluster], 1, "c");
    assert_eq!(findings.with_verdict[&Scope::Cluster], 2, "a and b");
}
