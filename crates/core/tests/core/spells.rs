//! When each pod was bad, by what the judge says of another one.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::Answer::{Bad, Good, None as NoAnswer},
    object::ObjectKey,
    policy::{Contrast, Signal},
    reason::Reason,
    scope::{PodScopes, Scope},
};

use crate::{
    judge::{Court, court},
    outcome::refusals,
    world::{World, policy, probe_of},
};

/// How many others were bad when `b` was asked last, and how many of them have no verdict.
fn others(court: &mut Court, second: u64) -> (usize, usize) {
    let findings = court.judge.findings(Duration::from_secs(second));
    let of_b = findings
        .pods
        .iter()
        .find(|finding| &*finding.pod.name == "b");
    let then = &of_b.expect("b is bad").then;
    let in_cluster = then.get(&Scope::Cluster);
    in_cluster.map_or((0, 0), |then| (then.pods, then.without_verdict))
}

/// `a` and `b` were good, then `a` is bad from 10 s.
fn court_of_two() -> Court {
    let mut court = court(|_| {});
    for pod in ["a", "b"] {
        court.watch(pod, "web");
        court.record(pod, 5, Good);
    }
    court.record("a", 10, Bad);
    court
}

#[test]
fn a_pod_that_is_good_again_was_bad_until_then() {
    let mut court = court_of_two();
    court.record("b", 20, Bad);
    assert_eq!(others(&mut court, 20), (0, 0), "it is bad now");
    court.record("a", 25, Good);
    assert_eq!(others(&mut court, 25), (1, 0));
    court.record("b", 26, Bad);
    assert_eq!(others(&mut court, 26), (0, 0), "it was good then");
}

#[test]
fn a_spell_that_is_over_is_remembered_for_as_long_as_an_answer_may_be_on_its_way() {
    let mut court = court_of_two();
    assert!(!court.judge.has_spells(&"b".into()));
    court.record("a", 11, Good);
    for (second, is_remembered) in [(12, true), (30, false)] {
        let _ = court.judge.findings(Duration::from_secs(second));
        assert_eq!(
            court.judge.has_spells(&"a".into()),
            is_remembered,
            "{second}"
        );
    }
}

/// An answer is old after 30 s; the cooldown is ten minutes.
#[test]
fn a_spell_that_waits_is_remembered_for_a_cooldown_after_its_last_bad_answer_went_stale() {
    let mut court = court_of_two();
    court.judge.restart("answers", &"a".into());
    for (second, is_remembered) in [(640, true), (641, false)] {
        let _ = court.judge.findings(Duration::from_secs(second));
        let remembered = court.judge.has_spells(&"a".into());
        assert_eq!(remembered, is_remembered, "{second}");
    }
}

#[test]
fn a_pod_that_began_to_be_bad_after_another_was_asked_does_not_count() {
    let mut court = court_of_two();
    court.record("a", 11, Good);
    court.record("b", 12, Bad);
    court.record("a", 13, Bad);
    court.record("a", 14, Good);
    assert_eq!(others(&mut court, 14), (0, 0));
}

#[test]
fn a_pod_that_is_gone_was_bad_until_then() {
    let mut court = court_of_two();
    court.record("b", 20, Bad);
    let gone = Duration::from_secs(22);
    court.judge.forget("answers", &"a".into(), gone);
    assert_eq!(others(&mut court, 22), (1, 0));
    court.record("b", 22, Bad);
    assert_eq!(others(&mut court, 22), (0, 0));
}

/// Its container was restarted, or it could not be asked: that it is well nobody has seen.
#[test]
fn a_pod_that_has_not_been_good_since_counts_for_those_that_became_bad_meanwhile() {
    let ends: [fn(&mut Court); 2] = [
        |court| court.judge.restart("answers", &"a".into()),
        |court| court.record("a", 12, NoAnswer),
    ];
    for end in ends {
        for (began, expected) in [(12, (1, 1)), (39, (1, 1)), (40, (0, 0))] {
            let mut court = court_of_two();
            end(&mut court);
            for second in [began, began + 10, began + 20] {
                court.record("b", second, Bad);
                assert_eq!(others(&mut court, second), expected, "{began}");
            }
            court.record("a", began + 21, Good);
            court.record("b", began + 22, Bad);
            assert_eq!(others(&mut court, began + 22), (0, 0), "{began}");
        }
    }
}

#[test]
fn a_pod_that_is_out_counts_by_its_slot() {
    let mut court = court_of_two();
    court.record("b", 20, Bad);
    court.record("a", 25, Good);
    court.judge.forget_spells(&"a".into());
    assert_eq!(others(&mut court, 25), (0, 0));
}

