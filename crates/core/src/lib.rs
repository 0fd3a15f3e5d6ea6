//! What is decided, and why: no clock, no network, no async, no client type.
//!
//! The agent, the tests and the model checker all call [`decide::decide`]; everything else here serves it.

pub mod decide;
pub mod detach;
pub mod explain;
pub mod judge;
pub mod keys;
pub mod ledger;
pub mod lookup;
pub mod needs;
pub mod notice;
pub mod object;
pub mod overrides;
pub mod placement;
pub mod policy;
pub mod quantity;
pub mod quota;
pub mod reason;
pub mod record;
pub mod restore;
pub mod scope;
pub mod selector;
pub mod tally;
pub mod text;
pub mod time;
pub mod view;
pub mod workload;
pub mod write;
