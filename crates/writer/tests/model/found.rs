//! Agents that break a rule are found out: what a rule is for is seen where it is missing.

use crate::{broken::Broken, model::Scope, promise::Violation, search::explore, state::Left};

fn scope(broken: Broken, left: Left) -> Scope {
    Scope {
        limit: 1,
        left,
        new_pods: 1,
        reads_wait: false,
        endings: None,
        broken: Some(broken),
    }
}

/// A quarantine begins past the limit.
fn passes_the_limit(scope: Scope) {
    let explored = explore(scope, false);
    println!("{explored}");
    let found = explored.found.expect("it is found");
    assert_eq!(found.violation, Violation::PastTheLimit(1));
}

fn holds(scope: Scope) {
    let explored = explore(scope, false);
    println!("{explored}");
    assert!(explored.found.is_none(), "{explored}");
}

#[test]
fn an_agent_that_frees_slots_by_its_own_view_is_found() {
    let left = Left::NOTHING;
    passes_the_limit(scope(Broken::FreesByItsView, left));
}

/// The newer version is what makes a lagging answer harmless: with any other one it is not.
#[test]
fn an_agent_that_frees_a_slot_at_any_other_version_is_found() {
    let left = Left {
        in_all: 1,
        status: 1,
        ..Left::NOTHING
    };
    holds(scope(Broken::ReadsFromACache, left));
    let any_other = scope(Broken::FreesAtAnyOtherVersion, left);
    passes_the_limit(any_other);
}

#[test]
fn an_agent_whose_fence_changes_nothing_is_found() {
    let left = Left {
        in_all: 2,
        network: 1,
        health: 1,
        ..Left::NOTHING
    };
    let scope = Scope {
        endings: Some(1),
        ..scope(Broken::FencesWithOneText, left)
    };
    let explored = explore(scope, false);
    println!("{explored}");
    let found = explored.found.expect("it is found");
    let leaks = Violation::NoProgress("the slot of p1 is never freed".to_owned());
    assert_eq!(found.violation, leaks);
}

#[test]
fn an_agent_that_moves_a_slot_back_is_found() {
    let left = Left {
        in_all: 2,
        status: 1,
        health: 1,
        ..Left::NOTHING
    };
    passes_the_limit(scope(Broken::MovesSlotsBack, left));
}

#[test]
fn an_agent_that_rebuilds_the_ledger_without_the_wait_is_found() {
    let left = Left {
        in_all: 1,
        ledger: 1,
        ..Left::NOTHING
    };
    passes_the_limit(scope(Broken::RebuildsAtOnce, left));
}

/// Where no view shows a quarantined pod, only the Lease can tell that a ledger was lost.
#[test]
fn an_agent_that_forgets_the_lost_ledger_is_found() {
    let left = Left {
        in_all: 1,
        ledger: 1,
        ..Left::NOTHING
    };
    passes_the_limit(scope(Broken::ForgetsTheLedger, left));
}
