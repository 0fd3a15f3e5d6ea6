//! Reaping: a quarantined pod is deleted when its TTL expires, and no other pod is.

use anyhow::{Context as _, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams, WatchEvent, WatchParams},
};
use pod_quarantine::core::keys;
use serde_json::json;
use test_e2e::{Labels, PROBE, Scene, Stage, changed};

/// The longest that a pod may take to go.
const WATCHED: u32 = 30;

fn kept_for(ttl: &str) -> String {
    changed(
        PROBE,
        &[
            ("ttl: 1h", &format!("ttl: {ttl}")),
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 4, minReady: 0% }",
            ),
        ],
    )
}

/// The pod as it was when it began to go.
async fn terminating(scene: &Scene, pod: &str) -> anyhow::Result<Pod> {
    let of_pod = WatchParams::default()
        .fields(&format!("metadata.name={pod}"))
        .timeout(WATCHED);
    let pods = scene.stage.pods(scene.namespace());
    let mut changes = std::pin::pin!(pods.watch(&of_pod, "0").await?);
    while let Some(change) = changes.try_next().await? {
        match change {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod)
                if pod.metadata.deletion_timestamp.is_some() =>
            {
                return Ok(pod);
            }
            WatchEvent::Deleted(pod) => return Ok(pod),
            _ => {}
        }
    }
    anyhow::bail!("{pod} did not go within {WATCHED} s")
}

#[tokio::test]
async fn a_pod_is_deleted_when_its_ttl_expires_with_its_own_grace_period() -> anyhow::Result<()> {
    let scene = Scene::set("reap", 2, Labels::NoToggle, &kept_for("5s")).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let expires = test_e2e::record(&scene.web.pod(pod).await?)?.expires;
    assert_eq!(scene.agent.slots().await?.len(), 1);
    let going = terminating(&scene, pod).await?;
    // What the pod's own spec says, not an agent in a hurry.
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(1));
    assert!(jiff::Timestamp::now() >= expires, "before its time");
    scene
        .event(pod, &["Reaped", "deleted", "its TTL expired at 20"])
        .await?;
    let of_web = [("namespace", scene.namespace()), ("policy", "web")];
    assert_eq!(scene.agent.sum("reaps_total", &of_web).await?, 1.0);
    scene
        .until("its slot is free", async || {
            let slots = scene.agent.slots().await?;
            ensure!(slots.is_empty(), "{slots:?}");
            Ok(())
        })
        .await?;
    scene.metric_is("quarantined_pods", &of_web, 0.0).await?;
    // The pod beside it and the replacement stay.
    assert!(
        scene
            .stage
            .ready_endpoints(scene.namespace(), "web", 2)
            .await?
            .contains(&scene.pods[1])
    );
    scene.clear().await
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn a_pod_with_a_damaged_forged_or_copied_record_is_never_reaped() -> anyhow::Result<()> {
        // Alone: agents that start meanwhile would take the damaged record for one of theirs.
        let stage = Stage::open_alone().await?;
        let scene = Scene::set_on(stage, "forged", 4, Labels::NoToggle, &kept_for("8s")).await?;
        let [damaged, forged, copy, plain] = &scene.pods[..] else {
            anyhow::bail!("{:?}", scene.pods)
        };
        scene
            .quarantine_all_manually(&[damaged.clone(), forged.clone(), plain.clone()])
            .await?;
        let original = scene.web.pod(plain).await?.annotations()[keys::RECORD].clone();
        scene
            .annotate(damaged, keys::RECORD, Some("{\"version\":1"))
            .await?;
        // Readable, but not what the agent wrote.
        let own = scene.web.pod(forged).await?.annotations()[keys::RECORD].clone();
        let reason = own.replace("to be looked into", "forged");
        assert_ne!(reason, own);
        scene.annotate(forged, keys::RECORD, Some(&reason)).await?;
        // Label and record of another pod, as a copied manifest has them.
        let copied = json!({ "metadata": {
            "labels": { keys::STATE: keys::QUARANTINED },
            "annotations": { keys::RECORD: original, keys::TTL: "1s" },
        }});
        scene
            .stage
            .pods(scene.namespace())
            .patch(copy, &PatchParams::default(), &Patch::Merge(&copied))
            .await?;

        scene.reaped(plain).await?;
        scene
            .event(
                damaged,
                &["BadAnnotation", "record cannot be read", "never reaped"],
            )
            .await?;
        scene
            .event(
                forged,
                &["HeldPastTTL", "not the one that the ledger knows"],
            )
            .await?;
        scene
            .event(copy, &["BadAnnotation", "no record", "never reaped"])
            .await?;
        for pod in [damaged, forged, copy] {
            let pod = scene.web.pod(pod).await?;
            ensure!(
                pod.metadata.deletion_timestamp.is_none(),
                "{} goes",
                pod.name_any()
            );
        }
        // Nor can lost labels be put back, not even by force.
        for pod in [damaged, copy] {
            scene.annotate(pod, keys::RELEASE, Some("force")).await?;
            scene
                .event(pod, &["ReleaseRefused", "labels cannot be put back"])
                .await?;
        }
        assert_eq!(scene.agent.sum("reaps_total", &[]).await?, 1.0);
        scene.clear().await
    }
}

#[tokio::test]
async fn in_observe_no_pod_is_reaped_and_people_can_still_release() -> anyhow::Result<()> {
    let scene = Scene::set("noreap", 2, Labels::NoToggle, &kept_for("15s")).await?;
    let (kept, released) = (&scene.pods[0], &scene.pods[1]);
    scene.quarantine_all_manually(&scene.pods).await?;
    scene.namespace_mode(Some("observe")).await?;
    let expires = test_e2e::record(&scene.web.pod(released).await?)?.expires;
    scene
        .until("three seconds past their time", async || {
            let past = jiff::Timestamp::now().duration_since(expires);
            ensure!(past.as_secs() >= 3, "{past}");
            Ok(())
        })
        .await?;
    for pod in &scene.pods {
        let pod = scene.web.pod(pod).await?;
        ensure!(
            pod.metadata.deletion_timestamp.is_none(),
            "{} goes",
            pod.name_any()
        );
    }
    scene
        .annotate(released, keys::RELEASE, Some("true"))
        .await?;
    scene.back(released).await?;
    scene.namespace_mode(None).await?;
    scene.reaped(kept).await?;
    let left = scene.web.serving().await?;
    left.iter()
        .find(|pod| *pod == released)
        .context("the released pod went")?;
    scene.clear().await
}
