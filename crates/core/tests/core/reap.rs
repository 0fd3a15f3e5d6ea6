//! Taking away: only what is surely the agent's own, only after its time, a few a minute.

use std::time::Duration;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView, Pause},
    notice::Topic,
    object::ObjectKey,
    policy::Mode,
    text::Fingerprint,
    write::Write,
};

use crate::{
    bounded_work::with_victim,
    outcome::{Planned, notices, reaps, the_notice, the_quarantine},
    world::World,
};

/// `web-0` is quarantined since 12:00:01 and its TTL of four hours expires at 16:00:01, which is now.
fn expired() -> World {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.pass(Duration::from_hours(4));
    world
}

/// Nothing is deleted after that change; returns the notifications.
fn kept(change: impl FnOnce(&mut World)) -> Vec<(Topic, String)> {
    let mut world = expired();
    change(&mut world);
    let planned = world.planned();
    assert_eq!(reaps(&planned).len(), 0, "{planned:#?}");
    let notified: Vec<(Topic, String)> = notices(&planned)
        .iter()
        .map(|notice| (notice.topic, notice.message.clone()))
        .collect();
    assert_eq!(notified.len(), planned.len(), "{planned:#?}");
    assert_eq!(world.planned(), [], "each is notified about once");
    notified
}

#[test]
fn a_pod_is_reaped_when_its_ttl_expires_and_not_a_second_before() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.pass(Duration::from_secs(4 * 3600 - 2));
    assert_eq!(world.planned(), []);
    let planned = world.planned();
    let [Planned::Write(Write::Reap(reap))] = &planned[..] else {
        panic!("not one reap: {planned:?}");
    };
    assert_eq!(reap.why, "its TTL expired at 2030-01-31T16:00:01Z");
    assert_eq!(&*reap.policy, "answers");
    let pod = world.pod("web-0");
    assert_eq!(reap.pod.uid, pod.uid);
    assert_eq!(reap.pod.resource_version, pod.resource_version);
}

#[test]
fn a_terminating_pod_is_not_reaped() {
    assert_eq!(
        kept(|world| world.change("web-0", |pod| pod.terminating = true)),
        []
    );
}

#[test]
fn the_deletion_of_a_pod_is_tried_once_a_minute() {
    let mut world = expired();
    assert_eq!(reaps(&world.planned()).len(), 1);
    assert_eq!(
        world.planned(),
        [],
        "the watch has not shown the deletion yet"
    );
    world.pass(Duration::from_mins(1));
    assert_eq!(reaps(&world.planned()).len(), 1, "the pod still exists");
}

#[test]
fn no_more_pods_than_the_limit_are_reaped_in_a_minute() {
    let mut world = World::with_web();
    for name in ["web-0", "web-1", "web-2", "web-3"] {
        world.beside(name);
        world.quarantine(name);
    }
    world.file.limits.reap.per_minute = 2;
    world.pass(Duration::from_hours(5));
    let mut gone = Vec::new();
    for (second, expected) in [(1, 2), (1, 0), (58, 0), (1, 2), (1, 0)] {
        world.pass(Duration::from_secs(second - 1));
        let planned = world.planned();
        assert_eq!(reaps(&planned).len(), expected);
        for reap in reaps(&planned) {
            gone.push(reap.pod.key.name.to_string());
            assert!(world.view.remove_pod(&reap.pod.key, &reap.pod.uid));
        }
    }
    assert_eq!(gone, ["web-0", "web-1", "web-2", "web-3"]);
}

/// `web-0`, `web-1` and a pod of another namespace are quarantined, and two pods may be deleted in a minute.
fn two_namespaces() -> (World, ObjectKey) {
    let mut world = World::with_web();
    for name in ["web-0", "web-1"] {
        world.beside(name);
        world.quarantine(name);
    }
    let another = with_victim(&mut world, "web-3");
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    world.findings.clear();
    world.file.limits.reap.per_minute = 2;
    (world, another)
}

fn reaped(world: &mut World) -> Vec<ObjectKey> {
    let planned = world.planned();
    let reaped = reaps(&planned).into_iter();
    reaped.map(|reap| reap.pod.key.clone()).collect()
}

#[test]
fn each_namespace_has_its_turn_before_any_has_a_second_one() {
    let (mut world, another) = two_namespaces();
    world.pass(Duration::from_hours(5));
    assert_eq!(
        reaped(&mut world),
        [ObjectKey::new("shop", "web-0"), another]
    );
}

