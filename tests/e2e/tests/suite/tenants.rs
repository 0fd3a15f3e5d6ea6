//! What a tenant may write onto its own pods harms nobody.

use std::time::Duration;

use anyhow::Context as _;
use kube::ResourceExt as _;
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Scene};

/// How long the agent would take to ask, had it a reason.
const A_WHILE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_ttl_that_no_duration_can_hold_ends_no_agent() -> anyhow::Result<()> {
    let scene = Scene::set("ttl-of-ages", 3, Labels::NoToggle, PROBE).await?;
    scene.seen_good().await?;
    let ages = "18446744073709551615s 1000000000ns";
    scene
        .annotate(&scene.pods[0], keys::TTL, Some(ages))
        .await?;
    scene
        .event(&scene.pods[0], &["BadAnnotation", "pod-quarantine.io/ttl"])
        .await?;
    scene.web.switch(&scene.pods[0], "500").await?;
    scene.web.quarantined(&scene.pods[0]).await?;
    scene.web.switch(&scene.pods[1], "500").await?;
    scene.web.quarantined(&scene.pods[1]).await?;
    let agent = scene.agent.ready().await?;
    let containers = agent.status.and_then(|status| status.container_statuses);
    let containers = containers.context("no container")?;
    assert_eq!(containers[0].restart_count, 0);
    scene.clear().await
}

/// How often the agent has asked for EndpointSlices.
fn asked_for_slices(scene: &Scene) -> anyhow::Result<usize> {
    let log = scene.stage.cluster.audit_log();
    let log = std::fs::read_to_string(log.context("no audit log")?)?;
    let account = format!(
        "system:serviceaccount:{}:pod-quarantine",
        scene.agent.namespace()
    );
    let lines = log.lines().filter(|line| line.contains(&account));
    let lines = lines.filter(|line| line.contains("\"endpointslices\""));
    Ok(lines.count())
}

/// A record that the agent wrote on one pod, as a tenant would write it on another, with Services without end.
fn forged(record: &str, uid: &str, services: usize) -> anyhow::Result<String> {
    let mut record: Value = serde_json::from_str(record)?;
    record["uid"] = uid.into();
    record["services"] = json!(vec!["$"; services]);
    Ok(record.to_string())
}

#[tokio::test]
async fn the_agent_asks_nothing_about_a_record_that_it_did_not_write() -> anyhow::Result<()> {
    let scene = Scene::set("forged", 4, Labels::NoToggle, PROBE).await?;
    if !scene.stage.cluster.is_own() {
        return scene.clear().await;
    }
    let [real, short, long, _] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    let quarantined = scene.quarantine_manually(real).await?;
    let record = &quarantined.annotations()[keys::RECORD];
    let drained = [("policy", "web")];
    scene
        .metric_is("drain_duration_seconds_count", &drained, 1.0)
        .await?;
    tokio::time::sleep(A_WHILE).await;
    let before = asked_for_slices(&scene)?;
    anyhow::ensure!(
        before > 0,
        "it has not asked for the slices of the real one"
    );
    for (pod, services) in [(short, 1000), (long, 60_000)] {
        let uid = scene.web.pod(pod).await?.uid().unwrap_or_default();
        let record = forged(record, &uid, services)?;
        scene.annotate(pod, keys::RECORD, Some(&record)).await?;
    }
    let used = [("scope", "namespace"), ("namespace", scene.namespace())];
    scene.metric_is("limit_used", &used, 3.0).await?;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(asked_for_slices(&scene)?, before);
    scene.clear().await
}

#[tokio::test]
async fn an_agent_that_is_installed_beside_a_forged_mark_acts_at_once() -> anyhow::Result<()> {
    let tenant = Scene::set("mark", 2, Labels::NoToggle, PROBE).await?;
    let record = tenant.quarantine_manually(&tenant.pods[0]).await?;
    let record = &record.annotations()[keys::RECORD];
    let uid = tenant.web.pod(&tenant.pods[1]).await?.uid();
    let record = forged(record, &uid.unwrap_or_default(), 1)?;
    let (pod, key) = (&tenant.pods[1], keys::RECORD);
    tenant.annotate(pod, key, Some(&record)).await?;
    let scene = Scene::set("beside-a-mark", 2, Labels::NoToggle, PROBE).await?;
    scene.quarantine_manually(&scene.pods[0]).await?;
    scene.clear().await?;
    tenant.clear().await
}
