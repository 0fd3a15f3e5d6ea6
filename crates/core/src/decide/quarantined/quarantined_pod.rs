//! A quarantined pod with what is written on it.

use crate::{ledger::KnownPod, object::Pod, overrides::Overrides, record::Record};

/// A pod with what its record says, and what people have written.
#[derive(Clone, Copy)]
pub(super) struct QuarantinedPod<'a> {
    pub(super) pod: &'a Pod,
    /// What the record says, whoever wrote it.
    pub(super) record: &'a Record,
    /// The pod with its record and its slot, if the agent wrote the record.
    pub(super) known: Option<KnownPod<'a>>,
    pub(super) overrides: &'a Overrides,
}
