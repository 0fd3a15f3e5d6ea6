//! The pure core's claims: a world is built, findings are put in, actions are read out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod again;
mod available;
mod by_hand;
mod contrast;
mod detach;
mod detach_model;
mod early;
mod effect;
mod explain;
mod judge;
mod ledger;
mod limits;
mod memory;
mod network_policies;
mod observe;
mod outcome;
mod overrides;
mod pacing;
mod pause;
mod placement;
mod quarantine;
mod quota;
mod reap;
mod record;
mod refusals;
mod release;
mod replacement;
mod restore;
mod service;
mod settle;
mod slots;
mod storm;
mod upkeep;
mod view;
mod world;
