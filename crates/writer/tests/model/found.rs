//! Agents that break a rule are found out: what a rule is for is seen where it is missing.

use crate::{broken::Broken, model::Scope, promise::Violation, search::explore, state::Left};

fn scope(broken: Broken, left: Left) -> Scope {
    Scope {
        limit: 1,
        of_namespace: 5,
        left,
        new_pods: 1,
        reads_wait: false,
        endings: None,
        broken: Some(broken),
    }
}

fn found(scope: Scope) -> Violation {
    let explored = explore(scope, false);
    println!("{explored}");
    explored.found.expect("it is found").violation
}

/// A quarantine begins past the limit.
fn passes_the_limit(scope: Scope) {
    assert_eq!(found(scope), Violation::PastTheLimit(1));
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
    let leaks = Violation::NoProgress("the slot of p1 is never freed".to_owned());
    assert_eq!(found(scope), leaks);
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

/// People take a record off, its slot is freed, and an agent that has not seen that creates the next ledger.
#[test]
fn an_agent_that_takes_slots_of_the_ledger_before_for_rights_is_found() {
    let left = Left {
        in_all: 2,
        people: 1,
        ledger: 1,
        ..Left::NOTHING
    };
    passes_the_limit(Scope {
        new_pods: 0,
        ..scope(Broken::TakesCarriedOverSlotsForRights, left)
    });
}

/// An agent that starts after the loss has not seen the ledger: only the Lease can tell that there was one.
#[test]
fn an_agent_that_forgets_the_lost_ledger_is_found() {
    let left = Left {
        in_all: 2,
        network: 1,
        ledger: 1,
        ..Left::NOTHING
    };
    passes_the_limit(scope(Broken::ForgetsTheLedger, left));
}

/// An agent among hostile people, who do so much: a namespace may have one pod out.
fn among_hostile_people(broken: Broken, limit: u32, left: Left) -> Scope {
    Scope {
        limit,
        of_namespace: 1,
        new_pods: 0,
        endings: Some(1),
        ..scope(broken, left)
    }
}

/// They do one thing.
const ONE_ACT: Left = Left {
    in_all: 1,
    hostile: 1,
    ..Left::NOTHING
};

fn makes_no_progress(scope: Scope, why: &str) {
    assert_eq!(found(scope), Violation::NoProgress(why.to_owned()));
}

#[test]
fn an_agent_that_believes_forged_records_is_found() {
    let scope = among_hostile_people(Broken::BelievesEveryRecord, 1, ONE_ACT);
    assert_eq!(found(scope), Violation::Deleted("tenant/p0".to_owned()));
}

/// A copied record would take the place of a pod.
#[test]
fn an_agent_that_believes_the_records_of_other_pods_is_found() {
    let scope = among_hostile_people(Broken::BelievesRecordsOfOtherPods, 1, ONE_ACT);
    makes_no_progress(scope, "p2 is left where it is, with 0 of 1 out");
}

#[test]
fn an_agent_that_gives_slots_to_forged_pods_is_found() {
    let scope = Scope {
        new_pods: 1,
        ..among_hostile_people(Broken::GivesSlotsToForgedPods, 1, ONE_ACT)
    };
    assert_eq!(found(scope), Violation::SlotsPastTheLimit(2));
}

/// The pod of the other namespace waits for ever.
#[test]
fn an_agent_for_which_forged_pods_have_no_share_in_common_is_found() {
    let scope = among_hostile_people(Broken::CountsForgedPodsOneByOne, 2, ONE_ACT);
    makes_no_progress(scope, "p2 is left where it is, with 1 of 2 out");
}

#[test]
fn an_agent_that_knows_owners_by_their_uid_alone_is_found() {
    let scope = among_hostile_people(Broken::OwnsAcrossNamespaces, 2, ONE_ACT);
    makes_no_progress(scope, "p2 is left where it is, with 1 of 2 out");
}

#[test]
fn an_agent_whose_fence_can_be_written_beforehand_is_found() {
    let left = Left {
        in_all: 3,
        hostile: 1,
        network: 1,
        health: 1,
        ..Left::NOTHING
    };
    let scope = among_hostile_people(Broken::FencesWithTheVersionAlone, 1, left);
    makes_no_progress(scope, "the slot of p0 is never freed");
}
