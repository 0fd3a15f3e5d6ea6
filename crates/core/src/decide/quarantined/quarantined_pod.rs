//! A quarantined pod with what is written on it.

use crate::{object::Pod, overrides::Overrides, record::Record};

/// A pod with the record that this installation wrote, and what people have written.
#[derive(Clone, Copy)]
pub(super) struct QuarantinedPod<'a> {
    pub(super) pod: &'a Pod,
    pub(super) record: &'a Record,
    pub(super) overrides: &'a Overrides,
}
