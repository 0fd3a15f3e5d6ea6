//! Objects of the cluster, reduced to what a decision needs.

mod annotations;
mod container;
mod controller;
mod pod;
mod pod_selecting_object;
mod uid;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

pub use self::{
    annotations::{Annotations, MAX_ANNOTATION_BYTES},
    container::{Container, ContainerRun, ContainerState},
    controller::Controller,
    pod::{HostPort, MAX_LABELS, Phase, Pod},
    pod_selecting_object::{
        BudgetStatus, DisruptionBudget, NetworkPolicy, PodSelectingKind, PodSelectingObject,
        Service,
    },
    uid::Uid,
};
use crate::selector::Labels;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl ObjectKey {
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A resourceVersion. Comparable as a number since Kubernetes 1.35 (KEP-5504), in practice ever since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceVersion(u64);

impl ResourceVersion {
    /// The version of that number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A resourceVersion that is not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read resourceVersion {0:?}: expected a decimal number")]
pub struct BadResourceVersion(String);

impl FromStr for ResourceVersion {
    type Err = BadResourceVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| BadResourceVersion(text.to_owned()))
    }
}

impl TryFrom<String> for ResourceVersion {
    type Error = BadResourceVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ResourceVersion> for String {
    fn from(version: ResourceVersion) -> Self {
        version.to_string()
    }
}

/// Another object, as an ownerReference or a record names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    pub kind: ObjectKind,
    pub name: Arc<str>,
    pub uid: Uid,
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub enum ObjectKind {
    /// A controller that the agent reads.
    Controller(ControllerKind),
    /// Any other kind; with its group, as `StatefulSet.apps.kruise.io`, where the kind alone is that of a controller.
    Other(Arc<str>),
}

impl ObjectKind {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Controller(kind) => kind.as_str(),
            Self::Other(kind) => kind,
        }
    }
}

impl From<&str> for ObjectKind {
    fn from(kind: &str) -> Self {
        match kind.parse() {
            Ok(kind) => Self::Controller(kind),
            Err(_) => Self::Other(kind.into()),
        }
    }
}

impl From<Arc<str>> for ObjectKind {
    fn from(kind: Arc<str>) -> Self {
        match kind.parse() {
            Ok(kind) => Self::Controller(kind),
            Err(_) => Self::Other(kind),
        }
    }
}

impl From<ObjectKind> for Arc<str> {
    fn from(kind: ObjectKind) -> Self {
        match kind {
            ObjectKind::Controller(kind) => kind.as_str().into(),
            ObjectKind::Other(kind) => kind,
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The kinds of controllers that the agent reads, all of the group `apps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr)]
pub enum ControllerKind {
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
}

impl ControllerKind {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeZone {
    /// The node's name.
    pub node: Arc<str>,
    /// Its label [`keys::ZONE`](crate::keys::ZONE).
    pub zone: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub name: Arc<str>,
    pub labels: Labels,
    /// Its annotation [`keys::MODE`].
    pub mode: Option<Arc<str>>,
    pub terminating: bool,
}
