//! How many may be out, and who counts.

use std::num::NonZeroU32;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView, Slot},
    policy::{Detach, MaxPods},
    reason::Reason,
    tally::Tally,
    text::Fingerprint,
};

use crate::world::{SHOP, START, World, at, pod, version};

#[test]
fn a_percentage_of_a_workload_rounds_down_and_is_never_less_than_one() {
    for (percent, desired, expected) in [
        (10, 0, 1),
        (10, 1, 1),
        (10, 2, 1),
        (10, 3, 1),
        (10, 19, 1),
        (10, 20, 2),
        (10, 25, 2),
        (50, 3, 1),
        (50, 4, 2),
        (99, 2, 1),
        (100, 4, 4),
        (1, 99, 1),
        (1, 200, 2),
        (100, u32::MAX, u32::MAX),
    ] {
        let share = MaxPods::Percent(percent).of(desired);
        assert_eq!(share, expected, "{percent}% of {desired}");
    }
    let two = MaxPods::Count(NonZeroU32::new(2).unwrap());
    assert_eq!((two.of(0), two.of(100)), (2, 2));
}

fn slot(name: &str, workload: &str) -> Slot {
    Slot {
        uid: pod(name).uid,
        namespace: SHOP.into(),
        name: name.into(),
        workload: workload.into(),
        policy: "answers".into(),
        resource_version: version(1),
        at: at(START),
        record: Fingerprint::of(""),
        record_before: None,
        ready: false,
        lost: false,
        replaced: None,
        carried_over: false,
        expires: None,
    }
}

fn tally(world: &World) -> Tally {
    let LedgerView::Present(ledger) = &world.view.ledger else {
        panic!("there is a ledger");
    };
    Tally::count(&world.view, ledger, &world.file.limits, world.now.wall)
}

fn mark(world: &mut World, name: &str) {
    world.change(name, |pod| {
        pod.labels
            .insert(keys::STATE.into(), keys::QUARANTINED.into());
    });
}

const WEB: &str = "uid-of-Deployment-web";

#[test]
fn slots_and_counted_pods_without_one_count_once_each_and_only_slots_for_a_workload() {
    let mut world = World::with_web();
    mark(&mut world, "web-0");
    mark(&mut world, "web-1");
    world.annotate("web-2", keys::RECORD, "damaged");
    assert!(world.ledger().take(slot("web-0", WEB)));
    assert!(world.ledger().take(slot("not-seen-yet", "uid-of-another")));
    let tally = tally(&world);
    assert_eq!(tally.cluster, 4);
    assert_eq!(tally.namespaces[SHOP], 4);
    assert_eq!(tally.workloads[WEB], 1);
    assert_eq!(tally.workloads["uid-of-another"], 1);
}

#[test]
fn a_terminating_pod_counts_by_its_slot_alone() {
    let mut world = World::with_web();
    for name in ["web-0", "web-1"] {
        mark(&mut world, name);
        world.change(name, |pod| pod.terminating = true);
    }
    assert_eq!(tally(&world), Tally::default());
    assert!(world.ledger().take(slot("web-0", WEB)));
    assert_eq!(tally(&world).cluster, 1);
}

#[test]
fn the_record_of_another_pod_does_not_count() {
    let mut world = World::with_web();
    world.annotate("web-0", keys::RECORD, r#"{"version":1,"uid":"another"}"#);
    assert_eq!(tally(&world), Tally::default());
}

#[test]
fn pods_without_a_slot_fill_up_the_limit_of_their_namespace_in_the_cluster_and_no_more() {
    let mut world = World::with_web();
    world.deployment("api", 4);
    world.file.limits.namespace.max = 5;
    for name in [
        "web-0", "web-1", "web-2", "web-3", "api-0", "api-1", "api-2",
    ] {
        mark(&mut world, name);
    }
    assert!(world.ledger().take(slot("not-seen-yet", WEB)));
    let tally = tally(&world);
    assert_eq!((tally.cluster, tally.namespaces[SHOP]), (5, 8));
}

#[test]
fn an_unreadable_entry_counts_once_and_its_pod_in_its_namespace_too() {
    let mut world = World::with_web();
    mark(&mut world, "web-0");
    let uid = world.pod("web-0").uid.to_string();
    *world.ledger() = Ledger::read(version(2), [(&*uid, "damaged"), ("of-nobody", "")]);
    let tally = tally(&world);
    assert_eq!(tally.cluster, 2);
    assert_eq!(tally.namespaces.get(SHOP), Some(&1));
    assert_eq!(tally.workloads.get(WEB), None);
}

#[test]
fn the_narrowest_limit_that_is_reached_is_named_with_its_numbers() {
    let mut limits = World::new().file.limits;
    (limits.cluster.max, limits.namespace.max) = (3, 2);
    limits.workload.max = MaxPods::Percent(50);
    let mut tally = Tally::default();
    let refusal = |tally: &Tally, desired| {
        tally
            .check(
                &limits,
                SHOP,
                WEB,
                limits.of_workload(desired, Detach::Workload),
            )
            .err()
            .map(|refusal| refusal.reason)
    };
    assert_eq!(refusal(&tally, 2), None);
    tally.begin(&SHOP.into(), &WEB.into());
    assert_eq!(refusal(&tally, 2), Some(Reason::WorkloadLimit));
    assert_eq!(refusal(&tally, 4), None);
    tally.begin(&SHOP.into(), &"other".into());
    assert_eq!(refusal(&tally, 4), Some(Reason::NamespaceLimit));
    assert_eq!(tally.check(&limits, "elsewhere", "its", 4), Ok(()));
    tally.begin(&"third".into(), &"other".into());
    let refusal = tally
        .check(&limits, "elsewhere", "its", 4)
        .expect_err("a limit");
    assert_eq!(refusal.reason, Reason::ClusterLimit);
    assert_eq!(
        refusal.detail,
        "3 of at most 3 pods of the cluster are quarantined"
    );
}
