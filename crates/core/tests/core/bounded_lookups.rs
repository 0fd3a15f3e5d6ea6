//! What is looked up of the pods of one namespace is bounded, whatever its people write. Look-ups are counted, not timed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pod_quarantine_core::{
    judge::Verdict,
    keys,
    lookup::{DrainQuery, Lookup, NeedsQuery},
    object::ObjectKey,
    policy::Mode,
    reason::Reason,
};

use crate::{
    bounded_work::{deployment_in, with_victim},
    outcome::{lookups, quarantines, refusals, the_quarantine},
    world::{World, policy},
};

/// People ask for the quarantine of so many pods of `web` whose replacements could not run beside them.
fn with_exclusive(pods: u32) -> World {
    let mut world = World::new();
    world.deployment("web", pods);
    for index in 0..pods {
        world.annotate(&format!("web-{index}"), keys::QUARANTINE, "x");
    }
    world.needs.claims = Err("PersistentVolumeClaim x is ReadWriteOnce".into());
    world
}

/// A decision that much later: the readings that it asks for.
fn asked_after(world: &mut World, time: Duration) -> Vec<NeedsQuery> {
    world.pass(time);
    let lookups = lookups(&world.decide());
    let needs = lookups.into_iter().filter_map(|lookup| match lookup {
        Lookup::Needs(query) => Some(query),
        _ => None,
    });
    needs.collect()
}

/// Decides each second, and answers. Gives the seconds in which needs were read.
fn read_in_seconds(world: &mut World, seconds: u64) -> Vec<u64> {
    let mut read = Vec::new();
    for second in 0..seconds {
        for query in asked_after(world, Duration::from_secs(1)) {
            world.read(&query);
            read.push(second);
        }
        world.decide();
    }
    read
}

#[test]
fn the_needs_of_many_pods_of_one_namespace_are_read_a_few_at_a_time() {
    let mut world = with_exclusive(500);
    world.file.limits.namespace.max = 5;
    let mut needs = 0;
    for _ in 0..600 {
        for query in asked_after(&mut world, Duration::from_millis(100)) {
            needs += 1;
            world.read(&query);
        }
    }
    assert_eq!(needs, 240, "readings in a minute");
}

#[test]
fn readings_that_have_no_answer_leave_room_for_those_of_other_namespaces() {
    let mut world = with_exclusive(20);
    world.file.limits.cluster.max = 100;
    assert_eq!(asked_after(&mut world, Duration::ZERO).len(), 4);
    assert!(asked_after(&mut world, Duration::from_secs(20)).is_empty());
    let victim = with_victim(&mut world, "web-0");
    let asked = asked_after(&mut world, Duration::from_secs(1));
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].pod, victim);
    let again = asked_after(&mut world, Duration::from_secs(5));
    assert_eq!(again.len(), 4, "all requests have ended");
}

#[test]
fn needs_that_refuse_are_read_again_after_longer_and_longer_times() {
    let mut world = with_exclusive(1);
    let read = read_in_seconds(&mut world, 1000);
    assert_eq!(read, [0, 10, 20, 40, 80, 160, 320, 620, 920]);
    let uid = world.pod("web-0").uid.clone();
    let refused = world.state.refused(&uid).next().unwrap();
    assert_eq!(refused.refusal.reason, Reason::ExclusiveResource);
}

#[test]
fn once_needs_allow_the_quarantine_or_it_is_no_longer_asked_for_the_times_begin_anew() {
    let mut world = with_exclusive(1);
    read_in_seconds(&mut world, 100);
    let refuses = std::mem::replace(&mut world.needs, test_objects::no_needs());
    read_in_seconds(&mut world, 60);
    assert_eq!(quarantines(&world.decide()), [] as [&_; 0], "not read yet");
    let read = read_in_seconds(&mut world, 20);
    assert_eq!(read, [0, 10], "it is not carried out, and read again");
    assert_eq!(quarantines(&world.decide()).len(), 1);
    world.needs = refuses;
    assert_eq!(read_in_seconds(&mut world, 50), [0, 10, 20, 40]);

    world.change("web-0", |pod| {
        pod.annotations.remove(keys::QUARANTINE);
    });
    assert_eq!(read_in_seconds(&mut world, 30), [] as [u64; 0]);
    world.annotate("web-0", keys::QUARANTINE, "x");
    assert_eq!(read_in_seconds(&mut world, 30), [0, 10, 20]);
}

