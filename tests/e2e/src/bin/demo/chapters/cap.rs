//! More pods go bad than may be quarantined.

use anyhow::ensure;
use futures::future::try_join_all;
use jiff::Timestamp;

use super::{UNWELL, another, repair};
use crate::{
    scene::{NAMESPACE_MAX, Scene},
    timeline::Timeline,
};

/// Two more are refused and stay in service.
pub(super) async fn is_refused(timeline: &mut Timeline, scene: &Scene) -> anyhow::Result<()> {
    timeline.chapter("More pods go bad than may be taken out");
    let third = another(scene, &[])?;
    let fourth = another(scene, &[&third])?;
    let pods = [third.as_str(), fourth.as_str()];
    let since = Timestamp::now();
    try_join_all(pods.map(|pod| scene.web.switch(pod, UNWELL))).await?;
    timeline.cause(
        since,
        &format!("{third} and {fourth} answer their probes with 500; {NAMESPACE_MAX} pods are out already"),
    );
    for pod in pods {
        timeline.awaiting(&format!("{pod} is refused"));
        let texts = ["limit of its namespace"];
        let reported = scene
            .lookout
            .reported(since, pod, "QuarantineRefused", &texts);
        let (at, note) = reported.await?;
        timeline.came_true(at, &format!("{pod} is refused, as its Event says:"));
        timeline.quote(&note);
    }
    let serving = scene.lookout.serving();
    ensure!(
        pods.iter().all(|pod| serving.contains(*pod)),
        "{pods:?} should go on serving; serving: {serving:?}"
    );
    let count = scene.pulse.since(since);
    ensure!(count.is_good(), "requests failed meanwhile: {count:?}");
    timeline.came_true(
        Timestamp::now(),
        &format!("both are left in service: {} pods serve", serving.len()),
    );
    repair(scene, &pods).await?;
    timeline.came_true(
        Timestamp::now(),
        "both are repaired, and no pod is unhealthy",
    );
    Ok(())
}
