//! Modes: the lowest of the file's, the policy's and the namespace's wins.

use anyhow::ensure;
use pod_quarantine::core::keys;
use test_e2e::{Labels, PROBE, Scene, changed};

#[tokio::test]
async fn in_observe_events_say_what_would_be_done_and_nothing_is_changed() -> anyhow::Result<()> {
    // Neither a policy's own mode nor the file's is there: `observe` is the default.
    let policy = changed(
        PROBE,
        &[("    mode: enforce\n", ""), ("mode: observe\n", "")],
    );
    let scene = Scene::set("observe", 2, Labels::NoToggle, &policy).await?;
    // A namespace cannot raise the mode.
    scene.namespace_mode(Some("enforce")).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    let before = scene.marks(bad).await?;
    scene.web.switch(bad, "500").await?;
    scene
        .event(
            bad,
            &["WouldQuarantine", "policy web", "HTTP 500", "observe"],
        )
        .await?;
    scene.samples("bad", 3.0).await?;
    assert_eq!(scene.marks(bad).await?, before);
    assert!(scene.agent.slots().await?.is_empty());
    assert_eq!(
        scene
            .agent
            .sum(
                "refusals_total",
                &[("policy", "web"), ("reason", "Observe")]
            )
            .await?,
        1.0
    );
    assert_eq!(
        scene
            .agent
            .sum("unhealthy_pods", &[("policy", "web")])
            .await?,
        1.0
    );
    assert_eq!(scene.agent.sum("mode", &[("mode", "observe")]).await?, 1.0);
    assert_eq!(scene.agent.sum("mode", &[("mode", "enforce")]).await?, 0.0);

    // A manual quarantine is refused as well.
    let other = &scene.pods[1];
    scene
        .annotate(other, keys::QUARANTINE, Some("please"))
        .await?;
    scene
        .event(other, &["WouldQuarantine", "(please)", "observe"])
        .await?;
    scene.untouched(other).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_namespace_lowers_the_mode_and_an_unknown_mode_turns_it_off() -> anyhow::Result<()> {
    let scene = Scene::set("lower", 2, Labels::NoToggle, PROBE).await?;
    scene.namespace_mode(Some("off")).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    let before = scene.marks(bad).await?;
    scene.web.switch(bad, "500").await?;
    let refusals = async |reason: &str, count: f64| {
        scene
            .until(&format!("refusal {count} for {reason}"), async || {
                let refusals = scene
                    .agent
                    .sum("refusals_total", &[("policy", "web"), ("reason", reason)])
                    .await?;
                ensure!(refusals >= count, "{refusals}");
                Ok(())
            })
            .await
    };
    refusals("Off", 1.0).await?;
    scene.namespace_mode(Some("observe")).await?;
    refusals("Observe", 1.0).await?;
    scene.event(bad, &["WouldQuarantine"]).await?;
    scene.namespace_mode(Some("enfroce")).await?;
    refusals("Off", 2.0).await?;
    assert_eq!(scene.marks(bad).await?, before);
    scene.namespace_mode(Some("enforce")).await?;
    scene.web.quarantined(bad).await?;
    scene.clear().await
}

#[tokio::test]
async fn each_policy_has_its_own_mode() -> anyhow::Result<()> {
    let own = PROBE
        .split_once("policies:\n")
        .map_or("", |(_, policies)| policies);
    let second = changed(
        own,
        &[
            ("name: web", "name: careful"),
            ("mode: enforce", "mode: observe"),
            ("failureThreshold: 2", "failureThreshold: 1"),
        ],
    );
    let scene = Scene::set("each", 2, Labels::NoToggle, &format!("{PROBE}{second}")).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    let out = scene.web.quarantined(bad).await?;
    assert_eq!(&*test_e2e::record(&out)?.policy, "web");
    scene
        .event(bad, &["WouldQuarantine", "policy careful"])
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_policy_that_is_off_leaves_pods_alone() -> anyhow::Result<()> {
    let scene = Scene::set(
        "off",
        2,
        Labels::NoToggle,
        &changed(PROBE, &[("mode: enforce", "mode: off")]),
    )
    .await?;
    let pod = &scene.pods[0];
    scene
        .annotate(pod, keys::QUARANTINE, Some("please"))
        .await?;
    scene.refused(pod, "Off", &["(please)", "off"]).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_changed_policy_file_is_in_force_without_a_restart() -> anyhow::Result<()> {
    let observing = changed(PROBE, &[("mode: enforce", "mode: observe")]);
    let scene = Scene::set("reload", 2, Labels::NoToggle, &observing).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene.event(bad, &["WouldQuarantine"]).await?;
    let enforcing = changed(PROBE, &[("$NAMESPACE", scene.namespace())]);
    scene.agent.set_policy(&enforcing).await?;
    scene.web.quarantined(bad).await?;
    let agent = scene.agent.ready().await?;
    let containers = agent.status.and_then(|status| status.container_statuses);
    assert_eq!(containers.unwrap_or_default()[0].restart_count, 0);
    scene.clear().await
}
