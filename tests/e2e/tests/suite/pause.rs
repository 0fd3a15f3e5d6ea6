//! `kubectl quarantine pause` and `resume`: one switch for all that an agent does.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::{Api, api::ListParams};
use pod_quarantine::core::keys;
use serde_json::Value;
use test_e2e::{Labels, PROBE, Plugin, Ran, Scene, Stage, changed};

use crate::plugin::has;

const LEDGER: &str = "pod-quarantine-ledger-default";

/// Longer than the agent needs to notice and to act.
const A_WHILE: Duration = Duration::from_secs(3);

/// Of the four pods all but one may be out.
fn roomy() -> String {
    changed(PROBE, &[("workload: { max: 2,", "workload: { max: 3,")])
}

/// A command to the scene's agent, with words that are parted by spaces.
async fn asked(plugin: &Plugin, scene: &Scene, line: &str) -> anyhow::Result<Ran> {
    let agent = scene.agent.namespace();
    plugin
        .run(&format!("{line} --agent-namespace {agent}"))
        .await
}

/// A pod is quarantined and stays.
async fn stays(scene: &Scene, pod: &str) -> anyhow::Result<()> {
    let now = scene.web.pod(pod).await?.metadata;
    let labels = now.labels.unwrap_or_default();
    ensure!(labels.contains_key(keys::STATE), "{pod}: {labels:?}");
    ensure!(now.deletion_timestamp.is_none(), "{pod} goes");
    Ok(())
}

/// How many Events of that reason are about the ledger.
async fn events_with(scene: &Scene, reason: &str) -> anyhow::Result<usize> {
    let begin = format!("{reason}: ");
    let events = scene.stage.events(scene.agent.namespace(), LEDGER).await?;
    Ok(events.iter().filter(|one| one.starts_with(&begin)).count())
}

/// What `list` and `why` say of a pause.
async fn shown(plugin: &Plugin, scene: &Scene, kept: &str, left: &str) -> anyhow::Result<Value> {
    let namespace = scene.namespace();
    let agent = format!("{}/default", scene.agent.namespace());
    let listed = asked(plugin, scene, &format!("list -n {namespace}")).await?;
    println!("{}{}", listed.err, listed.out);
    has(
        &listed.err,
        &[
            &format!("agent {agent}: paused since 20"),
            "Z: wait: nothing is quarantined and nothing is deleted\n",
        ],
    )?;
    let table = listed.done()?;
    let row = table.lines().find(|line| line.starts_with(kept));
    has(row.context("it is not listed")?, &["   paused   "])?;

    let why = asked(plugin, scene, &format!("why {kept} -n {namespace}")).await?;
    has(&why.done()?, &["the pod is not deleted: paused since 20"])?;
    let why = asked(plugin, scene, &format!("why {left} -n {namespace}")).await?;
    has(
        &why.done()?,
        &[
            "Z: wait: nothing is quarantined and nothing is deleted\n",
            "held back by Paused: quarantine is paused: wait\n",
        ],
    )?;

    let json = asked(plugin, scene, &format!("list -n {namespace} -o json")).await?;
    let list: Value = serde_json::from_str(&json.done()?)?;
    assert_eq!(list["kind"], "QuarantinedPodList");
    assert_eq!(list["items"][0]["paused"], true);
    let pause = list["pause"].clone();
    assert_eq!(pause["agent"], agent);
    assert_eq!(pause["reason"], "wait");
    Ok(pause)
}

