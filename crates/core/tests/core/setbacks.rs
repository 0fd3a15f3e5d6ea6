//! A write that is denied, or that fails, is left alone for a while, and takes nothing else along.

use std::{sync::Arc, time::Duration};

use pod_quarantine_core::{
    keys,
    ledger::{SlotFate, fate},
    lookup::Lookup,
    notice::Topic,
    policy::Mode,
    reason::{Reason, Refusal},
    restore::HIGHEST_COST,
    write::{Act, Write},
};

use crate::{
    outcome::{Planned, notices, quarantines, reaps, refusals, the_quarantine, writes},
    world::{World, policy},
};

fn deny(world: &mut World, name: &str, act: Act) {
    let uid = world.pod(name).uid.clone();
    let refusal = Refusal::new(Reason::AdmissionDenied, "no");
    let now = world.now.moment;
    world.state.record_denial(&uid, act, refusal, now);
}

/// At which seconds of the next `seconds` a write of that kind is planned; each is denied.
fn tried(world: &mut World, name: &str, act: Act, seconds: usize) -> Vec<usize> {
    let mut tried = Vec::new();
    for second in 0..seconds {
        let planned = writes(&world.tick());
        let is_planned = planned.iter().any(|write| match (act, write) {
            (Act::Quarantine, Write::Quarantine(one)) => &*one.pod.key.name == name,
            (Act::Release, Write::Release(one)) => &*one.pod.key.name == name,
            (Act::Settle, Write::Settle { pod, .. }) => &*pod.key.name == name,
            (Act::Reap, Write::Reap(one)) => &*one.pod.key.name == name,
            (Act::Fence, Write::CheckSlot(slot)) => &*slot.name == name,
            _ => false,
        });
        if is_planned {
            tried.push(second);
            deny(world, name, act);
        }
    }
    tried
}

const BACKING_OFF: [usize; 5] = [0, 60, 180, 420, 900];

#[test]
fn a_quarantine_that_is_denied_is_tried_after_longer_and_longer_times_and_told_once() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let mut told = 0;
    for _ in 0..1000 {
        let planned = world.tick();
        told += refusals(&planned).len();
        if !quarantines(&planned).is_empty() {
            deny(&mut world, "web-0", Act::Quarantine);
        }
    }
    assert_eq!(told, 1);
    let mut world = World::with_web();
    world.unhealthy("web-0");
    assert_eq!(
        tried(&mut world, "web-0", Act::Quarantine, 1000),
        BACKING_OFF
    );
}

/// Nothing is tried meanwhile: the pod is well.
#[test]
fn ten_minutes_after_a_denial_is_over_the_times_begin_anew() {
    for (seconds, again) in [(659, 119), (660, 59)] {
        let mut world = World::with_web();
        world.unhealthy("web-0");
        assert_eq!(tried(&mut world, "web-0", Act::Quarantine, 1), [0]);
        let findings = std::mem::take(&mut world.findings);
        world.pass(Duration::from_secs(seconds - 1));
        world.findings = findings;
        let tried = tried(&mut world, "web-0", Act::Quarantine, 150);
        assert_eq!(tried[..2], [0, again + 1], "{seconds}");
    }
}

#[test]
fn a_release_that_is_denied_backs_off_and_is_told_once() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::RELEASE, "true");
    assert_eq!(tried(&mut world, "web-0", Act::Release, 1000), BACKING_OFF);
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::RELEASE, "true");
    let mut told = Vec::new();
    for _ in 0..1000 {
        let planned = world.tick();
        let refused = notices(&planned).into_iter();
        let refused = refused.filter(|notice| notice.topic == Topic::ReleaseRefused);
        told.extend(refused.map(|notice| notice.message.clone()));
        if writes(&planned)
            .iter()
            .any(|write| matches!(write, Write::Release(_)))
        {
            deny(&mut world, "web-0", Act::Release);
        }
    }
    assert_eq!(told, ["the API server denied it: no"]);
}

