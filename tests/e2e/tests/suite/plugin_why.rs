//! `kubectl quarantine why`: by the record, by the agent, or by the Events alone.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Plugin, Ran, Scene, changed};

use crate::plugin::has;

/// `why` for a pod of the scene, asked of the scene's agent.
async fn why(plugin: &Plugin, scene: &Scene, pod: &str, more: &str) -> anyhow::Result<Ran> {
    let (namespace, agent) = (scene.namespace(), scene.agent.namespace());
    let line = format!("why {pod} -n {namespace} --agent-namespace {agent} {more}");
    plugin.run(&line).await
}

#[tokio::test]
async fn a_quarantined_pod_is_explained_by_its_record() -> anyhow::Result<()> {
    let scene = Scene::set("plugin-why", 3, Labels::ToggleInBoth, PROBE).await?;
    let plugin = scene.stage.plugin().await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene.web.quarantined(bad).await?;
    scene.event(bad, &["Quarantined"]).await?;
    let text = why(&plugin, &scene, bad, "").await?.done()?;
    println!("{text}");
    has(
        &text,
        &[
            "quarantined for",
            "web (agent ",
            "bad probes in a row: HTTP 500",
            "Deployment/web; ReplicaSet/web-",
            "no longer owns the pod",
            "enabled: \"true\" -> \"false\"",
            "karpenter.sh/do-not-disrupt: none -> \"true\"",
            "deleted in ",
            "no container has a liveness probe",
            "Quarantined   policy web",
        ],
    )?;
    let json = why(&plugin, &scene, bad, "-o json").await?.done()?;
    let value: Value = serde_json::from_str(&json)?;
    assert_eq!(value["quarantined"], true);
    assert_eq!(value["labels"][0]["key"], "enabled");
    let yaml = why(&plugin, &scene, bad, "-o yaml").await?.done()?;
    has(&yaml, &["quarantined: true", "evidence:"])?;

    let missing = why(&plugin, &scene, "web-0", "").await?.refused()?;
    let expected = "Error from server (NotFound): pods \"web-0\" not found\n";
    assert_eq!(missing, expected);
    scene.clear().await
}

#[tokio::test]
async fn a_pod_that_is_not_quarantined_is_explained_by_the_agent_or_by_its_events()
-> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 1, minReady: 0% }",
        )],
    );
    let scene = Scene::set("plugin-ask", 4, Labels::NoToggle, &policy).await?;
    let plugin = scene.stage.plugin().await?;
    scene.seen_good().await?;
    let [first, second, healthy, _] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    let text = why(&plugin, &scene, healthy, "").await?.done()?;
    println!("{text}");
    has(
        &text,
        &[
            "not quarantined",
            "Deployment web",
            "web (mode enforce): healthy",
            "HTTP 200",
        ],
    )?;
    let json = why(&plugin, &scene, healthy, "-o json").await?.done()?;
    let value: Value = serde_json::from_str(&json)?;
    assert_eq!(value["quarantined"], false);
    let opinion = &value["explanation"]["pod"]["policies"][0];
    assert_eq!(opinion["verdict"], "healthy");

    scene.web.switch(first, "500").await?;
    scene.web.quarantined(first).await?;
    scene.web.switch(second, "500").await?;
    scene
        .refused(second, "WorkloadLimit", &["HTTP 500"])
        .await?;
    let text = why(&plugin, &scene, second, "").await?.done()?;
    println!("{text}");
    has(
        &text,
        &[
            "web (mode enforce): unhealthy: ",
            "held back by WorkloadLimit: the limit of its workload is reached: 1 of at most 1",
            "QuarantineRefused   policy web",
        ],
    )?;

    // Without the right, its Events are what is left; a pod without any leaves nothing to say.
    let namespaces = [scene.namespace(), scene.agent.namespace()];
    let viewer = scene.stage.plugin_of_viewer(&namespaces).await?;
    let allowed = why(&viewer, &scene, second, "").await?;
    println!("{allowed:#?}");
    has(
        &allowed.err,
        &["the right to a port-forward is missing", "pods/portforward"],
    )?;
    has(&allowed.done()?, &["QuarantineRefused   policy web"])?;
    let denied = why(&viewer, &scene, healthy, "").await?;
    has(
        &denied.refused()?,
        &["the right to a port-forward is missing"],
    )?;
    let listed = viewer
        .run(&format!("list -n {} -o name", scene.namespace()))
        .await?;
    assert_eq!(listed.done()?, format!("pod/{first}\n"));
    let denied = viewer
        .run(&format!("hold {first} -n {}", scene.namespace()))
        .await?;
    has(&denied.refused()?, &["Error from server (Forbidden)"])?;

    // At the pod's own address nobody listens on the agent's port: a port-forward is the only way to it.
    let agent = scene.agent.ready().await?.status.unwrap_or_default();
    let address = format!("{}:9091", agent.pod_ip.unwrap_or_default());
    let connecting = tokio::net::TcpStream::connect(&address);
    let connected = tokio::time::timeout(Duration::from_secs(2), connecting).await;
    ensure!(!matches!(connected, Ok(Ok(_))), "{address} is open to all");

    // A port that nobody listens on, and a namespace without an agent.
    let closed = why(&plugin, &scene, healthy, "--agent-port 9099").await?;
    println!("{closed:#?}");
    has(
        &closed.refused()?,
        &["no agent could be asked: pod", "9099"],
    )?;
    let line = format!(
        "why {healthy} -n {0} --agent-namespace {0}",
        scene.namespace()
    );
    let nobody = plugin.run(&line).await?;
    has(
        &nobody.refused()?,
        &["no agent could be asked: no pod in namespace"],
    )?;
    scene.clear().await
}

