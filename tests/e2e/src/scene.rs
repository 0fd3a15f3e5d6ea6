//! What most tests begin with: the Deployment `web` and an agent that watches its namespace, and what they ask of both.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use pod_quarantine::core::{keys, record::Record};
use test_cluster::{TestNamespace, wait};

use crate::{Agent, Labels, Stage, Web, stage::SOON};

/// What stands for the scene's own namespace in a policy file.
const NAMESPACE: &str = "$NAMESPACE";

/// A policy file that probes `web` every second.
///
/// The mode of the file itself is `observe`: the agents of other tests leave pods alone that their policies do not
/// select, also those that are to be quarantined manually.
pub const PROBE: &str = "
mode: observe
limits:
  cluster: { max: 1000, perHour: 10000 }
  namespace: { max: 20 }
  workload: { max: 2, minReady: 0% }
  storm: { workload: 100%, node: 100%, zone: 100%, cluster: 100% }
ttl: 1h
policies:
  - name: web
    pods: { matchLabels: { team: shop } }
    namespaces: { matchLabels: { kubernetes.io/metadata.name: $NAMESPACE } }
    mode: enforce
    probe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 2
";

/// A policy file with pieces replaced.
///
/// # Panics
/// Where a piece is not there: the test would not test what it says.
#[must_use]
pub fn changed(policy: &str, pieces: &[(&str, &str)]) -> String {
    let mut policy = policy.to_owned();
    for (from, to) in pieces {
        assert!(policy.contains(from), "`{from}` is not in {policy}");
        policy = policy.replace(from, to);
    }
    policy
}

/// A Deployment `web` and an agent that watches it.
pub struct Scene {
    /// The cluster.
    pub stage: Stage,
    /// The Deployment.
    pub web: Web,
    /// The agent.
    pub agent: Agent,
    /// The names of the pods that it begins with.
    pub pods: Vec<String>,
    namespace: TestNamespace,
}

impl Scene {
    /// Sets it on the cluster that is shared with other tests.
    pub async fn set(
        hint: &str,
        replicas: u32,
        labels: Labels,
        policy: &str,
    ) -> anyhow::Result<Self> {
        Self::set_on(Stage::open().await?, hint, replicas, labels, policy).await
    }

    /// Sets it on that cluster.
    pub async fn set_on(
        stage: Stage,
        hint: &str,
        replicas: u32,
        labels: Labels,
        policy: &str,
    ) -> anyhow::Result<Self> {
        let namespace = stage.namespace(hint).await?;
        let policy = policy.replace(NAMESPACE, namespace.name());
        let (web, agent) = tokio::try_join!(
            stage.web(namespace.name(), replicas, labels),
            stage.agent(hint, &policy)
        )?;
        let pods = web.serving().await?;
        Ok(Self {
            stage,
            web,
            agent,
            pods,
            namespace,
        })
    }

    /// Takes everything away.
    pub async fn clear(self) -> anyhow::Result<()> {
        tokio::try_join!(self.agent.uninstall(), self.namespace.delete()).map(drop)
    }

