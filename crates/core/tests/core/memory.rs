//! What the ledger remembers besides slots.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pod_quarantine_core::{
    ledger::{
        Ledger, MAX_PACING_RECORDS, MAX_SLOTS, MAX_STORMS, Note, PacingRecord, Pause, Slot, Storm,
    },
    reason::Reason,
    scope::Scope,
    text::Fingerprint,
    workload::WorkloadId,
};

use crate::{
    outcome::{quarantines, refusals, the_quarantine, the_refusal},
    world::{START, World, at, version},
};

fn slot(uid: &str, second: i64) -> Slot {
    Slot {
        uid: uid.into(),
        namespace: "shop".into(),
        name: "web".into(),
        workload: "uid-of-web".into(),
        policy: "answers".into(),
        resource_version: version(5),
        at: later(second),
        record: Fingerprint::of("0123"),
        record_before: None,
        ready: false,
        lost: false,
        replaced: None,
        carried_over: false,
        expires: None,
    }
}

fn later(seconds: i64) -> Timestamp {
    at(START) + SignedDuration::from_secs(seconds)
}

fn empty() -> Ledger {
    Ledger::read(version(1), [])
}

#[test]
fn each_new_slot_counts_for_an_hour() {
    let mut ledger = empty();
    assert!(ledger.take(slot("a", 0)));
    assert!(ledger.take(slot("a", 30)), "moved forward");
    assert!(ledger.take(slot("b", 59)));
    assert!(ledger.take(slot("c", 60)));
    assert!(ledger.free(&slot("b", 59)));
    for (second, count) in [
        (60, 3),
        (3600, 3),
        (3659, 3),
        (3660, 1),
        (3719, 1),
        (3720, 0),
    ] {
        assert_eq!(
            ledger.memory.begun_within_an_hour(later(second)),
            count,
            "{second}"
        );
    }
    assert!(ledger.take(slot("d", 7200)));
    assert_eq!(ledger.memory.begun.len(), 1, "what is past is gone");
}

/// Their names are text of tenants, who may create any number of them.
#[test]
fn quarantines_beyond_400_namespaces_count_without_the_name() {
    let mut ledger = empty();
    for number in 0..500 {
        let mut slot = slot(&format!("uid-{number}"), 0);
        slot.namespace = format!("shop-{number}").into();
        assert!(ledger.take(slot.clone()) && ledger.free(&slot));
    }
    let mut again = slot("again", 1);
    again.namespace = "shop-0".into();
    assert!(ledger.take(again));
    let begun = ledger.memory.begun_by_namespace(later(1));
    assert_eq!((begun.len(), begun[""], begun["shop-0"]), (401, 100, 2));
    assert_eq!(ledger.memory.begun_within_an_hour(later(1)), 501);
}

#[test]
fn the_hourly_limit_survives_a_restart_and_a_release() {
    let mut world = World::with_web();
    world.file.limits.cluster.per_hour = 1;
    world.quarantine("web-0");
    world.restart();
    world.ledger().slots.clear();
    let out = world.pod("web-0").clone();
    world.view.remove_pod(&out.key, &out.uid);
    world.unhealthy("web-1");
    let refusal = the_refusal(&world.planned()).clone();
    assert_eq!(refusal.refusal.reason, Reason::HourlyLimit);
    assert_eq!(
        refusal.refusal.detail,
        "1 of at most 1 were quarantined within the last hour"
    );
    world.pass(Duration::from_mins(61));
    the_quarantine(&world.planned());
}

/// The rest of the hour is for the others.
#[test]
fn one_namespace_takes_seven_eighths_of_the_hour() {
    let mut world = World::new();
    for index in 0..8 {
        world.deployment(&format!("w{index}"), 1);
    }
    world.file.limits.cluster.per_hour = 8;
    let refused = |world: &mut World| {
        let planned = world.planned();
        let refused = refusals(&planned);
        refused
            .iter()
            .map(|(pod, reason)| ((*pod).to_owned(), *reason))
            .collect::<Vec<_>>()
    };
    for index in 0..8 {
        world.unhealthy(&format!("w{index}-0"));
    }
    let last = [("w7-0".to_owned(), Reason::HourlyLimit)];
    assert_eq!(refused(&mut world), last, "of several in one decision");
    world.findings.clear();
    assert_eq!(refused(&mut world), []);
    for index in 0..6 {
        let slot = slot(&format!("uid-{index}"), 0);
        assert!(world.ledger().take(slot.clone()) && world.ledger().free(&slot));
    }
    for index in 6..8 {
        world.unhealthy(&format!("w{index}-0"));
    }
    assert_eq!(refused(&mut world), last, "with those of before");
}

