//! Two pods go bad: one for all to see, one in Prometheus alone.

use anyhow::ensure;
use jiff::Timestamp;

use super::{TakenOut, UNWELL, another, taken_out};
use crate::{
    pulse::Recovery,
    scene::{PROBE_POLICY, QUERY_POLICY, Scene},
    timeline::{Timeline, seconds},
};

/// Three of ten requests.
const NOW_AND_THEN: &str = r#"{"traffic": {"answer": {"status": 500}, "share": 0.3}}"#;

/// A pod answers 500 to everything.
pub(super) async fn answers_500(
    timeline: &mut Timeline,
    scene: &Scene,
) -> anyhow::Result<TakenOut> {
    timeline.chapter("A pod answers 500");
    let pod = another(scene, &[])?;
    let since = Timestamp::now();
    scene.web.switch(&pod, "500").await?;
    timeline.cause(
        since,
        &format!("{pod} answers 500 to every request, and to its probes"),
    );
    let taken = taken_out(timeline, scene, &pod, since).await?;
    found_by(&taken, PROBE_POLICY)?;
    let recovery = recovered(timeline, scene, since).await?;

    let third = taken.record.evidence.last().map(|last| last.at);
    if let Some(third) = third.filter(|_| scene.stage.cluster.is_own()) {
        timeline.result("third bad probe → relabelled", third, taken.quarantined);
        timeline.result(
            "third bad probe → out of the EndpointSlice",
            third,
            taken.left,
        );
    }
    timeline.result(
        "relabelled → replacement serves",
        taken.quarantined,
        taken.replaced,
    );
    if let Some(last) = recovery.last_bad {
        timeline.result("first 500 → last 500 that a client got", since, last);
    }
    Ok(taken)
}

/// A pod fails for a share of its requests; its probes are fine.
pub(super) async fn fails_now_and_then(
    timeline: &mut Timeline,
    scene: &Scene,
) -> anyhow::Result<TakenOut> {
    let pod = another(scene, &[])?;
    if scene.prometheus.is_none() {
        return fails_its_probe(timeline, scene, &pod).await;
    }
    timeline.chapter("A second pod goes bad where only Prometheus sees it");
    let since = Timestamp::now();
    scene.web.switch(&pod, NOW_AND_THEN).await?;
    timeline.cause(since, &format!("{pod} answers 500 to 3 of 10 requests"));
    let path = format!(
        "/api/v1/namespaces/{}/pods/{pod}:8080/proxy/healthz",
        scene.namespace.name()
    );
    scene.kubectl(timeline, &["get", "--raw", &path]).await?;
    timeline.came_true(
        Timestamp::now(),
        "its /healthz answers 200: no probe can see it",
    );
    let taken = taken_out(timeline, scene, &pod, since).await?;
    found_by(&taken, QUERY_POLICY)?;
    recovered(timeline, scene, since).await?;
    timeline.result(
        "30 % errors → quarantined by the query",
        since,
        taken.quarantined,
    );
    Ok(taken)
}

/// The same where there is no Prometheus to ask.
async fn fails_its_probe(
    timeline: &mut Timeline,
    scene: &Scene,
    pod: &str,
) -> anyhow::Result<TakenOut> {
    timeline.chapter("A second pod goes bad");
    timeline.quote("PROMETHEUS_URL is not set: its probe tells, instead of a query");
    let since = Timestamp::now();
    scene.web.switch(pod, UNWELL).await?;
    timeline.cause(since, &format!("{pod} answers its probes with 500"));
    let taken = taken_out(timeline, scene, pod, since).await?;
    found_by(&taken, PROBE_POLICY)?;
    Ok(taken)
}

fn found_by(taken: &TakenOut, policy: &str) -> anyhow::Result<()> {
    ensure!(
        &*taken.record.policy == policy,
        "{} was quarantined by {}, and not by {policy}",
        taken.pod,
        taken.record.policy
    );
    Ok(())
}

/// Waits until all requests are good again, and tells what clients met until then.
async fn recovered(
    timeline: &Timeline,
    scene: &Scene,
    since: Timestamp,
) -> anyhow::Result<Recovery> {
    timeline.awaiting("two seconds of good answers");
    let recovery = scene.pulse.recovered(since).await?;
    ensure!(
        recovery.before.errors > 0,
        "not one request got a 5xx, so nothing was shown"
    );
    ensure!(
        recovery.before.others == 0,
        "{} requests failed otherwise than with a 5xx",
        recovery.before.others
    );
    let good = recovery.after.all;
    let good_for = recovery
        .last_bad
        .map_or(0.0, |last| seconds(last, recovery.at));
    timeline.came_true(
        recovery.at,
        &format!("requests are all good again: the last {good} of them, for {good_for:.1} s"),
    );
    let last = recovery.last_bad.map_or(0.0, |last| seconds(since, last));
    timeline.quote(&format!(
        "of {} requests before, {} got a 5xx, the last one at about +{last:.1} s",
        recovery.before.all, recovery.before.errors
    ));
    Ok(recovery)
}
