//! What `kubectl quarantine` understands and says: pods in, texts out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod age;
mod arguments;
mod completion;
mod kept;
mod list;
mod outcome;
mod pods;
mod why;
