//! The cap protocol, tried out: every order in which two agents, three pods, the ledger, people and a bad network can
//! bring things about, within bounds. Decisions, slots and the sequence of the writes are the real code's; the API server
//! and what goes wrong are the model's.
//!
//! `holds` has what is promised, `found` the agents that break a rule each and have to be found out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod agent;
mod broken;
mod call;
mod ending;
mod found;
mod holds;
mod hostile;
mod known;
mod model;
mod promise;
mod search;
mod server;
mod state;
mod step;
mod world;
