//! What the agent reports: Events, metrics, health and log.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Scene, Stage, alerts, changed};

#[tokio::test]
async fn kubectl_describe_shows_what_happened_to_a_pod() -> anyhow::Result<()> {
    let scene = Scene::set("describe", 2, Labels::NoToggle, PROBE).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene.web.quarantined(bad).await?;
    scene.annotate(bad, keys::RELEASE, Some("force")).await?;
    scene.event(bad, &["Released"]).await?;
    let described = scene
        .stage
        .cluster
        .kubectl(&["describe", "pod", bad, "--namespace", scene.namespace()])
        .await?;
    let described = String::from_utf8(described.stdout)?;
    for (reason, type_, text) in [
        (
            "Quarantined",
            "Warning",
            "policy web: 2 bad probes in a row: HTTP 500. Taken out of Deployment web and its Services (web), kept until 20",
        ),
        ("Released", "Normal", "put back into Deployment web"),
    ] {
        let line = described
            .lines()
            .find(|line| line.split_whitespace().nth(1) == Some(reason));
        let line = line.with_context(|| described.clone())?;
        ensure!(
            line.trim_start().starts_with(type_)
                && line.contains("pod-quarantine.io/agent")
                && line.contains(text),
            "{line}"
        );
    }
    scene.clear().await
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "one story, and every metric in it")]
async fn every_metric_counts_a_quarantine_a_refusal_a_release_and_a_reap() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[
            ("ttl: 1h", "ttl: 12s"),
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 1, minReady: 0% }",
            ),
        ],
    );
    let scene = Scene::set("metrics", 2, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let (bad, refused) = (&scene.pods[0], &scene.pods[1]);
    let namespace = scene.namespace();
    scene.web.switch(bad, "500").await?;
    let expires = test_e2e::record(&scene.web.quarantined(bad).await?)?.expires;
    scene
        .annotate(refused, keys::QUARANTINE, Some("please"))
        .await?;
    scene
        .refused(refused, "WorkloadLimit", &["(please)"])
        .await?;
    let of_web = [("namespace", namespace), ("policy", "web")];
    let workload = [
        ("scope", "workload"),
        ("namespace", namespace),
        ("workload", "web"),
    ];
    scene.metric_is("quarantines_total", &of_web, 1.0).await?;
    scene.metric_is("quarantined_pods", &of_web, 1.0).await?;
    let of_pod = [
        ("namespace", namespace),
        ("pod", bad),
        ("workload", "web"),
        ("policy", "web"),
    ];
    let at = f64::from(i32::try_from(expires.as_second())?);
    scene
        .metric_is(
            "quarantined_pod_expires_timestamp_seconds",
            &of_pod,
            at + f64::from(expires.subsec_millisecond()) / 1000.0,
        )
        .await?;
    scene
        .metric_is(
            "refusals_total",
            &[("policy", "web"), ("reason", "WorkloadLimit")],
            1.0,
        )
        .await?;
    scene.metric_is("limit", &workload, 1.0).await?;
    scene.metric_is("limit_used", &workload, 1.0).await?;
    scene
        .metric_is(
            "limit",
            &[
                ("scope", "namespace"),
                ("namespace", namespace),
                ("workload", ""),
            ],
            20.0,
        )
        .await?;
    scene
        .metric_is(
            "limit_used",
            &[("scope", "namespace"), ("namespace", namespace)],
            1.0,
        )
        .await?;
    scene
        .metric_is(
            "limit",
            &[("scope", "cluster"), ("namespace", ""), ("workload", "")],
            1000.0,
        )
        .await?;
    scene
        .metric_is("unhealthy_pods", &[("policy", "web")], 0.0)
        .await?;
    scene
        .metric_is("config_last_reload_successful", &[], 1.0)
        .await?;
    scene.metric_is("build_info", &[], 1.0).await?;
    scene.metric_is("mode", &[("mode", "observe")], 1.0).await?;
    scene.metric_is("mode", &[], 1.0).await?;
    let web = [("policy", "web")];
    for (name, labels) in [
        (
            "signal_samples_total",
            &[("policy", "web"), ("result", "good")][..],
        ),
        (
            "signal_samples_total",
            &[("policy", "web"), ("result", "bad")],
        ),
        ("limit_used", &[("scope", "cluster")]),
        ("probe_duration_seconds_count", &web),
        ("decide_duration_seconds_count", &[]),
    ] {
        assert!(
            scene.agent.sum(name, labels).await? >= 1.0,
            "{name}{labels:?}"
        );
    }
    let success = scene
        .agent
        .sum("signal_last_success_timestamp_seconds", &web)
        .await?;
    let now = f64::from(i32::try_from(jiff::Timestamp::now().as_second())?);
    assert!((now - success).abs() < 5.0, "{success}");

    scene.annotate(refused, keys::QUARANTINE, None).await?;
    scene.reaped(bad).await?;
    scene.metric_is("reaps_total", &of_web, 1.0).await?;
    scene.metric_is("quarantined_pods", &of_web, 0.0).await?;
    scene.quarantine_manually(refused).await?;
    scene.annotate(refused, keys::RELEASE, Some("true")).await?;
    scene.back(refused).await?;
    scene
        .metric_is(
            "releases_total",
            &[
                ("namespace", namespace),
                ("policy", "web"),
                ("cause", "annotation"),
            ],
            1.0,
        )
        .await?;
    scene.metric_is("quarantines_total", &of_web, 2.0).await?;

    // Nothing but what the contract names, and what every process has; and no pod's name where no limit bounds it.
    let text = scene.agent.get("/metrics").await?;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        ensure!(
            line.starts_with("pod_quarantine_") || line.starts_with("process_"),
            "{line}"
        );
        ensure!(
            !line.contains("pod=\"") || line.starts_with("pod_quarantine_quarantined_pod_"),
            "{line}"
        );
    }
    scene.clear().await
}