    /// The namespace of `web`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Applies manifests in which `$NAMESPACE` stands for the namespace.
    pub async fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        let yaml = yaml.replace(NAMESPACE, self.namespace());
        self.stage.cluster.apply_yaml(&yaml).await.map(drop)
    }

    /// Applies objects in which `$NAMESPACE` stands for the namespace.
    pub async fn apply_all(&self, objects: &[serde_json::Value]) -> anyhow::Result<()> {
        let documents: Vec<String> = objects.iter().map(ToString::to_string).collect();
        self.apply(&documents.join("\n---\n")).await
    }

    /// Waits until so many pods with that label are Ready and not quarantined; gives their names.
    pub async fn ready(&self, label: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let labelled = kube::api::ListParams::default().labels(label);
        self.until(&format!("{count} Ready pods with {label}"), async || {
            let pods = self.stage.pods(self.namespace()).list(&labelled).await?;
            let ready = pods.items.iter().filter(|pod| is_ready(pod));
            let names: Vec<String> = ready.map(kube::ResourceExt::name_any).collect();
            ensure!(names.len() == count, "{names:?}");
            Ok(names)
        })
        .await
    }

    /// Waits until a pod carries the state label; gives it, owned or not.
    pub async fn labelled(&self, pod: &str) -> anyhow::Result<Pod> {
        self.until(&format!("{pod} carries the state label"), async || {
            let now = self.web.pod(pod).await?;
            let labels = now.metadata.labels.clone().unwrap_or_default();
            ensure!(labels.contains_key(keys::STATE), "{labels:?}");
            Ok(now)
        })
        .await
    }

    /// Waits until the slices of a Service have exactly these pods, Ready or not.
    pub async fn slices(&self, service: &str, pods: &[&str]) -> anyhow::Result<()> {
        let wanted = pods.iter().map(ToString::to_string).collect();
        self.until(&format!("{service} has {pods:?}"), async || {
            let endpoints = self.stage.endpoints(self.namespace(), service, false);
            let endpoints = endpoints.await?;
            ensure!(endpoints == wanted, "{endpoints:?}");
            Ok(())
        })
        .await
    }

    /// Writes an annotation on a pod, or takes it off.
    pub async fn annotate(&self, pod: &str, key: &str, value: Option<&str>) -> anyhow::Result<Pod> {
        self.stage.annotate(self.namespace(), pod, key, value).await
    }

    /// Waits for an Event about a pod with all these texts.
    pub async fn event(&self, pod: &str, texts: &[&str]) -> anyhow::Result<String> {
        self.stage.event(self.namespace(), pod, texts).await
    }

    /// Waits until every pod has been seen good twice.
    pub async fn seen_good(&self) -> anyhow::Result<()> {
        let enough = 2.0 * f64::from(u32::try_from(self.pods.len())?);
        self.samples("good", enough).await
    }

    /// Waits for so many more samples of a result.
    pub async fn samples(&self, result: &str, more: f64) -> anyhow::Result<()> {
        let labels = [("result", result)];
        let before = self.agent.sum("signal_samples_total", &labels).await?;
        self.until(&format!("{more} more {result} samples"), async || {
            let now = self.agent.sum("signal_samples_total", &labels).await?;
            ensure!(now >= before + more, "{before}, then {now}");
            Ok(())
        })
        .await
    }

    /// Waits until a metric's series with these labels add up to a value; `/metrics` shows the state of the last tick.
    pub async fn metric_is(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> anyhow::Result<()> {
        self.until(&format!("{name}{labels:?} is {value}"), async || {
            let series = self.agent.metric(name).await?;
            // A gauge of no pods has no series.
            ensure!(
                value == 0.0 || !series.is_empty(),
                "there is no such series"
            );
            let now = self.agent.sum(name, labels).await?;
            ensure!((now - value).abs() < 0.01, "{now}");
            Ok(())
        })
        .await
    }

    /// Looks again and again, for as long as anything may take that should happen at once.
    pub async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        wait::until(what, SOON, look).await
    }

    /// Requests a manual quarantine and waits until the pod is quarantined.
    pub async fn quarantine_manually(&self, pod: &str) -> anyhow::Result<Pod> {
        self.annotate(pod, keys::QUARANTINE, Some("to be looked into"))
            .await?;
        self.web.quarantined(pod).await
    }

    /// The same for several pods at once.
    pub async fn quarantine_all_manually(&self, pods: &[String]) -> anyhow::Result<()> {
        for pod in pods {
            self.annotate(pod, keys::QUARANTINE, Some("to be looked into"))
                .await?;
        }
        for pod in pods {
            self.web.quarantined(pod).await?;
        }
        Ok(())
    }

    /// Waits for the refusal of a pod: Event and metric; the pod is as it was.
    pub async fn refused(&self, pod: &str, reason: &str, texts: &[&str]) -> anyhow::Result<()> {
        // Agents see what is asked of the pods of other tests, and refuse that as `by-hand`.
        let reasons = [("policy", "web"), ("reason", reason)];
        self.until(&format!("a refusal for {reason}"), async || {
            let refusals = self.agent.sum("refusals_total", &reasons).await?;
            ensure!(refusals >= 1.0, "{refusals}");
            Ok(())
        })
        .await?;
        let texts = [&["QuarantineRefused"], texts].concat();
        self.event(pod, &texts).await?;
        self.untouched(pod).await
    }

    /// Sees that a pod has nothing of the agent's on it and belongs to its controller.
    pub async fn untouched(&self, pod: &str) -> anyhow::Result<()> {
        let now = self.web.pod(pod).await?.metadata;
        let labels = now.labels.unwrap_or_default();
        ensure!(!labels.contains_key(keys::STATE), "{pod}: {labels:?}");
        ensure!(
            !now.annotations
                .unwrap_or_default()
                .contains_key(keys::RECORD),
            "{pod} carries a record"
        );
        ensure!(now.owner_references.is_some(), "{pod} is owned by nobody");
        Ok(())
    }

    /// All of a pod that an agent could change: its labels, annotations, owners and finalizers, and who ever wrote what
    /// but its status, which the kubelet writes when it likes.
    pub async fn marks(&self, pod: &str) -> anyhow::Result<serde_json::Value> {
        let mut meta = self.web.pod(pod).await?.metadata;
        let writers = meta.managed_fields.take().unwrap_or_default().into_iter();
        let writers: Vec<_> = writers
            .filter(|writer| writer.subresource.is_none())
            .collect();
        meta.resource_version = None;
        Ok(serde_json::json!({ "metadata": meta, "writers": writers }))
    }

    /// Waits until a pod is deleted, or on its way.
    pub async fn reaped(&self, pod: &str) -> anyhow::Result<()> {
        self.until(&format!("{pod} is reaped"), async || {
            let there = self.stage.pods(self.namespace()).get_opt(pod).await?;
            let staying = there.filter(|pod| pod.metadata.deletion_timestamp.is_none());
            ensure!(staying.is_none(), "it is there");
            Ok(())
        })
        .await
    }

    /// Waits until a pod is back: without the state label, owned, and in the slice.
    pub async fn back(&self, pod: &str) -> anyhow::Result<Pod> {
        self.until(&format!("{pod} is back"), async || {
            let now = self.web.pod(pod).await?;
            let labels = now.metadata.labels.clone().unwrap_or_default();
            ensure!(!labels.contains_key(keys::STATE), "{labels:?}");
            ensure!(now.metadata.owner_references.is_some(), "it is not owned");
            ensure!(
                self.web.serving().await?.iter().any(|name| name == pod),
                "it is in no slice"
            );
            Ok(now)
        })
        .await
    }

    /// The mode annotation of the namespace.
    pub async fn namespace_mode(&self, mode: Option<&str>) -> anyhow::Result<()> {
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(self.stage.client.clone());
        let patch = serde_json::json!({ "metadata": { "annotations": { keys::MODE: mode } } });
        namespaces
            .patch(
                self.namespace(),
                &kube::api::PatchParams::default(),
                &kube::api::Patch::Merge(&patch),
            )
            .await?;
        Ok(())
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    pod.metadata.deletion_timestamp.is_none()
        && !kube::ResourceExt::labels(pod).contains_key(keys::STATE)
        && conditions.any(|one| one.type_ == "Ready" && one.status == "True")
}

/// What stands in the record of a pod.
pub fn record(pod: &Pod) -> anyhow::Result<Record> {
    let annotations = pod.metadata.annotations.as_ref();
    let text = annotations
        .and_then(|annotations| annotations.get(keys::RECORD))
        .context("the pod carries no record")?;
    Ok(serde_json::from_str(text)?)
}
