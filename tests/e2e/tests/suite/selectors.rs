//! Every selector: what must be left is left, what should be kept is kept, and nothing foreign is entered.

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use pod_quarantine::core::keys;
use serde_json::json;
use test_e2e::{
    Labels, PROBE, Scene, changed,
    manifest::{controller, object, service, template},
    record,
};

/// Quarantines the first pod of `app` manually; returns the pod as it is then, and the others.
async fn take_out(scene: &Scene, app: &str, count: usize) -> anyhow::Result<(Pod, Vec<String>)> {
    let label = format!("app={app}");
    let mut pods = scene.ready(&label, count).await?;
    let first = pods.remove(0);
    scene
        .annotate(&first, keys::QUARANTINE, Some("please"))
        .await?;
    Ok((scene.labelled(&first).await?, pods))
}

/// Waits until a Service has no endpoint for that pod.
async fn without_endpoint(scene: &Scene, service: &str, pod: &String) -> anyhow::Result<()> {
    let what = format!("{service} has no endpoint for {pod}");
    scene
        .until(&what, async || {
            let endpoints = scene.stage.endpoints(scene.namespace(), service, false);
            let pods = endpoints.await?;
            ensure!(!pods.contains(pod), "{pods:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pod_leaves_all_its_services_headless_services_and_those_that_publish_unready_pods_too()
-> anyhow::Result<()> {
    let scene = Scene::set("services", 2, Labels::ToggleInService, PROBE).await?;
    let headless = json!({ "clusterIP": "None" });
    let unready = json!({ "clusterIP": "None", "publishNotReadyAddresses": true });
    scene
        .apply_all(&[
            service("headless", json!({ "app": "web" }), headless),
            service("unready", json!({ "team": "shop" }), unready),
        ])
        .await?;
    let (stays, bad) = (&scene.pods[0], &scene.pods[1]);
    for name in ["headless", "unready"] {
        scene.slices(name, &[stays, bad]).await?;
    }
    scene.web.switch(bad, "unready").await?;
    let out = scene.quarantine_manually(bad).await?;
    let left = record(&out)?.services;
    assert_eq!(left, ["headless".into(), "unready".into(), "web".into()]);
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    for name in ["headless", "unready", "web"] {
        without_endpoint(&scene, name, bad).await?;
    }
    scene
        .event(
            bad,
            &["Quarantined", "its Services (headless, unready, web)"],
        )
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn expressions_with_all_four_operators_are_left_by_one_edit() -> anyhow::Result<()> {
    let scene = Scene::set("operators", 1, Labels::NoToggle, PROBE).await?;
    let labels = json!({ "app": "ops", "tier": "front", "on": "true" });
    let expressions = json!([
        { "key": "tier", "operator": "In", "values": ["front", "back"] },
        { "key": "app", "operator": "NotIn", "values": ["other"] },
        { "key": "on", "operator": "Exists" },
        { "key": "retired", "operator": "DoesNotExist" },
    ]);
    let pods = template(labels, json!({}));
    let set = controller(
        "Deployment",
        "ops",
        json!({ "app": "ops" }),
        pods,
        json!({ "replicas": 2, "selector": { "matchExpressions": expressions } }),
    );
    let selecting = |kind: &str, more: serde_json::Value| {
        let mut spec = json!({ "selector": { "matchExpressions": expressions } });
        spec.as_object_mut()
            .unwrap_or(&mut serde_json::Map::new())
            .extend(more.as_object().cloned().unwrap_or_default());
        object("policy/v1", kind, "ops", spec)
    };
    scene
        .apply_all(&[
            set,
            service("ops", json!({ "on": "true", "tier": "front" }), json!({})),
            selecting("PodDisruptionBudget", json!({ "minAvailable": 1 })),
        ])
        .await?;
    let (out, others) = take_out(&scene, "ops", 2).await?;
    let labels = out.labels();
    // `on: "false"` would not leave what asks for the key alone, and `app` would not leave the Service.
    assert!(!labels.contains_key("on"), "{labels:?}");
    assert_eq!((&*labels["tier"], &*labels["app"]), ("front", "ops"));
    scene
        .until("a replacement", async || {
            let pods = scene.ready("app=ops", 2).await?;
            ensure!(pods.iter().any(|pod| !others.contains(pod)), "{pods:?}");
            Ok(())
        })
        .await?;
    let owners = scene.web.pod(&out.name_any()).await?;
    assert!(owners.owner_references().is_empty());
    scene.clear().await
}

#[tokio::test]
async fn no_controller_or_service_that_selects_the_new_labels_is_entered() -> anyhow::Result<()> {
    let scene = Scene::set("foreign2", 2, Labels::ToggleInBoth, PROBE).await?;
    let pods = |labels| template(labels, json!({}));
    // A set of its own that wants whoever is not `enabled: "true"`, and another for whoever has no `enabled`.
    let grabbing = |kind: &str, name: &str, spec: serde_json::Value| {
        let labels = json!({ "app": "web", "enabled": "false", "pool": name });
        controller(kind, name, json!({ "app": "web" }), pods(labels), spec)
    };
    let not_true = json!([{ "key": "enabled", "operator": "NotIn", "values": ["true"] }]);
    let absent = json!([{ "key": "enabled", "operator": "DoesNotExist" }]);
    let absent_labels = json!({ "app": "web", "pool": "absent" });
    scene
        .apply_all(&[
            grabbing(
                "ReplicaSet",
                "not-true",
                json!({ "replicas": 0, "selector": { "matchExpressions": not_true } }),
            ),
            controller(
                "StatefulSet",
                "absent",
                json!({ "app": "web" }),
                pods(absent_labels),
                json!({ "replicas": 0, "serviceName": "web", "selector": { "matchExpressions": absent } }),
            ),
            service("false", json!({ "enabled": "false" }), json!({})),
        ])
        .await?;
    let pod = &scene.pods[0];
    let out = scene.quarantine_manually(pod).await?;
    // `enabled` could not be touched without entering one of them: `app` is what both leave by.
    assert_eq!(out.labels()["enabled"], "true");
    assert_eq!(out.labels()["app"], "quarantined");
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    let still = scene.web.pod(pod).await?;
    assert!(still.owner_references().is_empty());
    scene.clear().await
}

#[tokio::test]
async fn a_new_or_edited_service_is_left_too_and_the_release_is_exact() -> anyhow::Result<()> {
    let scene = Scene::set("later", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    let before = scene.web.pod(pod).await?;
    let out = scene.quarantine_manually(pod).await?;
    assert_eq!(out.labels()["app"], "quarantined");

    let trap = service("trap", json!({ "app": "quarantined" }), json!({}));
    scene.apply_all(&[trap]).await?;
    scene
        .until("it has left the new Service", async || {
            let now = scene.web.pod(pod).await?;
            ensure!(!now.labels().contains_key("app"), "{:?}", now.labels());
            Ok(())
        })
        .await?;
    scene.slices("trap", &[]).await?;
    scene
        .event(pod, &["Quarantined", "Taken out again of", "trap"])
        .await?;

    let services: Api<Service> = Api::namespaced(scene.stage.client.clone(), scene.namespace());
    let edit = json!({ "spec": { "selector": { "app": null, "team": "shop" } } });
    services
        .patch("trap", &PatchParams::default(), &Patch::Merge(&edit))
        .await?;
    scene
        .until("it has left the edited Service", async || {
            let now = scene.web.pod(pod).await?;
            ensure!(now.labels()["team"] != "shop", "{:?}", now.labels());
            Ok(())
        })
        .await?;
    let slots = scene.agent.slots().await?;
    assert_eq!(slots.len(), 1, "one slot all along");
    without_endpoint(&scene, "trap", pod).await?;
    let quarantines = [("namespace", scene.namespace())];
    assert_eq!(
        scene.agent.sum("quarantines_total", &quarantines).await?,
        1.0
    );

    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    let back = scene.back(pod).await?;
    assert_eq!(back.labels(), before.labels());
    scene.clear().await
}

#[tokio::test]
async fn a_network_policy_that_cannot_be_kept_is_counted_or_refused() -> anyhow::Result<()> {
    let scene = Scene::set("leavenp", 2, Labels::NoToggle, PROBE).await?;
    let shield = object(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "shield",
        json!({ "podSelector": { "matchLabels": { "app": "web" } } }),
    );
    scene.apply_all(std::slice::from_ref(&shield)).await?;
    scene.quarantine_manually(&scene.pods[0]).await?;
    let of_web = [("namespace", scene.namespace()), ("policy", "web")];
    scene
        .metric_is("network_policies_left_total", &of_web, 1.0)
        .await?;
    scene.clear().await?;

    let keep = changed(
        PROBE,
        &[("mode: enforce", "mode: enforce\n    networkPolicies: keep")],
    );
    let scene = Scene::set("keepnp", 2, Labels::NoToggle, &keep).await?;
    scene.apply_all(&[shield]).await?;
    scene.seen_good().await?;
    let bad = &scene.pods[0];
    scene.web.switch(bad, "500").await?;
    scene
        .refused(bad, "NetworkPolicy", &["NetworkPolicy shield (app=web)"])
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_budget_over_every_pod_of_the_namespace_is_named_in_the_event() -> anyhow::Result<()> {
    let scene = Scene::set("everypod", 2, Labels::NoToggle, PROBE).await?;
    let budget = object(
        "policy/v1",
        "PodDisruptionBudget",
        "all",
        json!({ "maxUnavailable": 1, "selector": {} }),
    );
    scene.apply_all(&[budget]).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let said = ["Quarantined", "still selected by: PodDisruptionBudget all"];
    scene.event(pod, &said).await?;
    scene.clear().await
}

#[tokio::test]
async fn the_tracking_label_of_argo_cd_is_edited_first_and_if_it_stays_pruning_is_forbidden()
-> anyhow::Result<()> {
    let scene = Scene::set("argo", 1, Labels::NoToggle, PROBE).await?;
    let labels = json!({ "app": "tracked", keys::INSTANCE: "shop" });
    let deployment = |name: &str, selector: serde_json::Value| {
        let pods = template(labels.clone(), json!({}));
        controller("Deployment", name, selector, pods, json!({ "replicas": 2 }))
    };
    scene
        .apply_all(&[
            deployment("tracked", labels.clone()),
            service("tracked", labels.clone(), json!({})),
        ])
        .await?;
    let (out, _) = take_out(&scene, "tracked", 2).await?;
    assert_eq!(out.labels()[keys::INSTANCE], "quarantined");
    assert_eq!(out.labels()["app"], "tracked");
    assert!(!out.annotations().contains_key(keys::ARGO_SYNC_OPTIONS));
    scene.clear().await?;

    let scene = Scene::set("argo2", 1, Labels::NoToggle, PROBE).await?;
    let pods = template(labels.clone(), json!({}));
    let by_app = json!({ "app": "tracked" });
    scene
        .apply_all(&[
            controller(
                "Deployment",
                "tracked",
                by_app.clone(),
                pods,
                json!({ "replicas": 2 }),
            ),
            service("tracked", by_app, json!({})),
        ])
        .await?;
    let (out, _) = take_out(&scene, "tracked", 2).await?;
    assert_eq!(out.labels()[keys::INSTANCE], "shop");
    assert_eq!(out.annotations()[keys::ARGO_SYNC_OPTIONS], "Prune=false");
    scene.clear().await
}