#[tokio::test]
async fn the_log_is_json_lines_or_text_and_the_health_pages_say_ok() -> anyhow::Result<()> {
    let scene = Scene::set("log", 2, Labels::NoToggle, PROBE).await?;
    for page in ["/healthz", "/readyz"] {
        assert_eq!(scene.agent.get(page).await?, "ok\n", "{page}");
    }
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    scene.event(pod, &["Quarantined"]).await?;
    let log = scene.agent.log().await?;
    let lines: Vec<Value> = log
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| log.clone())?;
    let said = lines
        .iter()
        .find(|line| line["message"] == "quarantined")
        .with_context(|| log.clone())?;
    assert_eq!(said["namespace"], scene.namespace());
    assert_eq!(said["pod"], **pod);
    assert_eq!(said["policy"], "web");
    assert_eq!(said["reason"], "to be looked into");
    assert_eq!(said["level"], "INFO");
    assert!(said["timestamp"].is_string(), "{said}");

    let deployments: Api<Deployment> =
        Api::namespaced(scene.stage.client.clone(), scene.agent.namespace());
    let text = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["run", "--log", "text"] }]);
    let text: Patch<()> = Patch::Json(serde_json::from_value(text)?);
    deployments
        .patch("pod-quarantine", &PatchParams::default(), &text)
        .await?;
    scene
        .until("a log in text", async || {
            let log = scene.agent.log().await?;
            let line = log
                .lines()
                .find(|line| line.contains("all watches have synced"));
            let line = line.with_context(|| log.clone())?;
            ensure!(!line.starts_with('{') && line.contains("INFO"), "{line}");
            Ok(())
        })
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn prometheus_accepts_the_expression_of_every_alert() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    if !stage.cluster.is_own() {
        return Ok(());
    }
    for name in alerts::names() {
        let asked = stage.query(&alerts::expression(name)?).await;
        asked.with_context(|| name.to_owned())?;
    }
    Ok(())
}
