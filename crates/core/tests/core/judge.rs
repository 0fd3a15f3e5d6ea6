//! From samples to verdicts.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::{Answer, Finding, Judge, Sample, Verdict},
    object::ObjectKey,
    policy::{Policy, PolicyFile, PrometheusQuery, Signal, Threshold},
    scope::PodScopes,
    time::Now,
};

use crate::world::{START, World, at, policy, probe_of, selector};

use Answer::{Bad, Good, None as NoAnswer};

/// A probe every 10 s, three bad ones make a pod unhealthy, unless the test changes it.
pub(crate) struct Court {
    pub(crate) judge: Judge,
    file: PolicyFile,
}

pub(crate) fn court(change: impl FnOnce(&mut Policy)) -> Court {
    let mut court = Court {
        judge: Judge::default(),
        file: World::new().file,
    };
    court.new_policies(|policies| change(Arc::make_mut(&mut policies[0])));
    court
}

/// A query every 15 s that must be bad for a minute.
pub(crate) fn query_court(interval: u64, hold_for: u64) -> Court {
    court(|policy| {
        policy.signal = Signal::Prometheus(PrometheusQuery {
            query: "errors".to_owned(),
            look_back: Duration::ZERO,
            threshold: Threshold::Above(0.5),
            interval: Duration::from_secs(interval),
            hold_for: Duration::from_secs(hold_for),
        });
    })
}

impl Court {
    pub(crate) fn new_policies(&mut self, change: impl FnOnce(&mut Vec<Arc<Policy>>)) {
        change(&mut self.file.policies);
        self.judge.set_policies(&self.file, Duration::ZERO);
    }

    pub(crate) fn watch(&mut self, pod: &str, workload: &str) {
        self.watch_for("answers", pod, workload);
    }

    pub(crate) fn watch_for(&mut self, policy: &str, pod: &str, workload: &str) {
        let key = ObjectKey::new("shop", pod);
        let scopes = PodScopes::of(workload.into());
        self.judge.watch(policy, &pod.into(), &key, &scopes);
    }

    pub(crate) fn record(&mut self, pod: &str, second: u64, answer: Answer) {
        self.record_for("answers", pod, second, answer);
    }

    pub(crate) fn record_for(&mut self, policy: &str, pod: &str, second: u64, answer: Answer) {
        self.judge.record(&sample(policy, pod, second, answer));
    }

    /// An answer that takes some seconds.
    pub(crate) fn record_asked(&mut self, pod: &str, asked: u64, second: u64, answer: Answer) {
        self.judge.record(&Sample {
            asked: Duration::from_secs(asked),
            ..sample("answers", pod, second, answer)
        });
    }

    fn verdict(&self, pod: &str, second: u64) -> Verdict {
        self.judge
            .verdict("answers", pod, Duration::from_secs(second))
    }

    fn unhealthy(&mut self, second: u64) -> Vec<Finding> {
        let mut findings = self.judge.findings(Duration::from_secs(second)).pods;
        findings.retain(|finding| finding.verdict == Verdict::Unhealthy);
        findings
    }

    pub(crate) fn has_contrast(&mut self, second: u64) -> bool {
        let found = self.unhealthy(second);
        assert_eq!(found.len(), 1, "one pod is unhealthy: {found:?}");
        found[0].contrast
    }
}

fn sample(policy: &str, pod: &str, second: u64, answer: Answer) -> Sample {
    Sample {
        policy: policy.into(),
        pod: pod.into(),
        run: None,
        at: Now {
            wall: at(START),
            moment: Duration::from_secs(second),
        },
        asked: Duration::from_secs(second),
        answer,
        unreached: false,
        saw: format!("{answer:?} at {second}").into(),
    }
}

/// Three bad probes from that second on.
pub(crate) fn bad_from(court: &mut Court, pod: &str, second: u64) {
    for second in [second, second + 10, second + 20] {
        court.record(pod, second, Bad);
    }
}

