//! What is to be looked up: what no watch says.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    object::{ObjectKey, Uid},
    time::Now,
    write::Quarantine,
};

/// One thing to look up. Nothing that is decided waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Read what the replacement of a pod would need.
    Needs(NeedsQuery),
    /// See whether a quarantined pod leaves the EndpointSlices of its Services.
    Drain(DrainQuery),
    /// Ask the API server whether it would accept a change, before it is needed.
    DryRun(Box<Quarantine>),
}

/// A pod that may soon leave its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsQuery {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// Whether the nodes matter, too.
    pub with_nodes: bool,
    /// When it was asked.
    pub at: Now,
}

/// A quarantined pod, and the Services that it is to be out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainQuery {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    pub services: Vec<Arc<str>>,
    /// When it was quarantined.
    pub at: Timestamp,
}
