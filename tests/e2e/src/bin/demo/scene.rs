//! What the story is played on: a Deployment of four behind a Service with traffic on it, and the agent.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use test_cluster::{TestNamespace, wait};
use test_e2e::{Agent, Labels, Stage, Web};

use crate::{lookout::Lookout, pulse::Pulse, timeline::Timeline};

/// Pods of the Deployment.
pub(crate) const REPLICAS: u32 = 4;

/// How many pods of the namespace may be quarantined at once.
pub(crate) const NAMESPACE_MAX: u32 = 2;

/// The policy that probes.
pub(crate) const PROBE_POLICY: &str = "web-does-not-answer";

/// The policy that asks Prometheus.
pub(crate) const QUERY_POLICY: &str = "web-5xx";

/// The name of namespaces begins so; the agent's with `agent-` before it.
pub(crate) const HINT: &str = "demo";

/// Everything that is there when the first chapter begins.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) namespace: TestNamespace,
    pub(crate) web: Web,
    pub(crate) agent: Agent,
    pub(crate) lookout: Lookout,
    pub(crate) pulse: Pulse,
    pub(crate) prometheus: Option<String>,
}

impl Scene {
    /// Sets it.
    pub(crate) async fn set(timeline: &mut Timeline, stage: &Stage) -> anyhow::Result<Self> {
        timeline.chapter("The scene is set");
        timeline.cause(Timestamp::now(), "a namespace, and in it:");
        let namespace = stage.namespace(HINT).await?;
        let lookout = Lookout::begin(&stage.client, namespace.name());

        timeline.awaiting("the Deployment");
        let web = stage
            .web(namespace.name(), REPLICAS, Labels::NoToggle)
            .await?;
        timeline.came_true(
            Timestamp::now(),
            &format!(
                "Deployment web: {REPLICAS} pods Ready behind Service web, in namespace {}",
                namespace.name()
            ),
        );

        timeline.awaiting("traffic");
        let traffic = stage.traffic(namespace.name(), false).await?;
        let pulse = Pulse::begin(Arc::new(traffic));
        let recovered = pulse.recovered(Timestamp::now()).await?;
        timeline.came_true(
            recovered.at,
            &format!(
                "traffic on the Service, each request on a fresh connection: {} in two seconds, all 200",
                recovered.after.all
            ),
        );

        timeline.awaiting("the agent");
        let prometheus = prometheus(stage).await?;
        let policy = policy(namespace.name(), prometheus.as_deref());
        let agent = stage.agent(HINT, &policy).await?;
        timeline.came_true(
            Timestamp::now(),
            &format!(
                "pod-quarantine from deploy/base, Ready in namespace {}; at most {NAMESPACE_MAX} pods of a namespace at once",
                agent.namespace()
            ),
        );
        let scene = Self {
            stage: stage.clone(),
            namespace,
            web,
            agent,
            lookout,
            pulse,
            prometheus,
        };
        scene.sees_good_pods(timeline).await?;
        Ok(scene)
    }

    /// Without contrast nothing is quarantined: every signal must have said `good` of every pod.
    async fn sees_good_pods(&self, timeline: &Timeline) -> anyhow::Result<()> {
        let query = self.prometheus.as_ref().map(|_| QUERY_POLICY);
        for policy in [Some(PROBE_POLICY), query].into_iter().flatten() {
            let what = format!("policy {policy} finds every pod good");
            timeline.awaiting(&what);
            wait::until(&what, Duration::from_mins(1), async || {
                let wanted = f64::from(REPLICAS) * 2.0;
                let of_policy = [("policy", policy), ("result", "good")];
                let good = self.agent.sum("signal_samples_total", &of_policy).await?;
                ensure!(good >= wanted, "{good} good samples");
                Ok(())
            })
            .await?;
            timeline.came_true(Timestamp::now(), &what);
        }
        Ok(())
    }

    /// Runs kubectl on the pods of the story as a user would type it; gives what it printed.
    pub(crate) async fn kubectl(
        &self,
        timeline: &Timeline,
        arguments: &[&str],
    ) -> anyhow::Result<String> {
        let arguments = [&["-n", self.namespace.name()], arguments].concat();
        let typed = format!("kubectl {}", typed(&arguments));
        timeline.command(&typed);
        let output = self.stage.cluster.kubectl(&arguments).await?;
        ensure!(
            output.status.success(),
            "`{typed}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).with_context(|| format!("read what `{typed}` printed"))
    }

    /// Writes an annotation on a pod; gives the time of it.
    pub(crate) async fn annotate(
        &self,
        timeline: &Timeline,
        pod: &str,
        key: &str,
        value: &str,
    ) -> anyhow::Result<Timestamp> {
        let annotation = format!("{key}={value}");
        let at = Timestamp::now();
        self.kubectl(timeline, &["annotate", "pod", pod, &annotation])
            .await?;
        Ok(at)
    }
}

/// As it is typed in a shell.
fn typed(arguments: &[&str]) -> String {
    let plain = |argument: &&str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
        argument.chars().all(known)
    };
    let quoted = arguments.iter().map(|argument| {
        if plain(argument) {
            (*argument).to_owned()
        } else {
            format!("'{argument}'")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Where Prometheus is, for pods: the one that the user names, or our own cluster's, by its address.
async fn prometheus(stage: &Stage) -> anyhow::Result<Option<String>> {
    if let Ok(named) = std::env::var("PROMETHEUS_URL") {
        return Ok(Some(named));
    }
    if !stage.cluster.is_own() {
        return Ok(None);
    }
    let address = stage.address("monitoring", "prometheus").await?;
    Ok(Some(format!("http://{address}:9090")))
}

/// The policy file: short times, so that the story is short. By itself it observes, so that the annotations of people
/// elsewhere in the cluster are left to others.
fn policy(namespace: &str, prometheus: Option<&str>) -> String {
    let selects = format!(
        "    mode: enforce
    pods: {{ matchLabels: {{ team: shop }} }}
    namespaces: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}"
    );
    let probe = format!(
        "limits:
  cluster: {{ max: 100, perHour: 1000 }}
  namespace: {{ max: {NAMESPACE_MAX} }}
  workload: {{ max: 3 }}
  storm: {{ workload: 100%, node: 100%, zone: 100%, cluster: 100% }}
ttl: 1h
policies:
  - name: {PROBE_POLICY}
{selects}
    probe:
      httpGet: {{ path: /healthz, port: http }}
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
"
    );
    let Some(url) = prometheus else {
        return probe;
    };
    format!(
        "prometheus: {{ url: \"{url}\" }}
{probe}
  - name: {QUERY_POLICY}
{selects}
    prometheus:
      query: |
        (  sum by (namespace, pod) (rate(http_requests_total{{code=~\"5..\"}}[10s]))
        or 0 * sum by (namespace, pod) (rate(http_requests_total[10s])) )
        /  sum by (namespace, pod) (rate(http_requests_total[10s]))
      above: 0.05
      interval: 2s
      for: 4s
"
    )
}
