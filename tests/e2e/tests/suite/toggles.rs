//! Label edits: which labels change, depending on what selects the pod, and when no edit helps.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::ReplicaSet, policy::v1::PodDisruptionBudget};
use kube::{Api, ResourceExt};
use pod_quarantine::core::keys;
use test_e2e::{Labels, PROBE, Scene, WORKLOAD, changed, record};

/// The pod template of all workloads here but `web`.
fn pods(app: &str) -> String {
    format!(
        r"
    metadata: {{ labels: {{ app: {app}, team: shop }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {{ name: main, image: {WORKLOAD}, args: [serve], ports: [{{ name: http, containerPort: 8080 }}] }}
"
    )
}

/// A pod of `app` that runs.
async fn running(scene: &Scene, app: &str) -> anyhow::Result<String> {
    scene
        .until(&format!("{app} runs"), async || {
            let pods = scene.web.pods().await?;
            let of_app = pods
                .iter()
                .find(|pod| pod.labels()["app"] == app)
                .context("no pod")?;
            let phase = of_app
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            ensure!(phase == Some("Running"), "{phase:?}");
            Ok(of_app.name_any())
        })
        .await
}

#[tokio::test]
async fn a_toggle_in_the_services_selector_alone_does_not_keep_the_pod_in_its_workload()
-> anyhow::Result<()> {
    let scene = Scene::set("inservice", 3, Labels::ToggleInService, PROBE).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    let out = scene.web.quarantined(bad).await?;
    // `app` stands in both selectors: one edit is enough, and fewer are better.
    assert_eq!(out.labels()["app"], "quarantined");
    assert_eq!(out.labels()["enabled"], "true");
    let serving = scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    assert!(!serving.contains(bad), "{serving:?}");
    scene.clear().await
}

#[tokio::test]
async fn a_pod_behind_no_service_leaves_its_workload() -> anyhow::Result<()> {
    let scene = Scene::set("noservice", 2, Labels::NoToggle, PROBE).await?;
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    services
        .delete("web", &kube::api::DeleteParams::default())
        .await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 0)
        .await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    let out = scene.web.quarantined(bad).await?;
    assert!(record(&out)?.services.is_empty());
    scene
        .until("a replacement", async || {
            let pods = scene.web.pods().await?.len();
            ensure!(pods == 3, "{pods} pods");
            Ok(())
        })
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_leaves_a_replica_set_that_belongs_to_no_deployment() -> anyhow::Result<()> {
    let scene = Scene::set("bare", 1, Labels::NoToggle, PROBE).await?;
    let template = pods("bare");
    scene
        .apply(&format!(
            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{ name: bare, namespace: $NAMESPACE }}\nspec:\n  replicas: 1\n  selector: {{ matchLabels: {{ app: bare }} }}\n  template:{template}"
        ))
        .await?;
    let pod = running(&scene, "bare").await?;
    let out = scene.quarantine_manually(&pod).await?;
    assert_eq!(record(&out)?.workload.to_string(), "ReplicaSet bare");
    assert_eq!(out.labels()[keys::WORKLOAD], "bare");
    let replacement = running(&scene, "bare").await?;
    assert_ne!(replacement, pod);
    scene.annotate(&pod, keys::RELEASE, Some("true")).await?;
    scene
        .until("it is back", async || {
            let sets: Api<ReplicaSet> =
                Api::namespaced(scene.stage.client.clone(), scene.namespace());
            let now = scene.web.pod(&pod).await?;
            ensure!(
                now.owner_references().first().map(|owner| &owner.uid)
                    == sets.get("bare").await?.uid().as_ref(),
                "{:?}",
                now.labels()
            );
            Ok(())
        })
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_disruption_budget_no_longer_counts_a_quarantined_pod_and_its_network_policy_still_selects_it()
-> anyhow::Result<()> {
    let scene = Scene::set("budget", 3, Labels::ToggleInBoth, PROBE).await?;
    scene
        .apply(
            r#"
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web, namespace: $NAMESPACE }
spec: { minAvailable: 2, selector: { matchLabels: { app: web } } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web, namespace: $NAMESPACE }
spec: { podSelector: { matchLabels: { enabled: "true" } }, policyTypes: [Egress], egress: [{}] }
"#,
        )
        .await?;
    let budgets: Api<PodDisruptionBudget> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    let healthy = async |wanted: i32| {
        scene
            .until(&format!("{wanted} healthy in the budget"), async || {
                let status = budgets.get("web").await?.status.unwrap_or_default();
                ensure!(
                    (status.current_healthy, status.disruptions_allowed) == (wanted, 1),
                    "{status:?}"
                );
                Ok(())
            })
            .await
    };
    healthy(3).await?;
    let pod = &scene.pods[0];
    let out = scene.quarantine_manually(pod).await?;
    // The toggle alone would leave Service and Deployment, but not the budget; and it would leave the NetworkPolicy.
    assert_eq!(out.labels()["app"], "quarantined");
    assert_eq!(out.labels()["enabled"], "true");
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    // Three, not four: the budget would allow two disruptions otherwise.
    healthy(3).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_network_policy_that_must_be_left_is_named_in_the_event() -> anyhow::Result<()> {
    let scene = Scene::set("netpol", 2, Labels::NoToggle, PROBE).await?;
    scene
        .apply("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: shield, namespace: $NAMESPACE }\nspec: { podSelector: { matchLabels: { app: web } } }\n")
        .await?;
    scene.quarantine_manually(&scene.pods[0]).await?;
    scene
        .event(
            &scene.pods[0],
            &["Quarantined", "still selected by", "NetworkPolicy shield"],
        )
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_does_not_enter_a_service_that_selects_its_new_labels() -> anyhow::Result<()> {
    let scene = Scene::set("foreign", 2, Labels::NoToggle, PROBE).await?;
    scene
        .apply("apiVersion: v1\nkind: Service\nmetadata: { name: trap, namespace: $NAMESPACE }\nspec: { selector: { app: quarantined }, ports: [{ port: 80, targetPort: 8080 }] }\n")
        .await?;
    let pod = &scene.pods[0];
    let out = scene.quarantine_manually(pod).await?;
    assert!(!out.labels().contains_key("app"), "{:?}", out.labels());
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    scene.slices("trap", &[]).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_selector_that_stands_in_the_way_is_named() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[("mode: enforce", "mode: enforce\n    keepLabels: [app]")],
    );
    let scene = Scene::set("noway", 2, Labels::NoToggle, &policy).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene
        .refused(
            bad,
            "NoWayOut",
            &["HTTP 500", "in the way", "Service web", "app=web"],
        )
        .await?;
    assert!(scene.agent.slots().await?.is_empty());
    scene.clear().await
}
