//! What becomes of the pods in quarantine when their agent is uninstalled.

use anyhow::ensure;
use test_e2e::{Labels, PROBE, Scene};

/// Nobody has prepared anything: the agent, its rights and its ledger go at the same moment.
#[tokio::test]
async fn the_namespace_of_the_agent_is_deleted_with_a_pod_in_quarantine() -> anyhow::Result<()> {
    let scene = Scene::set("rid", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let name = scene.agent.namespace();
    let binding = format!("clusterrolebinding/{name}");
    let namespace = format!("namespace/{name}");
    for object in [binding, namespace] {
        let delete = ["delete", &object, "--timeout", "60s"];
        let deleted = scene.stage.cluster.kubectl(&delete).await?;
        ensure!(deleted.status.success(), "{deleted:?}");
    }
    // It can be put back from what is on it.
    scene.web.quarantined(pod).await?;
    let delete = ["delete", "namespace", scene.namespace(), "--wait=false"];
    scene.stage.cluster.kubectl(&delete).await.map(drop)
}
