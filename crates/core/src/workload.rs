//! The workload of a pod.

use std::{borrow::Borrow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    object::{Controller, Reference, Uid},
    text::Fingerprint,
};

/// What the pods of a workload are counted, limited and compared by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkloadId(Uid);

impl WorkloadId {
    /// Of an object that only an ownerReference in that namespace names. Whoever may create a pod can write any kind and
    /// uid there, also those of an object elsewhere.
    #[must_use]
    pub fn named(namespace: &str, reference: &Reference) -> Self {
        let Reference { kind, uid, .. } = reference;
        let fingerprint = Fingerprint::of(&format!("{namespace}/{kind}/{uid}"));
        Self(Uid::from(Arc::from(fingerprint)))
    }

    /// Of a pod that no controller owns: the pod itself.
    #[must_use]
    pub fn of_pod(pod: &Uid) -> Self {
        Self(pod.clone())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for WorkloadId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for WorkloadId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

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

    /// What limits are counted by. A parent that only an ownerReference names may be any text: it is not believed to be
    /// the object of that uid.
    #[must_use]
    pub fn id(&self) -> WorkloadId {
        match self.custom_parent {
            Some(parent) => WorkloadId::named(&self.owner.key.namespace, parent),
            None => WorkloadId(self.top().uid.clone()),
        }
    }

    /// Its annotation [`RESET`](crate::keys::RESET).
    #[must_use]
    pub fn reset(&self) -> Option<&Fingerprint> {
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
