//! What a replacement would need while the pod that it replaces still runs.
//!
//! In a trial, both ran on one ReadWriteOnce volume: silent corruption. So before a pod leaves its workload, the agent
//! reads what the two could not share, and the quotas of its namespace.

use std::sync::Arc;

use crate::{
    placement::{Node, Placement},
    quota::{Quota, Taken},
    time::Now,
};

/// What was read of a pod and its surroundings, or why it could not be read, which prevents a quarantine, too.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The claims of its volumes that a replacement would use, too.
    pub claims: Result<Vec<Claim>, String>,
    /// What it takes of the quotas of its namespace, and these.
    pub quotas: Result<(Taken, Vec<Quota>), String>,
    /// What it requires of its node, and all nodes; not read for a pod without host ports.
    pub nodes: Result<(Placement, Vec<Node>), String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: Arc<str>,
    /// The access modes of the volume that it is bound to, else those it requests; empty if there is no such claim.
    pub modes: Vec<Arc<str>>,
}

impl Claim {
    /// Whether two pods may use the volume at the same time.
    #[must_use]
    pub fn can_be_shared(&self) -> bool {
        let shared = ["ReadWriteMany", "ReadOnlyMany"];
        self.modes.iter().any(|mode| shared.contains(&&**mode))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct NeedsAt {
    /// When the reading began.
    pub at: Now,
    pub needs: Needs,
}
