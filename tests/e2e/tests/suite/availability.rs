//! What a Ready pod must leave behind: enough of its workload, its disruption budgets, and its Services.

use serde_json::json;
use test_e2e::{Labels, PROBE, Scene, changed, manifest};

/// The `/healthz` of a pod fails, and the pod stays Ready.
const BAD: &str = "500";

/// The same, and the pod does not stay Ready.
const BAD_AND_NOT_READY: &str = r#"{ "health": { "answer": { "status": 500 } }, "ready": false }"#;

#[tokio::test]
async fn a_ready_pod_stays_if_too_few_others_are_ready_and_a_pod_that_is_not_ready_goes()
-> anyhow::Result<()> {
    let policy = changed(PROBE, &[("minReady: 0%", "minReady: 100%")]);
    let scene = Scene::set("minready", 3, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, BAD).await?;
    let said = ["2 of its other pods are Ready, at least 3 must stay so"];
    scene.refused(bad, "MinReady", &said).await?;
    scene.web.switch(bad, BAD_AND_NOT_READY).await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}

/// A PodDisruptionBudget over all pods of `web`.
async fn budget(scene: &Scene, min_available: u32) -> anyhow::Result<()> {
    let spec =
        json!({ "minAvailable": min_available, "selector": { "matchLabels": { "app": "web" } } });
    scene
        .apply_all(&[manifest::object(
            "policy/v1",
            "PodDisruptionBudget",
            "web",
            spec,
        )])
        .await
}

#[tokio::test]
async fn a_ready_pod_stays_if_a_disruption_budget_allows_no_disruption() -> anyhow::Result<()> {
    let scene = Scene::set("budget-none", 3, Labels::NoToggle, PROBE).await?;
    budget(&scene, 3).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, BAD).await?;
    scene.refused(bad, "DisruptionBudget", &["web"]).await?;
    budget(&scene, 2).await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_that_is_not_ready_costs_a_disruption_budget_nothing() -> anyhow::Result<()> {
    let scene = Scene::set("budget-free", 3, Labels::NoToggle, PROBE).await?;
    budget(&scene, 3).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, BAD_AND_NOT_READY).await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}

#[tokio::test]
async fn the_last_ready_pod_of_a_service_stays() -> anyhow::Result<()> {
    let scene = Scene::set("last", 3, Labels::NoToggle, PROBE).await?;
    let bad = &scene.pods[0];
    let labels = json!({ "metadata": { "labels": { "solo": "true" } } });
    let pods = scene.stage.pods(scene.namespace());
    let merge = kube::api::Patch::Merge(&labels);
    pods.patch(bad, &kube::api::PatchParams::default(), &merge)
        .await?;
    let solo = json!({ "solo": "true" });
    scene
        .apply_all(&[manifest::service("solo", solo, json!({}))])
        .await?;
    scene.slices("solo", &[bad]).await?;
    scene.seen_good().await?;
    scene.web.switch(bad, BAD).await?;
    scene
        .refused(bad, "LastEndpoint", &["the only Ready pod of solo"])
        .await?;
    // With another Ready pod behind the Service, the pod is quarantined.
    pods.patch(&scene.pods[1], &kube::api::PatchParams::default(), &merge)
        .await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}