#[test]
fn a_pod_of_which_the_signal_never_said_good_was_not_known_to_be_bad() {
    let mut court = court(|policy| policy.contrast = Contrast::None);
    for pod in ["a", "b"] {
        court.watch(pod, "web");
        court.record(pod, 10, Bad);
    }
    court.judge.restart("answers", &"a".into());
    assert_eq!(others(&mut court, 10), (1, 1));
    let mut court = self::court(|_| {});
    for pod in ["a", "b"] {
        court.watch(pod, "web");
        court.record(pod, 10, Bad);
    }
    court.judge.restart("answers", &"a".into());
    assert_eq!(others(&mut court, 10), (0, 0));
}

/// A dependency came back and was overrun for a moment.
#[test]
fn a_pod_that_was_bad_twice_was_bad_both_times() {
    let mut court = court_of_two();
    court.record_asked("b", 15, 20, Bad);
    court.record("a", 18, Good);
    court.record("a", 21, Bad);
    court.record("a", 22, Good);
    assert_eq!(others(&mut court, 22), (1, 0));
}

/// The oldest two become one.
#[test]
fn of_a_pod_that_is_bad_now_and_then_eight_times_are_kept() {
    let mut court = court_of_two();
    court.new_policies(|policies| {
        let mut slow = policy("slow");
        if let Signal::Probe(probe) = &mut slow.signal {
            probe.timeout = Duration::from_mins(1);
        }
        policies.push(Arc::new(slow));
    });
    court.record("a", 11, Good);
    court.record_asked("b", 12, 13, Bad);
    for second in (14..).step_by(2).take(7) {
        assert_eq!(others(&mut court, second), (0, 0), "{second}");
        court.record("a", second, Bad);
        court.record("a", second + 1, Good);
    }
    assert_eq!(others(&mut court, 28), (0, 0));
    court.record("a", 28, Bad);
    court.record("a", 29, Good);
    assert_eq!(others(&mut court, 29), (1, 0));
}

#[test]
fn nothing_is_kept_of_a_pod_that_was_bad_long_ago() {
    let mut court = court_of_two();
    court
        .judge
        .forget("answers", &"a".into(), Duration::from_secs(12));
    for (second, is_kept) in [(22, true), (23, false)] {
        let _ = court.judge.findings(Duration::from_secs(second));
        let text = format!("{:?}", court.judge);
        assert_eq!(text.contains("Uid(\"a\")"), is_kept, "{second}: {text}");
    }
}

/// `b` is asked at 3 s and has no answer after the whole timeout.
#[test]
fn a_pod_counts_as_long_as_an_answer_that_was_asked_for_while_it_was_bad() {
    let mut court = court(|_| {});
    court.new_policies(|policies| probe_of(policies).timeout = Duration::from_secs(10));
    for pod in ["a", "b"] {
        court.watch(pod, "web");
        court.record(pod, 1, Good);
    }
    court.record("a", 2, Bad);
    court.record("a", 5, Good);
    let _ = court.judge.findings(Duration::from_secs(12));
    court.record_asked("b", 3, 13, Bad);
    // Its good answer is old by then.
    for second in [13, 43] {
        assert_eq!(others(&mut court, second), (1, 0), "{second}");
    }
}

#[test]
fn a_pod_counts_once_however_many_policies_found_it_bad() {
    let mut court = court(|_| {});
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    for name in ["answers", "other"] {
        for pod in ["a", "b"] {
            court.watch_for(name, pod, "web");
            court.record_for(name, pod, 5, Good);
        }
    }
    court.record("a", 10, Bad);
    court.record_for("other", "a", 12, Bad);
    court.record("b", 15, Bad);
    court.record("a", 20, Good);
    assert_eq!(
        others(&mut court, 20),
        (0, 0),
        "the other policy finds it bad"
    );
    court.record_for("other", "a", 22, Good);
    assert_eq!(others(&mut court, 22), (1, 0));
    court.record("a", 23, Bad);
    assert_eq!(others(&mut court, 23), (1, 0), "it is bad again");
}

#[test]
fn what_a_policy_found_bad_before_it_was_changed_may_be_so_still() {
    let mut court = court_of_two();
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    court.watch_for("other", "b", "web");
    court.record_for("other", "b", 12, Good);
    court.record_for("other", "b", 15, Bad);
    assert_eq!(others(&mut court, 15), (0, 0), "it is bad now");
    court.new_policies(|policies| {
        probe_of(policies).failure_threshold = 5.try_into().unwrap();
    });
    assert_eq!(others(&mut court, 15), (1, 1));
}

