//! Release: back as it was, or refused where that would hurt.

use std::collections::BTreeMap;

use anyhow::ensure;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, api::DeleteParams};
use pod_quarantine::core::keys;
use serde_json::json;
use test_e2e::{Labels, PROBE, Scene, changed};

fn labels(pod: &Pod) -> BTreeMap<String, String> {
    pod.metadata.labels.clone().unwrap_or_default()
}

fn annotations(pod: &Pod) -> BTreeMap<String, String> {
    pod.metadata.annotations.clone().unwrap_or_default()
}

fn owner(pod: &Pod) -> Option<String> {
    let owners = pod.metadata.owner_references.as_ref()?;
    owners.first().map(|owner| owner.uid.clone())
}

#[tokio::test]
async fn a_released_pod_is_as_it_was_serves_again_and_survives() -> anyhow::Result<()> {
    let policy = changed(PROBE, &[("mode: enforce", "mode: enforce\n    settle: 3s")]);
    let scene = Scene::set("release", 3, Labels::ToggleInBoth, &policy).await?;
    let pod = &scene.pods[0];
    // People's own values of what the agent changes.
    scene.annotate(pod, keys::DELETION_COST, Some("5")).await?;
    scene
        .annotate(pod, keys::SAFE_TO_EVICT, Some("true"))
        .await?;
    let before = scene.web.pod(pod).await?;
    scene.quarantine_manually(pod).await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;

    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    let back = scene.back(pod).await?;
    assert_eq!(labels(&back), labels(&before));
    assert_eq!(owner(&back), owner(&before));
    scene.event(pod, &["Released", "Deployment web"]).await?;
    // One too many now: another one goes, then the deletion cost is what it was.
    scene
        .until("the ReplicaSet has settled", async || {
            let now = scene.web.pod(pod).await?;
            ensure!(
                annotations(&now) == annotations(&before),
                "{:?}",
                now.metadata.annotations
            );
            let pods = scene.web.pods().await?.len();
            ensure!(pods == 3, "{pods} pods");
            Ok(())
        })
        .await?;
    let serving = scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    assert!(serving.contains(pod), "{serving:?}");
    let cause = [("cause", "annotation"), ("policy", "web")];
    assert_eq!(scene.agent.sum("releases_total", &cause).await?, 1.0);
    scene
        .until("its slot is free", async || {
            let slots = scene.agent.slots().await?;
            ensure!(slots.is_empty(), "{slots:?}");
            Ok(())
        })
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn several_pods_released_at_once_all_survive() -> anyhow::Result<()> {
    let policy = changed(
        PROBE,
        &[(
            "workload: { max: 2, minReady: 0% }",
            "workload: { max: 3, minReady: 0% }",
        )],
    );
    let scene = Scene::set("several", 3, Labels::NoToggle, &policy).await?;
    scene.quarantine_all_manually(&scene.pods).await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 3)
        .await?;
    for pod in &scene.pods {
        scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    }
    scene
        .until("those that were released, and no others", async || {
            let serving = scene.web.serving().await?;
            ensure!(serving == scene.pods, "{serving:?}");
            Ok(())
        })
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_that_is_not_ready_is_released_once_it_is_ready() -> anyhow::Result<()> {
    let scene = Scene::set("unready", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.web.switch(pod, "unready").await?;
    scene.quarantine_manually(pod).await?;
    scene.annotate(pod, keys::RELEASE, Some("please")).await?;
    scene
        .event(
            pod,
            &["BadAnnotation", keys::RELEASE, "\"please\"", "not released"],
        )
        .await?;
    scene
        .until("it is not Ready", async || {
            let status = scene
                .web
                .pod(pod)
                .await?
                .status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            ensure!(
                status
                    .iter()
                    .any(|one| one.type_ == "Ready" && one.status == "False"),
                "it is"
            );
            Ok(())
        })
        .await?;
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene.event(pod, &["ReleaseRefused", "not Ready"]).await?;
    scene.web.quarantined(pod).await?;
    // The command stands: it is carried out when it can be.
    scene.web.switch(pod, "ok").await?;
    let back = scene.back(pod).await?;
    assert!(!annotations(&back).contains_key(keys::RELEASE));
    scene.clear().await
}

#[tokio::test]
async fn a_pod_of_an_older_revision_is_released_only_by_force() -> anyhow::Result<()> {
    let scene = Scene::set("rollout", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    let before = scene.quarantine_manually(pod).await?;
    let template = json!({ "metadata": { "annotations": { "revision": "next" } } });
    scene
        .web
        .patch(json!({ "spec": { "template": template } }))
        .await?;
    scene
        .until("the next revision serves", async || {
            let serving = scene.web.serving().await?;
            ensure!(
                serving.len() == 2 && scene.pods.iter().all(|old| !serving.contains(old)),
                "{serving:?}"
            );
            Ok(())
        })
        .await?;
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene.event(pod, &["ReleaseRefused", "ReplicaSet"]).await?;
    assert_eq!(labels(&scene.web.quarantined(pod).await?), labels(&before));

    scene.annotate(pod, keys::RELEASE, Some("force")).await?;
    scene.event(pod, &["Released"]).await?;
    assert_eq!(
        scene
            .agent
            .sum("releases_total", &[("cause", "force")])
            .await?,
        1.0
    );
    // Its ReplicaSet wants no pods: this is why it was refused.
    scene.reaped(pod).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_whose_workload_wants_no_pods_or_is_gone_is_not_released() -> anyhow::Result<()> {
    let scene = Scene::set("gone", 2, Labels::NoToggle, PROBE).await?;
    let (zero, gone) = (&scene.pods[0], &scene.pods[1]);
    scene.quarantine_manually(zero).await?;
    scene.quarantine_manually(gone).await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    scene
        .web
        .patch(json!({ "spec": { "replicas": 0 } }))
        .await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 0)
        .await?;
    scene.annotate(zero, keys::RELEASE, Some("true")).await?;
    scene
        .event(zero, &["ReleaseRefused", "wants no pods"])
        .await?;

    let deployments: Api<Deployment> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    deployments
        .delete("web", &DeleteParams::foreground())
        .await?;
    scene
        .until("the Deployment is gone", async || {
            ensure!(deployments.get_opt("web").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
    scene.annotate(gone, keys::RELEASE, Some("true")).await?;
    scene.event(gone, &["ReleaseRefused", "is gone"]).await?;
    let before = scene.web.quarantined(zero).await?;
    scene.web.quarantined(gone).await?;

    scene.annotate(zero, keys::RELEASE, Some("force")).await?;
    scene.event(zero, &["Released"]).await?;
    let after = scene.web.pod(zero).await?;
    assert!(
        !labels(&after).contains_key(keys::STATE),
        "{:?}",
        labels(&after)
    );
    assert_ne!(labels(&after), labels(&before));
    assert_eq!(labels(&after)["app"], "web");
    scene.clear().await
}

#[tokio::test]
async fn a_label_changed_by_others_is_left_and_named() -> anyhow::Result<()> {
    let scene = Scene::set("left", 2, Labels::ToggleInBoth, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let patch =
        kube::api::Patch::Merge(json!({ "metadata": { "labels": { "enabled": "perhaps" } } }));
    scene
        .stage
        .pods(scene.namespace())
        .patch(pod, &kube::api::PatchParams::default(), &patch)
        .await?;
    scene.annotate(pod, keys::RELEASE, Some("force")).await?;
    scene
        .event(pod, &["Released", "others changed", "enabled"])
        .await?;
    assert_eq!(labels(&scene.web.pod(pod).await?)["enabled"], "perhaps");
    scene.clear().await
}

#[tokio::test]
async fn a_pod_of_an_older_revision_is_released_once_that_revision_is_current_again()
-> anyhow::Result<()> {
    let scene = Scene::set("rollback", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    // A revision that never gets Ready: the older one keeps its pods.
    let environment = |behaviour: &str| {
        let variables = json!([{ "name": "BEHAVIOUR", "value": behaviour }]);
        let container = json!({ "name": "web", "image": test_e2e::WORKLOAD, "args": ["serve"], "env": variables });
        json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
    };
    let deployments: Api<Deployment> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    let patch = kube::api::Patch::Strategic(environment("unready"));
    deployments
        .patch("web", &kube::api::PatchParams::default(), &patch)
        .await?;
    scene
        .until("a pod of the next revision", async || {
            let pods = scene.web.pods().await?.len();
            ensure!(pods == 4, "{pods} pods");
            Ok(())
        })
        .await?;
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene
        .event(pod, &["ReleaseRefused", "older revision", "Deployment web"])
        .await?;
    scene.web.quarantined(pod).await?;

    let undo = [
        "rollout",
        "undo",
        "deployment/web",
        "--namespace",
        scene.namespace(),
    ];
    let undone = scene.stage.cluster.kubectl(&undo).await?;
    ensure!(undone.status.success(), "{undone:?}");
    scene.back(pod).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_release_of_a_pod_that_is_not_quarantined_only_gives_an_event() -> anyhow::Result<()> {
    let scene = Scene::set("notout", 1, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene
        .event(pod, &["BadAnnotation", keys::RELEASE, "not quarantined"])
        .await?;
    scene.untouched(pod).await?;
    scene.clear().await
}
