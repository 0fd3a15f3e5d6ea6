//! The ledger is deleted, or overwritten. No quarantine exceeds the limit, and the agent goes on.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use pod_quarantine::core::keys;
use serde_json::json;
use test_cluster::wait;
use test_e2e::{LEDGER, Process};

use crate::faults::Faults;

/// Waits until so many pods were refused a slot.
async fn refused(agent: &Process, pods: f64) -> anyhow::Result<()> {
    wait::until("a refusal", Duration::from_secs(10), async || {
        let reason = [("reason", "LedgerUnavailable")];
        let refusals = agent.sum("refusals_total", &reason).await?;
        anyhow::ensure!(refusals >= pods, "{refusals}");
        Ok(())
    })
    .await
}

/// Deletes the ledger, and waits for the next one.
async fn replace(faults: &Faults) -> anyhow::Result<()> {
    let ledgers = faults.rights.agent.ledgers();
    let first = ledgers.get(LEDGER).await?.metadata.uid;
    ledgers.delete(LEDGER, &DeleteParams::default()).await?;
    wait::until("a new ledger", Duration::from_secs(10), async || {
        let ledger = ledgers.get(LEDGER).await?;
        anyhow::ensure!(ledger.metadata.uid != first, "it is the first one");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_ledger_that_is_deleted_before_the_agents_eyes_loses_no_slot() -> anyhow::Result<()> {
    let faults = Faults::new("ledger-deleted", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    replace(&faults).await?;
    assert_eq!(faults.slots().await?, names[..1]);
    faults.quiet.ask(&names[1..], true).await?;
    refused(&agent, 4.0).await?;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    // Its time is up, and the new ledger knows its record.
    let namespace = faults.namespace.name();
    faults
        .stage
        .annotate(namespace, &names[0], keys::TTL, Some("1s"))
        .await?;
    let pods = faults.stage.pods(namespace);
    wait::until("the end of the pod", Duration::from_secs(20), async || {
        anyhow::ensure!(pods.get_opt(&names[0]).await?.is_none(), "it is there");
        Ok(())
    })
    .await?;
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 1);
    faults.end().await
}

#[tokio::test]
async fn a_ledger_that_is_lost_while_no_agent_lives_gives_no_slot_for_ten_minutes()
-> anyhow::Result<()> {
    let faults = Faults::new("ledger-gone", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    agent.kill().await?;
    let ledgers = faults.rights.agent.ledgers();
    ledgers.delete(LEDGER, &DeleteParams::default()).await?;
    let agent = faults.run().await?;
    faults.quiet.ask(&names[1..], true).await?;
    refused(&agent, 4.0).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    assert_eq!(
        faults.slots().await?,
        [""; 0],
        "the ledger does not know it"
    );
    let here = [
        ("scope", "namespace"),
        ("namespace", faults.namespace.name()),
    ];
    let used = agent.sum("limit_used", &here).await?;
    assert!((used - 1.0).abs() < 0.1, "it counts all the same: {used}");
    // The wait survives a restart.
    agent.kill().await?;
    let _agent = faults.run().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    // A release needs no slot.
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 1);
    faults.end().await
}

#[tokio::test]
async fn an_unreadable_entry_counts_and_stays() -> anyhow::Result<()> {
    let faults = Faults::new("ledger-garbage", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let uid = faults.quiet.pod(&names[0]).await?.metadata.uid;
    let uid = uid.unwrap_or_default();
    let patch = json!({ "data": { uid.as_str(): "{ no slot" } });
    faults
        .rights
        .agent
        .ledgers()
        .patch(LEDGER, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    faults.quiet.ask(&names[1..], true).await?;
    faults.quiet.quarantined_are(2).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.most.most(), 2, "the pod of the entry counts");
    assert!(agent.get("/healthz").await?.starts_with("ok"));
    let used = [
        ("scope", "namespace"),
        ("namespace", faults.namespace.name()),
    ];
    assert_eq!(agent.sum("limit_used", &used).await?, 2.0);
    let entries = faults
        .rights
        .agent
        .ledgers()
        .get(LEDGER)
        .await?
        .data
        .unwrap_or_default();
    assert_eq!(entries[&uid], "{ no slot");
    faults.quiet.ask(&names, false).await?;
    let out = faults.quiet.quarantined().await?;
    faults.quiet.release(&out).await?;
    faults.quiet.are_back(&out, faults.new_marks()).await?;
    faults.end().await
}
