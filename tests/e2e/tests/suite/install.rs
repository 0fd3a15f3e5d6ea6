//! The chart from the first installation to the last trace, as a cluster's owner goes through it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use kube::api::ListParams;
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_cluster::wait;
use test_e2e::{Labels, Stage, Web, ran, record};
use tokio::process::Command;

use crate::plugin::has;

const CHART: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../deploy/helm/pod-quarantine"
);

/// The kubelet updates a mounted ConfigMap every minute.
const IN_FORCE: Duration = Duration::from_mins(2);

/// An installation of the chart in a namespace of its own.
struct Release {
    stage: Stage,
    namespace: test_cluster::TestNamespace,
    values: Value,
}

impl Release {
    /// A release with two replicas whose policy watches one namespace.
    async fn of(stage: &Stage, hint: &str, watched: &str) -> anyhow::Result<Self> {
        let namespace = stage.namespace(hint).await?;
        let labels = json!({ "kubernetes.io/metadata.name": watched });
        let policy = json!({
            "name": "web",
            "pods": { "matchLabels": { "team": "shop" } },
            "namespaces": { "matchLabels": labels },
            "probe": {
                "httpGet": { "path": "/healthz", "port": "http" },
                "periodSeconds": 1,
                "failureThreshold": 2,
            },
        });
        let values = json!({
            // What is of the whole cluster has this name, too.
            "fullnameOverride": namespace.name(),
            "image": { "repository": "pod-quarantine", "tag": "test" },
            "config": {
                "mode": "observe",
                "limits": {
                    "cluster": { "max": 1000, "perHour": 10000 },
                    "workload": { "max": 4, "minReady": "0%" },
                    "storm": { "workload": "100%", "node": "100%", "zone": "100%", "cluster": "100%" },
                },
                "policies": [policy],
            },
        });
        Ok(Self {
            stage: stage.clone(),
            namespace,
            values,
        })
    }

    fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Runs helm to its end; gives what it prints.
    async fn helm(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::from(self.stage.cluster.command("helm"));
        command.args(words).args(["--namespace", self.name()]);
        let ended = ran(command).await?;
        let (words, printed) = (words.join(" "), ended.out + &ended.err);
        println!("helm {words}\n{printed}");
        ensure!(ended.code == Some(0), "helm {words}: {printed}");
        Ok(printed)
    }

    /// `helm upgrade --install` with the values as they are now.
    async fn apply(&self) -> anyhow::Result<String> {
        self.apply_within("3m").await
    }

    async fn apply_within(&self, timeout: &str) -> anyhow::Result<String> {
        let values = std::env::temp_dir().join(format!("values-of-{}.yaml", self.name()));
        std::fs::write(&values, self.values.to_string())?;
        let path = values.display().to_string();
        let applied = self
            .helm(&[
                "upgrade",
                "--install",
                self.name(),
                CHART,
                "--values",
                &path,
                "--wait",
                "--timeout",
                timeout,
            ])
            .await;
        std::fs::remove_file(Path::new(&path))?;
        applied
    }

    /// The names of the agent's pods.
    async fn replicas(&self) -> anyhow::Result<Vec<String>> {
        let of_agent = ListParams::default().labels("app.kubernetes.io/name=pod-quarantine");
        let pods = self.stage.pods(self.name()).list(&of_agent).await?.items;
        let pods = pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let mut names: Vec<String> = pods.filter_map(|pod| pod.metadata.name).collect();
        names.sort();
        Ok(names)
    }

    /// What all replicas have logged.
    async fn log(&self) -> anyhow::Result<String> {
        let words = ["logs", "--namespace", self.name(), "--tail=-1"];
        let of_agent = ["--selector", "app.kubernetes.io/name=pod-quarantine"];
        let logs = self
            .stage
            .cluster
            .kubectl(
                &[
                    words,
                    [of_agent[0], of_agent[1], "--prefix", "--ignore-errors"],
                ]
                .concat(),
            )
            .await?;
        Ok(String::from_utf8_lossy(&logs.stdout).into_owned())
    }

    /// `helm test`: each replica is ready, with the shipped policy file in force.
    async fn verified(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let tested = self.helm(&["test", self.name(), "--timeout", "3m"]).await?;
        has(&tested, &["2 replicas are ready at"])?;
        let took = begun.elapsed();
        println!("the policy file was in force after {took:?}");
        ensure!(took < IN_FORCE, "{took:?}");
        Ok(())
    }
}

/// Everything that can be told of a pod's quarantine: its labels, its annotations, its owner.
async fn marks(web: &Web, pod: &str) -> anyhow::Result<Value> {
    let meta = web.pod(pod).await?.metadata;
    Ok(json!([
        meta.labels,
        meta.annotations,
        meta.owner_references
    ]))
}

