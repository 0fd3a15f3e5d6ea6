//! In `observe` a refusal says what would be done, and nothing is done.

use std::sync::Arc;

use pod_quarantine_core::{policy::Mode, reason::Reason};

use crate::{
    outcome::{quarantines, refusals},
    world::{World, policy},
};

#[test]
fn observe_changes_nothing_and_says_what_it_would_do() {
    let mut world = World::with_web();
    world.policy(|policy| policy.mode = Mode::Observe);
    world.file.limits.cluster.max = 2;
    for name in ["web-0", "web-1", "web-2"] {
        world.unhealthy(name);
    }
    let planned = world.tick();
    assert_eq!(
        refusals(&planned),
        [
            ("web-0", Reason::Observe),
            ("web-1", Reason::Observe),
            ("web-2", Reason::ClusterLimit)
        ]
    );
    assert_eq!(planned.len(), 3, "and does nothing else: {planned:?}");
}

#[test]
fn a_pod_found_by_two_observing_policies_counts_once_for_the_limits() {
    let mut world = World::with_web();
    world.policy(|policy| policy.mode = Mode::Observe);
    let mut second = policy("second");
    second.mode = Mode::Observe;
    world.file.policies.push(Arc::new(second));
    world.file.limits.cluster.max = 2;
    world.unhealthy("web-0");
    let mut again = world.finding("web-0");
    again.policy = world.file.policies[1].clone();
    world.findings.push(again);
    world.unhealthy("web-1");
    let all = [
        ("web-0", Reason::Observe),
        ("web-0", Reason::Observe),
        ("web-1", Reason::Observe),
    ];
    assert_eq!(refusals(&world.planned()), all);
}

#[test]
fn observed_quarantines_use_no_room_of_enforced_quarantines() {
    let mut world = World::with_web();
    let mut observing = policy("observing");
    observing.mode = Mode::Observe;
    world.file.policies.push(Arc::new(observing));
    world.file.limits.cluster.max = 1;
    world.deployment("api", 1);
    let mut first = world.finding("api-0");
    first.policy = world.file.policies[1].clone();
    world.findings.push(first);
    world.unhealthy("web-1");
    let planned = world.planned();
    let taken: Vec<&str> = quarantines(&planned)
        .iter()
        .map(|one| &*one.pod.key.name)
        .collect();
    assert_eq!(taken, ["web-1"]);
    assert_eq!(refusals(&planned), [("api-0", Reason::ClusterLimit)]);
}
