//! A round: one thing happens, to pods, by people, to an agent or to the API server, and a short time passes.

use std::time::Duration;

use fastrand::Rng;
use kube::api::DeleteParams;
use serde_json::json;
use test_cluster::Component;

use crate::{agents::Agents, register::Seen, scene::Scene, watcher::Watcher};

const QUARANTINE: &str = "pod-quarantine.io/quarantine";
const RELEASE: &str = "pod-quarantine.io/release";
const HOLD: &str = "pod-quarantine.io/hold";
const EXEMPT: &str = "pod-quarantine.io/exempt";

/// Longest wait after an event, in milliseconds.
const WAIT: u64 = 1_200;

/// After people have asked for all pods, so much is done in any case.
const ALL_TAKE: u64 = 3_000;

/// Longer than any request of people or of this may take; one is not answered while the API server is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// People ask for the quarantine of some pods.
    Ask,
    /// They ask for all: the limits stand in the way.
    AskForAll,
    /// They ask no more, for some pods or all.
    Withdraw,
    /// They want some back.
    Release,
    /// They hold one, or end the hold.
    Hold,
    /// They exempt one, or do not any more.
    Exempt,
    /// They change a label of one that is quarantined.
    Relabel,
    /// They delete one.
    Delete,
    /// A pod that serves answers 500.
    Sicken,
    /// It answers as it should.
    Heal,
    /// An agent is killed.
    Kill,
    /// An agent hangs for a while.
    Stop,
    /// The API server is killed, or ended, and started again.
    RestartApiServer,
}

/// How often what happens in a hundred rounds: whatever the seed, each does.
const OFTEN: [(Event, usize); 13] = [
    (Event::Ask, 27),
    (Event::AskForAll, 3),
    (Event::Withdraw, 9),
    (Event::Release, 12),
    (Event::Hold, 4),
    (Event::Exempt, 5),
    (Event::Relabel, 6),
    (Event::Delete, 5),
    (Event::Sicken, 12),
    (Event::Heal, 6),
    (Event::Kill, 5),
    (Event::Stop, 4),
    (Event::RestartApiServer, 2),
];

/// The events of so many rounds.
pub(crate) fn events(rounds: usize, rng: &mut Rng) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < rounds {
        let each = OFTEN.into_iter();
        let mut hundred: Vec<Event> = each
            .flat_map(|(event, often)| std::iter::repeat_n(event, often))
            .collect();
        rng.shuffle(&mut hundred);
        events.extend(hundred);
    }
    events.truncate(rounds);
    events
}

/// A pod, to have something done to it.
struct Target {
    uid: String,
    seen: Seen,
}

/// One round, with chances of its own: what one finds to do has no bearing on the next one.
pub(crate) struct Round<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) watcher: &'a Watcher,
    pub(crate) agents: &'a mut Agents,
    pub(crate) rng: Rng,
}

