//! What is decided, and why: no clock, no network, no async, no client type.

pub mod policy;
pub mod selector;