#[tokio::test]
async fn a_release_of_the_chart_is_installed_upgraded_rolled_back_and_uninstalled_with_a_pod_out()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let shop = stage.namespace("chart-shop").await?;
    let web = stage.web(shop.name(), 3, Labels::NoToggle).await?;
    let pods = web.serving().await?;
    let mut release = Release::of(&stage, "chart", shop.name()).await?;

    // Observed first: it is told what would be done.
    release.apply().await?;
    release.verified().await?;
    web.switch(&pods[0], "500").await?;
    stage
        .event(shop.name(), &pods[0], &["WouldQuarantine"])
        .await?;
    ensure!(web.all_quarantined().await?.is_empty(), "it only observes");

    // A mistake that only the agent's own reader sees is refused before anything is changed, with its place.
    let policies = release.values["config"]["policies"].clone();
    let twice = [policies[0].clone(), policies[0].clone()];
    release.values["config"]["policies"] = json!(twice);
    let refused = release.apply().await;
    let refused = refused.expect_err("two policies of one name").to_string();
    has(&refused, &["web", "config.yaml", "^^^"])?;
    release.values["config"]["policies"] = policies;

    // Enforced: no pod of the agent is replaced for that.
    let replicas = release.replicas().await?;
    // By the policy alone: what people ask for on the pods of other tests is left to those tests' own agents.
    release.values["config"]["policies"][0]["mode"] = json!("enforce");
    release.apply().await?;
    release.verified().await?;
    ensure!(
        release.replicas().await? == replicas,
        "a policy file rolls no pod"
    );
    web.quarantined(&pods[0]).await?;
    let before = marks(&web, &pods[0]).await?;

    // Other pods of the agent, and back: the pod stays out, with every word of its record.
    release.values["podAnnotations"] = json!({ "example.com/upgraded": "true" });
    release.apply().await?;
    ensure!(
        release
            .replicas()
            .await?
            .iter()
            .all(|name| !replicas.contains(name)),
        "all are new"
    );
    release
        .helm(&["rollback", release.name(), "--wait", "--timeout", "3m"])
        .await?;
    release.verified().await?;
    ensure!(marks(&web, &pods[0]).await? == before, "{before}");
    record(&web.pod(&pods[0]).await?)?;

    // Put back by the agent, before it goes; nothing of it stays.
    web.switch(&pods[0], "ok").await?;
    release.values["onUninstall"] = json!("release");
    release.apply().await?;
    let uninstalled = release
        .helm(&["uninstall", release.name(), "--wait", "--timeout", "6m"])
        .await?;
    println!("{uninstalled}");
    wait::until("the pod is back", Duration::from_secs(10), async || {
        let labels = web.pod(&pods[0]).await?.metadata.labels.unwrap_or_default();
        ensure!(!labels.contains_key(keys::STATE), "{labels:?}");
        Ok(())
    })
    .await?;
    let name = release.name();
    let left = stage
        .cluster
        .kubectl(&[
            "get",
            "configmap,lease,deployment,job,serviceaccount,role,rolebinding,service",
            "-n",
            name,
            "-o",
            "name",
        ])
        .await?;
    let left = String::from_utf8(left.stdout)?;
    let ours: Vec<&str> = left
        .lines()
        .filter(|name| {
            !name.ends_with("/kube-root-ca.crt") && !name.ends_with("serviceaccount/default")
        })
        .collect();
    ensure!(ours.is_empty(), "{ours:?}");
    release.namespace.delete().await?;
    shop.delete().await
}