#[test]
fn a_pod_is_unhealthy_at_the_third_bad_probe_in_a_row_and_not_before() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    assert_eq!(court.verdict("a", 0), Verdict::Unknown);
    for (second, answer, verdict) in [
        (10, Good, Verdict::Healthy),
        (20, Bad, Verdict::Suspect),
        (30, Bad, Verdict::Suspect),
        (40, Good, Verdict::Healthy),
        (50, Bad, Verdict::Suspect),
        (60, Bad, Verdict::Suspect),
        (70, Bad, Verdict::Unhealthy),
        (80, Bad, Verdict::Unhealthy),
        (90, Good, Verdict::Healthy),
    ] {
        court.record("a", second, answer);
        assert_eq!(court.verdict("a", second), verdict, "at {second}");
        let found = court.unhealthy(second).len();
        assert_eq!(
            found,
            usize::from(verdict == Verdict::Unhealthy),
            "at {second}"
        );
    }
}

#[test]
fn a_threshold_of_one_needs_one_bad_probe() {
    let mut court = court(|policy| {
        if let Signal::Probe(probe) = &mut policy.signal {
            probe.failure_threshold = NonZeroU32::MIN;
        }
    });
    court.watch("a", "web");
    court.record("a", 10, Bad);
    assert_eq!(court.verdict("a", 10), Verdict::Unhealthy);
}

#[test]
fn a_sample_without_an_answer_ends_the_streak() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Bad);
    court.record("a", 20, Bad);
    court.record("a", 30, NoAnswer);
    assert_eq!(court.verdict("a", 30), Verdict::Unknown);
    court.record("a", 40, Bad);
    court.record("a", 50, Bad);
    assert_eq!(court.verdict("a", 50), Verdict::Suspect);
    court.record("a", 60, Bad);
    assert_eq!(court.verdict("a", 60), Verdict::Unhealthy);
}

#[test]
fn a_gap_of_more_than_three_intervals_ends_the_streak() {
    let mut court = court(|_| {});
    for pod in ["kept", "broken"] {
        court.watch(pod, "web");
        court.record(pod, 10, Bad);
        court.record(pod, 20, Bad);
    }
    court.record("kept", 50, Bad);
    court.record("broken", 51, Bad);
    assert_eq!(court.verdict("kept", 51), Verdict::Unhealthy);
    assert_eq!(court.verdict("broken", 51), Verdict::Suspect);
}

#[test]
fn an_unhealthy_pod_without_further_samples_becomes_unknown() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    for second in [10, 20, 30] {
        court.record("a", second, Bad);
    }
    assert_eq!(court.verdict("a", 60), Verdict::Unhealthy);
    assert_eq!(court.verdict("a", 61), Verdict::Unknown);
    assert!(court.unhealthy(61).is_empty());
}

#[test]
fn a_query_must_be_bad_for_its_whole_hold_time() {
    let mut court = query_court(15, 60);
    court.watch("a", "web");
    for second in [15, 30, 45, 60] {
        court.record("a", second, Bad);
        assert_eq!(court.verdict("a", second), Verdict::Suspect, "at {second}");
    }
    // Only a bad sample at the end of the minute counts, not the clock alone.
    assert_eq!(court.verdict("a", 76), Verdict::Suspect);
    court.record("a", 75, Bad);
    assert_eq!(court.verdict("a", 75), Verdict::Unhealthy);
    assert_eq!(
        &*court.unhealthy(80)[0].reason,
        "Bad at 75 for 60 s",
        "from the first bad one to the last"
    );
}

#[test]
fn a_query_without_a_hold_time_makes_a_pod_unhealthy_at_once() {
    let mut court = query_court(15, 0);
    court.watch("a", "web");
    court.record("a", 15, Bad);
    assert_eq!(court.verdict("a", 15), Verdict::Unhealthy);
}