#[test]
fn the_deletions_of_the_last_minute_are_turns_too() {
    let (mut world, another) = two_namespaces();
    world.annotate("web-1", keys::HOLD, "true");
    let mut held = world.view.pod(&another).unwrap().clone();
    held.annotations.insert(keys::HOLD.into(), "true".into());
    world.put(held.clone());
    world.pass(Duration::from_hours(5));
    assert_eq!(reaped(&mut world), [ObjectKey::new("shop", "web-0")]);
    let gone = world.pod("web-0").clone();
    assert!(world.view.remove_pod(&gone.key, &gone.uid));
    world.change("web-1", |pod| {
        pod.annotations.remove(keys::HOLD);
    });
    held.annotations.remove(keys::HOLD);
    world.put(held);
    assert_eq!(reaped(&mut world), [another]);
}

#[test]
fn a_held_pod_is_kept_with_an_event() {
    for (hold, until) in [
        ("true", "2030-02-07T16:00:01Z"),
        ("?", "2030-02-07T16:00:01Z"),
        ("2030-01-31T17:00:00Z", "2030-01-31T17:00:00Z"),
        ("2031-01-31T17:00:00Z", "2030-02-07T16:00:01Z"),
    ] {
        let notified = kept(|world| world.annotate("web-0", keys::HOLD, hold));
        let (topic, message) = notified.last().unwrap();
        assert_eq!(*topic, Topic::HeldPastTtl);
        assert_eq!(
            *message,
            format!("its TTL expired at 2030-01-31T16:00:01Z; it is held until {until}")
        );
    }
    let mut world = expired();
    // The decision is made a second later.
    let end = (world.now.wall + Duration::from_secs(1)).to_string();
    world.annotate("web-0", keys::HOLD, &end);
    assert_eq!(reaps(&world.planned()).len(), 1, "that hold is over");
}

#[test]
fn a_hold_ends_at_its_limit_after_the_ttl() {
    for hold in ["true", "2031-01-31T17:00:00Z"] {
        let mut world = expired();
        world.file.limits.hold.max = Duration::from_hours(1);
        world.annotate("web-0", keys::HOLD, hold);
        world.pass(Duration::from_secs(3597));
        assert_eq!(reaps(&world.planned()).len(), 0);
        world.pass(Duration::from_secs(2));
        assert_eq!(reaps(&world.planned()).len(), 1, "{hold}");
    }
}

#[test]
fn a_pod_whose_release_is_refused_is_reaped_all_the_same() {
    let mut world = expired();
    world.change("web-0", |pod| pod.ready = false);
    world.annotate("web-0", keys::RELEASE, "true");
    let planned = world.planned();
    assert!(
        planned
            .iter()
            .any(|one| matches!(one, Planned::Write(Write::Reap(_)))),
        "{planned:#?}"
    );
}

#[test]
fn pods_are_reaped_only_in_the_mode_enforce() {
    for mode in [Mode::Off, Mode::Observe] {
        assert_eq!(kept(|world| world.policy(|policy| policy.mode = mode)), []);
        assert_eq!(kept(|world| world.namespace_mode(mode.as_str())), []);
        let policy_gone = |world: &mut World| {
            world.file.mode = mode;
            world.policy(|policy| policy.name = "another".into());
        };
        assert_eq!(kept(policy_gone), []);
    }
    let mut world = expired();
    world.policy(|policy| policy.name = "another".into());
    assert_eq!(reaps(&world.planned()).len(), 1, "the file enforces");
}

#[test]
fn another_agents_pod_is_untouched() {
    assert_eq!(kept(|world| world.file.agent = "second".into()), []);
    let elsewhere = |world: &mut World| world.view.own_namespace = "elsewhere".into();
    assert_eq!(kept(elsewhere), []);
}

#[test]
fn a_pod_whose_record_the_ledger_does_not_know_is_not_reaped() {
    let forgotten =
        |world: &mut World| *world.ledger() = Ledger::read(world.ledger().resource_version, []);
    let altered = |world: &mut World| {
        let text = world
            .pod("web-0")
            .annotation(keys::RECORD)
            .unwrap()
            .replace("500", "501");
        world.annotate("web-0", keys::RECORD, &text);
    };
    let of_another = |world: &mut World| {
        let uid = world.pod("web-0").uid.clone();
        world.ledger().slots.get_mut(&uid).unwrap().record = Fingerprint::of("0123");
    };
    for change in [&forgotten as &dyn Fn(&mut World), &altered, &of_another] {
        let mut world = expired();
        change(&mut world);
        let planned = world.planned();
        let notice = the_notice(&planned);
        assert_eq!(notice.topic, Topic::HeldPastTtl);
        assert!(
            notice
                .message
                .ends_with("not the one that the ledger knows"),
            "{notice:?}"
        );
    }
    let unread = |world: &mut World| world.view.ledger = LedgerView::NotLoaded;
    assert_eq!(kept(unread).len(), 1);
}

