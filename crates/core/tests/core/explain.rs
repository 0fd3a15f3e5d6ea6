//! A pod is explained: its verdicts, and what holds it back.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    explain::{Explained, Explanation, HeldBack, explain},
    judge::{Answer, Judge, Sample},
    keys,
    object::ObjectKey,
    scope::PodScopes,
    time::Now,
};

use crate::world::{SHOP, World, policy, selector};

/// A judge that watches `web-0` and `web-1`, with these samples of `web-0`.
fn judge(world: &World, answers: &[Answer]) -> Judge {
    let mut judge = Judge::default();
    judge.set_policies(&world.file, Duration::ZERO);
    let scopes = PodScopes::of("web".into());
    for name in ["web-0", "web-1"] {
        let pod = world.pod(name);
        judge.watch("answers", &pod.uid, &pod.key, &scopes);
    }
    for (answer, second) in answers.iter().zip(0..) {
        judge.record(&Sample {
            policy: "answers".into(),
            pod: world.pod("web-0").uid.clone(),
            run: None,
            at: Now {
                wall: world.now.wall,
                moment: world.now.moment + Duration::from_secs(second),
            },
            asked: world.now.moment + Duration::from_secs(second),
            answer: *answer,
            unreached: false,
            saw: format!("HTTP {second}").into(),
        });
    }
    judge
}

fn asked(world: &World, name: &str, judge: &Judge) -> Explanation {
    let key = ObjectKey::new(SHOP, name);
    let (file, view) = (&world.file, &world.view);
    explain(
        &key,
        file,
        view,
        judge,
        &world.state,
        world.doubt,
        world.now,
    )
}

fn explained(world: &World, judge: &Judge) -> Explained {
    asked(world, "web-0", judge).pod.expect("the pod is known")
}

#[test]
fn a_healthy_pod_is_held_back_by_nothing() {
    let mut world = World::with_web();
    let mut other = policy("others");
    other.pods = selector(&[("app", "db")]);
    world.file.policies.push(Arc::new(other));
    let judge = judge(&world, &[Answer::Good]);
    world.tick();
    let pod = explained(&world, &judge);
    assert_eq!(pod.workload.as_deref(), Some("Deployment web"));
    assert_eq!(pod.owner.as_deref(), Some("ReplicaSet web-rs"));
    assert!(!pod.quarantined && !pod.exempt && !pod.terminating);
    assert_eq!(pod.namespace_mode, "enforce");
    assert_eq!(pod.other_policies, ["others"]);
    let [opinion] = &pod.policies[..] else {
        panic!("{:?}", pod.policies)
    };
    assert_eq!((&*opinion.policy, &*opinion.mode), ("answers", "enforce"));
    assert_eq!(opinion.verdict, "healthy");
    assert_eq!((&opinion.reason, &opinion.held_back), (&None, &None));
    assert_eq!(&*opinion.evidence[0].saw, "HTTP 0");
    assert_eq!(pod.asked, None);
}

#[test]
fn a_refusal_is_explained_for_as_long_as_it_holds() {
    let mut world = World::with_web();
    let judge = judge(
        &world,
        &[Answer::Good, Answer::Bad, Answer::Bad, Answer::Bad],
    );
    world.annotate("web-0", keys::EXEMPT, "perhaps");
    world.unhealthy("web-0");
    // The refusal is reported once, and goes on.
    world.tick();
    world.tick();
    let pod = explained(&world, &judge);
    assert!(pod.exempt);
    assert!(pod.mistakes[0].contains("perhaps"), "{:?}", pod.mistakes);
    let opinion = &pod.policies[0];
    assert_eq!(opinion.verdict, "unhealthy");
    let reason = opinion.reason.as_deref();
    assert_eq!(reason, Some("3 bad probes in a row: HTTP 3"));
    let refused = opinion.held_back.as_ref().expect("it is refused");
    assert_eq!(refused.reason, "Exempt");
    assert_eq!(refused.sentence, "the pod is exempt");

    world.findings.clear();
    world.tick();
    assert_eq!(explained(&world, &judge).policies[0].held_back, None);
}

#[test]
fn a_manual_quarantine_is_explained_apart_from_a_policy() {
    let mut world = World::with_web();
    let judge = judge(&world, &[]);
    world.file.limits.namespace.max = 1;
    world.quarantine("web-1");
    world.annotate("web-0", keys::QUARANTINE, "wrong prices");
    world.tick();
    let pod = explained(&world, &judge);
    let limit = HeldBack {
        reason: "NamespaceLimit".to_owned(),
        sentence:
            "the limit of its namespace is reached: 1 of at most 1 pods of its namespace are quarantined"
                .to_owned(),
    };
    assert_eq!(pod.asked, Some(limit));
    assert_eq!(pod.policies[0].held_back, None);
    assert_eq!(pod.policies[0].verdict, "unknown");
}

#[test]
fn the_lower_mode_is_the_one_in_force() {
    let mut world = World::with_web();
    world.namespace_mode("observe");
    let judge = judge(&world, &[]);
    let pod = explained(&world, &judge);
    assert_eq!(pod.namespace_mode, "observe");
    assert_eq!(pod.policies[0].mode, "observe");
}

#[test]
fn an_unknown_pod_is_explained_as_unknown() {
    let mut world = World::with_web();
    world.view.stale = Some("watching pods: no answer".into());
    let judge = judge(&world, &[]);
    let answer = asked(&world, "web-9", &judge);
    assert_eq!(answer.pod, None);
    assert_eq!(answer.stale.as_deref(), Some("watching pods: no answer"));
    assert_eq!(answer.agent, "pod-quarantine/default");
}
