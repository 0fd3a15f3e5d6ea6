//! Pods that no node runs, behind a Service: their labels, owners and slices are as those of any pod, and dozens of
//! them cost nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, future::try_join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use pod_quarantine::core::keys;
use test_cluster::wait;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{Stage, stage::SOON};

/// A Deployment `quiet` behind the Service `quiet`.
pub struct Quiet {
    stage: Stage,
    namespace: String,
    replicas: usize,
}

/// A pod's labels and annotations.
pub type Marks = (BTreeMap<String, String>, BTreeMap<String, String>);

impl Quiet {
    pub(crate) async fn start(
        stage: &Stage,
        namespace: &str,
        replicas: usize,
    ) -> anyhow::Result<Self> {
        let manifests = format!(
            r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: quiet, namespace: {namespace} }}
spec:
  replicas: {replicas}
  selector: {{ matchLabels: {{ app: quiet, enabled: "true" }} }}
  template:
    metadata:
      labels: {{ app: quiet, enabled: "true", team: shop }}
      annotations: {{ note: kept }}
    spec:
      schedulerName: nobody
      terminationGracePeriodSeconds: 0
      containers: [{{ name: quiet, image: none }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: quiet, namespace: {namespace} }}
spec:
  selector: {{ app: quiet, enabled: "true" }}
  ports: [{{ port: 80 }}]
"#
        );
        stage.cluster.apply_yaml(&manifests).await?;
        let quiet = Self {
            stage: stage.clone(),
            namespace: namespace.to_owned(),
            replicas,
        };
        wait::until("quiet pods", SOON, async || {
            let pods = quiet.pods().await?;
            ensure!(pods.len() == replicas, "{} pods", pods.len());
            Ok(())
        })
        .await?;
        Ok(quiet)
    }

    /// Its pods that are not going away, quarantined ones too.
    pub async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let all = ListParams::default().labels("team=shop");
        let mut pods = self.stage.pods(&self.namespace).list(&all).await?.items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The names of its pods.
    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.pods().await?.into_iter();
        Ok(pods.filter_map(|pod| pod.metadata.name).collect())
    }

    /// Labels and annotations by pod name.
    pub async fn marks(&self) -> anyhow::Result<BTreeMap<String, Marks>> {
        let pods = self.pods().await?.into_iter();
        Ok(pods
            .map(|pod| {
                let marks = (
                    pod.metadata.labels.unwrap_or_default(),
                    pod.metadata.annotations.unwrap_or_default(),
                );
                (pod.metadata.name.unwrap_or_default(), marks)
            })
            .collect())
    }

    /// A pod as it is now.
    pub async fn pod(&self, name: &str) -> anyhow::Result<Pod> {
        let pods = self.stage.pods(&self.namespace);
        pods.get(name)
            .await
            .with_context(|| format!("get pod {name}"))
    }

    /// Requests the manual quarantine of pods, or withdraws it.
    pub async fn ask(&self, pods: &[String], asked: bool) -> anyhow::Result<()> {
        self.annotate(pods, keys::QUARANTINE, asked.then_some("asked by a test"))
            .await
    }

    /// Has pods put back. They are never Ready, so it takes force.
    pub async fn release(&self, pods: &[String]) -> anyhow::Result<()> {
        self.annotate(pods, keys::RELEASE, Some("force")).await
    }

    /// One that its ReplicaSet has deleted meanwhile, as it had one too many, is asked nothing.
    async fn annotate(
        &self,
        pods: &[String],
        key: &str,
        value: Option<&str>,
    ) -> anyhow::Result<()> {
        let annotate = async |pod: &String| {
            let annotated = self.stage.annotate(&self.namespace, pod, key, value).await;
            match annotated {
                Err(error) if !is_gone(&error) => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        };
        try_join_all(pods.iter().map(annotate)).await.map(drop)
    }

    /// The names of the pods that carry the state label, whoever put it there.
    pub async fn quarantined(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.pods().await?.into_iter();
        let out = pods.filter(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.is_some_and(|labels| labels.contains_key(keys::STATE))
        });
        Ok(out.filter_map(|pod| pod.metadata.name).collect())
    }

    /// Waits until so many are quarantined.
    pub async fn quarantined_are(&self, count: usize) -> anyhow::Result<Vec<String>> {
        wait::until(format_args!("{count} are quarantined"), SOON, async || {
            let out = self.quarantined().await?;
            ensure!(out.len() == count, "{out:?}");
            Ok(out)
        })
        .await
    }

    /// Waits until the Deployment has as many pods as it wants, these ones among them, and each of them is as a new pod
    /// is. Others may be gone: of one pod too many, its ReplicaSet chooses which one goes.
    pub async fn are_back(&self, released: &[String], new: &Marks) -> anyhow::Result<()> {
        wait::until("all pods are as new ones", SOON, async || {
            let now = self.marks().await?;
            ensure!(now.len() == self.replicas, "{} pods", now.len());
            for name in released {
                ensure!(now.contains_key(name), "{name} is gone");
            }
            for (name, marks) in &now {
                ensure!(marks == new, "{name} has {marks:?}, not {new:?}");
            }
            Ok(())
        })
        .await
    }
}

/// How many pods of a namespace were quarantined at once, by a watch of its own that sees every moment.
pub struct Most {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    now: BTreeSet<String>,
    most: usize,
}

impl Most {
    /// Begins to watch.
    pub async fn watch(stage: &Stage, namespace: &str) -> anyhow::Result<Self> {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (ready, is_ready) = oneshot::channel();
        let pods: Api<Pod> = stage.pods(namespace);
        let shared = seen.clone();
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            let mut events = watcher(pods, watcher::Config::default())
                .default_backoff()
                .boxed();
            while let Some(event) = events.next().await {
                let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(watcher::Event::Init) => seen.now.clear(),
                    Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                        seen.pod(&pod);
                    }
                    Ok(watcher::Event::Delete(pod)) => {
                        seen.now.remove(&pod.metadata.uid.unwrap_or_default());
                    }
                    Ok(watcher::Event::InitDone) => {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    Err(_) => {}
                }
            }
        });
        is_ready.await.context("the watch of the pods ended")?;
        Ok(Self { seen, task })
    }

    /// The most there were.
    #[must_use]
    pub fn most(&self) -> usize {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .most
    }
}

impl Seen {
    /// Counted as the contract counts: by label or record, but for those that go away.
    fn pod(&mut self, pod: &Pod) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let has = |marks: &Option<BTreeMap<String, String>>, key: &str| {
            marks.as_ref().is_some_and(|marks| marks.contains_key(key))
        };
        let marked =
            has(&pod.metadata.labels, keys::STATE) || has(&pod.metadata.annotations, keys::RECORD);
        if marked && pod.metadata.deletion_timestamp.is_none() {
            self.now.insert(uid);
        } else {
            self.now.remove(&uid);
        }
        self.most = self.most.max(self.now.len());
    }
}

impl Drop for Most {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<kube::Error>();
    matches!(cause, Some(kube::Error::Api(status)) if status.code == 404)
}
