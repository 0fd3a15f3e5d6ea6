//! The time from a pod's third bad answer until it is out of its Service's EndpointSlice, with the agent, compared with the
//! same change of its labels by a bare PATCH: `make bench-reaction`.
//!
//! Both are measured in turn in one run, on pods of one Deployment, by one watch and one clock. The first time begins when
//! the pod writes its third bad answer, as it reports itself; the second when the request is sent. Every round is a first
//! one: its pods are deleted and their slot is freed before the next, so that the agent sends a dry run every time.

mod figures;
mod slice;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use test_cluster::{TestNamespace, wait};
use test_e2e::{Agent, Labels, Stage, Web};
use test_workload::answered::Answered;

use crate::figures::{Figures, milliseconds};
use crate::slice::Slices;

/// Rounds to measure, unless the command line says otherwise.
const ROUNDS: usize = 32;

/// The agent's threshold, as in the policy below.
const THRESHOLD: usize = 3;

/// Enough that two fewer still serve.
const REPLICAS: u32 = 4;

/// From the last request of a round to the change: the time of [`THRESHOLD`] probes.
const QUIET: Duration = Duration::from_secs(THRESHOLD as u64);

/// How long a replacement may take to start and to be probed.
const REPLACED: Duration = Duration::from_mins(1);

/// Far from every limit: a refusal would be measured as a long time.
const POLICY: &str = r"
mode: enforce
limits:
  cluster: { max: 1000, perHour: 10000 }
  namespace: { max: 1000 }
  workload: { max: 2, minReady: 0% }
  pacing: { retries: 100 }
  storm: { workload: 100%, cluster: 100% }
ttl: 1h
policies:
  - name: bench
    pods: { matchLabels: { team: shop } }
    namespaces: { matchLabels: { kubernetes.io/metadata.name: @NAMESPACE@ } }
    probe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("read the number of rounds")?,
        None => ROUNDS,
    };
    let stage = Stage::open().await?;
    let namespace = stage.namespace("bench-reaction").await?;
    let web = stage
        .web(namespace.name(), REPLICAS, Labels::NoToggle)
        .await?;
    let policy = POLICY.replace("@NAMESPACE@", namespace.name());
    let agent = stage.agent("bench-reaction", &policy).await?;
    let bench = Bench {
        slices: Slices::watch(stage.client.clone(), namespace.name()),
        stage,
        namespace,
        web,
        agent,
    };
    bench.run(rounds).await?;
    bench.agent.uninstall().await?;
    bench.namespace.delete().await
}

struct Bench {
    stage: Stage,
    namespace: TestNamespace,
    web: Web,
    agent: Agent,
    slices: Slices,
}

impl Bench {
    async fn run(&self, rounds: usize) -> anyhow::Result<()> {
        let (mut by_agent, mut by_patch) = (Vec::new(), Vec::new());
        // The first round opens connections and fills caches for both.
        for round in 0..=rounds {
            let [one, other] = self.two_pods().await?;
            // The order alternates, and the second does not begin while a replacement starts.
            let (agent, patch) = if round % 2 == 0 {
                let agent = self.by_agent(&one).await?;
                self.all_ready().await?;
                (agent, self.by_patch(&other).await?)
            } else {
                let patch = self.by_patch(&other).await?;
                self.all_ready().await?;
                (self.by_agent(&one).await?, patch)
            };
            println!(
                "round {round:>2}  agent {:>9}  bare PATCH {:>9}{}",
                milliseconds(agent),
                milliseconds(patch),
                if round == 0 { "  not counted" } else { "" }
            );
            if round > 0 {
                by_agent.push(agent);
                by_patch.push(patch);
            }
            self.clean_up(&[one, other]).await?;
        }
        let (by_agent, by_patch) = (Figures::of(by_agent), Figures::of(by_patch));
        for (name, figures) in [("agent", &by_agent), ("bare PATCH", &by_patch)] {
            println!(
                "{name:<11} median {:>9}  p95 {:>9}  of {rounds} rounds",
                milliseconds(figures.median()),
                milliseconds(figures.percentile(95))
            );
        }
        let ratio = by_agent.median().as_secs_f64() / by_patch.median().as_secs_f64();
        println!("ratio {ratio:.2}");
        Ok(())
    }

    /// Two pods that serve and that the agent has found good more than once.
    async fn two_pods(&self) -> anyhow::Result<[String; 2]> {
        self.all_ready().await?;
        let mut pods = self.web.serving().await?;
        pods.truncate(2);
        let two: [String; 2] = pods.try_into().ok().context("two pods")?;
        for pod in &two {
            wait::until(format_args!("{pod} is probed"), REPLACED, async || {
                let good = self.answers(pod).await?;
                let good = good.iter().filter(|answer| answer.status == 200).count();
                ensure!(good >= THRESHOLD, "{good} good answers");
                Ok(())
            })
            .await?;
        }
        Ok(two)
    }

    async fn all_ready(&self) -> anyhow::Result<()> {
        let count = usize::try_from(REPLICAS)?;
        let namespace = self.namespace.name();
        let ready = self.stage.ready_endpoints(namespace, "web", count);
        ready.await.map(drop)
    }

    async fn answers(&self, pod: &str) -> anyhow::Result<Vec<Answered>> {
        Ok(serde_json::from_str(&self.web.ask(pod, "/answers").await?)?)
    }

    async fn by_agent(&self, pod: &str) -> anyhow::Result<Duration> {
        self.web.switch(pod, "500").await?;
        let left = self.slices.left(pod).await?;
        let answers = self.answers(pod).await?;
        let third = answers
            .iter()
            .filter(|answer| answer.status == 500)
            .nth(THRESHOLD - 1)
            .context("it left before its third bad answer")?;
        between(third.at, left)
    }

    /// The same change by a client that does nothing else, as long after the previous request: a server that was asked
    /// just before answers sooner.
    async fn by_patch(&self, pod: &str) -> anyhow::Result<Duration> {
        let pods = self.stage.pods(self.namespace.name());
        let patch = json!({ "metadata": { "labels": { "app": "quarantined" } } });
        tokio::time::sleep(QUIET).await;
        let begun = Timestamp::now();
        pods.patch(pod, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        between(begun, self.slices.left(pod).await?)
    }

    /// Deletes both and waits until the agent has freed the slot, so that the next round starts like this one.
    async fn clean_up(&self, pods: &[String]) -> anyhow::Result<()> {
        let api = self.stage.pods(self.namespace.name());
        for pod in pods {
            api.delete(pod, &DeleteParams::default().grace_period(0))
                .await?;
        }
        wait::until("the slot is free again", REPLACED, async || {
            let slots = self.agent.slots().await?;
            ensure!(slots.is_empty(), "{} slots are taken", slots.len());
            Ok(())
        })
        .await
    }
}

fn between(begun: Timestamp, ended: Timestamp) -> anyhow::Result<Duration> {
    Duration::try_from(begun.until(ended)?).context("it ended before it began")
}
