//! A pod that turns unhealthy is quarantined, its replacement starts, and the pod runs on.

use anyhow::ensure;
use kube::ResourceExt;
use test_e2e::{Labels, PROBE, Scene, record};

async fn an_unhealthy_pod_is_quarantined(
    hint: &str,
    labels: Labels,
    edited: &str,
    value: &str,
) -> anyhow::Result<()> {
    let scene = Scene::set(hint, 3, labels, PROBE).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    let before = scene.web.pod(bad).await?;
    scene.web.switch(bad, "500").await?;
    let out = scene.web.quarantined(bad).await?;
    assert_eq!(out.labels()[edited], value);
    assert_eq!(out.labels()["team"], "shop");
    let record = record(&out)?;
    let recorded = record
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    assert_eq!(
        &recorded.collect::<std::collections::BTreeMap<_, _>>(),
        before.labels()
    );
    assert_eq!(
        record
            .services
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>(),
        ["web"]
    );

    let serving = scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    assert!(
        !serving.contains(bad),
        "the replacement serves, not the bad pod"
    );
    let still = scene.web.pod(bad).await?;
    assert_eq!(still.uid(), before.uid());
    assert_eq!(
        still.status.and_then(|status| status.phase).as_deref(),
        Some("Running")
    );
    scene
        .event(bad, &["Quarantined", "HTTP 500", "policy web"])
        .await?;
    assert_eq!(scene.agent.slots().await?.len(), 1);
    scene.clear().await
}

#[tokio::test]
async fn a_pod_without_a_toggle_label_leaves_its_service_and_its_workload() -> anyhow::Result<()> {
    an_unhealthy_pod_is_quarantined("plain", Labels::NoToggle, "app", "quarantined").await
}

#[tokio::test]
async fn a_toggle_label_in_both_selectors_is_set_to_false_and_leaves_both() -> anyhow::Result<()> {
    an_unhealthy_pod_is_quarantined("toggle", Labels::ToggleInBoth, "enabled", "false").await
}

#[tokio::test]
async fn requests_are_good_again_once_the_unhealthy_pod_is_quarantined() -> anyhow::Result<()> {
    let scene = Scene::set("traffic", 3, Labels::NoToggle, PROBE).await?;
    let traffic = scene.stage.traffic(scene.namespace(), false).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene.web.quarantined(bad).await?;
    let during = traffic.counts().await?;
    assert!(during.by_pod[bad].contains_key(&500), "{during:?}");
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    scene
        .until(
            "forty good answers in a row, from the others alone",
            async || {
                traffic.reset().await?;
                tokio::time::sleep(std::time::Duration::from_secs(4)).await;
                let now = traffic.counts().await?;
                let good: u64 = now
                    .by_pod
                    .values()
                    .filter_map(|codes| codes.get(&200))
                    .sum();
                let all: u64 = now.by_pod.values().flat_map(|codes| codes.values()).sum();
                let failed: u64 = now.errors.values().sum();
                ensure!(good >= 40 && good == all && failed == 0, "{now:?}");
                ensure!(!now.by_pod.contains_key(bad), "{now:?}");
                Ok(())
            },
        )
        .await?;
    scene.clear().await
}