#[tokio::test]
async fn a_paused_agent_carries_out_releases_alone_also_after_a_restart() -> anyhow::Result<()> {
    let scene = Scene::set("pause", 4, Labels::NoToggle, &roomy()).await?;
    let plugin = scene.stage.plugin().await?;
    let namespace = scene.namespace();
    scene.seen_good().await?;
    let [kept, released, bad, asked_for] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene
        .quarantine_all_manually(&[kept.clone(), released.clone()])
        .await?;

    let paused = asked(&plugin, &scene, "pause --reason moving").await?;
    assert_eq!(paused.done()?, "quarantine paused: moving\n");
    let agent = scene.agent.namespace();
    scene
        .stage
        .event(agent, LEDGER, &["Paused: ", "moving"])
        .await?;
    scene.metric_is("paused", &[], 1.0).await?;
    let line = format!("list -n {namespace} -o json");
    let list = asked(&plugin, &scene, &line).await?.done()?;
    let first: Value = serde_json::from_str(&list)?;
    // Another reason, the same pause.
    asked(&plugin, &scene, "pause --reason wait")
        .await?
        .done()?;

    scene.annotate(kept, keys::TTL, Some("1s")).await?;
    scene.web.switch(bad, "500").await?;
    scene.refused(bad, "Paused", &["HTTP 500", "wait"]).await?;
    let line = format!("add {asked_for} -n {namespace} --reason look");
    let refused = plugin.run(&line).await?.refused()?;
    has(&refused, &["(look): quarantine is paused: wait"])?;
    scene.annotate(asked_for, keys::QUARANTINE, None).await?;
    let line = format!("release {released} -n {namespace}");
    plugin.run(&line).await?.done()?;
    scene.back(released).await?;
    let pause = shown(&plugin, &scene, kept, bad).await?;
    assert_eq!(pause["since"], first["pause"]["since"]);
    ensure!(pause["since"].is_string(), "{pause}");

    scene.agent.kill().await?;
    scene.metric_is("paused", &[], 1.0).await?;
    scene.refused(bad, "Paused", &["HTTP 500", "wait"]).await?;
    tokio::time::sleep(A_WHILE).await;
    stays(&scene, kept).await?;
    scene.untouched(bad).await?;
    scene.untouched(asked_for).await?;

    assert_eq!(events_with(&scene, "Resumed").await?, 0);
    let resumed = asked(&plugin, &scene, "resume").await?;
    assert_eq!(resumed.done()?, "quarantine resumed\n");
    scene.web.quarantined(bad).await?;
    scene.reaped(kept).await?;
    scene.stage.event(agent, LEDGER, &["Resumed: "]).await?;
    scene.metric_is("paused", &[], 0.0).await?;
    let again = asked(&plugin, &scene, "resume -o json").await?.done()?;
    let again: Value = serde_json::from_str(&again)?;
    assert_eq!(again["items"][0]["done"], true);
    assert_eq!(again["items"][0]["message"], "quarantine was not paused");
    let listed = asked(&plugin, &scene, &format!("list -n {namespace}")).await?;
    ensure!(!listed.err.contains("paused"), "{listed:?}");
    scene.clear().await
}

#[tokio::test]
async fn pausing_the_wrong_agent_or_without_the_rights_is_refused() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let scene = Scene::set_on(stage, "pause-no", 1, Labels::NoToggle, PROBE).await?;
    let plugin = scene.stage.plugin().await?;
    let (namespace, agent) = (scene.namespace(), scene.agent.namespace());
    let ledgers: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(scene.stage.client.clone(), agent);
    let is_there = async || {
        let found = ledgers.list(&ListParams::default()).await?.items;
        let mut names = found.iter().map(kube::ResourceExt::name_any);
        ensure!(names.any(|name| name == LEDGER), "there is no ledger");
        Ok(())
    };
    scene.until("the ledger is there", is_there).await?;
    for wrong in [
        format!("pause --reason x --agent-namespace {namespace}"),
        format!("resume --agent-namespace {agent} --agent other"),
    ] {
        let refused = plugin.run(&wrong).await?.refused()?;
        println!("{refused}");
        let right = format!("--agent-namespace {agent} --agent default");
        has(&refused, &["has no ledger of agent ", &right])?;
    }

    // A user who may read pods alone is not reminded on every call of what else there is to see.
    let viewer = scene.stage.plugin_of_viewer(&[namespace]).await?;
    for line in ["pause --reason x", "resume"] {
        let refused = asked(&viewer, &scene, line).await?.refused()?;
        println!("{refused}");
        let right = format!("get and patch configmap/{LEDGER} in namespace {agent}");
        has(&refused, &[&right, "(Forbidden)"])?;
    }
    let unknown = "whether the agent is paused is unknown: Error from server (Forbidden)";
    let line = format!("list -n {namespace}");
    let listed = asked(&viewer, &scene, &line).await?;
    ensure!(!listed.err.contains("paused"), "{listed:?}");
    listed.done()?;
    let wide = asked(&viewer, &scene, &format!("{line} -o wide")).await?;
    has(&wide.err, &[unknown])?;
    wide.done()?;
    let name = asked(&plugin, &scene, "resume -o name").await?.done()?;
    assert_eq!(name, format!("configmap/{LEDGER}\n"));
    scene.clear().await
}