#[test]
fn each_of_several_simultaneous_quarantines_counts_for_the_hourly_limit() {
    let mut world = World::with_web();
    world.deployment("api", 2);
    world.file.limits.cluster.per_hour = 8;
    // No namespace has taken its share.
    for index in 0..7 {
        let slot = Slot {
            namespace: format!("n{}", index % 2).into(),
            ..slot(&format!("uid-{index}"), 0)
        };
        assert!(world.ledger().take(slot.clone()) && world.ledger().free(&slot));
    }
    world.unhealthy("web-0");
    world.unhealthy("api-0");
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("api-0", Reason::HourlyLimit)]);
}

fn pace(second: i64, retries: u32) -> PacingRecord {
    PacingRecord {
        workload: "shop/Deployment web".into(),
        replica_set: "uid-of-web-rs".into(),
        since: later(0),
        last: later(second),
        retries,
        reset: None,
    }
}

#[test]
fn the_memory_of_a_ledger_is_read_back_as_written() {
    let mut ledger = empty();
    let mut first = slot("a", 0);
    first.ready = true;
    assert!(ledger.begin(first, Some(&pace(0, 2))));
    let scopes = [
        Scope::Cluster,
        Scope::Workload("uid-of-web".into()),
        Scope::Node("node-1".into()),
        Scope::Zone("no key".into()),
    ];
    for scope in scopes {
        let storm = Storm {
            name: scope.to_string().into(),
            scope,
            since: later(0),
        };
        assert!(ledger.note(&Note::StormBegan(storm.clone())));
        assert!(!ledger.note(&Note::StormBegan(storm)));
    }
    ledger.memory.pause = Some(Pause {
        reason: "moving".into(),
        since: Some(later(0)),
    });
    let entries = ledger.entries();
    let pairs = entries
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()));
    assert_eq!(Ledger::read(version(1), pairs), ledger);
    let expected: BTreeMap<String, String> = [
        ("a", r#"{"uid":"a","namespace":"shop","name":"web","workload":"uid-of-web","policy":"answers","resourceVersion":"5","at":"2030-01-31T12:00:00Z","record":"1be2e452b46d7a0d9656bbb1f768e824","ready":true}"#),
        ("begun", r#"{"2030-01-31T12:00:00Z":{"shop":1}}"#),
        ("pace.uid-of-web", r#"{"workload":"shop/Deployment web","replicaSet":"uid-of-web-rs","since":"2030-01-31T12:00:00Z","last":"2030-01-31T12:00:00Z","retries":2}"#),
        ("pause", r#"{"reason":"moving","since":"2030-01-31T12:00:00Z"}"#),
        ("storm.cluster", r#"{"scope":"cluster","where":"cluster","since":"2030-01-31T12:00:00Z"}"#),
        ("storm.node.node-1", r#"{"scope":{"node":"node-1"},"where":"node node-1","since":"2030-01-31T12:00:00Z"}"#),
        ("storm.workload.uid-of-web", r#"{"scope":{"workload":"uid-of-web"},"where":"workload uid-of-web","since":"2030-01-31T12:00:00Z"}"#),
        ("storm.zone.a199dc8cce54d8538c2fb9e0f41e68e5", r#"{"scope":{"zone":"no key"},"where":"zone no key","since":"2030-01-31T12:00:00Z"}"#),
    ]
    .map(|(key, text)| (key.to_owned(), text.to_owned()))
    .into();
    assert_eq!(entries, expected);
}

#[test]
fn an_unreadable_entry_closes_the_ledger_and_stays() {
    for key in [
        "begun",
        "pace.uid-of-web",
        "storm.cluster",
        "storm.workload.uid-of-web",
    ] {
        let ledger = Ledger::read(version(1), [(key, "?")]);
        let why = ledger.closed(later(0)).unwrap();
        assert_eq!(
            why,
            format!("its entry {key} cannot be read: repair or remove it")
        );
        assert_eq!(ledger.entries(), [(key.to_owned(), "?".to_owned())].into());
    }
}

/// The entry in the object stays as it is: a note of the storm would be written again and again.
#[test]
fn no_storm_is_noted_over_an_entry_that_cannot_be_read() {
    let mut ledger = Ledger::read(version(1), [("storm.cluster", "?")]);
    let before = ledger.clone();
    let storm = |scope: Scope| Storm {
        name: scope.to_string().into(),
        scope,
        since: later(0),
    };
    assert!(!ledger.note(&Note::StormBegan(storm(Scope::Cluster))));
    assert_eq!(ledger, before);
    assert!(ledger.note(&Note::StormBegan(storm(Scope::Node("node-1".into())))));
}

#[test]
fn an_entry_of_a_storm_under_the_key_of_another_is_unreadable() {
    let text = r#"{"scope":{"node":"node-1"},"where":"x","since":"2030-01-31T12:00:00Z"}"#;
    let ledger = Ledger::read(version(1), [("storm.node.node-2", text)]);
    assert!(ledger.memory.storms.is_empty());
    assert!(ledger.closed(later(0)).is_some());
}

#[test]
fn what_a_wrong_clock_wrote_for_the_future_does_not_count_for_the_hour() {
    let mut world = World::with_web();
    world.file.limits.cluster.per_hour = 1;
    let right = world.now.wall;
    world.now.wall = right
        .checked_add(std::time::Duration::from_hours(24 * 3650))
        .unwrap();
    world.quarantine("web-0");
    world.now.wall = right;
    world.pass(std::time::Duration::from_hours(24 * 30));
    world.unhealthy("web-1");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

/// A ConfigMap holds 1 MiB, keys included; the rest of the object is small.
#[test]
fn a_full_ledger_fits_into_its_object() {
    let uid = |kind: &str, number: usize| format!("{kind}{number:0>35}");
    let long = |length: usize| -> Arc<str> { "n".repeat(length).into() };
    let mut ledger = empty();
    for number in 0..MAX_SLOTS {
        let mut slot = slot(
            &uid("p", number),
            3600 + i64::try_from(number).unwrap() % 3600,
        );
        slot.namespace = format!("{number:n>63}").into();
        slot.name = long(253);
        slot.workload = WorkloadId::from(&*uid("w", number));
        slot.policy = long(63);
        slot.resource_version = version(u64::MAX);
        slot.record = Fingerprint::of("");
        slot.record_before = Some(Fingerprint::of("before"));
        slot.expires = Some(slot.at);
        slot.lost = true;
        slot.replaced = Some(slot.at);
        slot.ready = true;
        let mut pace = pace(3600, 100);
        pace.workload = format!("{number:n>63}/{}", long(253 + 11)).into();
        pace.replica_set = uid("r", number).into();
        assert!(ledger.begin(slot, Some(&pace)));
        let scope = Scope::Workload(WorkloadId::from(&*uid("w", number)));
        let storm = Storm {
            scope,
            name: format!("{}{number:0>3}/{}", "n".repeat(60), long(253 + 11)).into(),
            since: later(0),
        };
        assert_eq!(ledger.note(&Note::StormBegan(storm)), number < MAX_STORMS);
        let node = Scope::Node(format!("{number:n>253}").into());
        let storm = Storm {
            name: node.to_string().into(),
            scope: node,
            since: later(0),
        };
        assert_eq!(ledger.note(&Note::StormBegan(storm)), number < MAX_STORMS);
    }
    assert_eq!(ledger.memory.pacing.len(), MAX_PACING_RECORDS);
    let numbers: usize = ledger.memory.begun.values().map(BTreeMap::len).sum();
    assert!((400..=461).contains(&numbers), "{numbers}");
    let bytes: usize = ledger
        .entries()
        .iter()
        .map(|(key, text)| key.len() + text.len())
        .sum();
    assert!(bytes < 1_040_000, "{bytes}");
}

#[test]
fn storms_of_one_namespace_leave_room_for_those_of_others_of_nodes_and_of_the_cluster() {
    let mut ledger = empty();
    let storm = |scope: Scope, name: &str| {
        let (name, since) = (name.into(), later(0));
        Note::StormBegan(Storm { scope, name, since })
    };
    let workload = |number: usize| Scope::Workload(WorkloadId::from(&*format!("w{number}")));
    let noted = (0..100).filter(|number| {
        let name = format!("evil/Deployment {number}");
        ledger.note(&storm(workload(*number), &name))
    });
    assert_eq!(noted.count(), MAX_STORMS / 4);
    assert!(ledger.note(&storm(workload(200), "shop/Deployment web")));
    for number in 0..MAX_STORMS {
        let node = Scope::Node(format!("n{number}").into());
        assert!(ledger.note(&storm(node, "node")));
    }
    let zone = Scope::Zone("z".into());
    assert!(!ledger.note(&storm(zone, "zone z")), "with the nodes");
    assert!(ledger.note(&storm(Scope::Cluster, "cluster")));
}

/// A quarantine of a workload of its own, so many seconds after the start.
fn begin(ledger: &mut Ledger, number: usize, namespace: &str, retries: u32) {
    let mut slot = slot(&format!("pod-{number}"), 0);
    slot.workload = WorkloadId::from(&*format!("workload-{number}"));
    let mut pace = pace(i64::try_from(number).unwrap(), retries);
    pace.workload = format!("{namespace}/Deployment {number}").into();
    assert!(ledger.begin(slot, Some(&pace)));
}

fn pacing_of(ledger: &Ledger, namespace: &str) -> usize {
    let of = ledger.memory.pacing.values();
    of.filter(|pace| pace.workload.starts_with(&format!("{namespace}/")))
        .count()
}

#[test]
fn beyond_the_bound_the_least_important_pacing_record_is_forgotten() {
    let mut ledger = empty();
    for number in 0..=MAX_PACING_RECORDS {
        begin(&mut ledger, number, "shop", if number == 0 { 3 } else { 0 });
    }
    assert_eq!(ledger.memory.pacing.len(), MAX_PACING_RECORDS);
    assert!(
        ledger.memory.pacing.contains_key("workload-0"),
        "it is exhausted"
    );
    assert!(!ledger.memory.pacing.contains_key("workload-1"));
}

#[test]
fn the_pacing_records_of_one_namespace_take_no_room_from_those_of_others() {
    let mut ledger = empty();
    for number in 0..10 {
        begin(&mut ledger, number, "shop", 0);
    }
    for number in 10..2 * MAX_PACING_RECORDS {
        begin(&mut ledger, number, "evil", 3);
    }
    begin(&mut ledger, 2 * MAX_PACING_RECORDS, "shop", 0);
    assert_eq!(ledger.memory.pacing.len(), MAX_PACING_RECORDS);
    assert_eq!(pacing_of(&ledger, "shop"), 11);
}

#[test]
fn of_two_namespaces_with_equally_many_pacing_records_the_one_that_wants_another_loses_one() {
    let mut ledger = empty();
    let half = MAX_PACING_RECORDS / 2;
    for number in 0..half {
        begin(&mut ledger, number, "first", 0);
    }
    for number in half..=2 * half {
        begin(&mut ledger, number, "second", 0);
    }
    assert_eq!(pacing_of(&ledger, "first"), half);
    assert_eq!(pacing_of(&ledger, "second"), half);
}

/// As it may without a doubt: another API server answers.
#[test]
fn the_hourly_limit_holds_though_the_clock_goes_back_a_little() {
    let mut world = World::with_web();
    world.file.limits.cluster.per_hour = 1;
    world.quarantine("web-0");
    assert_eq!(world.now.wall, at("2030-01-31T12:00:01Z"));
    // Another API server answers, four seconds behind.
    world.now.wall = at("2030-01-31T11:59:56Z");
    world.unhealthy("web-1");
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-1", Reason::HourlyLimit)]);
}

/// Two API servers, each a little less than a minute from the clock of its agent.
#[test]
fn the_hourly_limit_holds_for_the_next_leader_though_its_clock_is_behind() {
    for (behind, taken) in [(0, 0), (60, 0), (110, 0), (300, 1)] {
        let mut world = World::with_web();
        world.file.limits.cluster.per_hour = 1;
        world.quarantine("web-0");
        world.pass(Duration::from_secs(5));
        world.restart();
        let wall = &mut world.now.wall;
        *wall = wall.checked_sub(Duration::from_secs(behind)).unwrap();
        world.unhealthy("web-2");
        assert_eq!(quarantines(&world.planned()).len(), taken, "{behind} s");
    }
}
