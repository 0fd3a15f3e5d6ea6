//! What people write on a pod: exempt, quarantine, hold, ttl.

use std::time::Duration;

use anyhow::ensure;
use jiff::Timestamp;
use pod_quarantine::core::keys;
use serde_json::json;
use test_e2e::{Labels, PROBE, Scene, Stage, changed, record};

/// Up to four pods may be out, for so long.
fn four_kept_for(ttl: &str) -> String {
    changed(
        PROBE,
        &[
            (
                "workload: { max: 2, minReady: 0% }",
                "workload: { max: 4, minReady: 0% }",
            ),
            ("ttl: 1h", &format!("ttl: {ttl}")),
        ],
    )
}

#[tokio::test]
async fn an_exempt_pod_stays_and_so_does_a_pod_with_an_unreadable_exemption() -> anyhow::Result<()>
{
    let scene = Scene::set("exempt", 4, Labels::NoToggle, &four_kept_for("1h")).await?;
    let (exempt, unreadable, other) = (&scene.pods[0], &scene.pods[1], &scene.pods[2]);
    scene.annotate(exempt, keys::EXEMPT, Some("true")).await?;
    scene
        .annotate(unreadable, keys::EXEMPT, Some("yes"))
        .await?;
    scene.seen_good().await?;
    for pod in [exempt, unreadable, other] {
        scene.web.switch(pod, "500").await?;
    }
    scene.web.quarantined(other).await?;
    for pod in [exempt, unreadable] {
        scene
            .refused(pod, "Exempt", &["HTTP 500", "exempt"])
            .await?;
        // Nor manually.
        scene.annotate(pod, keys::QUARANTINE, Some("now")).await?;
        scene
            .event(pod, &["QuarantineRefused", "(now)", "exempt"])
            .await?;
        scene.untouched(pod).await?;
    }
    scene
        .event(
            unreadable,
            &["BadAnnotation", keys::EXEMPT, "\"yes\"", "exempt"],
        )
        .await?;

    // `false` is as good as nothing.
    scene.annotate(unreadable, keys::QUARANTINE, None).await?;
    scene
        .annotate(unreadable, keys::EXEMPT, Some("false"))
        .await?;
    scene.web.quarantined(unreadable).await?;
    scene.untouched(exempt).await?;
    scene.clear().await
}

#[tokio::test]
async fn a_manual_quarantine_has_the_text_as_its_reason_and_removes_the_command()
-> anyhow::Result<()> {
    let scene = Scene::set("byhand", 2, Labels::NoToggle, PROBE).await?;
    for (pod, text, reason) in [
        (&scene.pods[0], "leaks memory", "leaks memory"),
        (&scene.pods[1], "", "by hand"),
    ] {
        scene.annotate(pod, keys::QUARANTINE, Some(text)).await?;
        let out = scene.web.quarantined(pod).await?;
        assert_eq!(&*record(&out)?.reason, reason);
        assert_eq!(&*record(&out)?.policy, "web");
        let annotations = out.metadata.annotations.unwrap_or_default();
        assert!(
            !annotations.contains_key(keys::QUARANTINE),
            "{annotations:?}"
        );
        scene
            .event(pod, &["Quarantined", "policy web", reason])
            .await?;
    }
    scene
        .stage
        .ready_endpoints(scene.namespace(), "web", 2)
        .await?;
    scene.clear().await
}

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    #[tokio::test]
    async fn a_pod_that_no_policy_selects_can_be_quarantined_manually_for_the_files_ttl()
    -> anyhow::Result<()> {
        // Alone: in this agent's file, `enforce` holds for every pod of the cluster.
        let stage = Stage::open_alone().await?;
        let policy = changed(
            PROBE,
            &[
                ("mode: observe", "mode: enforce"),
                ("team: shop", "team: none"),
                ("ttl: 1h", "ttl: 2h"),
                (
                    "mode: enforce\n    probe",
                    "mode: enforce\n    ttl: 3h\n    probe",
                ),
            ],
        );
        let scene = Scene::set_on(stage, "noone", 2, Labels::NoToggle, &policy).await?;
        let record = record(&scene.quarantine_manually(&scene.pods[0]).await?)?;
        assert_eq!(&*record.policy, "by-hand");
        assert_eq!(record.expires.duration_since(record.at).as_hours(), 2);
        scene
            .stage
            .ready_endpoints(scene.namespace(), "web", 2)
            .await?;
        scene.clear().await
    }
}

#[tokio::test]
async fn a_command_in_the_pod_template_is_ignored_with_an_event() -> anyhow::Result<()> {
    let scene = Scene::set("template", 2, Labels::NoToggle, PROBE).await?;
    let commands = json!({ keys::QUARANTINE: "all of them", keys::RELEASE: "force" });
    let template = json!({ "metadata": { "annotations": commands } });
    scene
        .web
        .patch(json!({ "spec": { "template": template } }))
        .await?;
    let new = scene
        .until("new pods", async || {
            let serving = scene.web.serving().await?;
            ensure!(
                serving.len() == 2 && serving.iter().all(|pod| !scene.pods.contains(pod)),
                "{serving:?}"
            );
            Ok(serving)
        })
        .await?;
    for pod in &new {
        for command in [keys::QUARANTINE, keys::RELEASE] {
            scene
                .event(
                    pod,
                    &["BadAnnotation", command, "pod template", "ReplicaSet"],
                )
                .await?;
        }
        scene.untouched(pod).await?;
    }
    assert!(scene.web.all_quarantined().await?.is_empty());
    scene.clear().await
}

