//! Every kind of owner: what its pods leave, and which pods are refused, and why.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{Api, ResourceExt, api::ListParams};
use pod_quarantine::core::keys;
use serde_json::{Value, json};
use test_cluster::wait;
use test_e2e::{
    Labels, PROBE, Scene, changed,
    manifest::{controller, object, service, template},
    record,
};

/// The policy file, with `detach: service`.
fn in_place() -> String {
    changed(
        PROBE,
        &[("mode: enforce", "mode: enforce\n    detach: service")],
    )
}

/// A set `db` behind the Service `db`, which has a toggle that the set does not ask for.
fn set(kind: &str, spec: Value) -> [Value; 2] {
    let pods = template(json!({ "app": "db", "serving": "true" }), json!({}));
    [
        service(
            "db",
            json!({ "app": "db", "serving": "true" }),
            json!({ "clusterIP": "None" }),
        ),
        controller(kind, "db", json!({ "app": "db" }), pods, spec),
    ]
}

/// Its labels but the agent's, and who owns it.
fn identity(pod: &Pod) -> (Vec<(String, String)>, Option<String>, Option<String>) {
    let labels = pod
        .labels()
        .iter()
        .filter(|(key, _)| !key.starts_with(keys::PREFIX));
    let labels = labels
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let owner = pod
        .owner_references()
        .first()
        .map(|owner| owner.uid.clone());
    (labels, owner, pod.uid())
}

/// A pod of a set goes bad, leaves its Service, stays in its set, and comes back as it was.
async fn out_of_service_and_back(kind: &str, count: usize, spec: Value) -> anyhow::Result<()> {
    let scene = Scene::set("inplace", 1, Labels::NoToggle, &in_place()).await?;
    scene.apply_all(&set(kind, spec)).await?;
    let pods = scene.ready("app=db", count).await?;
    let bad = &pods[0];
    let others: Vec<&str> = pods[1..].iter().map(String::as_str).collect();
    scene
        .samples("good", 4.0 * f64::from(u32::try_from(count)?))
        .await?;
    let before = identity(&scene.web.pod(bad).await?);

    // The last Ready endpoint of a Service would stay.
    let behaviour = if others.is_empty() {
        r#"{ "health": { "answer": { "status": 500 } }, "ready": false }"#
    } else {
        "500"
    };
    scene.web.switch(bad, behaviour).await?;
    let out = scene.labelled(bad).await?;
    assert_eq!(out.labels()["serving"], "false");
    let (_, owner, uid) = identity(&out);
    assert_eq!(
        (&owner, &uid),
        (&before.1, &before.2),
        "its set's, as before"
    );
    assert_eq!(record(&out)?.workload.to_string(), format!("{kind} db"));
    scene.slices("db", &others).await?;
    scene
        .event(bad, &["Quarantined", "out of its Services (db)", kind])
        .await?;

    if let Some(second) = others.first() {
        scene.web.switch(second, "500").await?;
        scene
            .event(
                second,
                &["QuarantineRefused", "1 of at most 1 pods of its workload"],
            )
            .await?;
        // An unhealthy pod would be quarantined as soon as the first one is released.
        let of_web = [("policy", "web")];
        scene.metric_is("unhealthy_pods", &of_web, 1.0).await?;
        scene.web.switch(second, "ok").await?;
        scene.metric_is("unhealthy_pods", &of_web, 0.0).await?;
    }
    // No other pod was started for it.
    let all = ListParams::default().labels("app=db");
    let all = scene.stage.pods(scene.namespace()).list(&all).await?;
    assert_eq!(all.items.len(), count);

    scene.web.switch(bad, "ok").await?;
    scene.annotate(bad, keys::RELEASE, Some("true")).await?;
    scene
        .event(bad, &["Released", "back into its Services (db)"])
        .await?;
    let names: Vec<&str> = pods.iter().map(String::as_str).collect();
    scene.slices("db", &names).await?;
    let back = scene.web.pod(bad).await?;
    assert_eq!(identity(&back), before);
    assert!(!back.annotations().contains_key(keys::DELETION_COST));
    scene.clear().await
}

#[tokio::test]
async fn a_pod_of_a_stateful_set_leaves_its_service_by_the_toggle_and_comes_back_the_same()
-> anyhow::Result<()> {
    let spec = json!({ "serviceName": "db", "replicas": 2 });
    out_of_service_and_back("StatefulSet", 2, spec).await
}

