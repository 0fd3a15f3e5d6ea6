//! When in doubt no further pod is quarantined, and quarantined pods stay.

use std::time::Duration;

use anyhow::ensure;
use jiff::SignedDuration;
use pod_quarantine::core::keys;
use test_cluster::wait;
use test_e2e::{Process, changed};

use crate::faults::Faults;

async fn refusals(agent: &Process, reason: &str, count: f64) -> anyhow::Result<()> {
    wait::until(
        format_args!("{reason}"),
        Duration::from_secs(20),
        async || {
            let refusals = agent.sum("refusals_total", &[("reason", reason)]).await?;
            ensure!(refusals >= count, "{refusals}");
            Ok(())
        },
    )
    .await
}

async fn out(faults: &Faults, pods: &[String]) -> anyhow::Result<()> {
    wait::until(
        format_args!("{pods:?} are out"),
        Duration::from_secs(90),
        async || {
            let out = faults.quiet.quarantined().await?;
            ensure!(out == pods, "{out:?}");
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn no_pod_is_quarantined_or_reaped_while_the_clocks_are_far_apart() -> anyhow::Result<()> {
    let faults = Faults::new("clock", 3, 3).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let namespace = faults.namespace.name();
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    faults.gate.date_ahead(SignedDuration::from_secs(120));
    wait::until("the clock is off", Duration::from_secs(20), async || {
        let offset = agent.sum("clock_offset_seconds", &[]).await?;
        ensure!((115.0..125.0).contains(&offset), "{offset}");
        Ok(())
    })
    .await?;
    let stage = &faults.stage;
    stage
        .annotate(namespace, &names[0], keys::TTL, Some("1s"))
        .await?;
    let said = ["HeldPastTTL", "more than a minute apart"];
    stage.event(namespace, &names[0], &said).await?;
    faults.quiet.ask(&names[1..2], true).await?;
    refusals(&agent, "StaleView", 1.0).await?;
    out(&faults, &names[..1]).await?;
    faults.gate.date_ahead(SignedDuration::ZERO);
    // A minute after the step its time is up, and the other one may go.
    out(&faults, &names[1..2]).await?;
    faults.quiet.ask(&names, false).await?;
    faults.quiet.release(&names[1..2]).await?;
    faults.end().await
}

#[tokio::test]
async fn no_pod_is_quarantined_while_the_policy_file_is_refused_but_pods_are_reaped()
-> anyhow::Result<()> {
    let faults = Faults::new("refused-file", 3, 3).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let namespace = faults.namespace.name();
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let wrong = changed(&faults.policy, &[("periodSeconds: 1", "periodSeconds: 0")]);
    agent.set_policy(&wrong)?;
    wait::until("it is refused", Duration::from_secs(20), async || {
        let loaded = agent.sum("config_last_reload_successful", &[]).await?;
        ensure!(loaded == 0.0, "it is in force");
        Ok(())
    })
    .await?;
    faults.quiet.ask(&names[1..2], true).await?;
    refusals(&agent, "StaleView", 1.0).await?;
    faults
        .stage
        .annotate(namespace, &names[0], keys::TTL, Some("1s"))
        .await?;
    out(&faults, &[]).await?;
    agent.set_policy(&faults.policy)?;
    out(&faults, &names[1..2]).await?;
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn an_api_server_that_asks_to_be_left_alone_is_left_alone() -> anyhow::Result<()> {
    let faults = Faults::new("too-many", 2, 1).await?;
    let _agent = faults.run().await?;
    let asked = faults.gate.catch(test_e2e::Passing::is_ledger_patch);
    faults.quiet.ask(&faults.names()[..1], true).await?;
    asked.held().await?.too_many(4)?;
    // Requests that were under way have arrived by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = faults.gate.came();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.gate.came(), before);
    faults.quiet.quarantined_are(1).await?;
    assert!(faults.gate.came() > before);
    faults.put_all_back().await?;
    faults.end().await
}
