//! The API server goes away under the agent, and comes back.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Pod;
use test_cluster::{Component, wait};
use test_e2e::{Agent, Labels, Stage, get, sum};

use crate::faults::policy;

const SOON: Duration = Duration::from_secs(40);

fn metrics_address(pod: &Pod) -> anyhow::Result<SocketAddr> {
    let status = pod.status.as_ref();
    let ip = status.and_then(|status| status.pod_ip.as_ref());
    Ok(SocketAddr::new(ip.context("no address")?.parse()?, 9090))
}

/// Its uid and how often its container was started again.
fn life(pod: &Pod) -> (Option<String>, i32) {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    let restarts = statuses.into_iter().flatten().map(|one| one.restart_count);
    (pod.metadata.uid.clone(), restarts.sum())
}

async fn good_samples(agent: &Agent) -> anyhow::Result<()> {
    wait::until("good samples", SOON, async || {
        let result = [("result", "good")];
        let good = agent.sum("signal_samples_total", &result).await?;
        ensure!(good >= 6.0, "{good}");
        Ok(())
    })
    .await
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn the_agent_survives_an_api_server_that_is_stopped_killed_or_hanging_and_acts_once_its_view_is_complete()
    -> anyhow::Result<()> {
        let stage = Stage::open_alone().await?;
        if !stage.cluster.is_own() {
            return Ok(());
        }
        let namespace = stage.namespace("api-server").await?;
        let web = stage.web(namespace.name(), 4, Labels::NoToggle).await?;
        let agent = stage
            .agent("api-server", &policy(namespace.name(), 3))
            .await?;
        good_samples(&agent).await?;
        let before = agent.ready().await?;
        let address = metrics_address(&before)?;
        let serving = web.serving().await?;
        let api_server = stage.cluster.component(Component::ApiServer)?;

        // Stopped: what is known may be out of date, so nothing is done, and that is said.
        web.switch(&serving[0], "500").await?;
        api_server.stop().await?;
        wait::until("a refusal as StaleView", SOON, async || {
            let text = get(address, "/metrics").await?;
            let refused = sum(&text, "refusals_total", &[("reason", "StaleView")]);
            ensure!(
                refused >= 1.0,
                "none; broken watches: {}",
                sum(&text, "watch_broken", &[])
            );
            ensure!(sum(&text, "quarantines_total", &[]) == 0.0, "a quarantine");
            Ok(())
        })
        .await?;
        api_server.start().await?;
        stage.cluster.restart_followers().await?;
        web.quarantined(&serving[0]).await?;

        // Killed and started at once.
        api_server.kill().await?;
        api_server.start().await?;
        stage.cluster.restart_followers().await?;
        web.switch(&serving[1], "500").await?;
        web.quarantined(&serving[1]).await?;

        // Hanging, with a decision made meanwhile.
        web.switch(&serving[2], "500").await?;
        api_server.pause()?;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let alive = get(address, "/healthz").await;
        api_server.resume()?;
        assert_eq!(alive?, "ok\n");
        let resumed = Instant::now();
        web.quarantined(&serving[2]).await?;
        println!("quarantined {:?} after the pause", resumed.elapsed());

        let text = agent.get("/metrics").await?;
        assert_eq!(sum(&text, "watch_broken", &[]), 0.0, "all watches follow");
        assert_eq!(agent.slots().await?.len(), 3);
        assert_eq!(life(&agent.ready().await?), life(&before), "no restart");
        agent.uninstall().await?;
        namespace.delete().await
    }
}
