//! The probe: what is bad, what is good, and when it says nothing.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use test_e2e::{
    Labels, PROBE, Scene, Stage, changed,
    manifest::{container, controller, template},
    record,
};

#[tokio::test]
async fn a_pod_that_answers_5xx_hangs_drips_refuses_or_closes_is_quarantined_with_the_answer_as_evidence()
-> anyhow::Result<()> {
    // By the port's number; the other tests go by its name.
    let policy = changed(
        PROBE,
        &[
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 6, minReady: 0% }",
            ),
            ("port: http", "port: 8080"),
        ],
    );
    let scene = Scene::set("probe", 6, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let cases = [
        ("503", "HTTP 503"),
        ("hang", "no answer within 1s"),
        (
            r#"{"health":{"answer":{"drip_ms":100}}}"#,
            "no complete answer within 1s",
        ),
        ("refuse", "connection refused"),
        ("close", "before an answer"),
    ];
    // A pod is quarantined when the replacement of the one before it is Ready.
    for (pod, (behaviour, saw)) in scene.pods.iter().zip(cases) {
        scene.web.switch(pod, behaviour).await?;
        let record = record(&scene.web.quarantined(pod).await?)?;
        assert!(record.reason.contains(saw), "{}", record.reason);
        let last = record.evidence.last().map(|last| last.saw.to_string());
        assert!(last.is_some_and(|last| last.contains(saw)), "{record:?}");
        scene
            .event(pod, &["Quarantined", "policy web", saw])
            .await?;
    }
    scene.untouched(&scene.pods[5]).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_late_answer_within_the_timeout_an_endless_answer_and_a_redirect_to_another_host_are_good()
-> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[
            ("periodSeconds: 1", "periodSeconds: 2"),
            ("timeoutSeconds: 1", "timeoutSeconds: 2"),
        ],
    );
    let scene = Scene::set("slow", 4, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let [slow, endless, elsewhere, bad] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene
        .web
        .switch(slow, r#"{"health":{"delay_ms":700}}"#)
        .await?;
    scene
        .web
        .switch(endless, r#"{"health":{"answer":"endless"}}"#)
        .await?;
    let redirect = r#"{"health":{"answer":{"redirect":"http://elsewhere.invalid/"}}}"#;
    scene.web.switch(elsewhere, redirect).await?;
    scene.web.switch(bad, "404").await?;
    scene.web.quarantined(bad).await?;
    // The replacement is probed, too: four pods a turn.
    scene.samples("good", 12.0).await?;
    assert_eq!(scene.agent.sum("unhealthy_pods", &[]).await?, 0.0);
    for pod in [slow, endless, elsewhere] {
        scene.untouched(pod).await?;
    }
    scene.clear().await
}

#[tokio::test]
async fn no_pod_is_probed_before_its_initial_delay_is_over() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "failureThreshold: 2",
            "failureThreshold: 2\n      initialDelaySeconds: 15",
        )],
    );
    let scene = Scene::set("delay", 2, Labels::NoToggle, &policy).await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    let record = record(&scene.web.quarantined(bad).await?)?;
    let started = scene
        .web
        .pod(bad)
        .await?
        .status
        .and_then(|status| status.start_time);
    let started = started.map(|time| time.0).unwrap_or_default();
    let first = record.evidence[0]
        .at
        .duration_since(started.to_string().parse()?);
    assert!(first.as_secs() >= 14, "probed {first} after its start");
    scene.clear().await
}

#[tokio::test]
async fn a_port_that_is_wrong_for_all_pods_quarantines_no_pod() -> anyhow::Result<()> {
    let scene = Scene::set(
        "port",
        2,
        Labels::NoToggle,
        &changed(PROBE, &[("port: http", "port: 8099")]),
    )
    .await?;
    for pod in &scene.pods {
        scene
            .refused(
                pod,
                "NeverSeenGood",
                &["connection refused", "had not said good"],
            )
            .await?;
    }
    // A good answer to whatever else is asked does not count: the signal itself has to have said it.
    assert_eq!(
        scene
            .agent
            .sum("signal_samples_total", &[("result", "good")])
            .await?,
        0.0
    );
    assert!(scene.agent.slots().await?.is_empty());
    scene.clear().await
}

