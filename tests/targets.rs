//! What the signals and the judge are told of a pod that changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails, and says where"
)]

use std::time::Duration;

use jiff::Timestamp;
use pod_quarantine::{
    core::{
        judge::{Answer, Judge, Sample, Verdict},
        object::{Container, ContainerRun, ContainerState, ObjectKey, Pod},
        policy::{PolicyFile, Signal},
        selector::Selector,
        time::Now,
        view::View,
    },
    signal::{SignalTarget, TargetChange},
    targets::{Senders, Targets},
};
use test_objects::{at, enforcing_policy, namespace, pod};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const START: &str = "2030-01-31T12:00:00Z";

/// One pod, and one policy that probes its port 80.
struct Stage {
    view: View,
    file: PolicyFile,
    judge: Judge,
    targets: Targets,
    sent: UnboundedReceiver<TargetChange>,
    pod: Pod,
    moment: Duration,
    version: u64,
}

fn container(port: u16, state: ContainerState) -> Container {
    Container {
        ports: vec![(None, port)],
        state,
    }
}

fn running(since: &str, restarts: u32) -> ContainerState {
    let since = at(since);
    ContainerState::Running(ContainerRun { since, restarts })
}

impl Stage {
    fn new(containers: Vec<Container>) -> Self {
        let file = PolicyFile::new(vec![
            enforcing_policy("answers", Selector::default()).into(),
        ]);
        let mut view = View::new("agent");
        view.put_namespace(namespace("shop"));
        let mut judge = Judge::default();
        judge.set_policies(&file, Duration::ZERO);
        let (sender, sent) = unbounded_channel();
        let mut targets = Targets::default();
        targets.set_senders(Senders::from([("answers".into(), sender)]));
        let pod = Pod {
            containers,
            ..pod(ObjectKey::new("shop", "web-0"), "uid".into())
        };
        let mut stage = Self {
            view,
            file,
            judge,
            targets,
            sent,
            pod,
            moment: Duration::ZERO,
            version: 0,
        };
        stage.change(|_| {});
        stage
    }

    fn change(&mut self, change: impl FnOnce(&mut Pod)) {
        change(&mut self.pod);
        self.version += 1;
        self.pod.resource_version =
            pod_quarantine::core::object::ResourceVersion::new(self.version);
        assert!(self.view.put_pod(self.pod.clone()));
        let (view, file) = (&self.view, &self.file);
        self.targets
            .update_pod(&self.pod.key, view, file, &mut self.judge, self.moment);
    }

    fn target(&mut self) -> SignalTarget {
        match self.sent.try_recv().expect("the signal is told") {
            TargetChange::Put(target) => target,
            TargetChange::Remove(uid) => panic!("{uid} is removed"),
        }
    }

    /// The run that the container of the probe is in.
    fn run(&self) -> Option<ContainerRun> {
        let policy = self.file.policy("answers").expect("the policy");
        match &policy.signal {
            Signal::Probe(probe) => self.pod.run(Some(&probe.port)),
            Signal::Prometheus(_) => None,
        }
    }

    fn bad(&mut self) -> Verdict {
        let run = self.run();
        self.bad_of(run)
    }

    fn bad_of(&mut self, run: Option<ContainerRun>) -> Verdict {
        self.answers(Answer::Bad, run)
    }

    fn answers(&mut self, answer: Answer, run: Option<ContainerRun>) -> Verdict {
        self.moment += Duration::from_secs(10);
        let wall: Timestamp = at(START);
        self.judge.record(&Sample {
            policy: "answers".into(),
            pod: self.pod.uid.clone(),
            run,
            at: Now {
                wall,
                moment: self.moment,
            },
            asked: self.moment,
            answer,
            unreached: false,
            saw: "HTTP 500".into(),
        });
        self.judge.verdict("answers", "uid", self.moment)
    }
}

