//! A cluster in which pods answer one after the other, to the tenth of a second.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Judge,
    object::ObjectKey,
    time::{Moment, Now},
};

use crate::streaks_and_storms::{Cluster, Is};

/// Thirty Deployments of two pods, with the default limits. All pods but the `special` ones are good every ten seconds;
/// what those say, the test says, to the tenth of a second.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) special: Vec<&'static str>,
    pub(crate) tenth: u64,
}

impl Scene {
    pub(crate) fn new(special: &[&'static str]) -> Self {
        Self::of(Cluster::new(30, 2, 1000), special)
    }

    pub(crate) fn of(cluster: Cluster, special: &[&'static str]) -> Self {
        let mut scene = Self {
            cluster,
            special: Vec::new(),
            tenth: 0,
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
                let now = self.cluster.world.now;
                self.hear(&key.name, Is::Good, now, now.moment);
            }
        }
    }

    /// An answer of that time arrives, of a pod that was asked at another perhaps.
    pub(crate) fn hear(&mut self, name: &str, is: Is, at: Now, asked: Moment) {
        let pod = self.cluster.world.pod(name).clone();
        if pod.counts_as_quarantined() {
            return;
        }
        self.cluster.hear(&pod, is, at, asked);
    }

    /// At that time a pod answers, and a decision is made.
    pub(crate) fn says(&mut self, tenth: u64, name: &str, is: Is) {
        self.says_while_a_write_is_in_flight(tenth, name, is);
        self.cluster.decide();
    }

    /// At that time a pod answers.
    pub(crate) fn says_while_a_write_is_in_flight(&mut self, tenth: u64, name: &str, is: Is) {
        self.at(tenth);
        let now = self.cluster.world.now;
        self.hear(name, is, now, now.moment);
    }

    /// At that time there is no answer of a pod that was asked a second before, and a decision is made.
    pub(crate) fn hangs(&mut self, tenth: u64, name: &str) {
        self.at(tenth);
        let now = self.cluster.world.now;
        self.hear(
            name,
            Is::Bad,
            now,
            now.moment.saturating_sub(Duration::from_secs(1)),
        );
        self.cluster.decide();
    }

    pub(crate) fn decide_at(&mut self, tenth: u64) {
        self.at(tenth);
        self.cluster.decide();
    }

    pub(crate) fn taken(&self) -> Vec<&str> {
        self.cluster.taken()
    }

    /// The agent is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.cluster.world.restart();
        self.cluster.judge = Judge::default();
        self.cluster.judge.set_policies(&self.cluster.world.file);
        self.cluster.watch();
    }
}