#[test]
fn what_needs_refuse_to_one_policy_they_may_allow_to_another() {
    let mut world = with_exclusive(1);
    read_in_seconds(&mut world, 100);
    let mut allows = policy("allows");
    allows.allow_exclusive = true;
    world.file.policies.push(Arc::new(allows));
    let mut finding = world.finding("web-0");
    finding.policy = world.file.policies[1].clone();
    world.findings.push(finding);
    let planned = world.tick();
    let of_person = ("web-0", Reason::ExclusiveResource);
    assert!(!refusals(&planned).contains(&of_person), "reported before");
    assert_eq!(&*quarantines(&planned)[0].record.policy, "allows");
}

/// The pods whose needs are read in so many tenths of a second; those of `web` refuse, and others do not.
fn read_where_web_refuses(world: &mut World, tenths: u32) -> Vec<Arc<str>> {
    let refuses = world.needs.clone();
    let mut read = Vec::new();
    for _ in 0..tenths {
        for query in asked_after(world, Duration::from_millis(100)) {
            world.needs = if query.pod.name.starts_with("web") {
                refuses.clone()
            } else {
                test_objects::no_needs()
            };
            world.read(&query);
            read.push(query.pod.name);
        }
    }
    world.needs = refuses;
    read
}

#[test]
fn needs_that_were_never_read_are_read_before_those_that_have_refused() {
    let mut world = with_exclusive(100);
    world.file.limits.namespace.max = 5;
    world.deployment("api", 4);
    world.unhealthy("api-0");
    let read = read_where_web_refuses(&mut world, 251);
    let first: BTreeSet<_> = read[..101].iter().collect();
    assert_eq!(first.len(), 101, "each once");
    let quarantined = quarantines(&world.decide())[0].pod.key.name.clone();
    assert_eq!(&*quarantined, "api-0");
}

#[test]
fn needs_that_have_refused_are_read_again_in_the_order_of_their_last_readings() {
    let mut world = with_exclusive(60);
    let read = read_where_web_refuses(&mut world, 300);
    assert_eq!(read.len(), 120);
    assert_eq!(read[..60], read[60..]);
}

#[test]
fn a_refusal_stands_while_the_needs_are_read_again() {
    let mut world = with_exclusive(1);
    read_in_seconds(&mut world, 10);
    assert_eq!(asked_after(&mut world, Duration::from_secs(1)).len(), 1);
    for _ in 0..60 {
        asked_after(&mut world, Duration::from_secs(1));
        let uid = world.pod("web-0").uid.clone();
        let refused = world.state.refused(&uid).next().unwrap();
        assert_eq!(refused.refusal.reason, Reason::ExclusiveResource);
    }
}

#[test]
fn all_pods_that_are_observed_have_their_turn() {
    let mut world = World::new();
    world.file.limits.cluster.max = 100;
    world.file.limits.namespace.max = 100;
    world.policy(|policy| policy.mode = Mode::Observe);
    for number in 0..60 {
        let name = format!("d{number}");
        world.deployment(&name, 2);
        world.unhealthy(&format!("{name}-0"));
    }
    let mut reported = BTreeSet::new();
    let mut read: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    for _ in 0..600 {
        world.pass(Duration::from_millis(100));
        let planned = world.decide();
        for (pod, reason) in refusals(&planned) {
            assert_eq!(reason, Reason::Observe);
            assert!(reported.insert(pod.to_owned()), "{pod} is reported once");
        }
        for lookup in lookups(&planned) {
            let Lookup::Needs(query) = lookup else {
                panic!("only observed: {lookup:?}");
            };
            world.read(&query);
            *read.entry(query.pod.name).or_default() += 1;
        }
    }
    assert_eq!((reported.len(), read.len()), (60, 60));
    assert!(read.values().all(|times| *times == 4), "{read:?}");
}