#[tokio::test]
async fn a_port_that_no_pod_has_is_no_answer() -> anyhow::Result<()> {
    let scene = Scene::set(
        "noport",
        2,
        Labels::NoToggle,
        &changed(PROBE, &[("port: http", "port: admin")]),
    )
    .await?;
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

#[tokio::test]
async fn a_pod_that_was_never_good_is_quarantined_beside_a_good_pod() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("never").await?;
    let web = stage.web(namespace.name(), 2, Labels::NoToggle).await?;
    let bad = web.serving().await?[0].clone();
    web.switch(&bad, "500").await?;
    let policy = PROBE.replace("$NAMESPACE", namespace.name());
    let agent = stage.agent("never", &policy).await?;
    let record = record(&web.quarantined(&bad).await?)?;
    assert!(
        record.evidence.iter().all(|seen| &*seen.saw == "HTTP 500"),
        "{record:?}"
    );
    agent.uninstall().await?;
    namespace.delete().await
}

#[tokio::test]
async fn a_good_answer_ends_a_streak_of_bad_answers() -> anyhow::Result<()> {
    let policy = changed(PROBE, &[("failureThreshold: 2", "failureThreshold: 3")]);
    let scene = Scene::set("between", 2, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    // Every second answer is bad: never three in a row.
    let flapping = r#"{"health":{"answer":{"status":500},"share":0.5}}"#;
    scene.web.switch(&scene.pods[0], flapping).await?;
    scene.samples("bad", 4.0).await?;
    scene.untouched(&scene.pods[0]).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(
        scene.web.all_quarantined().await?.is_empty(),
        "the pod was quarantined"
    );
    scene.clear().await
}

/// The pod is as old as before: as for the kubelet, the delay is that of the container.
#[tokio::test]
async fn the_initial_delay_begins_anew_with_each_container() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "failureThreshold: 2",
            "failureThreshold: 5\n      initialDelaySeconds: 15",
        )],
    );
    let scene = Scene::set("delay-anew", 2, Labels::NoToggle, &policy).await?;
    let labels = json!({ "app": "live" });
    let live = container(json!({
        "args": ["serve", "--behaviour", r#"{ "health": { "answer": { "status": 500 } } }"#],
        "livenessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1, "failureThreshold": 3 },
    }));
    let pods = template(labels.clone(), json!({ "containers": [live] }));
    let deployment = controller("Deployment", "live", labels, pods, json!({ "replicas": 2 }));
    scene.apply_all(&[deployment]).await?;
    let pods = scene.ready("app=live", 2).await?;
    for pod in &pods {
        scene.web.switch(pod, "ok").await?;
    }
    // Four pods: all are seen good.
    tokio::time::sleep(Duration::from_secs(15)).await;
    scene.samples("good", 8.0).await?;
    scene
        .web
        .switch(
            &pods[0],
            r#"{ "traffic": { "answer": { "status": 500 } } }"#,
        )
        .await?;
    // Three bad answers end the container. Then fifteen seconds are waited for: five bad answers are more than there are
    // before the agent knows that the container has ended.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let out = scene.labelled(&pods[0]).await?;
    let statuses = out
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let status = statuses.and_then(|statuses| statuses.first());
    let running = status.and_then(|status| status.state.as_ref()?.running.as_ref());
    let since = running.and_then(|running| running.started_at.as_ref());
    let since = since
        .ok_or_else(|| anyhow::anyhow!("it does not run: {status:?}"))?
        .0;
    assert_eq!(status.map(|status| status.restart_count), Some(1));
    let first = record(&out)?.evidence[0].at.duration_since(since);
    assert!(first.as_secs() >= 14, "probed {first} after its start");
    scene.clear().await
}
