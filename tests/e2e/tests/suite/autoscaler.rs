//! A real HorizontalPodAutoscaler on real processor time: it neither counts a quarantined pod nor takes it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use pod_quarantine::core::keys;
use serde_json::json;
use test_cluster::wait;
use test_e2e::{
    Labels, PROBE, Scene,
    manifest::{container, controller, object, service, template},
};

/// A measurement is up to ten seconds old, and so is the autoscaler's look at it.
const MEASURED: Duration = Duration::from_mins(2);

/// What the autoscaler sees: the average use in per cent of the requests, the pods that there are, and those it wants.
async fn seen(scene: &Scene) -> anyhow::Result<(i32, i32, i32)> {
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    let status = autoscalers.get("own").await?.status.context("no status")?;
    let metrics = status.current_metrics.unwrap_or_default();
    let of_cpu = metrics.into_iter().find_map(|metric| metric.resource);
    let average = of_cpu.and_then(|resource| resource.current.average_utilization);
    Ok((
        average.context("nothing was measured yet")?,
        status.current_replicas.unwrap_or_default(),
        status.desired_replicas,
    ))
}

#[tokio::test]
async fn an_autoscaler_neither_counts_nor_deletes_a_quarantined_pod() -> anyhow::Result<()> {
    let scene = Scene::set("autoscaler", 1, Labels::NoToggle, PROBE).await?;
    let labels = json!({ "app": "own" });
    let requests = json!({ "resources": { "requests": { "cpu": "20m" } } });
    let pods = template(
        labels.clone(),
        json!({ "containers": [container(requests)] }),
    );
    let deployment = controller(
        "Deployment",
        "own",
        labels.clone(),
        pods,
        json!({ "replicas": 2 }),
    );
    scene
        .apply_all(&[deployment, service("own", labels, json!({}))])
        .await?;
    let bad = scene.ready("app=own", 2).await?.remove(0);
    // The busy one alone makes the average of two, and of three, several times what is wanted.
    scene.web.switch(&bad, r#"{"busy_percent": 30}"#).await?;
    let at_once = json!({ "stabilizationWindowSeconds": 0 });
    let autoscaler = object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "own",
        json!({
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "own" },
            "minReplicas": 2,
            "maxReplicas": 3,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 200 },
            } }],
            "behavior": { "scaleDown": at_once, "scaleUp": at_once },
        }),
    );
    scene.apply_all(&[autoscaler]).await?;
    wait::until("it scales up for the busy pod", MEASURED, async || {
        let seen = seen(&scene).await?;
        ensure!(seen.0 > 200 && seen.1 == 3, "{seen:?}");
        Ok(())
    })
    .await?;

    scene
        .annotate(&bad, keys::QUARANTINE, Some("it is busy"))
        .await?;
    scene.labelled(&bad).await?;
    wait::until("it scales down without it", MEASURED, async || {
        let seen = seen(&scene).await?;
        // All others idle: had it counted the busy one, the average would still be above.
        ensure!(seen.0 < 100 && seen.1 == 2 && seen.2 == 2, "{seen:?}");
        Ok(())
    })
    .await?;
    let staying = scene.ready("app=own", 2).await?;
    assert!(!staying.contains(&bad), "{staying:?}");
    let kept = scene.web.pod(&bad).await?;
    assert!(kept.metadata.deletion_timestamp.is_none(), "it was taken");
    scene.clear().await
}