/// Suspect pods of so many Deployments.
fn with_suspects(deployments: u32) -> World {
    let mut world = World::new();
    world.file.limits.namespace.max = 5;
    for number in 0..deployments {
        let name = format!("d{number}");
        world.deployment(&name, 2);
        world.service(&name, &[("app", &*name)]);
        let mut finding = world.finding(&format!("{name}-0"));
        finding.verdict = Verdict::Suspect;
        world.findings.push(finding);
    }
    world
}

/// How many dry runs are begun in a second, and how many readings of needs: decisions come as fast as samples do.
fn in_a_second(world: &mut World, are_accepted: bool) -> (u32, u32) {
    let (mut dry_runs, mut needs) = (0, 0);
    for _ in 0..50 {
        world.pass(Duration::from_millis(20));
        for lookup in lookups(&world.decide()) {
            match lookup {
                Lookup::DryRun(quarantine) => {
                    dry_runs += 1;
                    if are_accepted {
                        world.state.record_dry_run(&quarantine.slot.workload);
                    }
                }
                Lookup::Needs(query) => {
                    needs += 1;
                    world.read(&query);
                }
                Lookup::Drain(query) => panic!("nothing is quarantined: {query:?}"),
            }
        }
    }
    (dry_runs, needs)
}

#[test]
fn the_suspect_pods_of_one_namespace_are_prepared_a_few_at_a_time() {
    for are_accepted in [false, true] {
        let mut world = with_suspects(100);
        for _ in 0..3 {
            let (dry_runs, needs) = in_a_second(&mut world, are_accepted);
            assert_eq!((dry_runs, needs), (4, 4));
        }
    }
}

#[test]
fn there_is_room_for_dry_runs_again_a_second_after_the_last() {
    let mut world = with_suspects(8);
    world.pass(Duration::from_secs(1));
    for (milliseconds, expected) in [(0, 4), (999, 0), (1, 4)] {
        world.pass(Duration::from_millis(milliseconds));
        let mut dry_runs = 0;
        for _ in 0..2 {
            for lookup in lookups(&world.decide()) {
                match lookup {
                    Lookup::DryRun(_) => dry_runs += 1,
                    Lookup::Needs(query) => world.read(&query),
                    Lookup::Drain(query) => panic!("nothing is quarantined: {query:?}"),
                }
            }
        }
        assert_eq!(dry_runs, expected, "{milliseconds}");
    }
}

#[test]
fn the_suspect_pods_of_one_namespace_leave_room_for_the_dry_runs_of_others() {
    let mut world = with_suspects(20);
    let victim = with_victim(&mut world, "d0-0");
    world.findings.last_mut().unwrap().verdict = Verdict::Suspect;
    world.pass(Duration::from_secs(1));
    let mut dry_run = Vec::new();
    for _ in 0..2 {
        for lookup in lookups(&world.decide()) {
            match lookup {
                Lookup::DryRun(quarantine) => dry_run.push(quarantine.pod.key.clone()),
                Lookup::Needs(query) => world.read(&query),
                Lookup::Drain(query) => panic!("nothing is quarantined: {query:?}"),
            }
        }
    }
    assert_eq!(dry_run.len(), 5, "{dry_run:?}");
    assert_eq!(dry_run.last(), Some(&victim));
}

