//! No slot, no quarantine: limits hold in every world, over crashes and behind the times.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use jiff::Timestamp;
use pod_quarantine_core::{
    decide::{State, decide},
    judge::Findings,
    keys,
    ledger::{LedgerView, Slot, SlotFate, TwoRecords, fate},
    lookup::Lookup,
    policy::{MaxPods, Mode},
    reason::Reason,
    tally::Tally,
    text::Fingerprint,
    view::LeaseView,
    write::Write,
};
use proptest::{collection::vec, prelude::*};

use crate::{
    outcome::{Planned, everything, quarantines, refusals, the_quarantine},
    world::{SHOP, World, policy, version},
};

pub(crate) fn checks(planned: &[Planned]) -> usize {
    let check = |one: &&Planned| matches!(one, Planned::Write(Write::CheckSlot(_)));
    planned.iter().filter(check).count()
}

#[test]
fn an_agent_killed_between_slot_and_patch_finishes_after_its_restart() {
    let mut world = World::with_web();
    world.file.limits.cluster.max = 1;
    world.deployment("api", 1);
    world.unhealthy("web-0");
    world.unhealthy("api-0");
    let planned = world.planned();
    let first = quarantines(&planned)[0].clone();
    assert!(world.ledger().take(first.slot.clone()));
    world.restart();
    world.findings.reverse();
    let planned = world.planned();
    assert_eq!(quarantines(&planned).len(), 1, "{planned:#?}");
    let again = quarantines(&planned)[0].clone();
    assert_eq!(again.pod, first.pod);
    assert!(!again.dry_run_first);
    assert_eq!(refusals(&planned), [("api-0", Reason::ClusterLimit)]);
    world.carry_out(&again);
    assert_eq!(world.planned().len(), 0);
}

/// Each of the two agents has sent its patch by then: the pod carries the record of one of them, and is to be known by either.
#[test]
fn a_slot_taken_twice_for_the_same_version_knows_both_records_and_is_not_taken_a_third_time() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let first = the_quarantine(&world.planned()).clone();
    assert!(world.ledger().take(first.slot.clone()));
    world.pass(Duration::from_secs(5));
    world.restart();
    let second = the_quarantine(&world.planned()).clone();
    assert_ne!(second.slot.record, first.slot.record);
    assert!(world.ledger().take(second.slot.clone()));
    for record in [&first.slot.record, &second.slot.record] {
        assert!(world.ledger().slots[&first.pod.uid].knows(record));
    }
    world.pass(Duration::from_secs(5));
    world.restart();
    assert_eq!(quarantines(&world.planned()).len(), 0);
    // The slot is checked, and fenced in the end: then no patch of before can arrive.
    assert_eq!(checks(&world.tick()), 1);
    world.change("web-0", |_| {});
    let third = the_quarantine(&world.planned()).clone();
    assert_eq!(third.slot.record_before, None);
}

#[test]
fn a_slot_taken_again_for_the_same_version_knows_at_most_two_records() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let mut slot = the_quarantine(&world.planned()).slot.clone();
    let [last, before, third] = ["last", "before", "third"].map(Fingerprint::of);
    slot.record = last.clone();
    let other =
        |slot: &Slot, record: &Fingerprint| slot.other_record(slot.resource_version, record);
    assert_eq!(other(&slot, &last), Ok(None), "the same once more");
    assert_eq!(other(&slot, &third), Ok(Some(last.clone())));
    slot.record_before = Some(before.clone());
    assert_eq!(other(&slot, &last), Ok(Some(before.clone())));
    assert_eq!(other(&slot, &before), Ok(Some(last)));
    assert_eq!(other(&slot, &third), Err(TwoRecords));
    // The pod has changed since: no patch that was sent for the version before can arrive.
    assert_eq!(slot.other_record(version(999), &third), Ok(None));
}

#[test]
fn an_agent_killed_between_slot_and_patch_leaves_a_pod_alone_that_is_healthy_again() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    assert!(world.ledger().take(quarantine.slot.clone()));
    world.restart();
    world.findings.clear();
    let planned = world.tick();
    assert_eq!(
        planned,
        [Planned::Write(Write::CheckSlot(quarantine.slot.clone()))]
    );
    let late = quarantine.slot.at + jiff::SignedDuration::from_secs(30);
    let pod = world.pod("web-0").clone();
    assert_eq!(fate(&quarantine.slot, Some(&pod), late), SlotFate::Fence);
    world.annotate("web-0", keys::FENCE, "101");
    let pod = world.pod("web-0").clone();
    assert_eq!(fate(&quarantine.slot, Some(&pod), late), SlotFate::Free);
    assert!(world.ledger().free(&quarantine.slot));
    assert_eq!(world.tick(), []);
}