#[test]
fn a_pod_without_the_state_label_is_never_reaped() {
    let notified = kept(|world| {
        world.change("web-0", |pod| {
            pod.labels.remove(keys::STATE);
        });
    });
    assert_eq!(notified[0].0, Topic::BadAnnotation);
}

#[test]
fn a_pod_with_a_damaged_missing_or_newer_record_is_never_reaped() {
    let newer = |text: &str| text.replace(r#""version":1"#, r#""version":2"#);
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    for change in [&newer as &dyn Fn(&str) -> String, &cut] {
        let notified = kept(|world| {
            let text = change(world.pod("web-0").annotation(keys::RECORD).unwrap());
            world.annotate("web-0", keys::RECORD, &text);
        });
        assert_eq!(notified.len(), 1);
        assert_eq!(notified[0].0, Topic::BadAnnotation);
    }
    let gone = kept(|world| {
        world.change("web-0", |pod| {
            pod.annotations.remove(keys::RECORD);
        });
    });
    assert_eq!(gone[0].0, Topic::BadAnnotation);
}

#[test]
fn a_ttl_annotation_lengthens_or_shortens_the_ttl() {
    assert_eq!(kept(|world| world.annotate("web-0", keys::TTL, "5h")), []);
    let mut world = expired();
    world.annotate("web-0", keys::TTL, "5h");
    world.pass(Duration::from_hours(1));
    assert_eq!(reaps(&world.planned()).len(), 1);

    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::TTL, "1m");
    assert_eq!(world.planned(), []);
    world.pass(Duration::from_mins(1));
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn an_unreadable_ttl_never_shortens_the_ttl_in_force() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::TTL, "6h");
    assert_eq!(world.planned(), []);
    world.annotate("web-0", keys::TTL, "six hours");
    assert_eq!(the_notice(&world.planned()).topic, Topic::BadAnnotation);
    world.restart();
    assert_eq!(the_notice(&world.planned()).topic, Topic::BadAnnotation);
    world.pass(Duration::from_hours(5));
    assert_eq!(world.planned(), []);
    world.pass(Duration::from_hours(1));
    assert_eq!(reaps(&world.planned()).len(), 1);

    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::TTL, "1h");
    assert_eq!(world.planned(), []);
    world.annotate("web-0", keys::TTL, "1M");
    world.pass(Duration::from_hours(2));
    assert_eq!(reaps(&world.planned()).len(), 0, "it counts as not there");
    world.pass(Duration::from_hours(2));
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn without_its_ttl_annotation_a_pod_has_the_ttl_of_its_record() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.annotate("web-0", keys::TTL, "6h");
    assert_eq!(world.planned(), []);
    world.change("web-0", |pod| {
        pod.annotations.remove(keys::TTL);
    });
    assert_eq!(world.planned(), []);
    assert_eq!(world.slot("web-0").unwrap().expires, None);
    world.annotate("web-0", keys::TTL, "?");
    world.pass(Duration::from_hours(4));
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn a_restarted_agent_reaps_the_pods_that_its_predecessor_quarantined() {
    let mut world = expired();
    world.restart();
    assert_eq!(reaps(&world.planned()).len(), 1);
}

#[test]
fn a_successor_of_the_same_name_is_not_reaped() {
    let notified = kept(|world| {
        world.change("web-0", |pod| pod.uid = "its-successor".into());
    });
    assert_eq!(
        notified[0].0,
        Topic::BadAnnotation,
        "its record is another pod's"
    );
}

#[test]
fn an_unreadable_ttl_never_shortens_one_that_was_written_during_a_pause() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.ledger().memory.pause = Some(Pause {
        reason: "x".into(),
        since: None,
    });
    world.annotate("web-0", keys::TTL, "6h");
    world.planned();
    world.annotate("web-0", keys::TTL, "six hours");
    world.planned();
    world.ledger().memory.pause = None;
    world.pass(Duration::from_hours(5));
    assert_eq!(reaps(&world.planned()).len(), 0);
}

/// One pod a minute: the namespace that comes first by name has only every second one.
#[test]
fn each_namespace_has_its_turn_whatever_the_limit_of_a_minute() {
    let (mut world, another) = two_namespaces();
    world.file.limits.reap.per_minute = 1;
    world.pass(Duration::from_hours(5));
    let mut gone = Vec::new();
    for _ in 0..3 {
        for key in reaped(&mut world) {
            let uid = world.view.pod(&key).unwrap().uid.clone();
            assert!(world.view.remove_pod(&key, &uid));
            gone.push(key);
        }
        world.pass(Duration::from_mins(1));
    }
    let web = |name| ObjectKey::new("shop", name);
    assert_eq!(gone, [web("web-0"), another, web("web-1")]);
}
