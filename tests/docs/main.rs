//! README, CONTRIBUTING and `docs` say what is so: what they list is compared with the code, in both directions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails, and says where"
)]

mod annotations;
mod architecture;
mod commands;
mod contributing;
mod metrics;
mod page;
mod pages;
mod permissions;
mod policy_file;
mod refusals;
mod shown;