#[tokio::test]
async fn a_pod_of_a_daemon_set_leaves_its_service_by_the_toggle_and_comes_back_the_same()
-> anyhow::Result<()> {
    out_of_service_and_back("DaemonSet", 1, json!({})).await
}

#[tokio::test]
async fn a_pod_of_a_stateful_set_is_reaped_only_if_its_budget_allows_it_and_created_again()
-> anyhow::Result<()> {
    let policy = in_place().replace("ttl: 1h", "ttl: 8s");
    let scene = Scene::set("inplacereap", 1, Labels::NoToggle, &policy).await?;
    let spec = json!({ "serviceName": "db", "replicas": 2 });
    scene.apply_all(&set("StatefulSet", spec)).await?;
    let budget = |least: i32| {
        object(
            "policy/v1",
            "PodDisruptionBudget",
            "db",
            json!({ "minAvailable": least, "selector": { "matchLabels": { "app": "db" } } }),
        )
    };
    scene.apply_all(&[budget(1)]).await?;
    let pods = scene.ready("app=db", 2).await?;
    let first = scene.web.pod(&pods[0]).await?.uid();
    scene
        .annotate(&pods[0], keys::QUARANTINE, Some("please"))
        .await?;
    scene
        .event(
            &pods[0],
            &["Quarantined", "still selected by: PodDisruptionBudget db"],
        )
        .await?;
    scene.apply_all(&[budget(2)]).await?;
    scene
        .event(
            &pods[0],
            &["HeldPastTTL", "PodDisruptionBudget db allows no disruption"],
        )
        .await?;
    assert_eq!(scene.web.pod(&pods[0]).await?.uid(), first);
    scene.apply_all(&[budget(1)]).await?;
    scene
        .until("the pod is created again", async || {
            let now = scene.web.pod(&pods[0]).await?;
            ensure!(now.uid() != first, "the pod is the same");
            ensure!(
                !now.labels().contains_key(keys::STATE),
                "{:?}",
                now.labels()
            );
            Ok(())
        })
        .await?;
    let names: Vec<&str> = pods.iter().map(String::as_str).collect();
    scene.ready("app=db", 2).await?;
    scene.slices("db", &names).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_service_with_the_keys_of_the_stateful_set_refuses_the_quarantine_and_so_does_the_lack_of_a_service()
-> anyhow::Result<()> {
    let scene = Scene::set("sharedkeys", 1, Labels::NoToggle, &in_place()).await?;
    let spec = json!({ "serviceName": "db", "replicas": 1 });
    scene.apply_all(&set("StatefulSet", spec)).await?;
    let peers = service(
        "peers",
        json!({ "app": "db" }),
        json!({ "clusterIP": "None" }),
    );
    scene.apply_all(&[peers]).await?;
    let pods = scene.ready("app=db", 1).await?;
    let ask = async |text: &str| scene.annotate(&pods[0], keys::QUARANTINE, Some(text)).await;
    ask("please").await?;
    scene
        .event(
            &pods[0],
            &["QuarantineRefused", "in the way: Service peers (app=db)"],
        )
        .await?;
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(scene.stage.client.clone(), scene.namespace());
    // In this order: behind `db` alone, it would be taken out.
    for name in ["db", "peers"] {
        services
            .delete(name, &kube::api::DeleteParams::default())
            .await?;
    }
    scene
        .event(
            &pods[0],
            &["QuarantineRefused", "no Service selects the pod"],
        )
        .await?;
    scene.untouched(&pods[0]).await?;
    scene.clear().await
}

/// The commands of the README that add a toggle.
fn recipe() -> Vec<&'static str> {
    const README: &str = include_str!("../../../../README.md");
    let lines = README.lines().filter_map(|line| line.strip_prefix("$ "));
    lines
        .skip_while(|line| !line.starts_with("kubectl patch statefulset db"))
        .take(3)
        .collect()
}