#[test]
fn an_agent_killed_after_the_patch_recognizes_the_pod() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.restart();
    world.unhealthy("web-0");
    let planned = world.tick();
    assert!(
        matches!(planned[..], [Planned::Lookup(Lookup::Drain(_))]),
        "neither a second quarantine nor a check: {planned:?}"
    );
}

#[test]
fn a_pod_whose_slot_is_ahead_of_the_view_waits() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    let mut ahead = quarantine.slot.clone();
    ahead.resource_version = pod_quarantine_core::object::ResourceVersion::new(9_999);
    assert!(world.ledger().take(ahead));
    assert_eq!(world.planned(), []);
}

#[test]
fn a_pod_that_changed_after_its_slot_was_taken_has_its_slot_moved_forward() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let first = the_quarantine(&world.planned()).clone();
    assert!(world.ledger().take(first.slot.clone()));
    world.change("web-0", |pod| pod.ready = false);
    let second = the_quarantine(&world.planned()).clone();
    assert!(second.slot.resource_version > first.slot.resource_version);
    world.carry_out(&second);
    assert_eq!(world.slot("web-0"), Some(second.slot));
}

#[test]
fn idle_slots_are_checked_once_a_second() {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    assert!(world.ledger().take(quarantine.slot));
    assert_eq!(checks(&world.tick()), 0, "the pod is to be quarantined");
    world.findings.clear();
    world.tick();
    assert_eq!(checks(&world.tick()), 1);
    let same_time = |world: &mut World| {
        let now = world.now;
        let plan = decide(
            &mut world.state,
            &world.file,
            &world.view,
            &Findings::default(),
            None,
            now,
        );
        everything(plan)
    };
    assert_eq!(checks(&same_time(&mut world)), 0);
    assert_eq!(checks(&world.tick()), 1);
}

#[test]
fn a_slot_is_checked_unless_its_pod_is_quarantined_and_running() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    assert_eq!(checks(&world.tick()), 0);
    world.change("web-0", |pod| pod.terminating = true);
    assert_eq!(checks(&world.tick()), 1);
    let pod = world.pod("web-0").clone();
    world.view.remove_pod(&pod.key, &pod.uid);
    assert_eq!(checks(&world.tick()), 1);
    let mut successor = pod;
    successor.uid = "successor".into();
    successor.terminating = false;
    world.put(successor);
    assert_eq!(
        checks(&world.tick()),
        1,
        "a forged state label saves no slot"
    );
}

fn create(lost: Option<Timestamp>) -> Planned {
    Planned::Write(Write::CreateLedger { lost, before: None })
}

#[test]
fn a_missing_ledger_is_created_and_counts_as_lost_if_the_lease_names_it() {
    let mut world = World::with_web();
    world.view.ledger = LedgerView::Gone(None);
    let lost = Some(world.now.wall + jiff::SignedDuration::from_secs(1));
    assert_eq!(world.tick(), [create(lost)]);
    world.view.stale = Some("pods".into());
    assert_eq!(world.tick(), [], "a stale view does not tell");
    world.view.stale = None;
    world.view.lease = LeaseView::NotLoaded;
    assert_eq!(world.tick(), []);
    world.view.ledger = LedgerView::NotLoaded;
    assert_eq!(world.tick(), []);
}

/// Anybody who may write onto one pod can make it look so.
#[test]
fn quarantined_pods_are_no_sign_of_a_lost_ledger() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    world.view.ledger = LedgerView::Gone(None);
    world.view.lease = LeaseView::Names(None);
    assert_eq!(world.tick(), [create(None)]);
}

#[test]
fn pods_of_other_agents_count_for_the_limits() {
    let mut world = World::with_web();
    world.file.limits.cluster.max = 1;
    world.quarantine("web-0");
    world.file.agent = "second".into();
    world.unhealthy("web-1");
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::ClusterLimit)]
    );
}

#[test]
fn forged_state_labels_stop_quarantine_and_never_widen_it() {
    let mut world = World::with_web();
    world.file.limits.cluster.max = 3;
    for name in ["web-1", "web-2", "web-3"] {
        world.change(name, |pod| {
            pod.labels
                .insert(keys::STATE.into(), keys::QUARANTINED.into());
        });
    }
    world.unhealthy("web-0");
    let planned = world.planned();
    assert_eq!(refusals(&planned), [("web-0", Reason::ClusterLimit)]);
}

