//! The workload of a pod.

use std::sync::Arc;

use crate::object::{Controller, Reference, Uid};

/// The controllers of a pod, up to the top one.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    pub owner: &'a Controller,
    /// The Deployment that owns the owner, if one does.
    pub deployment: Option<&'a Controller>,
    /// The owner's owner, if that is of a kind that the agent does not read, such as an Argo Rollout.
    pub custom_parent: Option<&'a Reference>,
}

impl Workload<'_> {
    /// The top controller among those that the agent reads.
    #[must_use]
    pub fn top(&self) -> &Controller {
        self.deployment.unwrap_or(self.owner)
    }

    /// The top controller of any kind, as records hold it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        let top = self.top().reference();
        self.custom_parent.cloned().unwrap_or(top)
    }

    /// The uid that limits are counted by.
    #[must_use]
    pub fn uid(&self) -> &Uid {
        let top = &self.top().uid;
        self.custom_parent.map_or(top, |parent| &parent.uid)
    }

    /// Its annotation [`RESET`](crate::keys::RESET).
    #[must_use]
    pub fn reset(&self) -> Option<&Arc<str>> {
        self.top().reset.as_ref()
    }

    /// Whether the pod's controller is of the current revision.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let deployment = self.deployment;
        deployment.is_none_or(|deployment| deployment.revision == self.owner.revision)
    }

    /// The desired replicas of the whole workload: during a rollout a ReplicaSet wants fewer than its Deployment.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.top().desired
    }
}

/// Why a pod has no workload that the agent can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWorkload {
    /// No controller owns the pod.
    Unowned,
    /// A controller of a kind that the agent does not read owns it.
    UnsupportedKind(Reference),
    /// The controller is not in the view, which lags behind.
    NotSeen(Reference),
}
