//! The judge and the storms together: real streaks of samples in ordinary clusters.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    judge::{Answer, Judge, Sample},
    object::{ObjectKey, Pod},
    policy::{Limits, Policy},
    reason::Reason,
    time::{Moment, Now},
    write::Quarantine,
};

use crate::{
    outcome::{Planned, everything},
    world::{World, probe_of},
};

/// How often the policy's probe asks.
const PERIOD: Duration = Duration::from_secs(10);

/// What a pod says, or does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Is {
    Good,
    /// It answers 500.
    Bad,
    /// There is no connection, says the agent; to its kubelet the pod is Ready.
    Unreached,
    /// The agent could not ask it.
    NotAsked,
}

/// What the policy `answers` gets of a pod that it asked at another time perhaps.
pub(crate) fn sample(pod: &Pod, is: Is, at: Now, asked: Moment) -> Sample {
    Sample {
        policy: "answers".into(),
        pod: pod.uid.clone(),
        run: None,
        at,
        asked,
        answer: match is {
            Is::Good => Answer::Good,
            Is::Bad | Is::Unreached => Answer::Bad,
            Is::NotAsked => Answer::None,
        },
        unreached: is == Is::Unreached,
        saw: "HTTP 500".into(),
    }
}

/// A cluster with the default limits, probed every ten seconds. Quarantines are carried out at once, and every pod that
/// is taken out has a Ready replacement.
pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) judge: Judge,
    /// What was taken out, and when.
    pub(crate) taken: Vec<(Duration, String)>,
    pub(crate) refused: Vec<Reason>,
    pub(crate) began: Moment,
}

impl Cluster {
    /// Deployments `d0`, `d1` and so on; the pods of each are on the nodes in turn.
    pub(crate) fn new(deployments: u32, replicas: u32, nodes: u32) -> Self {
        let mut world = World::new();
        world.file.limits = Limits::default();
        for index in 0..deployments {
            let name = format!("d{index}");
            world.deployment(&name, replicas);
            world.service(&name, &[("app", &name)]);
            for pod in 0..replicas {
                let node = format!("node-{}", (index + pod) % nodes);
                world.change(&format!("{name}-{pod}"), |pod| pod.node = Some(node.into()));
            }
        }
        let mut judge = Judge::default();
        judge.set_policies(&world.file, Duration::ZERO);
        let mut cluster = Self {
            began: world.now.moment,
            world,
            judge,
            taken: Vec::new(),
            refused: Vec::new(),
        };
        cluster.watch();
        cluster
    }

    pub(crate) fn record(&mut self, pod: &Pod, is: Is) {
        let now = self.world.now;
        self.judge.record(&sample(pod, is, now, now.moment));
    }

    /// Changes, adds or removes policies. Then every pod is watched for `answers` again.
    pub(crate) fn policies(&mut self, change: impl FnOnce(&mut Vec<Arc<Policy>>)) {
        change(&mut self.world.file.policies);
        self.judge
            .set_policies(&self.world.file, self.world.now.moment);
        self.watch();
    }

    /// Somebody changes the threshold of the second policy, for which the pods are not watched yet.
    pub(crate) fn change_second_policy(&mut self) {
        let file = &mut self.world.file;
        probe_of(&mut file.policies[1..]).failure_threshold = 5.try_into().unwrap();
        self.judge.set_policies(file, self.world.now.moment);
    }

    /// The pod is in that policy alone, or in the policy `answers`, too.
    pub(crate) fn watch_for(&mut self, policy: &str, name: &str, alone: bool) {
        let pod = self.world.pod(name).clone();
        let scopes = self.world.view.scopes_of(&pod);
        if alone {
            let now = self.world.now.moment;
            self.judge.forget("answers", &pod.uid, now);
        }
        self.judge.watch(policy, &pod.uid, &pod.key, &scopes);
    }

    /// The pod is deleted, and comes again under another uid.
    pub(crate) fn recreate(&mut self, name: &str, uid: String) {
        let mut pod = self.world.pod(name).clone();
        assert!(self.world.view.remove_pod(&pod.key, &pod.uid));
        let now = self.world.now;
        self.judge.forget_pod(&pod.uid, now.moment);
        pod.uid = uid.into();
        pod.created = Some(now.wall);
        self.world.put(pod);
        self.watch();
    }