#[tokio::test]
async fn the_readmes_recipe_adds_a_toggle_to_a_stateful_set_that_serves() -> anyhow::Result<()> {
    let scene = Scene::set("recipe", 1, Labels::NoToggle, &in_place()).await?;
    let labels = json!({ "app": "db" });
    let pods = template(labels.clone(), json!({}));
    let spec = json!({ "serviceName": "db", "replicas": 2 });
    scene
        .apply_all(&[
            service("db", labels.clone(), json!({ "clusterIP": "None" })),
            controller("StatefulSet", "db", labels, pods, spec),
        ])
        .await?;
    let pods = scene.ready("app=db", 2).await?;
    let commands = recipe();
    assert!(
        commands[2].starts_with("kubectl patch service db"),
        "{commands:?}"
    );
    for command in commands {
        let there = command.replacen("kubectl", &format!("kubectl -n {}", scene.namespace()), 1);
        let mut shell = scene.stage.cluster.command("sh");
        let done = shell.args(["-ec", &there]).output()?;
        ensure!(done.status.success(), "{command}: {done:?}");
    }
    scene.ready("app=db,serving=true", 2).await?;
    scene
        .annotate(&pods[0], keys::QUARANTINE, Some("please"))
        .await?;
    let out = scene.labelled(&pods[0]).await?;
    assert_eq!(out.labels()["serving"], "false");
    scene.slices("db", &[&pods[1]]).await?;
    scene.clear().await
}

/// A pod of that name, or whose name begins so.
async fn there(scene: &Scene, label: &str) -> anyhow::Result<String> {
    scene
        .until(&format!("a pod with {label} runs"), async || {
            let labelled = ListParams::default().labels(label);
            let pods = scene.stage.pods(scene.namespace()).list(&labelled).await?;
            let pod = pods.items.first().context("no pod")?;
            let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
            ensure!(phase.as_deref() == Some("Running"), "{phase:?}");
            Ok(pod.name_any())
        })
        .await
}

#[tokio::test]
async fn pods_of_other_owners_and_pods_without_an_owner_are_refused_each_with_its_reason()
-> anyhow::Result<()> {
    let scene = Scene::set("owners", 1, Labels::NoToggle, PROBE).await?;
    let pods = |app: &str| template(json!({ "app": app }), json!({}));
    let of = |kind: &str, app: &str, spec: Value| {
        controller(kind, app, json!({ "app": app }), pods(app), spec)
    };
    let mut job = template(json!({ "app": "job" }), json!({ "restartPolicy": "Never" }));
    let cron_job = template(
        json!({ "app": "cronjob" }),
        json!({ "restartPolicy": "Never" }),
    );
    let cron_job = json!({
        "schedule": "* * * * *",
        "jobTemplate": { "spec": { "template": cron_job } },
    });
    job = json!({ "template": job });
    let mut unowned = pods("unowned");
    unowned["apiVersion"] = json!("v1");
    unowned["kind"] = json!("Pod");
    unowned["metadata"]["name"] = json!("unowned");
    unowned["metadata"]["namespace"] = json!("$NAMESPACE");
    scene
        .apply_all(&[
            of(
                "StatefulSet",
                "statefulset",
                json!({ "serviceName": "web" }),
            ),
            of("DaemonSet", "daemonset", json!({})),
            object("batch/v1", "Job", "job", job),
            object("batch/v1", "CronJob", "cronjob", cron_job),
            unowned,
        ])
        .await?;
    // What its schedule would do within the minute.
    let now = [
        "create",
        "job",
        "cronjob-now",
        "--from",
        "cronjob/cronjob",
        "--namespace",
    ];
    let made = scene
        .stage
        .cluster
        .kubectl(&[&now[..], &[scene.namespace()]].concat())
        .await?;
    ensure!(made.status.success(), "{made:?}");
    let cases = [
        ("statefulset", "another pod of its name"),
        ("daemonset", "on the same node"),
        ("job", "done twice"),
        ("cronjob", "done twice"),
        ("unowned", "no controller would replace the pod"),
    ];
    for (app, why) in cases {
        let pod = there(&scene, &format!("app={app}")).await?;
        let before = scene.web.pod(&pod).await?.metadata.labels;
        scene
            .annotate(&pod, keys::QUARANTINE, Some("please"))
            .await?;
        scene
            .event(&pod, &["QuarantineRefused", "of this owner", why])
            .await?;
        assert_eq!(scene.web.pod(&pod).await?.metadata.labels, before);
    }
    let refused = [("policy", "web"), ("reason", "OwnerKind")];
    let refused = scene.agent.sum("refusals_total", &refused).await?;
    assert!(refused >= 5.0, "{refused}");
    assert!(scene.agent.slots().await?.is_empty());
    scene.clear().await
}

