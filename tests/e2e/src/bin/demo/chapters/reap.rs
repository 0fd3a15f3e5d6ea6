//! A quarantined pod is deleted when its TTL expires.

use anyhow::ensure;
use jiff::Timestamp;
use pod_quarantine::core::keys;

use super::TakenOut;
use crate::{
    lookout::Fact,
    scene::Scene,
    timeline::{Timeline, seconds},
};

/// How much later than its time a pod may go, on a busy machine.
const LATE: f64 = 10.0;

/// The first pod goes.
pub(super) async fn reaped(
    timeline: &mut Timeline,
    scene: &Scene,
    first: &TakenOut,
) -> anyhow::Result<()> {
    timeline.chapter("The first one is deleted when its TTL expires");
    let pod = first.pod.as_str();
    // Counted from the quarantine: the story took as long as it took, and a few seconds more are enough to watch.
    let so_far = Timestamp::now().duration_since(first.record.at).as_secs();
    let ttl = (so_far + 9) / 5 * 5;
    let kept = first.record.expires.duration_since(first.record.at);
    let value = format!("{ttl}s");
    scene.annotate(timeline, pod, keys::TTL, &value).await?;
    timeline.cause(
        first.quarantined,
        &format!("{pod} was quarantined, for {kept:#}; now {ttl} s are enough"),
    );
    timeline.awaiting("its time is up");
    let what = format!("{pod} is deleted");
    let lookout = &scene.lookout;
    let ending = lookout
        .happens(&what, first.quarantined, pod, Fact::Ending)
        .await?;
    timeline.came_true(ending, "its TTL has expired: the agent deletes it");
    let gone = lookout
        .happens(&what, first.quarantined, pod, Fact::Gone)
        .await?;
    timeline.came_true(gone, "gone");
    let (_, note) = lookout
        .reported(first.quarantined, pod, "Reaped", &["its TTL expired at"])
        .await?;
    timeline.quote(&note);

    // The agent's clock said when; an existing cluster's may differ from this one.
    let from = if scene.stage.cluster.is_own() {
        first.record.at
    } else {
        first.quarantined
    };
    let kept = seconds(from, ending);
    #[allow(clippy::cast_precision_loss, reason = "some ten seconds")]
    let wanted = ttl as f64;
    ensure!(
        (wanted - 1.0..wanted + LATE).contains(&kept),
        "it was deleted after {kept:.1} s, and should have been after {ttl} s"
    );
    timeline.result(&format!("quarantined → deleted, of {ttl} s"), from, ending);
    Ok(())
}