/// The state of one of the pods of a random world.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Well,
    Bad,
    ByHand,
    Exempt,
    Out,
    Forged,
    SlotOnly,
    Terminating,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        1 => Just(Fate::Well),
        6 => Just(Fate::Bad),
        2 => Just(Fate::ByHand),
        1 => Just(Fate::Exempt),
        2 => Just(Fate::Out),
        1 => Just(Fate::Forged),
        1 => Just(Fate::SlotOnly),
        1 => Just(Fate::Terminating),
    ]
}

fn apply_fate(world: &mut World, name: &str, of: Fate) {
    match of {
        Fate::Well => {}
        Fate::Bad => world.unhealthy(name),
        Fate::ByHand => world.annotate(name, keys::QUARANTINE, ""),
        Fate::Exempt => {
            world.annotate(name, keys::EXEMPT, "true");
            world.unhealthy(name);
        }
        Fate::Out | Fate::SlotOnly => {
            let findings = std::mem::take(&mut world.findings);
            world.unhealthy(name);
            let mut now = world.now;
            now.moment += std::time::Duration::from_hours(1);
            let found = world.all_findings();
            let limits = world.file.limits.clone();
            world.file.limits = World::new().file.limits;
            world.file.limits.cluster.max = 100;
            world.file.limits.namespace.max = 100;
            let (file, view) = (&world.file, &world.view);
            let planned = decide(&mut State::default(), file, view, &found, None, now);
            let planned = everything(planned);
            world.file.limits = limits;
            let quarantine = quarantines(&planned)
                .into_iter()
                .find(|one| &*one.pod.key.name == name)
                .cloned();
            if let Some(quarantine) = quarantine {
                if matches!(of, Fate::Out) {
                    world.carry_out(&quarantine);
                } else {
                    assert!(world.ledger().take(quarantine.slot));
                }
            }
            world.findings = findings;
        }
        Fate::Forged => world.change(name, |pod| {
            pod.labels.insert(keys::STATE.into(), "x".into());
        }),
        Fate::Terminating => world.change(name, |pod| pod.terminating = true),
    }
}

fn used(world: &World) -> Tally {
    let LedgerView::Present(ledger) = &world.view.ledger else {
        panic!("there is a ledger");
    };
    Tally::count(&world.view, ledger, &world.file.limits, world.now.wall)
}

proptest! {
    #![proptest_config(crate::proptest_cases(300))]

    #[test]
    fn no_tick_exceeds_a_limit(
        fates in vec(fates(), 12),
        cluster_max in 1..9u32,
        namespace_max in 1..9u32,
        workload_max in prop_oneof![(1..100u8).prop_map(MaxPods::Percent), (1..5u32).prop_map(|count| MaxPods::Count(NonZeroU32::new(count).unwrap()))],
        observing: bool,
    ) {
        let mut world = World::with_web();
        world.deployment("db", 6);
        world.deployment("cache", 2);
        for (fate, name) in fates.iter().zip(
            (0..4).map(|index| format!("web-{index}"))
                .chain((0..6).map(|index| format!("db-{index}")))
                .chain((0..2).map(|index| format!("cache-{index}"))),
        ) {
            apply_fate(&mut world, &name, *fate);
        }
        if observing {
            let mut second = policy("second");
            second.mode = Mode::Observe;
            world.file.policies.push(Arc::new(second));
            let second = world.file.policies[1].clone();
            let again = world.findings.clone().into_iter().map(|mut finding| {
                finding.policy = second.clone();
                finding
            });
            let again: Vec<_> = again.collect();
            world.findings.extend(again);
        }
        world.file.limits.cluster.max = cluster_max;
        world.file.limits.namespace.max = namespace_max;
        world.file.limits.workload.max = workload_max;
        let before = used(&world);
        let now = world.now;
        let same = world.tick();
        world.now = now;
        world.restart();
        let planned = world.tick();
        prop_assert_eq!(&same, &planned, "the same input, another plan");
        for quarantine in quarantines(&planned) {
            world.carry_out(quarantine);
        }
        let after = used(&world);
        // A scope that was over its limit before may stay so, but no pod is added to it.
        prop_assert!(after.cluster <= before.cluster.max(cluster_max));
        let namespace = |tally: &Tally| tally.namespaces.get(SHOP).copied().unwrap_or(0);
        prop_assert!(namespace(&after) <= namespace(&before).max(namespace_max));
        for (name, desired) in [("web", 4), ("db", 6), ("cache", 2)] {
            let uid = format!("uid-of-Deployment-{name}");
            let of = |tally: &Tally| tally.workloads.get(&*uid).copied().unwrap_or(0);
            prop_assert!(of(&after) <= of(&before).max(workload_max.of(desired)), "{name}");
        }
        // A second tick plans no further quarantine.
        let again = world.tick();
        prop_assert_eq!(quarantines(&again).len(), 0, "{:#?}", again);
    }
}
