//! The agent, installed as a user would install it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use pod_quarantine::core::ledger::Slot;
use serde_json::json;
use test_cluster::{TestNamespace, wait};

use crate::{Stage, images, proxy, stage::SOON};

/// Where `deploy/base` is.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/base");

/// The ledger's object.
pub const LEDGER: &str = "pod-quarantine-ledger-default";

/// An agent in a namespace of its own.
pub struct Agent {
    stage: Stage,
    namespace: TestNamespace,
}

/// One series of `/metrics`: its labels and its value.
pub type Metric = (BTreeMap<String, String>, f64);

impl Agent {
    pub(crate) async fn install(stage: &Stage, hint: &str, policy: &str) -> anyhow::Result<Self> {
        let agent = Self::apply(stage, hint, policy, 1).await?;
        agent.ready().await?;
        Ok(agent)
    }

    /// Everything but a pod of the agent.
    pub(crate) async fn install_idle(stage: &Stage, hint: &str) -> anyhow::Result<Self> {
        Self::apply(stage, hint, "", 0).await
    }

    async fn apply(stage: &Stage, hint: &str, policy: &str, replicas: u32) -> anyhow::Result<Self> {
        let namespace = stage.namespace(&format!("agent-{hint}")).await?;
        let agent = Self {
            stage: stage.clone(),
            namespace,
        };
        let rendered = agent
            .render(policy, replicas)
            .await
            .context("render deploy/base")?;
        stage
            .cluster
            .apply_yaml(&rendered)
            .await
            .context("apply deploy/base")?;
        Ok(agent)
    }

