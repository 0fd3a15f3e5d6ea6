//! What a replacement would need beside the pod that it replaces.
//!
//! Both ran on one ReadWriteOnce volume when that was tried: silent corruption. So before a pod leaves its workload,
//! what the two could not share is read, and the quotas of its namespace.

use std::sync::Arc;

use crate::{
    placement::{Node, Placement},
    quota::{Quota, Taken},
    time::Now,
};

/// What was read of a pod and its surroundings; or why it could not be read, which hinders a quarantine as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// The claims of its volumes that a replacement would use as well.
    pub claims: Result<Vec<Claim>, String>,
    /// What it takes of the quotas of its namespace.
    pub quotas: Result<(Taken, Vec<Quota>), String>,
    /// What it asks of its node, and all nodes; not read of a pod that takes no port of its node.
    pub nodes: Result<(Placement, Vec<Node>), String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: Arc<str>,
    /// The access modes of the volume that it is bound to, else those it asks for; none where it is not there.
    pub modes: Vec<Arc<str>>,
}

impl Claim {
    /// Whether two pods may use it at the same time.
    #[must_use]
    pub fn can_be_shared(&self) -> bool {
        let shared = ["ReadWriteMany", "ReadOnlyMany"];
        self.modes.iter().any(|mode| shared.contains(&&**mode))
    }
}

/// Needs, and when they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct NeedsAt {
    /// When the reading began.
    pub at: Now,
    pub needs: Needs,
}
