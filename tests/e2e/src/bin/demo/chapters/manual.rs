//! What people write is done: one pod is put back, one exempted, one quarantined manually.

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::ResourceExt as _;
use pod_quarantine::core::keys;

use super::{TakenOut, UNWELL, another, repair, taken_out};
use crate::{
    lookout::{Fact, Seen},
    scene::Scene,
    timeline::Timeline,
};

/// Why a healthy pod is taken out.
const WANTED: &str = "heap dump wanted";

/// A repaired pod is put back, exactly as it was.
pub(super) async fn released(
    timeline: &mut Timeline,
    scene: &Scene,
    taken: &TakenOut,
) -> anyhow::Result<()> {
    timeline.chapter("One is put back manually");
    let pod = taken.pod.as_str();
    scene.web.switch(pod, "ok").await?;
    let since = scene.annotate(timeline, pod, keys::RELEASE, "true").await?;
    timeline.cause(
        since,
        &format!("{pod} is repaired, and its release is asked for"),
    );
    timeline.awaiting("it is released");
    let what = format!("{pod} is released");
    let released = scene
        .lookout
        .happens(&what, since, pod, Fact::Released)
        .await?;
    let object = scene.lookout.pod(pod).context("the released pod is gone")?;
    let labels: Vec<(&str, &str)> = object
        .labels()
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect();
    let before: Vec<(&str, &str)> = taken
        .record
        .labels
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect();
    ensure!(
        labels == before,
        "the labels of {pod} are {labels:?}, and were {before:?}"
    );
    timeline.came_true(released, "its labels are what they were, to the letter");
    let what = format!("{pod} serves again");
    let serves = scene
        .lookout
        .happens(&what, since, pod, Fact::Serving)
        .await?;
    timeline.came_true(serves, "back in the EndpointSlice");

    timeline.awaiting("its ReplicaSet has one too many");
    let ending = |seen: &Seen| seen.fact == Fact::Ending && seen.pod != pod;
    let what = "the ReplicaSet deletes one pod";
    let youngest = scene.lookout.first(what, since, ending).await?;
    timeline.came_true(
        youngest.at,
        &format!(
            "its ReplicaSet has one too many, and deletes the youngest: {}",
            youngest.pod
        ),
    );
    let what = format!("{} is gone", youngest.pod);
    scene
        .lookout
        .happens(&what, since, &youngest.pod, Fact::Gone)
        .await?;
    let object = scene.lookout.pod(pod).context("the released pod is gone")?;
    ensure!(
        object.metadata.deletion_timestamp.is_none() && !object.owner_references().is_empty(),
        "{pod} should be owned, and stay"
    );
    timeline.result("`release` typed → back in the EndpointSlice", since, serves);
    Ok(())
}

/// A pod is exempted, goes bad and is left.
pub(super) async fn exempted(
    timeline: &mut Timeline,
    scene: &Scene,
    released: &str,
) -> anyhow::Result<String> {
    timeline.chapter("One is exempted");
    let pod = another(scene, &[released])?;
    scene.annotate(timeline, &pod, keys::EXEMPT, "true").await?;
    let since = Timestamp::now();
    scene.web.switch(&pod, UNWELL).await?;
    timeline.cause(
        since,
        &format!("{pod} answers its probes with 500; there is room to take it out"),
    );
    timeline.awaiting("it is refused");
    let reported = scene
        .lookout
        .reported(since, &pod, "QuarantineRefused", &["exempt"]);
    let (at, note) = reported.await?;
    timeline.came_true(at, "left where it is, as its Event says:");
    timeline.quote(&note);
    let serving = scene.lookout.serving();
    ensure!(
        serving.contains(&pod),
        "{pod} should go on serving; serving: {serving:?}"
    );
    repair(scene, &[&pod]).await?;
    Ok(pod)
}

/// A healthy pod is taken out because somebody asks for it.
pub(super) async fn quarantined(
    timeline: &mut Timeline,
    scene: &Scene,
    but: &[&str],
) -> anyhow::Result<()> {
    timeline.chapter("One is quarantined manually");
    let pod = another(scene, but)?;
    let since = scene
        .annotate(timeline, &pod, keys::QUARANTINE, WANTED)
        .await?;
    timeline.cause(
        since,
        &format!("{pod} is healthy; somebody wants to look into it"),
    );
    let taken = taken_out(timeline, scene, &pod, since).await?;
    ensure!(
        &*taken.record.reason == WANTED,
        "the reason in its record is {:?}",
        taken.record.reason
    );
    let object = scene.lookout.pod(&pod).context("the pod is gone")?;
    ensure!(
        !object.annotations().contains_key(keys::QUARANTINE),
        "the command should be removed once it is carried out"
    );
    let recovery = scene.pulse.recovered(since).await?;
    let (before, after) = (recovery.before, recovery.after);
    ensure!(before.is_good(), "requests failed meanwhile: {before:?}");
    timeline.came_true(
        recovery.at,
        &format!(
            "not one of {} requests failed meanwhile",
            before.all + after.all
        ),
    );
    timeline.result(
        "`quarantine` typed → out of the EndpointSlice",
        since,
        taken.left,
    );
    Ok(())
}