/// `c`, of another workload, was bad long before `b` was.
#[test]
fn the_workloads_of_the_pods_that_were_bad_then_are_only_theirs() {
    let mut court = court(|_| {});
    for (pod, workload) in [("a", "web"), ("b", "web"), ("c", "db"), ("d", "other")] {
        let scopes = PodScopes {
            node: Some(if pod == "d" { "n2" } else { "n1" }.into()),
            ..PodScopes::of(workload.into())
        };
        let key = ObjectKey::new("shop", pod);
        court.judge.watch("answers", &pod.into(), &key, &scopes);
        court.record(pod, 5, Good);
    }
    court.record("d", 10, Bad);
    court.record("c", 10, Bad);
    court.judge.restart("answers", &"c".into());
    for second in [30, 50, 70, 90] {
        court.record("d", second, Bad);
    }
    court.record("a", 95, Bad);
    court.record("b", 96, Bad);
    court.record("a", 97, Good);
    let findings = court.judge.findings(Duration::from_secs(97));
    let of_b = findings.pods.iter().find(|one| &*one.pod.name == "b");
    let on_node = &of_b.unwrap().then[&Scope::Node("n1".into())];
    assert_eq!(on_node.pods, 1, "a");
    assert_eq!(on_node.workloads, ["web".into()]);
}

#[test]
fn spells_that_come_and_go_leave_nothing_behind() {
    let mut court = court_of_two();
    let length = |court: &mut Court, second: u64| {
        court.record("b", second, Bad);
        let _ = court.judge.findings(Duration::from_secs(second));
        format!("{:?}", court.judge).len()
    };
    let mut lengths = Vec::new();
    for turn in 1..500 {
        court.record("a", turn * 20 + 1, Good);
        court.record("a", turn * 20 + 10, Bad);
        lengths.push(length(&mut court, turn * 20 + 12));
    }
    let (early, late) = (lengths[..100].iter().max(), lengths[400..].iter().max());
    // The seconds have more digits.
    assert!(late < early.map(|early| early * 11 / 10).as_ref());
}

/// Nobody looks through all of them: any two are said.
#[test]
fn of_more_than_a_hundred_workloads_on_a_node_two_count_if_one_does() {
    for (others, expected) in [(99, 1), (100, 2)] {
        let mut court = court(|_| {});
        let names: Vec<String> = (0..others).map(|index| format!("o{index}")).collect();
        let others = names.iter().map(|name| (&**name, &**name));
        for (pod, workload) in others.chain([("a", "web"), ("b", "web")]) {
            let scopes = PodScopes {
                node: Some("n1".into()),
                ..PodScopes::of(workload.into())
            };
            let key = ObjectKey::new("shop", pod);
            court.judge.watch("answers", &pod.into(), &key, &scopes);
            court.record(pod, 5, Good);
        }
        court.record("a", 10, Bad);
        court.record("b", 12, Bad);
        for name in &names {
            court.record(name, 13, Bad);
            court.record(name, 14, Good);
        }
        court.record("a", 14, Good);
        let findings = court.judge.findings(Duration::from_secs(14));
        let then = &findings.pods[0].then[&Scope::Node("n1".into())];
        assert_eq!((then.pods, then.workloads.len()), (1, expected));
    }
}

/// One policy from 10 s to 20 s, the other one twice in between.
#[test]
fn a_pod_that_one_policy_finds_bad_twice_while_another_does_all_the_time_counts_once() {
    let mut court = court(|_| {});
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    court.new_policies(|policies| probe_of(policies).timeout = Duration::from_secs(10));
    for name in ["answers", "other"] {
        for pod in ["a", "b"] {
            court.watch_for(name, pod, "web");
            court.record_for(name, pod, 5, Good);
        }
    }
    court.record_for("other", "a", 10, Bad);
    court.record("a", 12, Bad);
    court.record("a", 14, Good);
    court.record("a", 16, Bad);
    court.record("a", 18, Good);
    court.record_for("other", "a", 20, Good);
    // It hung until its timeout.
    court.record_asked("b", 13, 23, Bad);
    let findings = court.judge.findings(Duration::from_secs(23));
    let then = findings.pods[0].then.values().next().unwrap();
    assert_eq!(then.pods, 1, "a alone");
}

/// It was asked while others were bad, of which nothing is known any more.
#[test]
fn a_pod_whose_answer_comes_very_late_is_not_compared_and_not_taken() {
    let known = |late: u64| {
        let mut court = court_of_two();
        court.record("a", 11, Good);
        let _ = court.judge.findings(Duration::from_secs(late - 1));
        court.record_asked("b", 10, late, Bad);
        let findings = court.judge.findings(Duration::from_secs(late));
        findings.pods[0].then_is_known
    };
    assert!(known(22));
    assert!(!known(23));
    let mut world = World::with_web();
    world.unhealthy("web-0");
    world.then_is_known = false;
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::Storm)]);
}

