//! SIGTERM ends the agent at once, whatever it is at, and a restart finishes what was not done.

use std::time::Duration;

use test_cluster::wait;
use test_e2e::{Passing, Process};

use crate::faults::Faults;

/// It takes a second at most, and a busy machine longer; the requests that hang here would hang for ever.
async fn ends_at_once(mut agent: Process) -> anyhow::Result<()> {
    let (status, took) = agent.terminate().await?;
    assert_eq!(status.code(), Some(0), "{}", agent.log()?);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    Ok(())
}

#[tokio::test]
async fn an_idle_agent_and_an_agent_that_waits_for_the_api_server_end_at_once() -> anyhow::Result<()>
{
    let faults = Faults::new("stop-idle", 1, 1).await?;
    ends_at_once(faults.run().await?).await?;
    let caught = faults
        .gate
        .catch(|request: &Passing| request.uri.path().ends_with("/pods"));
    let agent = faults.rights.start(&faults.gate, &faults.policy).await?;
    let _held = caught.held().await?;
    ends_at_once(agent).await?;
    faults.end().await
}

#[tokio::test]
async fn an_agent_stopped_during_a_patch_finishes_it_after_its_restart() -> anyhow::Result<()> {
    let faults = Faults::new("stop-patch", 3, 1).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names[..1], true).await?;
    let held = caught.held().await?;
    ends_at_once(agent).await?;
    drop(held);
    faults.quiet.ask(&names[1..], true).await?;
    let _agent = faults.run().await?;
    assert_eq!(faults.quiet.quarantined_are(1).await?, names[..1]);
    assert_eq!(faults.slots().await?, names[..1]);
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 1);
    faults.end().await
}

#[tokio::test]
async fn an_agent_stopped_during_thirty_quarantines_finishes_them_after_its_restart()
-> anyhow::Result<()> {
    let faults = Faults::new("stop-many", 40, 30).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    // One of them hangs, so that the batch cannot be over.
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names, true).await?;
    let held = caught.held().await?;
    ends_at_once(agent).await?;
    drop(held);
    let out = faults.quiet.quarantined().await?.len();
    assert!(out < 30, "the midst, not the end: {out} are out");
    let _agent = faults.run().await?;
    faults.quiet.quarantined_are(30).await?;
    wait::until("as many slots", Duration::from_secs(10), async || {
        let slots = faults.slots().await?.len();
        anyhow::ensure!(slots == 30, "{slots}");
        Ok(())
    })
    .await?;
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 30);
    faults.end().await
}
