//! The query, asked of a real Prometheus.

use test_e2e::{Labels, PROBE, Scene, changed, record};

/// The contract's example, with windows for a Prometheus that scrapes every 2 s.
const ERRORS: &str = r#"prometheus:
      query: |
        (  sum by (namespace, pod) (rate(http_requests_total{code=~"5.."}[10s]))
        or 0 * sum by (namespace, pod) (rate(http_requests_total[10s])) )
        /  sum by (namespace, pod) (rate(http_requests_total[10s]))
      above: 0.05
      interval: 1s
      for: 3s
"#;

/// Three requests of ten fail; `/healthz` is fine.
const THIRTY_PER_CENT: &str = r#"{"traffic":{"answer":{"status":500},"share":0.3}}"#;

fn asking(query: &str) -> String {
    let (before, _) = PROBE.split_once("probe:").unwrap_or((PROBE, ""));
    let server = "prometheus: { url: 'http://prometheus.monitoring:9090' }\nmode: observe";
    changed(before, &[("mode: observe", server)]) + query
}

#[tokio::test]
async fn a_query_finds_a_pod_with_errors_though_its_healthz_is_fine() -> anyhow::Result<()> {
    let scene = Scene::set("errors", 3, Labels::NoToggle, &asking(ERRORS)).await?;
    scene.stage.traffic(scene.namespace(), false).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, THIRTY_PER_CENT).await?;
    let record = record(&scene.web.quarantined(bad).await?)?;
    assert!(record.reason.contains("is above 0.05"), "{}", record.reason);
    // `for` is 3 s: four answers, a second apart.
    let bad_ones = record
        .evidence
        .iter()
        .filter(|seen| seen.saw.contains("is above 0.05"));
    assert!(bad_ones.count() >= 3, "{record:?}");
    scene
        .event(bad, &["Quarantined", "policy web", "is above 0.05"])
        .await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    assert_eq!(
        scene.web.all_quarantined().await?,
        *std::slice::from_ref(bad)
    );
    assert!(
        scene
            .agent
            .sum("query_duration_seconds_count", &[("policy", "web")])
            .await?
            >= 3.0
    );
    scene.clear().await
}

#[tokio::test]
async fn a_value_under_below_is_bad_and_a_value_that_is_no_number_is_no_answer()
-> anyhow::Result<()> {
    let successes = r#"prometheus:
      query: |
        sum by (namespace, pod) (rate(http_requests_total{code="200"}[6s]))
        / sum by (namespace, pod) (rate(http_requests_total[6s]))
      below: 0.9
      interval: 1s
      for: 2s
"#;
    let scene = Scene::set("below", 3, Labels::NoToggle, &asking(successes)).await?;
    scene.stage.traffic(scene.namespace(), false).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, THIRTY_PER_CENT).await?;
    let record = record(&scene.web.quarantined(bad).await?)?;
    assert!(record.reason.contains("is below 0.9"), "{}", record.reason);

    // Without traffic, nought is divided by nought.
    let at_once = kube::api::DeleteParams::default().grace_period(0);
    scene
        .stage
        .pods(scene.namespace())
        .delete("traffic", &at_once)
        .await?;
    scene.samples("none", 9.0).await?;
    assert_eq!(
        scene.web.all_quarantined().await?,
        *std::slice::from_ref(bad)
    );
    scene.clear().await
}

#[tokio::test]
async fn a_query_that_omits_healthy_pods_quarantines_no_pod() -> anyhow::Result<()> {
    let bad_ones_alone = changed(
        ERRORS,
        &[(
            "        or 0 * sum by (namespace, pod) (rate(http_requests_total[10s])) )\n",
            "        )\n",
        )],
    );
    let scene = Scene::set("absent", 2, Labels::NoToggle, &asking(&bad_ones_alone)).await?;
    scene.stage.traffic(scene.namespace(), false).await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, THIRTY_PER_CENT).await?;
    scene
        .refused(
            bad,
            "NeverSeenGood",
            &["is above 0.05", "has not said good"],
        )
        .await?;
    assert!(
        scene
            .agent
            .sum("signal_samples_total", &[("result", "none")])
            .await?
            >= 2.0
    );
    scene.untouched(&scene.pods[1]).await?;
    scene.clear().await
}

#[tokio::test]
async fn pods_without_a_series_are_left_alone() -> anyhow::Result<()> {
    let scene = Scene::set(
        "noseries",
        2,
        Labels::NoToggle,
        &asking(&changed(ERRORS, &[("above: 0.05", "below: 2")])),
    )
    .await?;
    // No request has come yet, so no pod has counted one.
    scene.samples("none", 8.0).await?;
    assert_eq!(
        scene
            .agent
            .sum("signal_samples_total", &[("result", "bad")])
            .await?,
        0.0
    );
    for pod in &scene.pods {
        scene.untouched(pod).await?;
    }
    scene.clear().await
}
