//! Pods of one workload follow each other into quarantine one by one, and stop after too many retries.

use anyhow::ensure;
use pod_quarantine::core::ledger::Slot;
use serde_json::json;
use test_e2e::{Labels, PROBE, Scene, changed};

/// A policy file in which the pods of a workload are held back by nothing but pacing.
fn paced(pacing: &str) -> String {
    changed(
        PROBE,
        &[
            (
                "workload: { max: 2, minReady: 0% }",
                &format!("workload: {{ max: 5, minReady: 0% }}\n  pacing: {{ {pacing} }}"),
            ),
            ("ttl: 1h", "ttl: 1h\nkeepNode: true"),
        ],
    )
}

/// Waits for the slot of a pod.
async fn slot(scene: &Scene, pod: &str) -> anyhow::Result<Slot> {
    scene
        .until(&format!("a slot of {pod}"), async || {
            let slots = scene.agent.slots().await?;
            let found = slots.into_iter().find(|slot| &*slot.name == pod);
            found.ok_or_else(|| anyhow::anyhow!("it has none"))
        })
        .await
}

#[tokio::test]
async fn a_second_pod_waits_until_the_first_is_replaced() -> anyhow::Result<()> {
    let scene = Scene::set("paced", 4, Labels::NoToggle, &paced("retries: 5")).await?;
    scene.seen_good().await?;
    let [first, second, ..] = &scene.pods[..] else {
        anyhow::bail!("four pods");
    };
    scene.web.switch(first, "500").await?;
    scene.web.switch(second, "500").await?;
    let refusals = [("policy", "web"), ("reason", "Pacing")];
    scene
        .until(
            "one pod waits for the replacement of the other",
            async || {
                let waits = scene.agent.sum("refusals_total", &refusals).await?;
                ensure!(waits >= 1.0, "{waits}");
                Ok(())
            },
        )
        .await?;
    let (one, other) = tokio::try_join!(slot(&scene, first), slot(&scene, second))?;
    let (earlier, later) = if one.at < other.at {
        (one, other)
    } else {
        (other, one)
    };
    let waited = slot(&scene, &earlier.name).await?.replaced;
    assert!(
        waited.is_some_and(|replaced| replaced <= later.at),
        "{waited:?}"
    );
    scene.clear().await
}

/// Switches a pod that was seen good; waits until it is quarantined, and returns its replacement.
async fn replaced(scene: &Scene, bad: &str, before: &[String]) -> anyhow::Result<String> {
    scene.web.switch(bad, "500").await?;
    scene.web.quarantined(bad).await?;
    scene
        .until("a replacement", async || {
            let serving = scene.web.serving().await?;
            let new = serving.into_iter().find(|pod| !before.contains(pod));
            new.ok_or_else(|| anyhow::anyhow!("none is Ready"))
        })
        .await
}

#[tokio::test]
async fn a_workload_whose_replacements_turn_unhealthy_is_left_alone_until_a_person_resets_it()
-> anyhow::Result<()> {
    let scene = Scene::set("retries", 3, Labels::NoToggle, &paced("retries: 1")).await?;
    scene.seen_good().await?;
    let mut seen = scene.pods.clone();
    let first = replaced(&scene, &scene.pods[0], &seen).await?;
    seen.push(first.clone());
    scene.seen_good().await?;
    let second = replaced(&scene, &first, &seen).await?;
    scene.seen_good().await?;
    scene.web.switch(&second, "500").await?;
    let said = ["Deployment web is left alone", "pod-quarantine.io/reset"];
    scene.refused(&second, "RetriesExhausted", &said).await?;
    // The retries survive a restart.
    scene.agent.kill().await?;
    scene.samples("bad", 4.0).await?;
    scene.untouched(&second).await?;
    let reset = json!({ "metadata": { "annotations": { "pod-quarantine.io/reset": "mended" } } });
    scene.web.patch(reset).await?;
    scene.web.quarantined(&second).await?;
    scene.clear().await
}

#[tokio::test]
async fn no_pod_is_quarantined_during_a_rollout_of_its_workload() -> anyhow::Result<()> {
    let scene = Scene::set("rollout-held", 3, Labels::NoToggle, &paced("retries: 5")).await?;
    scene.seen_good().await?;
    // A rollout that cannot end: the new pods need a node that there is not.
    let nowhere = |place: Option<&str>| json!({ "spec": { "template": { "spec": { "nodeSelector": { "place": place } } } } });
    scene.web.patch(nowhere(Some("nowhere"))).await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene.refused(bad, "Rollout", &["Deployment web"]).await?;
    scene.web.patch(nowhere(None)).await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_is_quarantined_during_a_rollout_if_the_file_says_so() -> anyhow::Result<()> {
    let policy = paced("duringRollout: true");
    let scene = Scene::set("rollout-taken", 3, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let nowhere =
        json!({ "spec": { "template": { "spec": { "nodeSelector": { "place": "nowhere" } } } } });
    scene.web.patch(nowhere).await?;
    scene.web.switch(&scene.pods[0], "500").await?;
    scene.web.quarantined(&scene.pods[0]).await?;
    scene.clear().await
}
