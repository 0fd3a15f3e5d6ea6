//! The query, asked of a real Prometheus.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::json;
use test_cluster::wait;
use test_e2e::{
    Labels, PROBE, Scene, Stage, changed,
    manifest::{controller, service, template},
    record,
};

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
            &["is above 0.05", "had not said good"],
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

/// Sends ten requests to each of these pods.
async fn requests(stage: &Stage, namespace: &str, pods: &[String]) -> anyhow::Result<()> {
    for pod in pods {
        let pod = stage.pods(namespace).get(pod).await?;
        let address = pod.status.and_then(|status| status.pod_ip);
        let address: IpAddr = address.context("no address")?.parse()?;
        for _ in 0..10 {
            // Errors are what some of them are to answer.
            let _ = test_e2e::get((address, 8080).into(), "/").await;
        }
    }
    Ok(())
}

/// A pod of a StatefulSet comes back under its name, and the series of the one before it are still in the range.
#[tokio::test]
async fn a_pod_is_not_judged_by_the_series_of_the_one_that_had_its_name_before()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("predecessor").await?;
    let name = namespace.name();
    let mut pods = template(json!({ "app": "db", "serving": "true" }), json!({}));
    pods["metadata"]["annotations"] =
        json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" });
    let labels = json!({ "app": "db" });
    let replicas = json!({ "replicas": 3, "podManagementPolicy": "Parallel" });
    let manifests = [
        service("db", json!({ "app": "db", "serving": "true" }), json!({})),
        controller("StatefulSet", "db", labels, pods, replicas),
    ];
    let manifests: Vec<String> = manifests.iter().map(ToString::to_string).collect();
    let manifests = manifests.join("\n---\n").replace("$NAMESPACE", name);
    stage.cluster.apply_yaml(&manifests).await?;
    let all: Vec<String> = (0..3).map(|number| format!("db-{number}")).collect();
    stage.ready_endpoints(name, "db", 3).await?;
    let switch = async |pod: &str, behaviour: &str| stage.switch(name, pod, behaviour).await;
    let query = format!(
        r#"sum by (namespace, pod) (rate(http_requests_total{{namespace="{name}",code=~"5.."}}[1m])) > 0.1"#
    );
    let with_errors = async || -> anyhow::Result<Vec<String>> {
        let series = stage.query(&query).await?;
        let pods = series
            .iter()
            .filter_map(|series| series.pointer("/metric/pod")?.as_str());
        Ok(pods.map(ToOwned::to_owned).collect())
    };
    switch(&all[0], THIRTY_PER_CENT).await?;
    wait::until("db-0 has errors", Duration::from_secs(30), async || {
        requests(&stage, name, &all).await?;
        let found = with_errors().await?;
        ensure!(found == ["db-0"], "{found:?}");
        Ok(())
    })
    .await?;
    let at_once = kube::api::DeleteParams::default().grace_period(0);
    stage.pods(name).delete("db-0", &at_once).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.ready_endpoints(name, "db", 3).await?;
    let policy = changed(
        &asking(&ERRORS.replace("[10s]", "[1m]")),
        &[
            ("mode: enforce", "mode: enforce\n    detach: service"),
            ("$NAMESPACE", name),
        ],
    );
    let agent = stage.agent("predecessor", &policy).await?;
    let mut looked = 0;
    while with_errors().await?.contains(&"db-0".to_owned()) {
        requests(&stage, name, &all).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        looked += 1;
    }
    assert!(
        looked >= 5,
        "the query was about the old one for {looked} s"
    );
    assert_eq!(agent.slots().await?.len(), 0);
    assert!(agent.sum("unhealthy_pods", &[]).await? < 1.0);
    switch(&all[1], THIRTY_PER_CENT).await?;
    wait::until(
        "a pod with errors of its own goes",
        Duration::from_mins(1),
        async || {
            requests(&stage, name, &all).await?;
            let slots = agent.slots().await?;
            ensure!(slots.iter().any(|slot| &*slot.name == "db-1"), "{slots:?}");
            Ok(())
        },
    )
    .await?;
    agent.uninstall().await?;
    namespace.delete().await
}
