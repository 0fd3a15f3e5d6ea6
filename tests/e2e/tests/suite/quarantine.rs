//! A pod that goes bad is taken out, its replacement starts, and it is still there.

use std::time::Duration;

use pod_quarantine::core::{keys, record::Record};
use test_cluster::wait;
use test_e2e::{Labels, Stage};

/// A policy that probes the pods of one namespace every second.
pub(crate) fn probe_policy(namespace: &str) -> String {
    format!(
        r"
mode: enforce
limits:
  cluster: {{ max: 1000 }}
  namespace: {{ max: 5 }}
  workload: {{ max: 2 }}
ttl: 1h
policies:
  - name: web-does-not-answer
    pods: {{ matchLabels: {{ team: shop }} }}
    namespaces: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}
    probe:
      httpGet: {{ path: /healthz, port: http }}
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
"
    )
}

async fn a_bad_pod_is_taken_out(
    hint: &str,
    labels: Labels,
    edited: &str,
    value: Option<&str>,
) -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace(hint).await?;
    let web = stage.web(namespace.name(), 3, labels).await?;
    let agent = stage.agent(hint, &probe_policy(namespace.name())).await?;
    let bad = web.serving().await?[0].clone();
    let before = web.pod(&bad).await?;
    wait::until("good samples", Duration::from_secs(20), async || {
        let good = agent
            .sum("signal_samples_total", &[("result", "good")])
            .await?;
        anyhow::ensure!(good >= 6.0, "{good} good samples");
        Ok(())
    })
    .await?;

    web.switch(&bad, "500").await?;
    let pod = web.quarantined(&bad).await?;
    let labels = pod.metadata.labels.unwrap_or_default();
    assert_eq!(labels.get(edited).map(String::as_str), value, "{labels:?}");
    assert_eq!(labels["team"], "shop");
    let record: Record =
        serde_json::from_str(&pod.metadata.annotations.unwrap_or_default()[keys::RECORD])?;
    let recorded: Vec<_> = record
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let labels_before: Vec<_> = before
        .metadata
        .labels
        .unwrap_or_default()
        .into_iter()
        .collect();
    assert_eq!(recorded, labels_before);
    assert_eq!(
        record
            .services
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&str>>(),
        ["web"]
    );

    let endpoints = stage.ready_endpoints(namespace.name(), "web", 3).await?;
    assert!(
        !endpoints.contains(&bad),
        "the replacement serves, not the bad pod"
    );
    let still = web.pod(&bad).await?;
    assert_eq!(still.metadata.uid, before.metadata.uid);
    assert_eq!(
        still.status.and_then(|status| status.phase).as_deref(),
        Some("Running")
    );
    stage
        .event(
            namespace.name(),
            &bad,
            &["Quarantined", "HTTP 500", "web-does-not-answer"],
        )
        .await?;
    assert_eq!(agent.slots().await?.len(), 1);
    agent.uninstall().await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_pod_without_a_toggle_label_leaves_its_service_and_its_workload() -> anyhow::Result<()> {
    a_bad_pod_is_taken_out("plain", Labels::NoToggle, "app", Some("quarantined")).await
}

#[tokio::test]
async fn a_toggle_label_in_both_selectors_is_set_to_false_and_leaves_both() -> anyhow::Result<()> {
    a_bad_pod_is_taken_out("toggle", Labels::ToggleInBoth, "enabled", Some("false")).await
}
