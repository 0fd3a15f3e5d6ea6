//! The policy file changes under the agent, for better and for worse.

use std::time::Duration;

use anyhow::ensure;
use pod_quarantine::core::text::Fingerprint;
use test_cluster::wait;
use test_e2e::{Agent, Labels, Stage};

use crate::faults::policy;

const SOON: Duration = Duration::from_mins(1);

async fn good_samples(agent: &Agent, policy: &str) -> anyhow::Result<()> {
    wait::until("good samples", SOON, async || {
        let labels = [("result", "good"), ("policy", policy)];
        let good = agent.sum("signal_samples_total", &labels).await?;
        ensure!(good >= 6.0, "{good}");
        Ok(())
    })
    .await
}

async fn reloaded(agent: &Agent, successful: f64) -> anyhow::Result<()> {
    wait::until("the new file is looked at", SOON, async || {
        let now = agent.sum("config_last_reload_successful", &[]).await?;
        ensure!(now == successful, "config_last_reload_successful is {now}");
        Ok(())
    })
    .await
}

/// The agent says by its hash which file is in force.
async fn in_force(agent: &Agent, policy: &str) -> anyhow::Result<()> {
    let hash = Fingerprint::of(policy).to_string();
    let one = agent.sum("config_info", &[("hash", &hash)]).await?;
    let all = agent.sum("config_info", &[]).await?;
    ensure!((one, all) == (1.0, 1.0), "{one} of {all} are {hash}");
    Ok(())
}

#[tokio::test]
async fn a_broken_policy_file_is_refused_and_a_valid_file_is_applied_at_run_time()
-> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let namespace = stage.namespace("reload").await?;
    let web = stage.web(namespace.name(), 4, Labels::NoToggle).await?;
    let first = policy(namespace.name(), 1);
    let agent = stage.agent("reload", &first).await?;
    good_samples(&agent, "web-does-not-answer").await?;
    let serving = web.serving().await?;

    // Broken: two mistakes, both with their places; the file before goes on, and nothing new is quarantined.
    let broken = first
        .replace("ttl: 1h", "ttl: soon")
        .replace("failureThreshold: 3", "failureThresholds: 3");
    agent.set_policy(&broken).await?;
    reloaded(&agent, 0.0).await?;
    let log = agent.log().await?;
    let line_of = |text: &str| {
        let before = broken.lines().take_while(|line| !line.contains(text));
        before.count() + 1
    };
    let refused = log.lines().find(|line| line.contains("is refused"));
    let refused = refused.unwrap_or_default();
    for (text, column) in [("ttl: soon", 6), ("failureThresholds", 7)] {
        let place = format!(":{}:{column}", line_of(text));
        assert!(refused.contains(&place), "{place} in {refused}");
    }
    web.switch(&serving[0], "500").await?;
    let refused = [
        "QuarantineRefused",
        "the policy file has changed, and is refused",
    ];
    stage.event(namespace.name(), &serving[0], &refused).await?;
    in_force(&agent, &first).await?;
    agent.set_policy(&first).await?;
    reloaded(&agent, 1.0).await?;
    web.quarantined(&serving[0]).await?;
    web.switch(&serving[1], "500").await?;
    wait::until("the limit holds", SOON, async || {
        let labels = [("reason", "WorkloadLimit")];
        let refusals = agent.sum("refusals_total", &labels).await?;
        ensure!(refusals >= 1.0, "{refusals} refusals");
        Ok(())
    })
    .await?;

    // Good: a limit more, which the second pod had waited for.
    agent.set_policy(&policy(namespace.name(), 2)).await?;
    web.quarantined(&serving[1]).await?;
    reloaded(&agent, 1.0).await?;

    // The policy gone, with another one in its place that selects none of these pods, until it does.
    let renamed = policy(namespace.name(), 3).replace("web-does-not-answer", "another");
    let elsewhere = renamed.replace("team: shop", "team: nobody");
    agent.set_policy(&elsewhere).await?;
    wait::until("no more samples", SOON, async || {
        let good = [("result", "good")];
        let before = agent.sum("signal_samples_total", &good).await?;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let after = agent.sum("signal_samples_total", &good).await?;
        ensure!(before == after, "{before}, then {after}");
        Ok(())
    })
    .await?;
    web.switch(&serving[2], "500").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(web.all_quarantined().await?.len(), 2);
    agent.set_policy(&renamed).await?;
    good_samples(&agent, "another").await?;
    web.quarantined(&serving[2]).await?;
    in_force(&agent, &renamed).await?;
    agent.uninstall().await?;
    namespace.delete().await
}