#[test]
fn a_sample_older_than_the_latest_is_dropped() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Bad);
    court.record("a", 30, Bad);
    court.record("a", 20, Bad);
    assert_eq!(court.verdict("a", 30), Verdict::Suspect);
    court.record("a", 40, Bad);
    court.record("a", 35, Good);
    assert_eq!(court.verdict("a", 40), Verdict::Unhealthy);
}

#[test]
fn a_repeated_sample_counts_once() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    for second in [10, 20, 20, 20] {
        court.record("a", second, Bad);
    }
    assert_eq!(court.verdict("a", 20), Verdict::Suspect);
}

#[test]
fn a_sample_about_another_uid_or_policy_is_dropped() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    for second in [10, 20, 30] {
        court.record("its-predecessor", second, Bad);
        court.record_for("unknown", "a", second, Bad);
    }
    assert_eq!(court.verdict("a", 30), Verdict::Unknown);
    assert_eq!(court.verdict("its-predecessor", 30), Verdict::Unknown);
    assert!(court.unhealthy(30).is_empty());
}

#[test]
fn a_forgotten_pod_starts_without_samples() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Bad);
    court.record("a", 20, Bad);
    court.judge.forget("answers", &"a".into(), Duration::ZERO);
    court.record("a", 30, Bad);
    assert_eq!(court.verdict("a", 30), Verdict::Unknown);
    court.watch("a", "web");
    court.record("a", 40, Bad);
    assert_eq!(court.verdict("a", 40), Verdict::Suspect);
}

#[test]
fn watching_a_pod_again_changes_nothing_unless_its_workload_has_changed() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Bad);
    court.record("a", 20, Bad);
    court.watch("a", "web");
    court.record("a", 30, Bad);
    assert_eq!(court.verdict("a", 30), Verdict::Unhealthy);
    court.watch("a", "shop");
    assert_eq!(court.verdict("a", 30), Verdict::Unknown);
}

#[test]
fn a_new_file_resets_the_policies_whose_signal_or_pods_changed_and_no_other() {
    let mut court = court(|_| {});
    court.new_policies(|policies| {
        for name in ["signal", "pods", "gone"] {
            policies.push(Arc::new(policy(name)));
        }
    });
    let all = ["answers", "signal", "pods", "gone"];
    for name in all {
        let key = ObjectKey::new("shop", "a");
        court
            .judge
            .watch(name, &"a".into(), &key, &PodScopes::of("web".into()));
        for second in [10, 20, 30] {
            court.record_for(name, "a", second, Bad);
        }
    }
    court.new_policies(|policies| {
        policies.retain(|policy| &*policy.name != "gone");
        for policy in policies.iter_mut().map(Arc::make_mut) {
            policy.ttl = Duration::from_secs(1);
            match &mut policy.signal {
                Signal::Probe(probe) if &*policy.name == "signal" => probe.path = "/new".into(),
                _ if &*policy.name == "pods" => policy.pods = selector(&[("app", "web")]),
                _ => {}
            }
        }
    });
    let verdicts = all.map(|name| court.judge.verdict(name, "a", Duration::from_secs(30)));
    let unknown = Verdict::Unknown;
    assert_eq!(verdicts, [Verdict::Unhealthy, unknown, unknown, unknown]);
    let found = court.unhealthy(30);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].policy.ttl,
        Duration::from_secs(1),
        "the policy is the new one"
    );
}

#[test]
fn pods_that_are_bad_longest_come_first_then_the_order_of_keys() {
    let mut court = court(|_| {});
    for (pod, since) in [("b", 20), ("d", 10), ("a", 20), ("c", 5)] {
        court.watch(pod, "web");
        bad_from(&mut court, pod, since);
    }
    let found = court.unhealthy(40);
    let order: Vec<&str> = found.iter().map(|finding| &*finding.pod.name).collect();
    assert_eq!(order, ["c", "d", "a", "b"]);
}

