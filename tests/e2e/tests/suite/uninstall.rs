//! What becomes of the pods in quarantine when their agent is uninstalled.

use anyhow::ensure;
use pod_quarantine::core::keys;
use test_e2e::{Labels, PROBE, Scene};

use crate::plugin::has;

/// Runs `uninstall-prepare` for the scene's agent; gives what it says of that pod.
async fn prepare(scene: &Scene, pods: &str, timeout: &str, of: &str) -> anyhow::Result<String> {
    let plugin = scene.stage.plugin().await?;
    let agent = scene.agent.namespace();
    let line =
        format!("uninstall-prepare --pods {pods} --timeout {timeout} --agent-namespace {agent}");
    let ran = plugin.run(&line).await?;
    println!("{}{}", ran.out, ran.err);
    let text = ran.done()?;
    let row = text.lines().find(|line| line.contains(of));
    Ok(row.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_pods_are_kept_or_released() -> anyhow::Result<()> {
    let scene = Scene::set("keep", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let kept = prepare(&scene, "keep", "1s", pod).await?;
    ensure!(kept.ends_with("   stays"), "{kept}");
    scene.web.quarantined(pod).await?;
    let released = prepare(&scene, "release", "2m", pod).await?;
    ensure!(released.ends_with("   released"), "{released}");
    let back = scene
        .back(pod)
        .await?
        .metadata
        .annotations
        .unwrap_or_default();
    let cost = back.get(keys::DELETION_COST);
    ensure!(cost.is_none(), "{cost:?}");
    scene.clear().await
}

/// As for an agent of two namespaces of which one was deleted.
#[tokio::test]
async fn a_namespace_that_cannot_be_read_stops_no_other_one() -> anyhow::Result<()> {
    let scene = Scene::set("unread", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let (agent, own) = (scene.agent.namespace(), scene.namespace());
    let viewer = scene.stage.plugin_of_viewer(&[own]).await?;
    let line =
        format!("uninstall-prepare --watch-namespace {agent},{own} --agent-namespace {agent}");
    let ran = viewer.run(&line).await?;
    has(&ran.out, &[pod, "stays"])?;
    let said = ran.refused()?;
    has(&said, &[&format!("namespace {agent}: "), "forbidden"])?;
    scene.clear().await
}

#[tokio::test]
async fn the_pods_are_deleted_but_for_those_that_people_hold() -> anyhow::Result<()> {
    let scene = Scene::set("reapall", 3, Labels::NoToggle, PROBE).await?;
    let [first, held, _] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    let both = [first.clone(), held.clone()];
    scene.quarantine_all_manually(&both).await?;
    scene.annotate(held, keys::HOLD, Some("true")).await?;
    let stays = prepare(&scene, "reap", "15s", held).await?;
    has(&stays, &["   stays: ", "held"])?;
    scene.reaped(first).await?;
    let marks = scene.marks(held).await?;
    ensure!(marks["annotations"].get(keys::TTL).is_none(), "{marks}");
    scene.clear().await
}

/// Nobody has prepared anything: the agent, its rights and its ledger go at the same moment.
#[tokio::test]
async fn the_namespace_of_the_agent_is_deleted_with_a_pod_in_quarantine() -> anyhow::Result<()> {
    let scene = Scene::set("rid", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let name = scene.agent.namespace();
    let binding = format!("clusterrolebinding/{name}");
    let namespace = format!("namespace/{name}");
    for object in [binding, namespace] {
        let delete = ["delete", &object, "--timeout", "60s"];
        let deleted = scene.stage.cluster.kubectl(&delete).await?;
        ensure!(deleted.status.success(), "{deleted:?}");
    }
    // It can be put back from what is on it.
    scene.web.quarantined(pod).await?;
    let delete = ["delete", "namespace", scene.namespace(), "--wait=false"];
    scene.stage.cluster.kubectl(&delete).await.map(drop)
}