/// As nobody renews it, one agent takes it over after ten seconds.
async fn hand_lease_to(scene: &Scene, holder: &str) -> anyhow::Result<()> {
    let leases: Api<Lease> = Api::namespaced(scene.stage.client.clone(), scene.agent.namespace());
    let now = MicroTime(jiff::Timestamp::now());
    let patch = json!({ "spec": { "holderIdentity": holder, "renewTime": now } });
    let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
    leases
        .patch("pod-quarantine-default", &params, &patch)
        .await?;
    Ok(())
}

#[tokio::test]
async fn of_two_replicas_the_leader_explains() -> anyhow::Result<()> {
    let scene = Scene::set("plugin-two", 2, Labels::NoToggle, PROBE).await?;
    let plugin = scene.stage.plugin().await?;
    scene.seen_good().await?;
    scene.agent.scale(2).await?;
    let pod = &scene.pods[0];
    let agents = scene.agent.pods().await?;
    assert_eq!(agents.len(), 2);
    for agent in agents {
        // Whichever is asked first.
        let holder = agent.metadata.name.unwrap_or_default();
        hand_lease_to(&scene, &holder).await?;
        scene
            .until(&format!("{holder} alone acts"), async || {
                let leaders = scene.agent.leaders().await?;
                ensure!(leaders == [holder.as_str()], "{leaders:?}");
                Ok(())
            })
            .await?;
        scene
            .until(&format!("{holder} explains"), async || {
                let text = why(&plugin, &scene, pod, "").await?.done()?;
                has(&text, &["web (mode enforce): healthy", "HTTP 200"])
            })
            .await?;
    }
    scene
        .until("both stand by", async || {
            hand_lease_to(&scene, "somebody else").await?;
            let nobody = why(&plugin, &scene, pod, "").await?.refused()?;
            println!("{nobody}");
            has(&nobody, &["warning: no agent is the leader now: pod "])?;
            ensure!(nobody.matches(": standing by").count() == 2, "{nobody}");
            Ok(())
        })
        .await?;
    scene
        .until("one acts again", async || {
            let text = why(&plugin, &scene, pod, "").await?.done()?;
            has(&text, &["web (mode enforce): healthy"])
        })
        .await?;
    scene.clear().await
}