#[test]
fn a_finding_has_its_reason_and_the_last_five_samples_oldest_first() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Good);
    for second in [20, 30, 40, 50, 60, 70] {
        court.record("a", second, Bad);
    }
    let finding = &court.unhealthy(70)[0];
    assert_eq!(&*finding.reason, "6 bad probes in a row: Bad at 70");
    assert_eq!(finding.since, Duration::from_secs(20));
    let saw: Vec<&str> = finding.evidence.iter().map(|seen| &*seen.saw).collect();
    let expected = [
        "Bad at 30",
        "Bad at 40",
        "Bad at 50",
        "Bad at 60",
        "Bad at 70",
    ];
    assert_eq!(saw, expected);
}

#[test]
fn a_pod_judged_again_needs_a_whole_new_streak_and_keeps_its_contrast() {
    let mut court = court(|_| ());
    court.watch("a", "web");
    court.record("a", 0, Good);
    for second in [10, 20, 30] {
        court.record("a", second, Bad);
    }
    assert_eq!(court.verdict("a", 31), Verdict::Unhealthy);
    court.judge.restart("answers", &"a".into());
    assert_eq!(court.verdict("a", 31), Verdict::Unknown);
    assert_eq!(court.judge.findings(Duration::from_secs(31)).pods, []);
    for second in [40, 50] {
        court.record("a", second, Bad);
    }
    assert_eq!(court.verdict("a", 51), Verdict::Suspect);
    court.record("a", 60, Bad);
    assert_eq!(court.verdict("a", 61), Verdict::Unhealthy);
    let findings = court.judge.findings(Duration::from_secs(61)).pods;
    assert!(findings[0].contrast, "it has been good");
    assert_eq!(findings[0].evidence.len(), 3);
}

#[test]
fn answers_and_verdicts_have_the_words_of_the_metrics() {
    let answers: Vec<&str> = Answer::ALL.iter().map(|answer| answer.as_str()).collect();
    assert_eq!(answers, ["good", "bad", "none"]);
    let verdicts = [
        Verdict::Healthy,
        Verdict::Suspect,
        Verdict::Unhealthy,
        Verdict::Unknown,
    ];
    let words = verdicts.map(Verdict::as_str);
    assert_eq!(words, ["healthy", "suspect", "unhealthy", "unknown"]);
}

/// An agent that leads again knows as little as one that has just started.
#[test]
fn a_judge_that_has_forgotten_all_pods_begins_again() {
    let since = |court: &mut Court, second| {
        let findings = court.judge.findings(Duration::from_secs(second));
        findings.judging_since.map(|since| since.as_secs())
    };
    let mut court = court(|_| {});
    assert_eq!(since(&mut court, 5), None);
    court.watch("a", "web");
    court.watch("b", "web");
    assert_eq!(since(&mut court, 10), Some(10));
    assert_eq!(since(&mut court, 20), Some(10));
    court
        .judge
        .forget("answers", &"a".into(), Duration::from_secs(25));
    assert_eq!(since(&mut court, 30), Some(10));
    court
        .judge
        .forget("answers", &"b".into(), Duration::from_secs(35));
    court.watch("b", "web");
    assert_eq!(since(&mut court, 40), Some(40));
}

/// Its signal was aborted; what it had asked before is still on its way.
#[test]
fn an_answer_that_was_asked_for_before_its_policy_changed_is_dropped() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    probe_of(&mut court.file.policies).failure_threshold = 5.try_into().unwrap();
    let changed = Duration::from_secs(10);
    court.judge.set_policies(&court.file, changed);
    court.watch("a", "web");
    court.record_asked("a", 9, 11, Good);
    let verdict = |court: &Court| court.judge.verdict("answers", "a", Duration::from_secs(12));
    assert_eq!(verdict(&court), Verdict::Unknown);
    court.record_asked("a", 10, 12, Good);
    assert_eq!(verdict(&court), Verdict::Healthy);
}
