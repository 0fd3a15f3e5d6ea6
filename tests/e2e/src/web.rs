//! A Deployment whose pods can be made to fail, and traffic on its Service.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use test_cluster::wait;
use test_workload::counts::Counts;

use crate::{Stage, images, proxy, stage::SOON};

/// The port that the pods are switched at, and that the client counts at.
pub(crate) const CONTROL: u16 = 8081;

/// Which labels the selectors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// `app`, in both the Deployment's and the Service's.
    NoToggle,
    /// `app` and the toggle `enabled: "true"`, in both.
    ToggleInBoth,
    /// `app` in both, the toggle `enabled: "true"` in the Service's alone.
    ToggleInService,
}

/// A Deployment `web` behind the Service `web`.
pub struct Web {
    stage: Stage,
    namespace: String,
}

impl Web {
    pub(crate) async fn start(
        stage: &Stage,
        namespace: &str,
        replicas: u32,
        labels: Labels,
    ) -> anyhow::Result<Self> {
        stage
            .cluster
            .apply_yaml(&manifests(namespace, replicas, labels))
            .await
            .context("apply the web Deployment")?;
        let web = Self {
            stage: stage.clone(),
            namespace: namespace.to_owned(),
        };
        let count = usize::try_from(replicas)?;
        stage.ready_endpoints(namespace, "web", count).await?;
        Ok(web)
    }

    /// Its pods in the order of their names: those with its label `team`, which nothing takes off. Terminating ones not.
    pub async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let of_web = ListParams::default().labels("team=shop");
        let mut pods = self.stage.pods(&self.namespace).list(&of_web).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The names of its pods that a Service sends traffic to now.
    pub async fn serving(&self) -> anyhow::Result<Vec<String>> {
        Ok(self
            .stage
            .endpoints(&self.namespace, "web", true)
            .await?
            .into_iter()
            .collect())
    }

    /// Switches the behaviour of a pod, see the workload: a word such as `500`, or JSON.
    pub async fn switch(&self, pod: &str, behaviour: &str) -> anyhow::Result<()> {
        self.stage.switch(&self.namespace, pod, behaviour).await
    }

    /// What a pod answers on its control port.
    pub async fn ask(&self, pod: &str, path: &str) -> anyhow::Result<String> {
        proxy::get(&self.stage.client, &self.namespace, pod, CONTROL, path).await
    }

    /// The pod as it is now.
    pub async fn pod(&self, name: &str) -> anyhow::Result<Pod> {
        self.stage
            .pods(&self.namespace)
            .get(name)
            .await
            .with_context(|| format!("get pod {name}"))
    }

    /// Waits until a pod carries the state label, is in no slice and owned by nobody; gives it.
    pub async fn quarantined(&self, name: &str) -> anyhow::Result<Pod> {
        wait::until(format_args!("{name} is quarantined"), SOON, async || {
            let pod = self.pod(name).await?;
            let labels = pod.metadata.labels.clone().unwrap_or_default();
            ensure!(
                labels.contains_key(pod_quarantine::core::keys::STATE),
                "labels {labels:?}"
            );
            ensure!(pod.metadata.owner_references.is_none(), "it is owned");
            let endpoints = self.stage.endpoints(&self.namespace, "web", false).await?;
            ensure!(!endpoints.contains(name), "it is in a slice");
            Ok(pod)
        })
        .await
    }

    /// The names of the quarantined pods.
    pub async fn all_quarantined(&self) -> anyhow::Result<Vec<String>> {
        let quarantined = ListParams::default().labels(pod_quarantine::core::keys::STATE);
        let pods = self
            .stage
            .pods(&self.namespace)
            .list(&quarantined)
            .await?
            .items;
        Ok(pods
            .into_iter()
            .filter_map(|pod| pod.metadata.name)
            .collect())
    }

    /// Changes the Deployment by a merge patch.
    pub async fn patch(&self, patch: serde_json::Value) -> anyhow::Result<()> {
        let deployments: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
            kube::Api::namespaced(self.stage.client.clone(), &self.namespace);
        deployments
            .patch("web", &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }
}

fn manifests(namespace: &str, replicas: u32, labels: Labels) -> String {
    let toggle = r#", enabled: "true""#;
    let (in_deployment, in_service, on_pods) = match labels {
        Labels::NoToggle => ("", "", ""),
        Labels::ToggleInBoth => (toggle, toggle, toggle),
        Labels::ToggleInService => ("", toggle, toggle),
    };
    let image = images::WORKLOAD;
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: {namespace} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: web{in_deployment} }} }}
  template:
    metadata:
      labels: {{ app: web, team: shop{on_pods} }}
      annotations: {{ prometheus.io/scrape: "true", prometheus.io/port: "8080" }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: {image}
          args: [serve]
          env:
            - {{ name: POD_NAME, valueFrom: {{ fieldRef: {{ fieldPath: metadata.name }} }} }}
          ports:
            - {{ name: http, containerPort: 8080 }}
            - {{ name: control, containerPort: 8081 }}
          readinessProbe:
            httpGet: {{ path: /readyz, port: http }}
            periodSeconds: 1
---
apiVersion: v1
kind: Service
metadata: {{ name: web, namespace: {namespace} }}
spec:
  selector: {{ app: web{in_service} }}
  ports: [{{ name: http, port: 80, targetPort: http }}]
"#
    )
}

/// A pod that puts traffic on the Service `web` and counts what comes back.
pub struct Traffic {
    stage: Stage,
    namespace: String,
}

impl Traffic {
    pub(crate) async fn start(
        stage: &Stage,
        namespace: &str,
        keep_alive: bool,
    ) -> anyhow::Result<Self> {
        let connections = if keep_alive {
            "--keep-alive"
        } else {
            "--fresh"
        };
        let image = images::WORKLOAD;
        // By address: a cluster that is up for the demo has no names.
        let server = SocketAddr::new(stage.address(namespace, "web").await?, 80);
        let pod = format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{ name: traffic, namespace: {namespace} }}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: traffic
      image: {image}
      args: [client, --url, "http://{server}/", --rate, "50", {connections}]
      ports: [{{ name: control, containerPort: 8081 }}]
"#
        );
        stage
            .cluster
            .apply_yaml(&pod)
            .await
            .context("apply the traffic pod")?;
        let traffic = Self {
            stage: stage.clone(),
            namespace: namespace.to_owned(),
        };
        wait::until("traffic flows", SOON, async || {
            let counts = traffic.counts().await?;
            ensure!(
                !counts.by_pod.is_empty(),
                "nothing came back yet: {:?}",
                counts.errors
            );
            Ok(())
        })
        .await?;
        Ok(traffic)
    }

    /// What has come back since the last reset.
    pub async fn counts(&self) -> anyhow::Result<Counts> {
        let text = proxy::get(
            &self.stage.client,
            &self.namespace,
            "traffic",
            CONTROL,
            "/counts",
        )
        .await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The answers so far; the count starts again.
    pub async fn reset(&self) -> anyhow::Result<Counts> {
        let (client, namespace) = (&self.stage.client, &self.namespace);
        let text = proxy::send(
            client,
            "POST",
            namespace,
            "traffic",
            CONTROL,
            "/counts/reset",
            String::new(),
        )
        .await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The answers of the last count by status code, over all pods.
    pub async fn codes(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut codes = BTreeMap::new();
        for (code, count) in self.counts().await?.by_pod.into_values().flatten() {
            *codes.entry(code.to_string()).or_default() += count;
        }
        Ok(codes)
    }
}
