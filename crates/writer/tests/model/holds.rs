//! No quarantine begins at a limit, each can be put back, nothing else is deleted, and all ends well: in every state
//! within these bounds. Each is small enough for every run of the tests; `make model` goes further.

use crate::{
    model::Scope,
    search::{Explored, explore},
    state::Left,
};

/// Everything within a limit and some faults, one pod being new to the agents.
fn scope(limit: u32, left: Left) -> Scope {
    Scope {
        limit,
        of_namespace: if left.hostile > 0 { 1 } else { 5 },
        left,
        new_pods: 1,
        reads_wait: false,
        endings: Some(1),
        broken: None,
    }
}

fn holds(scope: Scope) -> Explored {
    let explored = explore(scope, false);
    println!("{explored}");
    assert!(explored.found.is_none(), "{explored}");
    explored
}

/// What is tried has come about.
fn has(explored: &Explored, verbs: &[&str]) {
    for verb in verbs {
        assert!(explored.verbs.contains(verb), "no request {verb} anything");
    }
}

#[test]
fn the_limit_holds_when_requests_are_late_doubled_or_lost_and_agents_crash() {
    let explored = holds(scope(
        1,
        Left {
            in_all: 2,
            network: 2,
            status: 1,
            half_minutes: 1,
            ..Left::NOTHING
        },
    ));
    has(&explored, &["dry-runs", "quarantines", "fences", "swaps"]);
}

#[test]
fn the_limit_holds_for_more_than_one_pod() {
    holds(scope(
        2,
        Left {
            in_all: 2,
            network: 2,
            ..Left::NOTHING
        },
    ));
}

#[test]
fn the_limit_holds_whatever_people_do_to_a_pod() {
    let explored = holds(scope(
        1,
        Left {
            in_all: 2,
            network: 1,
            people: 1,
            ..Left::NOTHING
        },
    ));
    has(&explored, &["releases"]);
}

#[test]
fn the_limit_holds_whatever_hostile_people_write_onto_their_pods() {
    let left = Left {
        in_all: 2,
        network: 1,
        hostile: 1,
        ..Left::NOTHING
    };
    let explored = holds(Scope {
        new_pods: 0,
        ..scope(1, left)
    });
    has(&explored, &["quarantines", "releases", "settles"]);
}

/// A namespace may have one pod out: two that are marked take no place of another namespace.
#[test]
fn hostile_people_take_no_more_than_the_limit_of_their_namespace() {
    let left = Left {
        in_all: 1,
        hostile: 1,
        ..Left::NOTHING
    };
    holds(Scope {
        new_pods: 0,
        endings: Some(16),
        ..scope(2, left)
    });
}

#[test]
fn the_limit_holds_when_a_webhook_drops_labels() {
    let explored = holds(scope(
        1,
        Left {
            in_all: 2,
            network: 1,
            webhook: 1,
            ..Left::NOTHING
        },
    ));
    has(&explored, &["undoes the quarantine of"]);
}

#[test]
fn the_limit_holds_when_the_ledger_is_lost() {
    let explored = holds(scope(
        1,
        Left {
            in_all: 2,
            network: 1,
            ledger: 1,
            ..Left::NOTHING
        },
    ));
    has(&explored, &["rebuilds", "names"]);
}

/// An agent may create the next ledger with what it has read before people have put a pod back.
#[test]
fn the_limit_holds_when_the_ledger_is_lost_and_a_slot_of_it_was_freed_before() {
    let left = Left {
        in_all: 2,
        people: 1,
        ledger: 1,
        ..Left::NOTHING
    };
    let explored = holds(Scope {
        new_pods: 0,
        ..scope(1, left)
    });
    has(&explored, &["rebuilds", "names"]);
}

#[test]
fn the_limit_holds_when_pods_turn_healthy_and_unhealthy_again() {
    holds(scope(
        1,
        Left {
            in_all: 3,
            network: 1,
            health: 2,
            ..Left::NOTHING
        },
    ));
}

#[test]
fn the_limit_holds_when_the_ttl_of_pods_expires() {
    let explored = holds(scope(
        1,
        Left {
            ttls: 1,
            ..Left::NOTHING
        },
    ));
    has(&explored, &["deletes"]);
}

#[test]
fn the_limit_holds_when_reads_are_slow() {
    holds(Scope {
        reads_wait: true,
        ..scope(
            1,
            Left {
                in_all: 1,
                network: 1,
                status: 1,
                ..Left::NOTHING
            },
        )
    });
}

/// A number of the environment.
fn asked(name: &str, default: u8) -> u8 {
    let text = std::env::var(format!("MODEL_{name}"));
    text.map_or(default, |text| text.parse().expect("a small number"))
}

#[test]
#[ignore = "`make model` runs it, for as long as the bounds ask for"]
fn the_limit_holds_within_the_bounds_of_the_environment() {
    let in_all = asked("FAULTS", 2);
    let left = Left {
        in_all,
        network: asked("NETWORK", in_all),
        status: asked("STATUS", in_all),
        people: asked("PEOPLE", in_all),
        hostile: asked("HOSTILE", in_all),
        webhook: asked("WEBHOOK", in_all),
        ledger: asked("LEDGER", in_all.min(1)),
        health: asked("HEALTH", in_all),
        half_minutes: asked("HALF_MINUTES", 0),
        ttls: asked("TTLS", 0),
    };
    let scope = Scope {
        new_pods: asked("NEW_PODS", 1).into(),
        reads_wait: asked("READS_WAIT", 0) > 0,
        endings: Some(asked("ENDINGS", 1))
            .filter(|one_of| *one_of > 0)
            .map(u64::from),
        ..scope(asked("LIMIT", 1).into(), left)
    };
    println!("{scope:?}");
    let explored = explore(scope, true);
    println!("{explored}");
    assert!(explored.found.is_none());
}