#[tokio::test]
async fn a_workload_is_exempted_through_its_pod_template() -> anyhow::Result<()> {
    let scene = Scene::set("exempted", 2, Labels::NoToggle, PROBE).await?;
    let template = json!({ "metadata": { "annotations": { keys::EXEMPT: "true" } } });
    scene
        .web
        .patch(json!({ "spec": { "template": template } }))
        .await?;
    let bad = scene
        .until("new pods", async || {
            let serving = scene.web.serving().await?;
            let new = serving.len() == 2 && serving.iter().all(|pod| !scene.pods.contains(pod));
            ensure!(new, "{serving:?}");
            Ok(serving[0].clone())
        })
        .await?;
    scene.seen_good().await?;
    scene.web.switch(&bad, "500").await?;
    scene.refused(&bad, "Exempt", &["HTTP 500"]).await?;
    let events = scene.stage.events(scene.namespace(), &bad).await?;
    assert!(
        !events.iter().any(|event| event.contains("BadAnnotation")),
        "{events:?}"
    );
    scene.clear().await
}

#[tokio::test]
async fn a_held_pod_outlives_its_ttl_until_the_hold_ends() -> anyhow::Result<()> {
    let scene = Scene::set("hold", 4, Labels::NoToggle, &four_kept_for("5s")).await?;
    let [open, unreadable, until, past] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    let now = Timestamp::now();
    let end = now + Duration::from_secs(30);
    let ended = now - Duration::from_mins(1);
    for (pod, hold) in [
        (open, "true"),
        (unreadable, "a while"),
        (until, &end.to_string()),
        (past, &ended.to_string()),
    ] {
        scene.annotate(pod, keys::HOLD, Some(hold)).await?;
    }
    scene.quarantine_all_manually(&scene.pods).await?;
    scene.reaped(past).await?;
    for pod in [open, unreadable, until] {
        scene.event(pod, &["HeldPastTTL", "held"]).await?;
        assert!(
            scene
                .web
                .pod(pod)
                .await?
                .metadata
                .deletion_timestamp
                .is_none()
        );
    }
    scene
        .event(
            unreadable,
            &["BadAnnotation", keys::HOLD, "\"a while\"", "held"],
        )
        .await?;
    scene.reaped(until).await?;
    assert!(Timestamp::now() >= end, "before its hold ended");
    for pod in [open, unreadable] {
        assert!(
            scene
                .web
                .pod(pod)
                .await?
                .metadata
                .deletion_timestamp
                .is_none()
        );
        scene.annotate(pod, keys::HOLD, None).await?;
        scene.reaped(pod).await?;
    }
    scene.clear().await
}

#[tokio::test]
async fn a_ttl_annotation_counts_from_the_quarantine_and_an_unreadable_ttl_is_ignored()
-> anyhow::Result<()> {
    let five = changed(
        &four_kept_for("15s"),
        &[(
            "workload: { max: 4, minReady: 0% }",
            "workload: { max: 5, minReady: 0% }",
        )],
    );
    let scene = Scene::set("ttl", 5, Labels::NoToggle, &five).await?;
    let [longer, spoilt, shorter, unreadable, plain] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene.annotate(longer, keys::TTL, Some("1h")).await?;
    scene.annotate(spoilt, keys::TTL, Some("1h")).await?;
    scene.annotate(unreadable, keys::TTL, Some("soon")).await?;
    scene.quarantine_all_manually(&scene.pods).await?;
    // A ttl that becomes unreadable shortens nothing.
    scene.annotate(spoilt, keys::TTL, Some("1h or so")).await?;
    // Written on a pod that is out already.
    scene.annotate(shorter, keys::TTL, Some("3s")).await?;
    scene.reaped(shorter).await?;
    for pod in [unreadable, plain] {
        let there = scene.web.pod(pod).await?;
        ensure!(
            there.metadata.deletion_timestamp.is_none(),
            "{pod} went with the shorter one"
        );
    }
    scene
        .event(
            unreadable,
            &["BadAnnotation", keys::TTL, "\"soon\"", "it is ignored"],
        )
        .await?;
    for pod in [unreadable, plain] {
        let expires = record(&scene.web.pod(pod).await?)?.expires;
        scene.reaped(pod).await?;
        assert!(Timestamp::now() >= expires, "{pod} went before its time");
    }
    for pod in [longer, spoilt] {
        let there = scene.web.pod(pod).await?;
        assert!(there.metadata.deletion_timestamp.is_none(), "{pod} is gone");
    }
    scene.clear().await
}
