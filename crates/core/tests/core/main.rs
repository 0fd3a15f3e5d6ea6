//! The pure core's claims: a world is built, findings are put in, the plan is read out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod availability;
mod bad_together;
mod bounded_lookups;
mod bounded_work;
mod containers;
mod contrast;
mod decision_time;
mod detach;
mod detach_model;
mod dry_run;
mod effect;
mod ends_of_failures;
mod explain;
mod failures_of_nodes;
mod golden;
mod judge;
mod ledger;
mod ledger_upkeep;
mod limits;
mod lost_connections;
mod lost_since;
mod manual;
mod memory;
mod network_policies;
mod node_storms;
mod notice;
mod observe;
mod order_of_checks;
mod outcome;
mod overrides;
mod pacing;
mod pause;
mod placement;
mod quantity;
mod quarantine;
mod quota;
mod reap;
mod record;
mod recovered;
mod refusals;
mod release;
mod replacement;
mod requarantine;
mod restore;
mod scene;
mod selector;
mod service;
mod setbacks;
mod settle;
mod slots;
mod spells;
mod spells_model;
mod storm;
mod streaks_and_storms;
mod tenants;
mod threshold;
mod time;
mod verdict_counts;
mod view;
mod world;

/// So many cases of each property, or as many as `PROPTEST_CASES` says: more for `make soak-detach`, fewer for
/// `make mutants`.
fn proptest_cases(cases: u32) -> proptest::test_runner::Config {
    let mut config = proptest::test_runner::Config {
        failure_persistence: None,
        ..Default::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}
