//! A patch is not a quarantine: its effect is measured, and Events say where it has had none.

use std::time::Duration;

use anyhow::ensure;
use kube::ResourceExt;
use pod_quarantine::core::keys;
use serde_json::json;
use test_cluster::Component;
use test_e2e::{
    Labels, PROBE, Scene, Stage, changed,
    manifest::{container, controller, template},
};

#[tokio::test]
async fn the_drain_time_and_the_replacement_time_are_measured() -> anyhow::Result<()> {
    let scene = Scene::set("measured", 2, Labels::NoToggle, PROBE).await?;
    // Clocks may differ by two seconds: a pod that is younger could be a replacement.
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.quarantine_manually(&scene.pods[0]).await?;
    let of_web = [("policy", "web")];
    for name in ["drain_duration_seconds", "replacement_duration_seconds"] {
        scene
            .until(&format!("{name} is measured"), async || {
                let count = scene.agent.sum(&format!("{name}_count"), &of_web).await?;
                ensure!(count == 1.0, "{count}");
                Ok(())
            })
            .await?;
    }
    let drained = scene
        .agent
        .sum("drain_duration_seconds_sum", &of_web)
        .await?;
    let replaced = scene
        .agent
        .sum("replacement_duration_seconds_sum", &of_web)
        .await?;
    assert!(drained > 0.0 && drained < 10.0, "{drained}");
    assert!(replaced > drained && replaced < 30.0, "{replaced}");
    assert_eq!(scene.agent.sum("not_drained_total", &[]).await?, 0.0);
    scene.clear().await
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn events_name_a_pod_that_stays_in_the_slices_and_in_its_replica_set()
    -> anyhow::Result<()> {
        let stage = Stage::open_alone().await?;
        if !stage.cluster.is_own() {
            return Ok(());
        }
        let scene = Scene::set_on(stage, "stuck", 2, Labels::NoToggle, PROBE).await?;
        let pod = &scene.pods[0];
        let controllers = scene
            .stage
            .cluster
            .component(Component::ControllerManager)?;
        controllers.stop().await?;
        scene
            .annotate(pod, keys::QUARANTINE, Some("nobody notices"))
            .await?;
        let out = scene.labelled(pod).await?;
        assert!(!out.owner_references().is_empty());
        scene
            .event(pod, &["NotDrained", "still in the EndpointSlices of web"])
            .await?;
        scene
            .event(
                pod,
                &["NotDrained", "ReplicaSet web-", "still owns the pod"],
            )
            .await?;
        let of_web = [("namespace", scene.namespace()), ("policy", "web")];
        assert_eq!(scene.agent.sum("not_drained_total", &of_web).await?, 2.0);

        controllers.start().await?;
        scene.web.quarantined(pod).await?;
        let of_web = [("policy", "web")];
        scene
            .until("it is followed to the end", async || {
                let drained = scene
                    .agent
                    .sum("drain_duration_seconds_count", &of_web)
                    .await?;
                ensure!(drained == 1.0, "{drained}");
                Ok(())
            })
            .await?;
        scene.clear().await
    }
}

#[tokio::test]
async fn restarts_of_a_quarantined_pod_are_counted() -> anyhow::Result<()> {
    let scene = Scene::set("restarts", 1, Labels::NoToggle, PROBE).await?;
    let labels = json!({ "app": "live" });
    let liveness = json!({ "livenessProbe": {
        "httpGet": { "path": "/healthz", "port": "http" }, "periodSeconds": 1, "failureThreshold": 1,
    } });
    let pods = template(
        labels.clone(),
        json!({ "containers": [container(liveness)] }),
    );
    let deployment = controller("Deployment", "live", labels, pods, json!({ "replicas": 1 }));
    scene.apply_all(&[deployment]).await?;
    let pod = scene.ready("app=live", 1).await?.remove(0);
    scene
        .annotate(&pod, keys::QUARANTINE, Some("please"))
        .await?;
    scene.labelled(&pod).await?;
    let own = [("namespace", scene.namespace()), ("pod", &*pod)];
    scene
        .metric_is("quarantined_pod_restarts", &own, 0.0)
        .await?;
    // The kubelet goes on probing: a bad answer ends the very process that was to be looked into.
    scene.web.switch(&pod, "500").await?;
    scene
        .metric_is("quarantined_pod_restarts", &own, 1.0)
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_released_pod_is_left_alone_for_a_while_and_then_judged_again() -> anyhow::Result<()> {
    let settle = changed(PROBE, &[("mode: enforce", "mode: enforce\n    settle: 6s")]);
    let scene = Scene::set("settling", 3, Labels::NoToggle, &settle).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.quarantine_manually(bad).await?;
    scene.annotate(bad, keys::RELEASE, Some("true")).await?;
    let back = scene.back(bad).await?;
    assert!(back.annotations().contains_key(keys::RELEASED));
    scene.web.switch(bad, "500").await?;
    scene
        .refused(bad, "Settling", &["HTTP 500", "left alone until"])
        .await?;
    let out = scene.web.quarantined(bad).await?;
    let record = test_e2e::record(&out)?;
    // The two probes that it takes were answered after it had been left alone.
    let released = scene.event(bad, &["Released"]).await?;
    assert!(record.reason.contains("bad probes in a row"), "{released}");
    let first = record.evidence.first().map(|evidence| evidence.at);
    assert_eq!(record.evidence.len(), 2, "{:?}", record.evidence);
    assert!(first.is_some_and(|at| at < record.at));
    assert!(!out.annotations().contains_key(keys::RELEASED));
    scene.clear().await
}
