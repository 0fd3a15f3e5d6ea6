//! The replacement: what keeps it from running beside the pod, and what follows where it is not Ready in time.

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_e2e::{
    Labels, PROBE, Scene, changed,
    manifest::{container, controller, object, template},
};

/// A scene with a Deployment `own` of so many pods, their spec and the Deployment's laid over the usual ones.
async fn with_own(
    hint: &str,
    policy: &str,
    count: usize,
    pod: Value,
    deployment: Value,
) -> anyhow::Result<(Scene, Vec<String>)> {
    let scene = Scene::set(hint, 1, Labels::NoToggle, policy).await?;
    let pods = own(&scene, count, pod, deployment).await?;
    Ok((scene, pods))
}

async fn own(
    scene: &Scene,
    count: usize,
    pod: Value,
    deployment: Value,
) -> anyhow::Result<Vec<String>> {
    let labels = json!({ "app": "own" });
    let template = template(labels.clone(), pod);
    let mut controller = controller("Deployment", "own", labels, template, deployment);
    controller["spec"]["replicas"] = json!(count);
    scene.apply_all(&[controller]).await?;
    scene.ready("app=own", count).await
}

async fn ask(scene: &Scene, pod: &str) -> anyhow::Result<()> {
    scene
        .annotate(pod, keys::QUARANTINE, Some("please"))
        .await
        .map(drop)
}

