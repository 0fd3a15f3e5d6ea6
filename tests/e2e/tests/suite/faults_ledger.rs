//! The ledger is deleted, or written over by hand. Nothing is put out over the limit, and the agent goes on.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use test_cluster::wait;

use crate::faults::Faults;

const LEDGER: &str = "pod-quarantine-ledger-default";

fn objects(faults: &Faults) -> Api<ConfigMap> {
    Api::namespaced(faults.stage.client.clone(), faults.rights.agent.namespace())
}

#[tokio::test]
async fn a_ledger_that_is_deleted_is_made_anew_and_gives_no_slot_for_ten_minutes()
-> anyhow::Result<()> {
    let faults = Faults::new("ledger-gone", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let ledger = objects(&faults);
    ledger.delete(LEDGER, &DeleteParams::default()).await?;
    wait::until("a new ledger", Duration::from_secs(10), async || {
        Ok(ledger.get(LEDGER).await?)
    })
    .await?;
    faults.quiet.ask(&names[1..], true).await?;
    wait::until("a refusal", Duration::from_secs(10), async || {
        let reason = [("reason", "LedgerUnavailable")];
        let refusals = agent.sum("refusals_total", &reason).await?;
        anyhow::ensure!(refusals >= 4.0, "{refusals}");
        Ok(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    // A restart does not forget it.
    agent.kill().await?;
    let _agent = faults.run().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(faults.quiet.quarantined().await?, names[..1]);
    // What needs no slot goes on.
    faults.put_all_back().await?;
    assert_eq!(faults.most.most(), 1);
    faults.end().await
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_counts_and_stays() -> anyhow::Result<()> {
    let faults = Faults::new("ledger-garbage", 5, 2).await?;
    let names = faults.names();
    let agent = faults.run().await?;
    faults.quiet.ask(&names[..1], true).await?;
    faults.quiet.quarantined_are(1).await?;
    let uid = faults.quiet.pod(&names[0]).await?.metadata.uid;
    let uid = uid.unwrap_or_default();
    let patch = json!({ "data": { uid.as_str(): "{ no slot" } });
    objects(&faults)
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
    let entries = objects(&faults).get(LEDGER).await?.data.unwrap_or_default();
    assert_eq!(entries[&uid], "{ no slot");
    faults.quiet.ask(&names, false).await?;
    let out = faults.quiet.quarantined().await?;
    faults.quiet.release(&out).await?;
    faults.quiet.are_back(&out, faults.new_marks()).await?;
    faults.end().await
}
