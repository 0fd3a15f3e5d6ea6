//! What `kubectl quarantine` understands and prints: pods in, texts out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod arguments;
mod completion;
mod jsonpath;
mod list;
mod outcome;
mod pods;
mod print;
mod quarantined;
mod why;
