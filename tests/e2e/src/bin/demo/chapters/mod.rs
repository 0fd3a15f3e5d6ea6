//! The chapters of the story, in their order. Each leaves room for the next: two pods may be out at once.

mod cap;
mod goes_bad;
mod manual;
mod reach;
mod reap;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pod_quarantine::core::{keys, record::Record};

use crate::{
    lookout::{Fact, Seen},
    scene::Scene,
    timeline::Timeline,
};

/// A pod that answers, and says at `/healthz` that it is not well.
const UNWELL: &str = r#"{"health": {"answer": {"status": 500}}}"#;

/// Tells all of them.
pub(crate) async fn play(timeline: &mut Timeline, scene: &Scene) -> anyhow::Result<()> {
    let first = goes_bad::answers_500(timeline, scene).await?;
    let second = goes_bad::fails_now_and_then(timeline, scene).await?;
    reach::reaches(timeline, scene, &first.pod).await?;
    cap::is_refused(timeline, scene).await?;
    manual::released(timeline, scene, &second).await?;
    let exempt = manual::exempted(timeline, scene, &second.pod).await?;
    manual::quarantined(timeline, scene, &[&second.pod, &exempt]).await?;
    reap::reaped(timeline, scene, &first).await
}

/// A pod that was quarantined.
struct TakenOut {
    pod: String,
    record: Record,
    quarantined: Timestamp,
    left: Timestamp,
    replaced: Timestamp,
}

/// Follows a pod from the cause of its quarantine until its replacement serves.
async fn taken_out(
    timeline: &Timeline,
    scene: &Scene,
    pod: &str,
    since: Timestamp,
) -> anyhow::Result<TakenOut> {
    let lookout = &scene.lookout;
    let what = format!("{pod} is relabelled");
    timeline.awaiting(&what);
    let quarantined = lookout
        .happens(&what, since, pod, Fact::Quarantined)
        .await?;
    let record = record(scene, pod)?;
    samples(timeline, scene, &record, since);
    timeline.came_true(quarantined, &format!("relabelled: {}", edits(&record)));
    timeline.quote(&format!("policy {}: {}", record.policy, record.reason));

    timeline.awaiting("it leaves the EndpointSlice");
    let left = lookout
        .happens(
            &format!("{pod} leaves the EndpointSlice"),
            since,
            pod,
            Fact::Left,
        )
        .await?;
    timeline.came_true(left, "out of the EndpointSlice");

    timeline.awaiting("its replacement is Ready");
    let replacement = lookout
        .first("a replacement serves", quarantined, |seen: &Seen| {
            seen.fact == Fact::Serving && seen.pod != pod
        })
        .await?;
    timeline.came_true(
        replacement.at,
        &format!("its replacement {} is Ready and serves", replacement.pod),
    );
    // Still running, in no slice, owned by nobody.
    let kept = scene.web.quarantined(pod).await?;
    let phase = kept.status.and_then(|status| status.phase);
    ensure!(
        phase.as_deref() == Some("Running"),
        "{pod} should run on, and is {phase:?}"
    );
    Ok(TakenOut {
        pod: pod.to_owned(),
        record,
        quarantined,
        left,
        replaced: replacement.at,
    })
}

/// What the agent saw since then, up to the sample that made the pod unhealthy.
fn samples(timeline: &Timeline, scene: &Scene, record: &Record, since: Timestamp) {
    // Another machine's clock would say another time.
    if !scene.stage.cluster.is_own() {
        return;
    }
    let mut samples = record.evidence.iter().filter(|sample| sample.at >= since);
    let last = samples.next_back();
    for sample in samples {
        timeline.came_true(sample.at, &format!("the agent sees: {}", sample.saw));
    }
    if let Some(last) = last {
        let text = format!("the agent sees: {}, and finds it unhealthy", last.saw);
        timeline.came_true(last.at, &text);
    }
}

/// The record on a quarantined pod.
fn record(scene: &Scene, pod: &str) -> anyhow::Result<Record> {
    let object = scene.lookout.pod(pod).context("the pod is gone")?;
    let text = object.annotations().get(keys::RECORD);
    let text = text.with_context(|| format!("{pod} has the state label and no record"))?;
    serde_json::from_str(text).with_context(|| format!("read the record of {pod}"))
}

/// The labels that took it out.
fn edits(record: &Record) -> String {
    let edits = record.edits.iter().map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        None => format!("{key} removed"),
    });
    let state = format!("{}={}", keys::STATE, keys::QUARANTINED);
    edits.chain([state]).collect::<Vec<_>>().join(", ")
}

/// The oldest of the pods that get traffic, none of those.
fn another(scene: &Scene, but: &[&str]) -> anyhow::Result<String> {
    let serving = scene.lookout.serving();
    let others = serving.iter().filter(|pod| !but.contains(&pod.as_str()));
    let born = |pod: &&String| {
        let pod = scene.lookout.pod(pod);
        pod.and_then(|pod| pod.metadata.creation_timestamp)
    };
    others
        .min_by_key(born)
        .cloned()
        .with_context(|| format!("no pod is left to play with; serving: {serving:?}"))
}

/// Mends pods that the agent finds unhealthy, and waits until it finds none so any more.
///
/// It says how many on every turn of its own: first it must be heard to say so many, or what it said before would
/// pass for news.
async fn repair(scene: &Scene, pods: &[&str]) -> anyhow::Result<()> {
    unhealthy(scene, pods.len()).await?;
    for pod in pods {
        scene.web.switch(pod, "ok").await?;
    }
    unhealthy(scene, 0).await
}

async fn unhealthy(scene: &Scene, count: usize) -> anyhow::Result<()> {
    let limit = std::time::Duration::from_secs(30);
    let what = format!("{count} pods are unhealthy");
    test_cluster::wait::until(what, limit, async || {
        let unhealthy = scene.agent.sum("unhealthy_pods", &[]).await?;
        let wanted = f64::from(u32::try_from(count)?);
        ensure!((unhealthy - wanted).abs() < 0.5, "{unhealthy} are");
        Ok(())
    })
    .await
}