impl Round<'_> {
    pub(crate) async fn play(mut self, event: Event) -> anyhow::Result<()> {
        self.agents.tend(self.scene).await;
        match event {
            Event::Kill => self.agents.kill(&mut self.rng).await?,
            Event::Stop => self.agents.stop(&mut self.rng)?,
            Event::RestartApiServer => self.restart_api_server().await?,
            // A pod may be gone by now, or has not begun to serve.
            event => drop(tokio::time::timeout(PATIENCE, self.befall_pods(event)).await),
        }
        let least = if event == Event::AskForAll {
            ALL_TAKE
        } else {
            0
        };
        let wait = least + self.rng.u64(0..WAIT);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(())
    }

    async fn befall_pods(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Ask => {
                // Of one workload: the agent takes those first that come first in the alphabet.
                let chosen = self.some(1, |pod| !pod.is_marked()).pop();
                let app = |pod: &Seen| (pod.namespace.clone(), pod.labels.get("app").cloned());
                let chosen = chosen.map(|pod| app(&pod.seen));
                let alike = |pod: &Seen| !pod.is_marked() && chosen == Some(app(pod));
                for pod in self.some(4, alike) {
                    self.annotate(&pod, QUARANTINE, Some("by chance")).await?;
                }
            }
            Event::AskForAll => {
                for pod in self.all(|pod| !pod.is_marked()) {
                    self.annotate(&pod, QUARANTINE, Some("by chance")).await?;
                }
            }
            Event::Withdraw => {
                for pod in self.some(usize::MAX, |pod| has(pod, QUARANTINE)) {
                    self.annotate(&pod, QUARANTINE, None).await?;
                }
            }
            Event::Release => {
                for pod in self.some(2, Seen::is_marked) {
                    let how = if self.rng.u8(0..4) == 0 {
                        "true"
                    } else {
                        "force"
                    };
                    self.annotate(&pod, RELEASE, Some(how)).await?;
                }
            }
            Event::Hold => {
                for pod in self.some(1, Seen::is_marked) {
                    let held = has(&pod.seen, HOLD);
                    self.annotate(&pod, HOLD, (!held).then_some("true")).await?;
                }
            }
            Event::Exempt => {
                let exempt = self.rng.bool();
                for pod in self.some(1, |pod| has(pod, EXEMPT) != exempt) {
                    self.annotate(&pod, EXEMPT, exempt.then_some("true"))
                        .await?;
                }
            }
            Event::Relabel => {
                for pod in self.some(1, Seen::is_marked) {
                    self.relabel(&pod).await?;
                }
            }
            Event::Delete => {
                for pod in self.some(1, |_| true) {
                    self.watcher
                        .register(|register| register.is_deleted_by_people(&pod.uid));
                    let pods = self.scene.stage.pods(&pod.seen.namespace);
                    let at_once = DeleteParams::default().grace_period(0);
                    pods.delete(&pod.seen.name, &at_once).await?;
                }
            }
            Event::Sicken | Event::Heal => {
                let behaviour = if event == Event::Sicken { "500" } else { "ok" };
                let web = self.scene.web_namespace().to_owned();
                let of_web = |pod: &Seen| {
                    pod.namespace == web && pod.labels.get("app").is_some_and(|app| app == "web")
                };
                for pod in self.some(1, of_web) {
                    self.scene.web.switch(&pod.seen.name, behaviour).await?;
                }
            }
            Event::Kill | Event::Stop | Event::RestartApiServer => {}
        }
        Ok(())
    }

    /// A label that the agent has nothing to do with, or one that it edits.
    async fn relabel(&mut self, pod: &Target) -> anyhow::Result<()> {
        let key = if self.rng.bool() { "shift" } else { "enabled" };
        self.watcher
            .register(|register| register.label_is_changed_by_people(&pod.uid, key));
        let patch = json!({ "metadata": { "labels": { key: "by-hand" } } });
        let pods = self.scene.stage.pods(&pod.seen.namespace);
        let merge = kube::api::Patch::Merge(&patch);
        pods.patch(&pod.seen.name, &kube::api::PatchParams::default(), &merge)
            .await?;
        Ok(())
    }

    async fn annotate(&self, pod: &Target, key: &str, value: Option<&str>) -> anyhow::Result<()> {
        let (stage, seen) = (&self.scene.stage, &pod.seen);
        stage
            .annotate(&seen.namespace, &seen.name, key, value)
            .await
            .map(drop)
    }

    /// At most so many pods of the scene that are like that.
    fn some(&mut self, most: usize, like: impl Fn(&Seen) -> bool) -> Vec<Target> {
        let mut found = self.all(like);
        self.rng.shuffle(&mut found);
        found.truncate(self.rng.usize(1..=most.min(found.len().max(1))));
        found
    }

    /// All pods of the scene that are like that.
    fn all(&self, like: impl Fn(&Seen) -> bool) -> Vec<Target> {
        self.watcher.register(|register| {
            let pods = register.pods().iter();
            let alike = pods.filter(|(_, pod)| self.scene.has(pod) && like(pod));
            let target = |(uid, seen): (&String, &Seen)| Target {
                uid: uid.clone(),
                seen: seen.clone(),
            };
            alike.map(target).collect()
        })
    }

    async fn restart_api_server(&mut self) -> anyhow::Result<()> {
        let cluster = &self.scene.stage.cluster;
        let api_server = cluster.component(Component::ApiServer)?;
        if self.rng.u8(0..3) == 0 {
            api_server.stop().await?;
        } else {
            api_server.kill().await?;
        }
        api_server.start().await?;
        // These two bring new pods; left alone, they wait ever longer before they look again.
        for follower in [Component::ControllerManager, Component::Kubelet] {
            cluster.component(follower)?.restart().await?;
        }
        Ok(())
    }
}

fn has(pod: &Seen, key: &str) -> bool {
    pod.annotations.contains_key(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_happens_in_a_hundred_rounds_and_a_seed_gives_them_again() {
        let hundred = events(100, &mut Rng::with_seed(1));
        assert!(OFTEN.iter().all(|(event, _)| hundred.contains(event)));
        assert_eq!(hundred.len(), 100);
        assert_eq!(events(130, &mut Rng::with_seed(1))[..100], hundred);
        assert_ne!(events(100, &mut Rng::with_seed(2)), hundred);
    }
}