#[test]
fn bad_answers_before_and_after_a_restart_of_the_container_are_no_streak() {
    let mut stage = Stage::new(vec![container(80, running(START, 0))]);
    assert_eq!(stage.bad(), Verdict::Suspect);
    assert_eq!(stage.bad(), Verdict::Suspect);
    for restarted in [ContainerState::Starting, running("2030-01-31T12:00:30Z", 1)] {
        stage.change(|pod| pod.containers[0].state = restarted);
    }
    assert_eq!(
        stage.bad(),
        Verdict::Suspect,
        "the third in all is the first of this container"
    );
    assert_eq!(stage.bad(), Verdict::Suspect);
    assert_eq!(stage.bad(), Verdict::Unhealthy);
}

/// A sample waits in a channel while the watch tells of the restart.
#[test]
fn an_answer_of_a_container_that_was_restarted_meanwhile_says_nothing_of_the_new_one() {
    let mut stage = Stage::new(vec![container(80, running(START, 0))]);
    let earlier = stage.run();
    stage.change(|pod| pod.containers[0].state = running("2030-01-31T12:00:30Z", 1));
    assert_eq!(stage.bad_of(earlier), Verdict::Unknown);
    assert_eq!(stage.bad(), Verdict::Suspect);
}

#[test]
fn a_restart_of_another_container_is_none_of_the_one_that_is_asked() {
    let other = container(81, running(START, 0));
    let mut stage = Stage::new(vec![container(80, running(START, 0)), other]);
    assert_eq!(stage.bad(), Verdict::Suspect);
    assert_eq!(stage.bad(), Verdict::Suspect);
    stage.change(|pod| pod.containers[1].state = running("2030-01-31T12:00:30Z", 1));
    assert_eq!(stage.bad(), Verdict::Unhealthy);
}

#[test]
fn the_container_that_is_asked_is_that_of_the_port_else_all_count() {
    let run = |since: &str| {
        Some(ContainerRun {
            since: at(since),
            restarts: 0,
        })
    };
    let (early, late) = (START, "2030-01-31T12:01:00Z");
    for (containers, expected) in [
        (
            vec![(80, running(early, 0)), (81, running(late, 0))],
            run(early),
        ),
        (
            vec![(81, running(early, 0)), (82, running(late, 0))],
            run(late),
        ),
        (
            vec![(81, running(early, 0)), (82, ContainerState::Starting)],
            None,
        ),
        (
            vec![(80, running(early, 0)), (82, ContainerState::Starting)],
            run(early),
        ),
        (
            vec![(81, running(early, 0)), (82, ContainerState::Ended)],
            run(early),
        ),
        (vec![(80, ContainerState::Starting)], None),
        (Vec::new(), None),
    ] {
        let containers: Vec<Container> = containers
            .into_iter()
            .map(|(port, state)| container(port, state))
            .collect();
        let mut stage = Stage::new(containers.clone());
        assert_eq!(stage.target().run, expected, "{containers:?}");
    }
}

/// A pod is bad to a policy that is removed. Whether it still counts as bad a minute later; no answer takes that long.
fn counts_after_its_policy_is_removed(is_deleted: bool) -> bool {
    let mut stage = Stage::new(vec![container(80, running(START, 0))]);
    let run = stage.run();
    stage.answers(Answer::Good, run);
    stage.bad();
    stage.file.policies.clear();
    stage.judge.set_policies(&stage.file, stage.moment);
    stage.targets.set_senders(Senders::new());
    stage.change(|_| {});
    let (key, uid) = (&stage.pod.key, &stage.pod.uid);
    if is_deleted {
        assert!(stage.view.remove_pod(key, uid));
        let (view, file, judge) = (&stage.view, &stage.file, &mut stage.judge);
        stage
            .targets
            .update_pod(key, view, file, judge, stage.moment);
    }
    let _ = stage.judge.findings(stage.moment + Duration::from_mins(1));
    stage.judge.has_spells(uid)
}

#[test]
fn a_pod_that_is_gone_was_bad_until_then_also_to_a_policy_that_is_gone() {
    assert!(counts_after_its_policy_is_removed(false));
    assert!(!counts_after_its_policy_is_removed(true));
}
