//! What a pod belongs to.

use std::sync::Arc;

use crate::object::{Controller, Reference, Uid};

/// The top controller of a pod, and the pod's own.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    pub owner: &'a Controller,
    /// The Deployment above it, if there is one.
    pub deployment: Option<&'a Controller>,
    /// The owner's owner, if that is of a kind that the agent does not read, such as an Argo Rollout.
    pub custom_parent: Option<&'a Reference>,
}

impl Workload<'_> {
    /// The top controller of those that the agent reads.
    #[must_use]
    pub fn top(&self) -> &Controller {
        self.deployment.unwrap_or(self.owner)
    }

    /// The top of the chain, as a record names it.
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

    /// What people have written into its annotation [`RESET`](crate::keys::RESET).
    #[must_use]
    pub fn reset(&self) -> Option<&Arc<str>> {
        self.top().reset.as_ref()
    }

    /// Whether the pod's controller is of the revision that is wanted.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let deployment = self.deployment;
        deployment.is_none_or(|deployment| deployment.revision == self.owner.revision)
    }

    /// How many pods are wanted. During a rollout a ReplicaSet wants fewer than its Deployment.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.top().desired
    }
}

/// Why a pod has no workload that can be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWorkload {
    /// No controller owns the pod.
    Unowned,
    /// A controller of a kind that the agent does not read owns it.
    UnsupportedKind(Reference),
    /// The controller is named but not in the view: the view lags behind.
    NotSeen(Reference),
}