/// Both annotations may stand in the pod template of a Deployment.
#[test]
fn a_deletion_cost_that_the_api_server_never_takes_is_not_written_each_second() {
    let mut world = World::with_web();
    let released = r#"{"at":"2020-01-01T00:00:00Z","until":"2020-01-01T00:00:00Z","deletionCost":"no number"}"#;
    world.annotate("web-0", keys::RELEASED, released);
    world.annotate("web-0", keys::DELETION_COST, HIGHEST_COST);
    assert_eq!(tried(&mut world, "web-0", Act::Settle, 1000), BACKING_OFF);
}

#[test]
fn a_slot_that_cannot_be_fenced_is_checked_again_once_its_pod_has_changed() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let slot = the_quarantine(&world.planned()).slot.clone();
    assert!(world.ledger().take(slot));
    world.findings.clear();
    world.tick();
    assert_eq!(tried(&mut world, "web-0", Act::Fence, 300), [0, 60, 180]);
    world.change("web-0", |pod| pod.restarts = 1);
    let planned = writes(&world.tick());
    assert!(
        planned
            .iter()
            .any(|write| matches!(write, Write::CheckSlot(_)))
    );
}

/// Three pods are quarantined, and one may be deleted in a minute.
fn with_three_out() -> World {
    let mut world = World::with_web();
    world.file.limits.reap.per_minute = 1;
    for name in ["web-0", "web-1", "web-2"] {
        world.beside(name);
        world.quarantine(name);
    }
    world
}

/// The tenant changes the value of the state label, or a webhook denies the deletions of one namespace.
#[test]
fn pods_that_cannot_be_deleted_take_no_turns_of_others_and_are_told_of() {
    let mut world = with_three_out();
    world.change("web-0", |pod| {
        pod.labels.insert(keys::STATE.into(), "x".into());
    });
    world.pass(Duration::from_hours(5));
    let mut told = Vec::new();
    let mut deleted = Vec::new();
    for _ in 0..600 {
        let planned = world.tick();
        let kept = notices(&planned).into_iter();
        let kept = kept.filter(|notice| notice.topic == Topic::HeldPastTtl);
        told.extend(kept.map(|notice| (notice.about.name.to_string(), notice.message.clone())));
        for reap in reaps(&planned) {
            let name = reap.pod.key.name.to_string();
            if name == "web-1" {
                deny(&mut world, &name, Act::Reap);
            }
            deleted.push(name);
        }
    }
    assert!(!deleted.contains(&"web-0".to_owned()));
    assert_eq!(deleted[..2], ["web-1", "web-2"]);
    let names: Vec<&str> = told.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["web-0", "web-1"], "each once");
    assert!(
        told[0]
            .1
            .ends_with("its label pod-quarantine.io/state is not quarantined"),
        "{}",
        told[0].1
    );
    assert!(
        told[1]
            .1
            .ends_with("the API server denied its deletion: no"),
        "{}",
        told[1].1
    );
}

/// One deletion a minute: that of `web-0` is denied and gives its place back; a minute later it comes last.
#[test]
fn a_deletion_that_is_denied_takes_no_place_within_the_minute_and_comes_last_afterwards() {
    let mut world = with_three_out();
    world.pass(Duration::from_hours(5));
    let mut deleted = Vec::new();
    for second in 0..140 {
        for reap in reaps(&world.tick()) {
            let name = reap.pod.key.name.to_string();
            match &*name {
                "web-0" if deleted.is_empty() => deny(&mut world, &name, Act::Reap),
                _ => assert!(world.view.remove_pod(&reap.pod.key, &reap.pod.uid)),
            }
            deleted.push((second, name));
        }
    }
    let expected = [(0, "web-0"), (1, "web-1"), (61, "web-2"), (121, "web-0")];
    let expected = expected.map(|(second, name)| (second, name.to_owned()));
    assert_eq!(deleted, expected);
}

#[test]
fn after_a_success_the_times_begin_anew() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    assert_eq!(tried(&mut world, "web-0", Act::Quarantine, 70), [0, 60]);
    let uid = world.pod("web-0").uid.clone();
    world.state.record_success(&uid, Act::Quarantine);
    assert_eq!(tried(&mut world, "web-0", Act::Quarantine, 70), [0, 60]);
}

