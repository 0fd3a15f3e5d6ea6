//! Limits: of more unhealthy pods than the limit, exactly as many as the limit are quarantined, and the others are refused.

use anyhow::ensure;
use kube::{Api, api::ListParams};
use pod_quarantine::core::keys;
use test_e2e::{Labels, PROBE, Scene, Stage, changed};

/// One pod more turns unhealthy than the limit allows.
async fn as_many_as_the_limit_are_quarantined(
    scene: Scene,
    max: usize,
    reason: &str,
    said: &str,
) -> anyhow::Result<Scene> {
    scene.seen_good().await?;
    let bad = &scene.pods[..=max];
    for pod in bad {
        scene.web.switch(pod, "500").await?;
    }
    let left = scene
        .until("one is refused", async || {
            let out = scene.web.all_quarantined().await?;
            ensure!(out.len() == max, "{} are out", out.len());
            let left: Vec<_> = bad.iter().filter(|pod| !out.contains(pod)).collect();
            Ok(left[0].clone())
        })
        .await?;
    scene.refused(&left, reason, &[said, "HTTP 500"]).await?;
    // A whole round of probes later, nothing has changed.
    scene.samples("bad", 2.0).await?;
    let out = scene.web.all_quarantined().await?;
    assert_eq!(out.len(), max, "{out:?}");
    scene.untouched(&left).await?;
    assert_eq!(scene.agent.slots().await?.len(), max);

    // Once there is room, the refused pod is quarantined.
    scene.web.switch(&out[0], "ok").await?;
    scene.annotate(&out[0], keys::RELEASE, Some("true")).await?;
    scene.web.quarantined(&left).await?;
    assert_eq!(scene.web.all_quarantined().await?.len(), max);
    Ok(scene)
}

async fn limited(
    hint: &str,
    policy: &str,
    max: usize,
    reason: &str,
    scope: &str,
    said: &str,
) -> anyhow::Result<()> {
    let scene = Scene::set(hint, 4, Labels::NoToggle, policy).await?;
    let scene = as_many_as_the_limit_are_quarantined(scene, max, reason, said).await?;
    let own = [("scope", scope), ("namespace", scene.namespace())];
    let max = f64::from(u32::try_from(max)?);
    scene.metric_is("limit", &own, max).await?;
    scene.metric_is("limit_used", &own, max).await?;
    scene.clear().await
}

#[tokio::test]
async fn no_more_pods_of_a_workload_are_quarantined_than_its_limit() -> anyhow::Result<()> {
    limited(
        "wmax",
        PROBE,
        2,
        "WorkloadLimit",
        "workload",
        "2 of at most 2 pods of its workload",
    )
    .await
}

#[tokio::test]
async fn a_percentage_of_a_workload_rounds_down() -> anyhow::Result<()> {
    // 74 % of 4 are 2.96.
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 74%, minReady: 0% }",
        )],
    );
    limited(
        "wshare",
        &policy,
        2,
        "WorkloadLimit",
        "workload",
        "2 of at most 2 pods of its workload",
    )
    .await
}

#[tokio::test]
async fn a_percentage_of_a_workload_is_at_least_one_pod() -> anyhow::Result<()> {
    // 10 % of 4 are 0.4.
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 10%, minReady: 0% }",
        )],
    );
    limited(
        "wone",
        &policy,
        1,
        "WorkloadLimit",
        "workload",
        "1 of at most 1 pods of its workload",
    )
    .await
}

#[tokio::test]
async fn no_more_pods_of_a_namespace_are_quarantined_than_its_limit() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 4, minReady: 0% }",
            ),
            ("namespace: { max: 20 }", "namespace: { max: 1 }"),
        ],
    );
    limited(
        "nmax",
        &policy,
        1,
        "NamespaceLimit",
        "namespace",
        "1 of at most 1 pods of its namespace",
    )
    .await
}

/// The hourly limit survives a restart, and a release gives nothing back.
#[tokio::test]
async fn no_more_pods_are_quarantined_within_an_hour_than_the_hourly_limit() -> anyhow::Result<()> {
    let policy = changed(PROBE, &[("perHour: 10000", "perHour: 1")]);
    let scene = Scene::set("hourly", 3, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let [first, second, ..] = &scene.pods[..] else {
        anyhow::bail!("three pods");
    };
    scene.web.switch(first, "500").await?;
    scene.web.quarantined(first).await?;
    scene.web.switch(second, "500").await?;
    let said = ["1 of at most 1 were quarantined within the last hour"];
    scene.refused(second, "HourlyLimit", &said).await?;
    let of_the_hour = [("scope", "hour")];
    scene.metric_is("limit_used", &of_the_hour, 1.0).await?;
    scene.metric_is("limit", &of_the_hour, 1.0).await?;
    scene.web.switch(first, "ok").await?;
    scene.annotate(first, keys::RELEASE, Some("true")).await?;
    scene.back(first).await?;
    scene.agent.kill().await?;
    scene.samples("bad", 4.0).await?;
    scene.untouched(second).await?;
    scene.metric_is("limit_used", &of_the_hour, 1.0).await?;
    scene.clear().await
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn no_more_pods_of_the_cluster_are_quarantined_than_its_limit_whichever_agent_did_it()
    -> anyhow::Result<()> {
        let stage = Stage::open_alone().await?;
        // Pods that carry the label count, also where no agent of this test put it on.
        let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::all(stage.client.clone());
        let quarantined = pods
            .list(&ListParams::default().labels(keys::STATE))
            .await?;
        let already = quarantined
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .count();
        let max = format!("cluster: {{ max: {}, perHour: 10000 }}", already + 2);
        let policy = changed(
            PROBE,
            &[
                ("cluster: { max: 1000, perHour: 10000 }", &max),
                (
                    "workload: { max: 2, minReady: 0% }",
                    "workload: { max: 4, minReady: 0% }",
                ),
            ],
        );
        let scene = Scene::set_on(stage, "cmax", 4, Labels::NoToggle, &policy).await?;
        let said = format!("{0} of at most {0} pods of the cluster", already + 2);
        let scene = as_many_as_the_limit_are_quarantined(scene, 2, "ClusterLimit", &said).await?;
        scene.clear().await
    }
}
