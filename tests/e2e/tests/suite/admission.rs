//! What others say at admission, and what the agent itself may do.

use std::path::Path;

use anyhow::ensure;
use kube::{
    ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    discovery::ApiResource,
};
use pod_quarantine::core::keys;
use serde_json::json;
use test_e2e::{Labels, PROBE, Scene};

/// Where `deploy/base` is.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/base");

/// An admission policy for the pods of the scene's namespace, with its binding. `more` of the spec says what it does.
async fn admission(scene: &Scene, kind: &str, more: &str, binding: &str) -> anyhow::Result<()> {
    scene
        .apply(&format!(
            r#"
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}
metadata: {{ name: $NAMESPACE }}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: $NAMESPACE }} }}
    resourceRules: [{{ apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [UPDATE] }}]
  {more}
---
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}Binding
metadata: {{ name: $NAMESPACE }}
spec: {{ policyName: $NAMESPACE{binding} }}
"#
        ))
        .await
}

async fn take_away(scene: &Scene, kind: &str) -> anyhow::Result<()> {
    for kind in [kind, &format!("{kind}Binding")] {
        let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
            "admissionregistration.k8s.io",
            "v1",
            kind,
        ));
        // The plural of `Policy` is not that of `Binding`.
        let resource = ApiResource {
            plural: kind
                .to_lowercase()
                .replace("policy", "policies")
                .replace("policiesbinding", "policybindings"),
            ..resource
        };
        let objects: kube::Api<DynamicObject> =
            kube::Api::all_with(scene.stage.client.clone(), &resource);
        objects
            .delete(scene.namespace(), &kube::api::DeleteParams::default())
            .await?;
    }
    Ok(())
}

/// What the API server would make of a pod that gets the state label; nothing is changed.
async fn labelled(scene: &Scene, pod: &str) -> kube::Result<k8s_openapi::api::core::v1::Pod> {
    let patch = Patch::Merge(
        json!({ "metadata": { "labels": { keys::STATE: "quarantined", "app": "other" } } }),
    );
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    scene
        .stage
        .pods(scene.namespace())
        .patch(pod, &dry, &patch)
        .await
}

#[tokio::test]
async fn a_quarantine_that_admission_denies_is_refused_and_takes_no_slot() -> anyhow::Result<()> {
    let scene = Scene::set("denied", 2, Labels::NoToggle, PROBE).await?;
    let denies = "validations: [{ expression: 'object.metadata.labels == oldObject.metadata.labels', message: labels are ours }]";
    admission(
        &scene,
        "ValidatingAdmissionPolicy",
        denies,
        ", validationActions: [Deny]",
    )
    .await?;
    let pod = &scene.pods[0];
    scene
        .until("labels are denied", async || {
            ensure!(labelled(&scene, pod).await.is_err(), "they are not");
            Ok(())
        })
        .await?;
    scene
        .annotate(pod, keys::QUARANTINE, Some("please"))
        .await?;
    scene
        .refused(
            pod,
            "AdmissionDenied",
            &["(please)", "denied", "labels are ours"],
        )
        .await?;
    assert!(scene.agent.slots().await?.is_empty());
    take_away(&scene, "ValidatingAdmissionPolicy").await?;
    scene.clear().await
}

#[tokio::test]
async fn a_quarantine_that_admission_alters_is_refused_and_leaves_nothing_behind()
-> anyhow::Result<()> {
    let scene = Scene::set("mutated", 2, Labels::NoToggle, PROBE).await?;
    let alters = r#"reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch: { expression: '[JSONPatch{ op: "replace", path: "/metadata/labels/app", value: "web" }]' }
  matchConditions: [{ name: relabelled, expression: '"app" in object.metadata.labels && object.metadata.labels["app"] != "web"' }]"#;
    admission(&scene, "MutatingAdmissionPolicy", alters, "").await?;
    let pod = &scene.pods[0];
    scene
        .until("labels are altered", async || {
            let altered = labelled(&scene, pod).await?;
            ensure!(altered.labels()["app"] == "web", "{:?}", altered.labels());
            Ok(())
        })
        .await?;
    let before = scene.web.pod(pod).await?;
    scene
        .annotate(pod, keys::QUARANTINE, Some("please"))
        .await?;
    scene
        .refused(pod, "Mutated", &["(please)", "altered", "app"])
        .await?;
    assert_eq!(scene.web.pod(pod).await?.labels(), before.labels());
    assert!(scene.agent.slots().await?.is_empty());
    take_away(&scene, "MutatingAdmissionPolicy").await?;
    scene.clear().await
}