#[tokio::test]
async fn a_static_pod_is_left_to_its_kubelet() -> anyhow::Result<()> {
    let scene = Scene::set("static", 1, Labels::NoToggle, PROBE).await?;
    let Some(folder) = scene.stage.cluster.static_pods() else {
        return scene.clear().await;
    };
    let mut pod = template(json!({ "app": "static" }), json!({}));
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("fixed");
    pod["metadata"]["namespace"] = json!(scene.namespace());
    let file = folder.join(format!("{}.json", scene.namespace()));
    std::fs::write(&file, pod.to_string())?;
    let tried = async {
        let pod = there(&scene, "app=static").await?;
        scene
            .annotate(&pod, keys::QUARANTINE, Some("please"))
            .await?;
        scene
            .event(
                &pod,
                &["QuarantineRefused", "a static pod belongs to its kubelet"],
            )
            .await
    };
    let tried = tried.await;
    std::fs::remove_file(&file)?;
    tried?;
    let gone = async || {
        let labelled = ListParams::default().labels("app=static");
        let pods = scene.stage.pods(scene.namespace()).list(&labelled).await?;
        ensure!(pods.items.is_empty(), "{} there", pods.items.len());
        Ok(())
    };
    wait::until(
        "the static pod is gone",
        std::time::Duration::from_mins(1),
        gone,
    )
    .await?;
    scene.clear().await
}

/// What stands for an Argo Rollout: a kind that the agent does not read, over a ReplicaSet.
async fn rollout(scene: &Scene) -> anyhow::Result<String> {
    let kind = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "rollouts.argoproj.io" },
        "spec": {
            "group": "argoproj.io",
            "names": { "kind": "Rollout", "plural": "rollouts", "singular": "rollout" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    });
    scene.apply_all(&[kind]).await?;
    let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(
        "argoproj.io",
        "v1alpha1",
        "Rollout",
    ));
    let rollouts: Api<kube::api::DynamicObject> =
        Api::namespaced_with(scene.stage.client.clone(), scene.namespace(), &resource);
    let wanted = kube::api::DynamicObject::new("ro", &resource);
    let made = scene
        .until("a Rollout", async || {
            Ok(rollouts
                .create(&kube::api::PostParams::default(), &wanted)
                .await?)
        })
        .await?;
    made.uid().context("it has no uid")
}

#[tokio::test]
async fn a_pod_leaves_the_replica_set_of_a_custom_parent_as_any_other() -> anyhow::Result<()> {
    let scene = Scene::set("rollout", 1, Labels::NoToggle, PROBE).await?;
    let uid = rollout(&scene).await?;
    let hash = "rollouts-pod-template-hash";
    let labels = json!({ "app": "ro", hash: "abc" });
    let mut set = controller(
        "ReplicaSet",
        "ro",
        labels.clone(),
        template(labels, json!({})),
        json!({ "replicas": 2 }),
    );
    set["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "ro", "uid": uid, "controller": true,
    }]);
    scene
        .apply_all(&[set, service("ro", json!({ hash: "abc" }), json!({}))])
        .await?;
    let pods = scene.ready("app=ro", 2).await?;
    scene
        .annotate(&pods[0], keys::QUARANTINE, Some("please"))
        .await?;
    let out = scene.labelled(&pods[0]).await?;
    // The Rollout most likely selects by `app` alone: the hash would have been enough for all that can be read.
    assert_ne!(out.labels().get("app").map(String::as_str), Some("ro"));
    assert_eq!(record(&out)?.workload.to_string(), "Rollout ro");
    let sets: Api<ReplicaSet> = Api::namespaced(scene.stage.client.clone(), scene.namespace());
    scene
        .until("a replacement", async || {
            let status = sets.get("ro").await?.status.unwrap_or_default();
            ensure!(status.ready_replicas == Some(2), "{status:?}");
            ensure!(
                scene.web.pod(&pods[0]).await?.owner_references().is_empty(),
                "it is owned"
            );
            Ok(())
        })
        .await?;
    scene.clear().await
}
