//! What stands on a quarantined pod.

use std::collections::BTreeMap;

use anyhow::ensure;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use pod_quarantine::core::{keys, record::MAX_BYTES};
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Scene, WORKLOAD, changed};

#[tokio::test]
async fn the_record_says_all_that_is_needed_to_explain_the_pod_and_to_put_it_back()
-> anyhow::Result<()> {
    let scene = Scene::set("record", 2, Labels::ToggleInBoth, PROBE).await?;
    scene.seen_good().await?;
    let pod = &scene.pods[0];
    scene
        .annotate(pod, keys::SAFE_TO_EVICT, Some("true"))
        .await?;
    let before = scene.web.pod(pod).await?;
    scene.web.switch(pod, "503").await?;
    let out = scene.web.quarantined(pod).await?;

    let text = &out.annotations()[keys::RECORD];
    assert!(text.len() <= MAX_BYTES && !text.contains('\n'), "{text}");
    let record: Value = serde_json::from_str(text)?;
    assert_eq!(record["version"], 1);
    assert_eq!(record["uid"].as_str(), before.uid().as_deref());
    assert_eq!(
        record["agent"],
        format!("{}/default", scene.agent.namespace())
    );
    assert_eq!(record["policy"], "web");
    assert_eq!(record["reason"], "2 bad probes in a row: HTTP 503");
    let seen = record["evidence"].as_array().cloned().unwrap_or_default();
    assert!(seen.len() >= 2 && seen.len() <= 5, "{seen:?}");
    assert_eq!(seen[seen.len() - 1]["saw"], "HTTP 503");
    let time = |key: &str| {
        record[key]
            .as_str()
            .unwrap_or_default()
            .parse::<jiff::Timestamp>()
    };
    assert_eq!(time("expires")?.duration_since(time("at")?).as_hours(), 1);
    // Flat: an admission policy reads it so.
    let labels: BTreeMap<String, String> = serde_json::from_value(record["labels"].clone())?;
    assert_eq!(&labels, before.labels());
    assert_eq!(record["annotations"][keys::SAFE_TO_EVICT], "true");
    assert_eq!(record["annotations"][keys::DO_NOT_DISRUPT], Value::Null);
    let owner = &before.owner_references()[0];
    assert_eq!(record["owner"]["kind"], "ReplicaSet");
    assert_eq!(record["owner"]["name"], *owner.name);
    assert_eq!(record["owner"]["uid"], *owner.uid);
    assert_eq!(record["workload"]["kind"], "Deployment");
    assert_eq!(record["workload"]["name"], "web");
    assert_eq!(record["services"], json!(["web"]));

    // One label changes, two come, the others stay.
    let mut expected = before.labels().clone();
    expected.insert("enabled".into(), "false".into());
    expected.insert(keys::STATE.into(), "quarantined".into());
    expected.insert(keys::WORKLOAD.into(), "web".into());
    assert_eq!(out.labels(), &expected);
    assert_eq!(out.annotations()[keys::SAFE_TO_EVICT], "false");
    assert_eq!(out.annotations()[keys::DO_NOT_DISRUPT], "true");
    scene.clear().await
}

#[tokio::test]
async fn a_reason_without_end_fits_into_the_record_and_nodes_are_kept_only_where_asked()
-> anyhow::Result<()> {
    let policy = changed(PROBE, &[("ttl: 1h", "ttl: 1h\nkeepNode: false")]);
    let scene = Scene::set("long", 2, Labels::NoToggle, &policy).await?;
    let pod = &scene.pods[0];
    scene
        .annotate(pod, keys::QUARANTINE, Some(&"why? ".repeat(4_000)))
        .await?;
    let out = scene.web.quarantined(pod).await?;
    assert!(out.annotations()[keys::RECORD].len() <= MAX_BYTES);
    let record = test_e2e::record(&out)?;
    assert!(record.reason.starts_with("why? why?"), "{}", record.reason);
    assert_eq!(record.labels.get("app").map(AsRef::as_ref), Some("web"));
    for key in [keys::SAFE_TO_EVICT, keys::DO_NOT_DISRUPT] {
        assert!(!out.annotations().contains_key(key), "{key}");
    }
    scene.event(pod, &["Quarantined", "why? why?"]).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_workloads_long_name_is_cut_in_the_label_and_whole_in_the_record() -> anyhow::Result<()> {
    let scene = Scene::set("name", 1, Labels::NoToggle, PROBE).await?;
    // The 63rd character is a dash, with which no label may end.
    let name = format!("{}-tail", "n".repeat(62));
    scene
        .apply(&format!(
            r"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name}, namespace: $NAMESPACE }}
spec:
  replicas: 1
  selector: {{ matchLabels: {{ app: long }} }}
  template:
    metadata: {{ labels: {{ app: long, team: shop }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{{ name: long, image: {WORKLOAD}, args: [serve] }}]
"
        ))
        .await?;
    let pod = scene
        .until("its pod", async || {
            let pods = scene.web.pods().await?;
            let long = pods.iter().find(|pod| pod.labels()["app"] == "long");
            long.map(ResourceExt::name_any)
                .ok_or_else(|| anyhow::anyhow!("{} pods", pods.len()))
        })
        .await?;
    let out = scene.quarantine_manually(&pod).await?;
    assert_eq!(out.labels()[keys::WORKLOAD], "n".repeat(62));
    assert_eq!(&*test_e2e::record(&out)?.workload.name, name);
    scene.clear().await
}

#[tokio::test]
async fn a_pod_whose_state_label_was_taken_off_goes_on_counting_until_it_is_released()
-> anyhow::Result<()> {
    let scene = Scene::set("unlabelled", 2, Labels::NoToggle, PROBE).await?;
    let pod = &scene.pods[0];
    scene.quarantine_manually(pod).await?;
    let patch = Patch::Merge(json!({ "metadata": { "labels": { keys::STATE: null } } }));
    let pods = scene.stage.pods(scene.namespace());
    pods.patch(pod, &PatchParams::default(), &patch).await?;
    scene
        .event(
            pod,
            &["BadAnnotation", keys::STATE, "was removed", "counts"],
        )
        .await?;
    let used = [("scope", "workload"), ("namespace", scene.namespace())];
    scene.metric_is("limit_used", &used, 1.0).await?;
    assert_eq!(scene.agent.slots().await?.len(), 1);
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene.back(pod).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_left_alone_and_released_by_force_alone()
-> anyhow::Result<()> {
    let policy = changed(PROBE, &[("ttl: 1h", "ttl: 4s")]);
    let scene = Scene::set("newer", 2, Labels::NoToggle, &policy).await?;
    let pod = &scene.pods[0];
    let out = scene.quarantine_manually(pod).await?;
    let newer = out.annotations()[keys::RECORD].replace("\"version\":1", "\"version\":2");
    scene.annotate(pod, keys::RECORD, Some(&newer)).await?;
    scene
        .event(pod, &["BadAnnotation", "version 2", "never reaped"])
        .await?;
    let expires = test_e2e::record(&out)?.expires;
    scene
        .until("two seconds past its time", async || {
            let past = jiff::Timestamp::now().duration_since(expires);
            ensure!(past.as_secs() >= 2, "{past}");
            Ok(())
        })
        .await?;
    scene.annotate(pod, keys::RELEASE, Some("true")).await?;
    scene
        .event(pod, &["ReleaseRefused", "version 2", "force"])
        .await?;
    scene.web.quarantined(pod).await?;
    scene.annotate(pod, keys::RELEASE, Some("force")).await?;
    scene.back(pod).await?;
    scene.clear().await
}
