//! Fuzz targets: one for each kind of text that people, tenants and servers write and the agent reads.
//!
//! A target takes any bytes. It panics where the agent would panic, or where what was read breaks a rule that holds for
//! every text. `make fuzz` looks for such bytes; `tests/corpus.rs` tries those that were found interesting before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a target that meets the unexpected has found it"
)]

mod annotations;
mod cluster;
mod duration;
mod ledger;
mod object;
mod policy_file;
mod prometheus_answer;
mod record;

/// What is run with any bytes.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a folder of that name in `corpus`, and may have a file of words in `words`.
pub const TARGETS: [(&str, Target); 7] = [
    ("annotations", annotations::run),
    ("duration", duration::run),
    ("record", record::run),
    ("policy_file", policy_file::run),
    ("prometheus_answer", prometheus_answer::run),
    ("ledger", ledger::run),
    ("object", object::run),
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name)?;
    Some(target)
}
