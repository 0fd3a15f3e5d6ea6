//! The ledger is deleted, or overwritten. No quarantine exceeds the limit, and the agent goes on.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
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

#[tokio::test]
async fn a_deleted_ledger_stays_until_its_last_slot_is_free_and_the_next_ledger_is_open()
-> anyhow::Result<()> {
    let faults = Faults::new("ledger-deleted", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let ledgers = faults.rights.agent.ledgers();
    let first = ledgers.get(LEDGER).await?.metadata.uid;
    ledgers.delete(LEDGER, &DeleteParams::default()).await?;
    faults.quiet.ask(&names[1..], true).await?;
    refused(&agent, 4.0).await?;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    assert_eq!(ledgers.get(LEDGER).await?.metadata.uid, first);
    faults.quiet.release(&names[..1]).await?;
    // As soon as the first one is back, the ledger goes, the next one comes, and there is room for two.
    faults.quiet.quarantined_are(2).await?;
    assert_ne!(ledgers.get(LEDGER).await?.metadata.uid, first);
    assert_eq!(faults.most.most(), 2);
    faults.put_all_back().await?;
    faults.end().await
}

#[tokio::test]
async fn a_lost_ledger_is_created_again_and_gives_no_slot_for_ten_minutes() -> anyhow::Result<()> {
    let faults = Faults::new("ledger-gone", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let ledgers = faults.rights.agent.ledgers();
    let first = ledgers.get(LEDGER).await?.metadata.uid;
    ledgers.delete(LEDGER, &DeleteParams::default()).await?;
    let unguarded = json!({ "metadata": { "finalizers": null } });
    ledgers
        .patch(LEDGER, &PatchParams::default(), &Patch::Merge(&unguarded))
        .await?;
    wait::until("a new ledger", Duration::from_secs(10), async || {
        let ledger = ledgers.get(LEDGER).await?;
        anyhow::ensure!(ledger.metadata.uid != first, "it is the first one");
        Ok(())
    })
    .await?;
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