#[tokio::test]
async fn a_release_of_the_chart_for_one_namespace_quarantines_there_and_has_no_right_elsewhere()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let shop = stage.namespace("chart-of-shop").await?;
    let blog = stage.namespace("chart-of-blog").await?;
    let web = stage.web(shop.name(), 3, Labels::NoToggle).await?;
    let other = stage.web(blog.name(), 3, Labels::NoToggle).await?;
    let bad = web.serving().await?.swap_remove(0);
    let left_alone = other.serving().await?.swap_remove(0);
    let mut release = Release::of(&stage, "chart-within", shop.name()).await?;
    release.values["watchNamespaces"] = json!([shop.name()]);
    release.values["admissionPolicies"] = json!({ "agent": false, "reserved": false });
    release.values["flowSchema"] = json!({ "enabled": false });
    release.values["onUninstall"] = json!("release");
    let policy = &mut release.values["config"]["policies"][0];
    policy["mode"] = json!("enforce");
    // The policy would match the pods of both.
    let namespaces = [shop.name(), blog.name()];
    policy["namespaces"] = json!({ "matchExpressions": [
        { "key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces },
    ] });
    release.apply().await?;
    release.verified().await?;
    let of_cluster = stage
        .cluster
        .kubectl(&[
            "get",
            "clusterroles,clusterrolebindings,flowschemas,validatingadmissionpolicies",
            "-o",
            "name",
        ])
        .await?;
    let of_cluster = String::from_utf8(of_cluster.stdout)?;
    ensure!(!of_cluster.contains(release.name()), "{of_cluster}");

    other.switch(&left_alone, "500").await?;
    web.switch(&bad, "500").await?;
    web.quarantined(&bad).await?;
    ensure!(other.all_quarantined().await?.is_empty(), "it is not asked");
    let log = release.log().await?;
    has(
        &log,
        &[
            &format!("only the pods of {} are watched", shop.name()),
            "Not known: nodes",
        ],
    )?;

    // A namespace where it has no rights is told, and the agent does not become ready.
    release.values["extraArgs"] = json!([format!("--watch-namespace={}", blog.name())]);
    let unready = release.apply_within("20s").await;
    ensure!(unready.is_err(), "{unready:?}");
    let told = format!("watching pods of {}", blog.name());
    let forbidden = format!(
        "cannot list resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"{}\\\"",
        blog.name()
    );
    has(&release.log().await?, &[&told, &forbidden])?;

    release.values["extraArgs"] = json!([]);
    release.apply().await?;
    web.switch(&bad, "ok").await?;
    release
        .helm(&["uninstall", release.name(), "--wait", "--timeout", "6m"])
        .await?;
    let labels = web.pod(&bad).await?.metadata.labels.unwrap_or_default();
    ensure!(!labels.contains_key(keys::STATE), "{labels:?}");
    release.namespace.delete().await?;
    blog.delete().await?;
    shop.delete().await
}

/// Runs a program inside the cluster to its end; gives its standard output.
async fn output(stage: &Stage, program: &str, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::from(stage.cluster.command(program));
    command.args(words);
    ran(command).await?.done()
}

/// Copies a directory with everything in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let from = entry?.path();
        let to = to.join(from.file_name().context("a file without a name")?);
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            std::fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_set_of_values_and_every_overlay_is_valid_to_a_strict_api_server()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("strict").await?;
    let name = namespace.name();
    let watched = stage.namespace("strict-shop").await?;
    let place = std::env::temp_dir().join(format!("rendered-{name}"));
    let deploy = Path::new(CHART).join("../..");
    for directory in ["base", "overlays"] {
        copy(&deploy.join(directory), &place.join(directory))?;
    }
    let mut rendered = Vec::new();
    for set in Path::new(CHART).join("ci").read_dir()? {
        let set = set?.path().display().to_string();
        // The kinds of the Prometheus operator are not on this cluster.
        let without = [
            "--set=monitoring.podMonitor.enabled=false",
            "--set=monitoring.prometheusRule.enabled=false",
        ];
        let words = [
            "template",
            name,
            CHART,
            "--namespace",
            name,
            "--values",
            &set,
        ];
        rendered.push((
            set.clone(),
            output(&stage, "helm", &[&words[..], &without].concat()).await?,
        ));
    }
    for folder in ["base", "overlays/ha", "overlays/namespaced/watched"] {
        let file = place.join(folder).join("kustomization.yaml");
        let text = std::fs::read_to_string(&file)?;
        let of_agent = format!("namespace: {name}");
        std::fs::write(&file, text.replace("namespace: pod-quarantine", &of_agent))?;
    }
    for overlay in [
        "base",
        "overlays/observe",
        "overlays/ha",
        "overlays/namespaced",
    ] {
        let words = ["kustomize", &place.join(overlay).display().to_string()];
        rendered.push((overlay.to_owned(), output(&stage, "kubectl", &words).await?));
    }
    for (what, text) in &rendered {
        // The namespace that is watched in the examples.
        let text = text.replace("namespace: shop", &format!("namespace: {}", watched.name()));
        let file = place.join("rendered.yaml").display().to_string();
        std::fs::write(&file, text)?;
        let apply = [
            "apply",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            &file,
        ];
        // What names no namespace goes into `default`.
        let applied = output(&stage, "kubectl", &apply).await;
        let applied = applied.with_context(|| what.clone())?;
        println!("{what}: {} objects", applied.lines().count());
    }
    std::fs::remove_dir_all(&place)?;
    watched.delete().await?;
    namespace.delete().await
}