/// The quarantine of the first pod is refused for that reason, a manual one like one by its signal.
async fn refused(scene: &Scene, pod: &str, why: &str) -> anyhow::Result<()> {
    ask(scene, pod).await?;
    scene
        .event(pod, &["QuarantineRefused", "policy web", why])
        .await?;
    scene.untouched(pod).await?;
    assert!(scene.agent.slots().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_volume_for_one_pod_refuses_the_quarantine_and_a_volume_for_many_does_not()
-> anyhow::Result<()> {
    let scene = Scene::set("volumes", 1, Labels::NoToggle, PROBE).await?;
    let volumes: Api<PersistentVolume> = Api::all(scene.stage.client.clone());
    let mut made = Vec::new();
    for (name, mode) in [("alone", "ReadWriteOnce"), ("together", "ReadWriteMany")] {
        let volume = format!("{}-{name}", scene.namespace());
        let spec = json!({
            "capacity": { "storage": "1Mi" },
            "accessModes": [mode],
            "hostPath": { "path": format!("/tmp/{volume}"), "type": "DirectoryOrCreate" },
            "claimRef": { "namespace": scene.namespace(), "name": name },
            "storageClassName": "",
        });
        let mut volume_object = object("v1", "PersistentVolume", &volume, spec);
        volume_object["metadata"]["namespace"] = Value::Null;
        let claim = json!({
            "accessModes": [mode],
            "volumeName": volume,
            "storageClassName": "",
            "resources": { "requests": { "storage": "1Mi" } },
        });
        let claim = object("v1", "PersistentVolumeClaim", name, claim);
        scene.apply_all(&[volume_object, claim]).await?;
        made.push(volume);
    }
    let deployment = |name: &str| {
        let labels = json!({ "app": name });
        let uses = json!({
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": name } }],
            "containers": [container(json!({ "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }))],
        });
        let pods = template(labels.clone(), uses);
        controller("Deployment", name, labels, pods, json!({ "replicas": 1 }))
    };
    scene
        .apply_all(&[deployment("alone"), deployment("together")])
        .await?;
    let alone = scene.ready("app=alone", 1).await?.remove(0);
    let together = scene.ready("app=together", 1).await?.remove(0);
    refused(
        &scene,
        &alone,
        "could not run at the same time: PersistentVolumeClaim alone is ReadWriteOnce",
    )
    .await?;
    ask(&scene, &together).await?;
    scene.labelled(&together).await?;
    scene.clear().await?;
    for volume in made {
        volumes.delete(&volume, &DeleteParams::default()).await?;
        // What the kubelet made for it.
        let _ = std::fs::remove_dir_all(format!("/tmp/{volume}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_deployment_with_the_strategy_recreate_refuses_the_quarantine_unless_the_policy_allows_it()
-> anyhow::Result<()> {
    let recreate = json!({ "strategy": { "type": "Recreate" } });
    let (scene, pods) = with_own("recreate", PROBE, 1, json!({}), recreate.clone()).await?;
    refused(
        &scene,
        &pods[0],
        "the strategy of Deployment own is Recreate",
    )
    .await?;
    scene.clear().await?;

    let allowed = changed(
        PROBE,
        &[("mode: enforce", "mode: enforce\n    allowExclusive: true")],
    );
    let (scene, pods) = with_own("allowed", &allowed, 1, json!({}), recreate).await?;
    ask(&scene, &pods[0]).await?;
    scene.labelled(&pods[0]).await?;
    scene.ready("app=own", 1).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_host_port_on_the_only_node_refuses_the_quarantine() -> anyhow::Result<()> {
    let ports = json!([{ "name": "http", "containerPort": 8080, "hostPort": 18_437 }, { "name": "control", "containerPort": 8081 }]);
    let spec = json!({ "containers": [container(json!({ "ports": ports }))] });
    let (scene, pods) = with_own("hostport", PROBE, 1, spec, json!({})).await?;
    refused(&scene, &pods[0], "no other node that it fits has them free").await?;
    scene.clear().await
}

#[tokio::test]
async fn a_quota_that_would_forbid_the_replacement_refuses_the_quarantine_until_there_is_room()
-> anyhow::Result<()> {
    let resources = json!({ "requests": { "cpu": "10m" } });
    let spec = json!({ "containers": [container(json!({ "resources": resources }))] });
    let (scene, pods) = with_own("quota", PROBE, 2, spec, json!({})).await?;
    let quota = |cpu: &str| {
        let scopes = json!(["NotBestEffort"]);
        let hard = json!({ "requests.cpu": cpu });
        object(
            "v1",
            "ResourceQuota",
            "little",
            json!({ "hard": hard, "scopes": scopes }),
        )
    };
    scene.apply_all(&[quota("25m")]).await?;
    refused(
        &scene,
        &pods[0],
        "ResourceQuota little has no requests.cpu left for it",
    )
    .await?;
    scene.apply_all(&[quota("30m")]).await?;
    scene.labelled(&pods[0]).await?;
    scene.ready("app=own", 2).await?;
    // That was the last one.
    ask(&scene, &pods[1]).await?;
    scene
        .event(&pods[1], &["QuarantineRefused", "no requests.cpu left"])
        .await?;
    scene.clear().await
}

#[tokio::test]
async fn a_pod_leaves_its_own_spread_constraint_so_that_its_replacement_can_be_scheduled()
-> anyhow::Result<()> {
    let scene = Scene::set("spread", 1, Labels::NoToggle, PROBE).await?;
    // One node is one domain of two that are asked for: one pod may match, no more.
    let spread = json!({ "topologySpreadConstraints": [{
        "labelSelector": { "matchLabels": { "lonely": "yes" } },
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "maxSkew": 1,
        "minDomains": 2,
    }] });
    let pods = template(json!({ "app": "own", "lonely": "yes" }), spread);
    // The Deployment alone would be left by `app`, and by `app` alone.
    let selector = json!({ "app": "own" });
    let deployment = controller(
        "Deployment",
        "own",
        selector,
        pods,
        json!({ "replicas": 1 }),
    );
    scene.apply_all(&[deployment]).await?;
    let first = scene.ready("app=own", 1).await?.remove(0);
    ask(&scene, &first).await?;
    let out = scene.labelled(&first).await?;
    assert_eq!(out.labels()["lonely"], "quarantined");
    assert_eq!(out.labels()["app"], "quarantined");
    let replacement = scene.ready("app=own", 1).await?.remove(0);
    assert_ne!(replacement, first);
    scene.clear().await
}

#[tokio::test]
async fn a_pods_own_anti_affinity_keeps_its_replacement_off_its_node_until_the_pod_is_gone()
-> anyhow::Result<()> {
    let anti_affinity = json!({ "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "labelSelector": { "matchLabels": { "app": "own" } },
            "topologyKey": "kubernetes.io/hostname",
        }],
    } } });
    let policy = impatient("reap");
    let (scene, pods) = with_own("lonely", &policy, 1, anti_affinity, json!({})).await?;
    ask(&scene, &pods[0]).await?;
    let said = [
        "Quarantined",
        "anti-affinity keeps its replacement off its node",
    ];
    scene.event(&pods[0], &said).await?;
    scene
        .event("own", &["ReplacementNotReady", &pods[0]])
        .await?;
    scene.reaped(&pods[0]).await?;
    let replacement = scene.ready("app=own", 1).await?.remove(0);
    assert_ne!(replacement, pods[0]);
    scene.clear().await
}

/// From now on, no pod of the tests is let into the namespace.
async fn shut(scene: &Scene, shut: bool) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.stage.client.clone());
    let level = shut.then_some("restricted");
    let patch =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": level } } });
    namespaces
        .patch(
            scene.namespace(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await?;
    Ok(())
}

fn impatient(then: &str) -> String {
    changed(
        PROBE,
        &[
            ("ttl: 1h", "ttl: 1h\nkeepNode: true"),
            (
                "  workload: { max: 2, minReady: 0% }",
                "  workload: { max: 2, minReady: 0% }\n  pacing: { replacementTimeout: 3s }",
            ),
            (
                "mode: enforce",
                &format!("mode: enforce\n    onReplacementTimeout: {then}"),
            ),
        ],
    )
}

async fn without_a_replacement(hint: &str, then: &str) -> anyhow::Result<Scene> {
    let scene = Scene::set(hint, 2, Labels::NoToggle, &impatient(then)).await?;
    shut(&scene, true).await?;
    scene.quarantine_manually(&scene.pods[0]).await?;
    let said = ["ReplacementNotReady", &scene.pods[0], "within 3s"];
    scene.event("web", &said).await?;
    let of_web = [("namespace", scene.namespace()), ("policy", "web")];
    scene
        .metric_is("replacement_not_ready_total", &of_web, 1.0)
        .await?;
    Ok(scene)
}

#[tokio::test]
async fn a_late_replacement_gives_an_event_on_the_workload_and_the_pod_is_kept()
-> anyhow::Result<()> {
    let scene = without_a_replacement("late-keep", "keep").await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    scene.web.quarantined(&scene.pods[0]).await?;
    shut(&scene, false).await?;
    // The ReplicaSet waits longer after each refusal.
    scene
        .web
        .patch(json!({ "metadata": { "annotations": { "try": "again" } } }))
        .await?;
    let rest = [("policy", "web")];
    scene
        .until("the replacement is noted", async || {
            let replaced = scene
                .agent
                .sum("replacement_duration_seconds_count", &rest)
                .await?;
            ensure!(replaced == 1.0, "{replaced}");
            Ok(())
        })
        .await?;
    let slots = scene.agent.slots().await?;
    assert!(
        slots.iter().all(|slot| slot.replaced.is_some()),
        "{slots:?}"
    );
    scene.clear().await
}

#[tokio::test]
async fn a_late_replacement_releases_the_pod_if_the_policy_says_release() -> anyhow::Result<()> {
    let scene = without_a_replacement("late-release", "release").await?;
    let back = scene.back(&scene.pods[0]).await?;
    assert!(
        back.annotations().contains_key(keys::RELEASED),
        "it is left alone"
    );
    let cause = [("cause", "replacement-timeout")];
    assert_eq!(scene.agent.sum("releases_total", &cause).await?, 1.0);
    scene.clear().await
}

#[tokio::test]
async fn a_late_replacement_reaps_the_pod_if_the_policy_says_reap() -> anyhow::Result<()> {
    let scene = without_a_replacement("late-reap", "reap").await?;
    scene.reaped(&scene.pods[0]).await?;
    scene
        .event(&scene.pods[0], &["Reaped", "not Ready within 3s"])
        .await?;
    scene.clear().await
}