#[test]
fn of_more_than_a_hundred_thousand_spells_the_oldest_are_forgotten_and_what_was_asked_then_is_refused()
 {
    let mut court = court_of_two();
    court.record_asked("b", 10, 11, Bad);
    for pod in 0..100_001 {
        let name = format!("p{pod}");
        court.watch(&name, "many");
        court.record(&name, 12, Good);
        court.record(&name, 13, Bad);
        court.record(&name, 14 + pod / 50_000, Good);
    }
    let is_known = |court: &mut Court| {
        let findings = court.judge.findings(Duration::from_secs(17));
        findings
            .pods
            .iter()
            .map(|finding| finding.then_is_known)
            .collect::<Vec<_>>()
    };
    assert_eq!(is_known(&mut court), [false, false]);
    court.record("b", 18, Bad);
    assert_eq!(is_known(&mut court), [false, true]);
}

/// Its container was restarted; `other` finds it good soon, `answers` does not answer.
#[test]
fn a_pod_waits_for_each_policy_that_found_it_bad() {
    let mut court = court(|_| {});
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    for name in ["answers", "other"] {
        court.watch_for(name, "a", "web");
        court.record_for(name, "a", 5, Good);
    }
    court.watch("b", "web");
    court.record("b", 5, Good);
    court.record("a", 10, Bad);
    court.record_for("other", "a", 12, Bad);
    for name in ["answers", "other"] {
        court.judge.restart(name, &"a".into());
    }
    court.record_for("other", "a", 14, Good);
    court.record("b", 15, Bad);
    assert_eq!(others(&mut court, 15), (1, 0));
    court.record("a", 20, Good);
    assert_eq!(others(&mut court, 20), (1, 0), "it was not good at 15 s");
    court.record("b", 21, Bad);
    assert_eq!(others(&mut court, 21), (0, 0));
}

/// How many others were bad when the policy `other` asked `b` last.
fn others_of_other(court: &mut Court, second: u64) -> usize {
    let findings = court.judge.findings(Duration::from_secs(second));
    let mut of_b = findings.pods.iter();
    let of_b = of_b.find(|one| &*one.pod.name == "b" && &*one.policy.name == "other");
    let of_b = of_b.unwrap();
    assert!(of_b.contrast && of_b.asked == Duration::from_secs(20));
    let in_cluster = of_b.then.get(&Scope::Cluster);
    in_cluster.map_or(0, |then| then.pods)
}

/// The query `other` was asked at 20 s; `b` stands first in its result, and `c` makes its contrast.
fn court_with_contrast_in_one_result(b_was_bad: bool) -> Court {
    let mut court = court(|_| {});
    court.new_policies(|policies| policies.push(Arc::new(policy("other"))));
    for name in ["answers", "other"] {
        for pod in ["a", "b", "c"] {
            court.watch_for(name, pod, "web");
        }
    }
    for pod in ["a", "b", "c"] {
        court.record(pod, 5, Good);
    }
    court.record("a", 10, Bad);
    if b_was_bad {
        court.record("b", 11, Bad);
    }
    court
}

#[test]
fn a_pod_that_another_policy_found_bad_after_it_was_asked_is_compared_with_all_others() {
    let mut court = court_with_contrast_in_one_result(false);
    court.record("a", 21, Good);
    for bad_at_22 in [false, true] {
        if bad_at_22 {
            court.record("b", 22, Bad);
        } else {
            court.record_for("other", "b", 20, Bad);
            court.record_for("other", "c", 20, Good);
        }
        assert_eq!(others_of_other(&mut court, 22), 1, "a: {bad_at_22}");
    }
}

#[test]
fn a_pod_is_no_other_pod() {
    let mut court = court_with_contrast_in_one_result(true);
    court.record("a", 19, Good);
    court.record("b", 21, Good);
    court.record_for("other", "b", 20, Bad);
    court.record_for("other", "c", 20, Good);
    assert_eq!(others_of_other(&mut court, 22), 0);
    let mut court = court_with_contrast_in_one_result(true);
    court.record("b", 20, Good);
    court.record("a", 21, Good);
    court.record_for("other", "b", 20, Bad);
    court.record_for("other", "c", 20, Good);
    assert_eq!(others_of_other(&mut court, 22), 1, "b itself was good then");
}