/// Each of them has fewer dry runs than a namespace may have.
#[test]
fn the_suspect_pods_of_several_namespaces_are_prepared_a_few_at_a_time_in_all() {
    let mut world = with_suspects(3);
    for namespace in ["a", "b", "c", "d", "e", "f", "g"] {
        deployment_in(&mut world, namespace);
        let pod = world.view.pod(&ObjectKey::new(namespace, "db-0")).unwrap();
        let mut finding = world.findings[0].clone();
        finding.pod = pod.key.clone();
        finding.uid = pod.uid.clone();
        finding.scopes = world.view.scopes_of(pod);
        world.findings.push(finding);
    }
    assert_eq!(in_a_second(&mut world, true).0, 8);
}

/// The drains that a decision a moment later follows.
fn followed(world: &mut World) -> Vec<DrainQuery> {
    world.pass(Duration::from_millis(20));
    let lookups = lookups(&world.decide()).into_iter();
    let drains = lookups.filter_map(|lookup| match lookup {
        Lookup::Drain(query) => Some(query),
        _ => None,
    });
    drains.collect()
}

/// A person takes label and record off a quarantined pod and puts them back, a hundred times, before its slot is checked. Gives
/// how many drains are followed meanwhile.
fn followed_while_the_record_comes_and_goes(world: &mut World) -> usize {
    let mut count = 0;
    for _ in 0..100 {
        let quarantined = world.pod("web-0").clone();
        world.change("web-0", |pod| {
            pod.labels.remove(keys::STATE);
            pod.annotations.remove(keys::RECORD);
        });
        count += followed(world).len();
        world.put(quarantined);
        count += followed(world).len();
    }
    count
}

#[test]
fn a_pod_whose_record_comes_and_goes_is_followed_once() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let uid = world.pod("web-0").uid.clone();
    let first = followed(&mut world);
    assert_eq!(first.len(), 1);
    assert_eq!(
        followed_while_the_record_comes_and_goes(&mut world),
        0,
        "the first is under way"
    );
    world.state.record_drain(&uid, vec!["web".into()]);
    let second = followed(&mut world);
    assert_eq!(
        second, first,
        "it is not out yet: followed from the same time on"
    );
    world.state.record_drain(&uid, Vec::new());
    assert_eq!(
        followed_while_the_record_comes_and_goes(&mut world),
        0,
        "it is out"
    );
}

#[test]
fn a_follow_that_ends_after_its_pod_was_taken_back_is_the_last() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let uid = world.pod("web-0").uid.clone();
    assert_eq!(followed(&mut world).len(), 1);
    world.change("web-0", |pod| {
        pod.labels.remove(keys::STATE);
        pod.annotations.remove(keys::RECORD);
    });
    assert_eq!(followed(&mut world), []);
    world.state.record_drain(&uid, vec!["web".into()]);
    for _ in 0..100 {
        assert_eq!(followed(&mut world), []);
    }
}

/// Released, and quarantined again.
#[test]
fn a_pod_whose_slot_comes_and_goes_too_is_followed_once() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let (quarantined, ledger) = (world.pod("web-0").clone(), world.ledger().clone());
    assert_eq!(followed(&mut world).len(), 1);
    world.change("web-0", |pod| {
        pod.labels.remove(keys::STATE);
        pod.annotations.remove(keys::RECORD);
    });
    world.ledger().slots.clear();
    assert_eq!(followed(&mut world), []);
    world.put(quarantined);
    *world.ledger() = ledger;
    assert_eq!(followed(&mut world), [], "the first is under way");
}

#[test]
fn the_drain_of_another_record_is_followed_once_that_of_the_first_has_ended() {
    let mut world = World::with_web();
    world.quarantine("web-0");
    let uid = world.pod("web-0").uid.clone();
    assert_eq!(followed(&mut world)[0].services, ["web".into()]);
    world.service("trap", &[("app", "quarantined")]);
    let again = the_quarantine(&world.planned()).clone();
    world.carry_out(&again);
    assert_eq!(followed(&mut world), [], "the first is under way");
    world.state.record_drain(&uid, Vec::new());
    assert_eq!(
        followed(&mut world)[0].services,
        ["web".into(), "trap".into()]
    );
}