    /// `kubectl kustomize` of an overlay that names the namespace, the image and the policy file.
    async fn render(&self, policy: &str, replicas: u32) -> anyhow::Result<String> {
        let namespace = self.namespace();
        let overlay = std::env::temp_dir().join(format!("overlay-{namespace}"));
        let base = overlay.join("base");
        std::fs::create_dir_all(&base)?;
        for file in Path::new(BASE).read_dir()? {
            let file = file?;
            std::fs::copy(file.path(), base.join(file.file_name()))?;
        }
        let (image, tag) = images::AGENT;
        let kustomization = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace,
            "resources": ["base"],
            "images": [{ "name": "pod-quarantine", "newName": image, "newTag": tag }],
            "replicas": [{ "name": "pod-quarantine", "count": replicas }],
            "configMapGenerator": [{ "name": "pod-quarantine", "behavior": "replace", "files": ["config.yaml"] }],
            // The one object of the base that would be shared by the agents of all tests.
            "patches": [{
                "target": { "kind": "ClusterRoleBinding" },
                "patch": json!([{ "op": "replace", "path": "/metadata/name", "value": namespace }]).to_string(),
            }],
        });
        std::fs::write(
            overlay.join("kustomization.yaml"),
            kustomization.to_string(),
        )?;
        std::fs::write(overlay.join("config.yaml"), policy)?;
        let overlay_text = overlay.display().to_string();
        let output = self
            .stage
            .cluster
            .kubectl(&["kustomize", &overlay_text])
            .await?;
        std::fs::remove_dir_all(&overlay)?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Takes away the policy that keeps the agent's marks from everybody else: all must hold without it.
    pub async fn let_others_write_its_marks(&self) -> anyhow::Result<()> {
        let binding = "validatingadmissionpolicybinding/pod-quarantine-reserved";
        let deleted = self.stage.cluster.kubectl(&["delete", binding]).await?;
        ensure!(deleted.status.success(), "{deleted:?}");
        Ok(())
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// Waits until one agent pod is Ready; gives it.
    pub async fn ready(&self) -> anyhow::Result<Pod> {
        wait::until("the agent is Ready", SOON * 2, async || {
            let pods = self.pods().await?;
            let Some(pod) = pods.iter().find(|pod| is_ready(pod)) else {
                bail!("{}", pods.iter().map(state).collect::<Vec<_>>().join(", "));
            };
            Ok(pod.clone())
        })
        .await
    }

    /// Its pods that are not going away.
    pub async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let of_agent = ListParams::default().labels("app.kubernetes.io/name=pod-quarantine");
        let mut pods = self
            .stage
            .pods(self.namespace())
            .list(&of_agent)
            .await?
            .items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// The text of its log.
    pub async fn log(&self) -> anyhow::Result<String> {
        let pod = self.ready().await?;
        let name = pod.metadata.name.unwrap_or_default();
        Ok(self
            .stage
            .pods(self.namespace())
            .logs(&name, &kube::api::LogParams::default())
            .await?)
    }

    /// What it answers on a path of its own port.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        let pod = self.ready().await?;
        let name = pod.metadata.name.unwrap_or_default();
        proxy::get(&self.stage.client, self.namespace(), &name, 9090, path).await
    }

    /// All series of one of its metrics; `name` without the prefix.
    pub async fn metric(&self, name: &str) -> anyhow::Result<Vec<Metric>> {
        let text = self.get("/metrics").await?;
        let name = format!("pod_quarantine_{name}");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&name));
        Ok(lines.filter_map(series).collect())
    }

    /// The names of its pods that say that they act.
    pub async fn leaders(&self) -> anyhow::Result<Vec<String>> {
        let mut leaders = Vec::new();
        for pod in self.pods().await? {
            let name = pod.metadata.name.unwrap_or_default();
            let (client, namespace) = (&self.stage.client, self.namespace());
            // One that starts or ends gives no answer.
            let text = proxy::get(client, namespace, &name, 9090, "/metrics").await;
            if text.is_ok_and(|text| text.contains("\npod_quarantine_leader 1\n")) {
                leaders.push(name);
            }
        }
        Ok(leaders)
    }

    /// Waits until exactly one of its pods acts; gives it.
    pub async fn leader(&self) -> anyhow::Result<String> {
        wait::until("one agent acts", SOON, async || {
            match &self.leaders().await?[..] {
                [leader] => Ok(leader.clone()),
                leaders => bail!("{leaders:?}"),
            }
        })
        .await
    }

    /// The sum of the series of a metric that have all these labels.
    pub async fn sum(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let has = |series: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(key, value)| series.get(*key).map(String::as_str) == Some(*value))
        };
        let all = self.metric(name).await?;
        Ok(all
            .iter()
            .filter(|(series, _)| has(series))
            .map(|(_, value)| value)
            .sum())
    }

    /// The slots of its ledger.
    pub async fn slots(&self) -> anyhow::Result<Vec<Slot>> {
        let ledger = self.ledgers().get_opt(LEDGER).await?;
        let entries = ledger.and_then(|ledger| ledger.data).unwrap_or_default();
        // Each by the pod's uid; what else the ledger remembers has other keys.
        let slots = entries.iter().filter(|(key, _)| key.len() == 36);
        let slots = slots.map(|(_, text)| serde_json::from_str(text));
        Ok(slots.collect::<Result<_, _>>()?)
    }

    /// The `ConfigMap`s of its namespace.
    #[must_use]
    pub fn ledgers(&self) -> Api<ConfigMap> {
        Api::namespaced(self.stage.client.clone(), self.namespace())
    }

    /// Replaces its policy file. The kubelet brings it to the pod at once, as an annotation on the pod has it look.
    pub async fn set_policy(&self, policy: &str) -> anyhow::Result<()> {
        let objects: Api<ConfigMap> = Api::namespaced(self.stage.client.clone(), self.namespace());
        let patch = json!({ "data": { "config.yaml": policy } });
        objects
            .patch(
                "pod-quarantine",
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await?;
        let changed = jiff::Timestamp::now().to_string();
        for pod in self.pods().await? {
            let name = pod.metadata.name.unwrap_or_default();
            self.stage
                .annotate(
                    self.namespace(),
                    &name,
                    "test/policy-changed",
                    Some(&changed),
                )
                .await?;
        }
        Ok(())
    }

    /// So many replicas, none included; waits until the pods are there, or gone.
    pub async fn scale(&self, replicas: usize) -> anyhow::Result<()> {
        let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
            Api::namespaced(self.stage.client.clone(), self.namespace());
        let patch = json!({ "spec": { "replicas": replicas } });
        deployments
            .patch(
                "pod-quarantine",
                &PatchParams::default(),
                &Patch::Merge(&patch),
            )
            .await?;
        wait::until(format_args!("{replicas} agents"), SOON * 2, async || {
            let pods = self
                .stage
                .pods(self.namespace())
                .list(&ListParams::default())
                .await?
                .items;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            ensure!(
                pods.len() == replicas && ready == replicas,
                "{} pods, {ready} Ready",
                pods.len()
            );
            Ok(())
        })
        .await
    }

    /// SIGKILL to its process, by way of deleting the pod without a time of grace; waits for the next one.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let pod = self.ready().await?;
        let name = pod.metadata.name.unwrap_or_default();
        let at_once = DeleteParams::default().grace_period(0);
        self.stage
            .pods(self.namespace())
            .delete(&name, &at_once)
            .await?;
        wait::until("the killed agent is gone", SOON, async || {
            let pods = self.pods().await?;
            ensure!(
                pods.iter()
                    .all(|pod| pod.metadata.name.as_deref() != Some(&name)),
                "it is there"
            );
            Ok(())
        })
        .await?;
        self.ready().await.map(drop)
    }

    /// Takes it away.
    pub async fn uninstall(self) -> anyhow::Result<()> {
        let bindings: Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> =
            Api::all(self.stage.client.clone());
        bindings
            .delete(self.namespace(), &DeleteParams::default())
            .await?;
        self.namespace.delete().await
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A pod's state in a few words, with what its containers wait for or ended with.
fn state(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let containers = status
        .and_then(|status| status.container_statuses.as_ref())
        .into_iter()
        .flatten();
    let waits = containers.filter_map(|container| container.state.as_ref());
    let words = waits.map(|state| match (&state.waiting, &state.terminated) {
        (Some(waiting), _) => format!(
            "{}: {}",
            waiting.reason.as_deref().unwrap_or("waiting"),
            waiting.message.as_deref().unwrap_or("")
        ),
        (_, Some(ended)) => format!(
            "ended with {}: {}",
            ended.exit_code,
            ended.message.as_deref().unwrap_or("")
        ),
        _ => "running, not Ready".to_owned(),
    });
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    let words: Vec<String> = words.collect();
    format!("{name} ({})", words.join("; "))
}

/// `{a="b"} 1` or ` 1`; not the rest of a longer name.
pub(crate) fn series(rest: &str) -> Option<Metric> {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    let pair = |pair: &str| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.to_owned(), value.to_owned()))
    };
    let labels = labels
        .strip_suffix('"')
        .unwrap_or_default()
        .split("\",")
        .filter_map(pair)
        .collect();
    Some((labels, value.parse().ok()?))
}
