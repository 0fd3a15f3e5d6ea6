//! A cluster in which pods answer one after the other, to the tenth of a second.

use std::{collections::BTreeMap, time::Duration};

use pod_quarantine_core::{
    judge::Sample,
    object::{ContainerRun, ObjectKey, Uid},
};

use crate::streaks_and_storms::{Cluster, Is, sample};

/// Thirty Deployments of two pods, with the default limits. All pods but the `special` ones are good every ten seconds;
/// what those say, the test says, to the tenth of a second.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) special: Vec<&'static str>,
    pub(crate) tenth: u64,
    /// How long a pod that hangs is waited for.
    pub(crate) timeout: Duration,
    /// The present runs of the containers of some pods.
    runs: BTreeMap<&'static str, ContainerRun>,
}

impl Scene {
    /// When a pod was taken, in whole seconds.
    pub(crate) fn taken_at(&self, name: &str) -> Option<u64> {
        let mut taken = self.cluster.taken.iter();
        let of_it = taken.find(|(_, taken)| taken == name);
        of_it.map(|(at, _)| at.as_secs())
    }

    pub(crate) fn new(special: &[&'static str]) -> Self {
        Self::of(Cluster::new(30, 2, 1000), special)
    }

    pub(crate) fn of(cluster: Cluster, special: &[&'static str]) -> Self {
        let mut scene = Self {
            cluster,
            special: Vec::new(),
            tenth: 0,
            timeout: Duration::from_secs(1),
            runs: BTreeMap::new(),
        };
        scene.others_are_good();
        scene.special = special.to_vec();
        scene.at(100);
        scene
    }

    fn now_is(&mut self, tenth: u64) {
        let moment = self.cluster.began + Duration::from_millis(100 * tenth);
        let passed = moment
            .checked_sub(self.cluster.world.now.moment)
            .expect("time goes on");
        self.cluster.world.pass(passed);
        self.tenth = tenth;
    }

    /// It is so many tenths of a second after the beginning.
    pub(crate) fn at(&mut self, tenth: u64) {
        for turn in self.tenth + 1..=tenth {
            if turn.is_multiple_of(100) {
                self.now_is(turn);
                self.others_are_good();
            }
        }
        self.now_is(tenth);
    }

    fn others_are_good(&mut self) {
        let pods: Vec<ObjectKey> = self
            .cluster
            .world
            .view
            .pods()
            .map(|pod| pod.key.clone())
            .collect();
        for key in pods {
            if !self.special.contains(&&*key.name) {
                self.hear("answers", &key.name, Is::Good, Duration::ZERO);
            }
        }
    }

    /// An answer arrives for that policy, of a pod that was asked so long ago.
    pub(crate) fn hear(&mut self, policy: &str, name: &str, is: Is, took: Duration) {
        let pod = self.cluster.world.pod(name).clone();
        if pod.counts_as_quarantined() {
            return;
        }
        let now = self.cluster.world.now;
        let asked = now.moment.saturating_sub(took);
        self.cluster.judge.record(&Sample {
            policy: policy.into(),
            run: self.runs.get(name).copied(),
            ..sample(&pod, is, now, asked)
        });
    }

    /// At that time a pod answers, and a decision is made.
    pub(crate) fn says(&mut self, tenth: u64, name: &str, is: Is) {
        self.says_to("answers", tenth, name, is);
    }

    /// At that time a policy gets an answer of a pod, and a decision is made.
    pub(crate) fn says_to(&mut self, policy: &str, tenth: u64, name: &str, is: Is) {
        self.at(tenth);
        self.hear(policy, name, is, Duration::ZERO);
        self.cluster.decide();
    }

    /// From that time on the pods answer, each a tenth of a second after the one before.
    pub(crate) fn all_say(&mut self, names: &[&str], tenth: u64, is: Is) {
        for (index, name) in (0..).zip(names) {
            self.says(tenth + index, name, is);
        }
    }

    /// At that time a pod answers.
    pub(crate) fn says_while_a_write_is_in_flight(&mut self, tenth: u64, name: &str, is: Is) {
        self.at(tenth);
        self.hear("answers", name, is, Duration::ZERO);
    }

    /// At that time a pod has not answered within the timeout, and a decision is made.
    pub(crate) fn hangs(&mut self, tenth: u64, name: &str) {
        self.at(tenth);
        self.hear("answers", name, Is::Bad, self.timeout);
        self.cluster.decide();
    }

    /// The pod's container is started again, or does not run.
    pub(crate) fn set_run(&mut self, name: &'static str, run: Option<ContainerRun>) {
        let uid = self.uid(name);
        self.cluster.judge.set_run("answers", &uid, run);
        match run {
            Some(run) => self.runs.insert(name, run),
            None => self.runs.remove(name),
        };
    }

    pub(crate) fn run(&self, restarts: u32) -> ContainerRun {
        ContainerRun {
            since: self.cluster.world.now.wall,
            restarts,
        }
    }

    pub(crate) fn uid(&self, name: &str) -> Uid {
        self.cluster.world.pod(name).uid.clone()
    }

    /// Why the pod is not quarantined.
    pub(crate) fn why(&self, name: &str) -> Vec<String> {
        let uid = self.uid(name);
        let refused = self.cluster.world.state.refused(&uid);
        refused.map(|one| one.refusal.to_string()).collect()
    }

    pub(crate) fn decide_at(&mut self, tenth: u64) {
        self.at(tenth);
        self.cluster.decide();
    }

    pub(crate) fn taken(&self) -> Vec<&str> {
        self.cluster.taken()
    }
}