    /// The agent is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.world.restart();
        self.judge = Judge::default();
        self.judge
            .set_policies(&self.world.file, self.world.now.moment);
        self.watch();
    }

    pub(crate) fn watch(&mut self) {
        for pod in self.world.view.pods() {
            if !pod.counts_as_quarantined() {
                let scopes = self.world.view.scopes_of(pod);
                self.judge.watch("answers", &pod.uid, &pod.key, &scopes);
            }
        }
    }

    /// One round of probes, spread over the period as the agent does, with a decision after every answer.
    fn round(&mut self, is_bad: impl Fn(&Pod) -> bool) {
        let mut pods: Vec<Pod> = self.world.view.pods().cloned().collect();
        pods.retain(|pod| !pod.counts_as_quarantined());
        let step = PERIOD / u32::try_from(pods.len()).unwrap();
        for pod in pods {
            self.world.pass(step);
            let is = if is_bad(&pod) { Is::Bad } else { Is::Good };
            self.record(&pod, is);
            if is == Is::Bad {
                self.decide();
            }
        }
        self.decide();
    }

    pub(crate) fn decide(&mut self) {
        for _ in 0..2 {
            let findings = self.judge.findings(self.world.now.moment);
            let world = &mut self.world;
            let (file, view, now) = (&world.file, &world.view, world.now);
            let plan = pod_quarantine_core::decide::decide(
                &mut world.state,
                file,
                view,
                &findings,
                None,
                now,
            );
            for one in everything(plan) {
                match one {
                    Planned::Write(pod_quarantine_core::write::Write::Quarantine(one)) => {
                        self.carry_out(&one);
                    }
                    Planned::Write(pod_quarantine_core::write::Write::Note(note)) => {
                        let _ = self.world.ledger().note(&note);
                    }
                    Planned::Lookup(pod_quarantine_core::lookup::Lookup::Needs(query)) => {
                        self.world.read(&query);
                    }
                    Planned::Notice(pod_quarantine_core::notice::Notice::Refused(refused)) => {
                        self.refused.push(refused.refusal.reason);
                    }
                    _ => {}
                }
            }
        }
    }

    fn carry_out(&mut self, quarantine: &Quarantine) {
        let name = quarantine.pod.key.name.to_string();
        let at = self.world.now.moment.checked_sub(self.began).unwrap();
        let before = self.world.pod(&name).clone();
        self.world.carry_out(quarantine);
        let now = self.world.now.moment;
        self.judge.forget("answers", &before.uid, now);
        self.judge.forget_spells(&before.uid);
        self.world.change(&name, |pod| pod.owner = None);
        self.world.replaced(&name);
        let mut replacement = before;
        replacement.key =
            ObjectKey::new(replacement.key.namespace.clone(), format!("{name}-again"));
        replacement.uid = format!("{}-again", replacement.uid).into();
        replacement.created = Some(self.world.now.wall);
        self.world.put(replacement);
        self.watch();
        self.taken.push((at, name));
    }

    pub(crate) fn taken(&self) -> Vec<&str> {
        self.taken.iter().map(|(_, name)| &**name).collect()
    }

    fn storms(&self) -> i64 {
        self.world.state.storms().values().sum()
    }
}

#[test]
fn two_bad_pods_ten_seconds_apart_among_two_hundred_are_both_taken_and_are_no_storm() {
    let mut cluster = Cluster::new(50, 4, 10);
    cluster.round(|_| false);
    for round in 0..6 {
        cluster.round(|pod| &*pod.key.name == "d0-0" || round > 0 && &*pod.key.name == "d7-0");
        assert_eq!(cluster.storms(), 0, "round {round}");
    }
    assert_eq!(cluster.taken(), ["d0-0", "d7-0"]);
    assert!(!cluster.refused.contains(&Reason::Storm));
}

/// Each node is gone for two minutes, one after the other: its kubelet is well, but the agent does not reach its pods.
#[test]
fn nodes_that_cannot_be_reached_one_after_the_other_cost_no_pod() {
    let mut cluster = Cluster::new(40, 10, 10);
    cluster.round(|_| false);
    for node in 0..3 {
        let gone = format!("node-{node}");
        for _ in 0..12 {
            cluster.round(|pod| pod.node.as_deref() == Some(&*gone));
        }
        for _ in 0..3 {
            cluster.round(|_| false);
        }
    }
    assert_eq!(cluster.taken(), Vec::<&str>::new());
    assert!(cluster.refused.contains(&Reason::Storm));
    assert!(cluster.world.state.storms()["node"] >= 1);
}

/// A database that comes and goes takes every pod of the workloads that need it along.
#[test]
fn a_dependency_that_comes_and_goes_costs_no_pod() {
    let mut cluster = Cluster::new(20, 5, 10);
    cluster.round(|_| false);
    for round in 0..60 {
        let is_down = round % 10 < 5;
        cluster.round(|pod| is_down && pod.key.name.starts_with("d1"));
    }
    assert_eq!(cluster.taken(), Vec::<&str>::new());
}

/// Four of a hundred pods of one workload.
#[test]
fn pods_that_turn_bad_one_after_the_other_are_no_storm() {
    let mut cluster = Cluster::new(2, 100, 10);
    cluster.round(|_| false);
    for round in 0..8 {
        cluster.round(|pod| {
            let bad = (0..=round / 2).map(|index| format!("d0-{index}"));
            bad.into_iter().any(|name| *name == *pod.key.name)
        });
    }
    assert!(cluster.taken().len() >= 2, "{:?}", cluster.taken);
    assert_eq!(cluster.storms(), 0);
}
