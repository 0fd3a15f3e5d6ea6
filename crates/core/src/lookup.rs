//! What is to be looked up because no watch reports it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    object::{ObjectKey, Uid},
    time::{Moment, Now},
    write::Quarantine,
};

/// One thing to look up. No decision waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Read the needs of the replacement of a pod.
    Needs(NeedsQuery),
    /// Wait for a while until a quarantined pod is out of the EndpointSlices of its Services.
    Drain(DrainQuery),
    /// Send a change as a dry run before it is needed.
    DryRun(Box<Quarantine>),
}

/// A pod that may soon leave its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsQuery {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// Whether the nodes are read, too.
    pub with_nodes: bool,
    /// When it was requested.
    pub at: Now,
}

/// A quarantined pod and the Services that it has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainQuery {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// The policy that requested the quarantine.
    pub policy: Arc<str>,
    pub services: Vec<Arc<str>>,
    /// When it was quarantined.
    pub at: Timestamp,
    /// Since when its drain is followed.
    pub since: Moment,
}