#[test]
fn a_write_that_failed_is_tried_again_soon_and_refuses_nothing() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let mut tried = Vec::new();
    for second in 0..70 {
        let planned = world.tick();
        assert_eq!(refusals(&planned), []);
        if !quarantines(&planned).is_empty() {
            tried.push(second);
            let uid = world.pod("web-0").uid.clone();
            let now = world.now.moment;
            world.state.record_failure(&uid, Act::Quarantine, now);
        }
    }
    assert_eq!(tried, [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn a_refusal_is_told_once_however_often_the_needs_of_the_replacement_are_read() {
    let mut world = World::with_web();
    world.policy(|policy| policy.mode = Mode::Observe);
    world.unhealthy("web-0");
    let mut told = 0;
    for _ in 0..60 {
        // What is asked for comes a moment later, and then it is decided again.
        for _ in 0..2 {
            let planned = world.decide();
            told += refusals(&planned).len();
            for one in planned {
                if let Planned::Lookup(Lookup::Needs(query)) = one {
                    world.read(&query);
                }
            }
        }
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(told, 1);
}

/// The slot is taken, somebody else writes the pod, the patch conflicts, and the needs of its replacement run out.
#[test]
fn a_pod_that_is_written_all_the_time_uses_up_one_slot_of_the_hour() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    for _ in 0..220 {
        for one in world.decide() {
            match one {
                Planned::Lookup(Lookup::Needs(query)) => world.read(&query),
                Planned::Write(Write::Quarantine(quarantine)) => {
                    let slot = quarantine.slot.clone();
                    assert!(world.ledger().begin(slot, quarantine.pacing.as_ref()));
                }
                Planned::Write(Write::CheckSlot(slot)) => {
                    let pod = world.view.pod(&slot.key()).cloned();
                    if fate(&slot, pod.as_ref(), world.now.wall) == SlotFate::Free {
                        assert!(world.ledger().free(&slot));
                    }
                }
                _ => {}
            }
        }
        world.change("web-0", |pod| pod.restarts += 1);
        world.pass(Duration::from_secs(1));
    }
    let now = world.now.wall;
    assert_eq!(world.ledger().memory.begun_within_an_hour(now), 1);
    // Once the pod is well again, its slot is freed.
    world.findings.clear();
    world.decide();
    world.pass(Duration::from_secs(1));
    let planned = writes(&world.decide());
    assert!(
        planned
            .iter()
            .any(|write| matches!(write, Write::CheckSlot(_)))
    );
}

/// The agent may not change a tenant's pod, and the tenant changes an annotation again and again.
#[test]
fn what_is_remembered_of_a_pod_that_is_left_alone_is_bounded() {
    let mut world = World::with_web();
    world.annotate("web-0", keys::RELEASED, "x");
    let mut sizes = Vec::new();
    for number in 1..=300 {
        world.annotate("web-0", keys::HOLD, &format!("not a time {number}"));
        world.pass(Duration::from_millis(100));
        for write in writes(&world.decide()) {
            if let Write::Settle { pod, .. } = write {
                let refusal = Refusal::new(Reason::AdmissionDenied, "no");
                let now = world.now.moment;
                world
                    .state
                    .record_denial(&pod.uid, Act::Settle, refusal, now);
            }
        }
        if number % 100 == 0 {
            sizes.push(format!("{:?}", world.state).len());
        }
    }
    assert!(sizes[2] < sizes[0] + 1000, "{sizes:?}");
}

/// As many policies as people like may find a pod unhealthy.
#[test]
fn each_of_many_refusals_of_one_pod_is_reported_once() {
    let mut world = World::with_web();
    world.annotate("web-0", keys::EXEMPT, "true");
    for number in 0..20 {
        let name = format!("policy-{number}");
        world.file.policies.push(Arc::new(policy(&name)));
    }
    for policy in world.file.policies.clone() {
        let mut finding = world.finding("web-0");
        finding.policy = policy;
        world.findings.push(finding);
    }
    assert_eq!(refusals(&world.tick()).len(), 21);
    assert_eq!(refusals(&world.tick()), []);
}

#[test]
fn acts_are_verbs() {
    assert_eq!(Act::Quarantine.as_str(), "quarantine");
    assert_eq!(Act::Reap.as_str(), "reap");
}
