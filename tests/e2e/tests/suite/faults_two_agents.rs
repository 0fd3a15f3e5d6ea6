//! Two agents of one installation at once. Nothing depends on there being a single one.

use std::time::Duration;

use crate::faults::Faults;

#[tokio::test]
async fn two_agents_keep_the_limit_and_lose_no_label() -> anyhow::Result<()> {
    let faults = Faults::new("two", 12, 3).await?;
    let _agents = (faults.run().await?, faults.run().await?);
    for _ in 0..3 {
        faults.quiet.ask(&faults.quiet.names().await?, true).await?;
        faults.quiet.quarantined_are(3).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut out = faults.quiet.quarantined().await?;
        let mut slots = faults.slots().await?;
        out.sort();
        slots.sort();
        assert_eq!(out, slots);
        faults.put_all_back().await?;
    }
    assert_eq!(faults.most.most(), 3);
    faults.end().await
}

/// The first one hangs with a patch in its hands, the second one takes over; then the first one goes on.
#[tokio::test]
async fn an_agent_that_hung_while_another_agent_worked_does_not_exceed_the_limit()
-> anyhow::Result<()> {
    let faults = Faults::new("hung", 4, 1).await?;
    let names = faults.names();
    let first = faults.run().await?;
    let caught = faults.catch_pod_patch();
    faults.quiet.ask(&names, true).await?;
    let held = caught.held().await?;
    first.pause()?;
    let _second = faults.run().await?;
    let out = faults.quiet.quarantined_are(1).await?;
    let late = held.send().await?;
    assert_eq!(late.status, 409);
    held.answer(late)?;
    first.resume()?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.quiet.quarantined().await?, out);
    assert_eq!(faults.slots().await?, out);
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 1);
    faults.end().await
}

/// As a user would do it: by the Deployment.
#[tokio::test]
async fn the_deployment_scaled_to_two_keeps_the_limit() -> anyhow::Result<()> {
    let faults = Faults::new("scaled", 8, 2).await?;
    let agent = faults.stage.agent("scaled-up", &faults.policy).await?;
    agent.scale(2).await?;
    faults.quiet.ask(&faults.names(), true).await?;
    faults.quiet.quarantined_are(2).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.most.most(), 2);
    assert_eq!(agent.slots().await?.len(), 2);
    faults.quiet.ask(&faults.names(), false).await?;
    let out = faults.quiet.quarantined().await?;
    faults.quiet.release(&out).await?;
    faults.quiet.are_back(&out, faults.new_marks()).await?;
    assert_eq!(faults.most.most(), 2);
    agent.uninstall().await?;
    faults.end().await
}