/// What `kubectl` says to the admin, or to an account.
async fn said(scene: &Scene, command: &[&str], account: &str) -> anyhow::Result<String> {
    let mut arguments = command.to_vec();
    if !command.contains(&"-k") {
        arguments.extend(["--namespace", scene.namespace()]);
    }
    if !account.is_empty() {
        arguments.extend(["--as", account]);
    }
    let output = scene.stage.cluster.kubectl(&arguments).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn an_agent_whose_names_have_a_prefix_is_restricted_too() -> anyhow::Result<()> {
    let scene = Scene::set("prefix", 1, Labels::NoToggle, PROBE).await?;
    let (namespace, pod) = (scene.namespace(), &scene.pods[0]);
    let overlay = std::env::temp_dir().join(format!("overlay-{namespace}"));
    std::fs::create_dir_all(&overlay)?;
    for file in ["rbac.yaml", "admission-policy.yaml"] {
        std::fs::copy(Path::new(BASE).join(file), overlay.join(file))?;
    }
    let kustomization = json!({
        "namespace": scene.agent.namespace(),
        "namePrefix": format!("{namespace}-"),
        "resources": ["rbac.yaml", "admission-policy.yaml"],
    });
    std::fs::write(
        overlay.join("kustomization.yaml"),
        kustomization.to_string(),
    )?;
    let overlay_text = overlay.display().to_string();
    let applied = said(&scene, &["apply", "-k", &overlay_text], "").await?;
    ensure!(applied.contains("created"), "{applied}");
    let account = format!(
        "system:serviceaccount:{}:{namespace}-pod-quarantine",
        scene.agent.namespace()
    );
    let image = format!("pod/{pod}");
    let set_image = &["set", "image", &image, "web=another", "--dry-run=server"][..];
    let annotate = &["annotate", "pod", pod, "pod-quarantine.io/fence=7"][..];
    scene
        .until("it is restricted", async || {
            let said = said(&scene, set_image, &account).await?;
            ensure!(
                said.contains("labels and annotations of pods, nothing else"),
                "{said}"
            );
            Ok(())
        })
        .await?;
    let annotated = said(&scene, annotate, &account).await?;
    assert!(annotated.contains("annotated"), "{annotated}");
    let by_an_admin = said(&scene, set_image, "").await?;
    assert!(by_an_admin.contains("image updated"), "{by_an_admin}");
    said(&scene, &["delete", "-k", &overlay_text], "").await?;
    std::fs::remove_dir_all(&overlay)?;
    scene.clear().await
}

#[tokio::test]
async fn the_agents_account_changes_labels_and_annotations_of_pods_and_nothing_else()
-> anyhow::Result<()> {
    let scene = Scene::set("account", 1, Labels::NoToggle, PROBE).await?;
    let account = format!(
        "system:serviceaccount:{}:pod-quarantine",
        scene.agent.namespace()
    );
    let pod = &scene.pods[0];
    let image = format!("pod/{pod}");
    for (command, answer) in [
        (
            &["annotate", "pod", pod, "pod-quarantine.io/fence=7"][..],
            "annotated",
        ),
        (
            &["set", "image", &image, "web=another"],
            "labels and annotations of pods, nothing else",
        ),
        (
            &["delete", "pod", pod, "--wait=false"],
            "only pods that are quarantined, with a record",
        ),
        (&["get", "secrets"], "Forbidden"),
        (&["create", "configmap", "its-own"], "forbidden"),
        (&["scale", "deployment", "web", "--replicas=0"], "forbidden"),
    ] {
        let said = said(&scene, command, &account).await?;
        ensure!(said.contains(answer), "{command:?}: {said}");
    }
    // Its own pod is admitted where only the most restricted ones are.
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
        kube::Api::all(scene.stage.client.clone());
    let own = namespaces.get(scene.agent.namespace()).await?;
    assert_eq!(
        own.labels()["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let containers = scene
        .agent
        .ready()
        .await?
        .spec
        .map(|spec| spec.containers)
        .unwrap_or_default();
    let read_only = containers[0]
        .security_context
        .as_ref()
        .and_then(|context| context.read_only_root_filesystem);
    assert_eq!(read_only, Some(true));
    scene.clear().await
}
