//! How a quarantined pod may end otherwise: by itself, with its node, with its namespace; and what becomes of its slot.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Node};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use pod_quarantine::core::keys;
use serde_json::json;
use test_cluster::wait;
use test_e2e::{
    Labels, PROBE, Scene, changed,
    manifest::{container, controller, template},
};

/// The controllers look for pods of nodes that are gone every 20 s, and wait 40 s more.
const COLLECTED: Duration = Duration::from_mins(2);

async fn slots_are(scene: &Scene, count: usize) -> anyhow::Result<()> {
    wait::until(format!("{count} slots"), COLLECTED, async || {
        let slots = scene.agent.slots().await?;
        ensure!(slots.len() == count, "{slots:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_failed_in_quarantine_counts_until_its_ttl_expires() -> anyhow::Result<()> {
    let policy = changed(PROBE, &[("ttl: 1h", "ttl: 12s")]);
    let scene = Scene::set("failed", 2, Labels::NoToggle, &policy).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let deadline = json!({ "spec": { "activeDeadlineSeconds": 1 } });
    scene
        .stage
        .pods(scene.namespace())
        .patch(pod, &PatchParams::default(), &Patch::Merge(&deadline))
        .await?;
    scene
        .until("it has failed", async || {
            let phase = scene
                .web
                .pod(pod)
                .await?
                .status
                .and_then(|status| status.phase);
            ensure!(phase.as_deref() == Some("Failed"), "{phase:?}");
            Ok(())
        })
        .await?;
    let of_web = [("namespace", scene.namespace()), ("policy", "web")];
    scene.metric_is("quarantined_pods", &of_web, 1.0).await?;
    assert_eq!(scene.agent.slots().await?.len(), 1);
    scene.reaped(pod).await?;
    scene
        .event(pod, &["Reaped", "its TTL expired at 20"])
        .await?;
    slots_are(&scene, 0).await?;
    scene.clear().await
}

/// A node that nobody but this test's pod tolerates, and that has no kubelet.
async fn node(scene: &Scene) -> anyhow::Result<(Api<Node>, String)> {
    let nodes: Api<Node> = Api::all(scene.stage.client.clone());
    let name = format!("node-of-{}", scene.namespace());
    let wanted = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "of": name } },
        "spec": { "taints": [{ "key": "of", "value": name, "effect": "NoSchedule" }] },
    });
    scene.apply_all(&[wanted]).await?;
    let room = json!({ "status": {
        "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "10" },
        "capacity": { "cpu": "1", "memory": "1Gi", "pods": "10" },
        "conditions": [{ "type": "Ready", "status": "True", "reason": "Said", "message": "" }],
    } });
    nodes
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(&room))
        .await?;
    Ok((nodes, name))
}

#[tokio::test]
async fn a_pod_deleted_with_its_node_frees_its_slot() -> anyhow::Result<()> {
    let scene = Scene::set("nodegone", 1, Labels::NoToggle, PROBE).await?;
    let (nodes, name) = node(&scene).await?;
    let labels = json!({ "app": "far" });
    let there = json!({
        "nodeSelector": { "of": name },
        "tolerations": [{ "operator": "Exists" }],
        "containers": [container(json!({}))],
    });
    let pods = template(labels.clone(), there);
    let deployment = controller("Deployment", "far", labels, pods, json!({ "replicas": 1 }));
    scene.apply_all(&[deployment]).await?;
    let pod = scene
        .until("the pod is bound", async || {
            let pods = scene.web.pods().await?;
            let bound = pods.into_iter().find(|pod| {
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
                node == Some(&name)
            });
            bound.and_then(|pod| pod.metadata.name).context("it is not")
        })
        .await?;
    scene
        .annotate(&pod, keys::QUARANTINE, Some("please"))
        .await?;
    scene.labelled(&pod).await?;
    slots_are(&scene, 1).await?;
    nodes.delete(&name, &DeleteParams::default()).await?;
    wait::until("the pod goes with its node", COLLECTED, async || {
        let there = scene.stage.pods(scene.namespace()).get_opt(&pod).await?;
        ensure!(there.is_none(), "it is there");
        Ok(())
    })
    .await?;
    slots_are(&scene, 0).await?;
    assert_eq!(scene.agent.sum("reaps_total", &[]).await?, 0.0);
    scene.clear().await
}

#[tokio::test]
async fn a_quarantined_pod_outlives_its_deployment_and_its_slot_is_freed_with_it()
-> anyhow::Result<()> {
    let policy = changed(PROBE, &[("ttl: 1h", "ttl: 15s")]);
    let scene = Scene::set("ownergone", 2, Labels::NoToggle, &policy).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let deployments: Api<Deployment> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    deployments
        .delete("web", &DeleteParams::foreground())
        .await?;
    scene
        .until("the other pods are gone", async || {
            let pods = scene.web.pods().await?.len();
            ensure!(pods == 1, "{pods} pods");
            Ok(())
        })
        .await?;
    scene.web.quarantined(pod).await?;
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene.event(pod, &["ReleaseRefused", "is gone"]).await?;
    scene.reaped(pod).await?;
    slots_are(&scene, 0).await?;
    scene.clear().await
}

#[tokio::test]
async fn the_slots_of_quarantined_pods_are_freed_with_their_namespace() -> anyhow::Result<()> {
    let scene = Scene::set("nsgone", 2, Labels::NoToggle, PROBE).await?;
    scene.quarantine_manually(&scene.pods[0]).await?;
    slots_are(&scene, 1).await?;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> =
        Api::all(scene.stage.client.clone());
    let name = scene.namespace();
    namespaces.delete(name, &DeleteParams::default()).await?;
    slots_are(&scene, 0).await?;
    let of_it = [("namespace", name)];
    scene.metric_is("quarantined_pods", &of_it, 0.0).await?;
    scene.agent.ready().await?;
    scene.agent.uninstall().await
}
