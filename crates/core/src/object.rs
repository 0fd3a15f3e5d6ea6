//! Objects of the cluster, cut down to what a decision needs.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    keys,
    policy::Port,
    replacement::HostPort,
    selector::{Labels, Selector},
};

/// The unique id of an object: another object of the same name has another one.
pub type Uid = Arc<str>;

/// Annotations, those alone that the agent reads.
pub type Annotations = BTreeMap<Arc<str>, Arc<str>>;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name in it.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of `namespace/name`.
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
    /// Its kind, such as `ReplicaSet`.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Uid,
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.name)
    }
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// The version that this was read at.
    pub resource_version: ResourceVersion,
    /// All its labels.
    pub labels: Labels,
    /// Those of [`keys::READ_FROM_PODS`].
    pub annotations: Annotations,
    /// Its controller.
    pub owner: Option<Reference>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When the kubelet first saw it.
    pub started: Option<Timestamp>,
    /// How often its containers were started anew.
    pub restarts: u32,
    /// Its node, once it has one.
    pub node: Option<Arc<str>>,
    /// The ports that it takes of its node.
    pub host_ports: Vec<HostPort>,
    /// Whether it has its node's address: then it may take ports that it does not declare.
    pub host_network: bool,
    /// Its `status.phase`.
    pub phase: Phase,
    /// The condition `Ready`.
    pub ready: bool,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// Its address.
    pub address: Option<IpAddr>,
    /// The ports that its containers name.
    pub ports: Vec<(Arc<str>, u16)>,
    /// The selectors of its own `DoNotSchedule` spread constraints: as long as it matches them, its replacement may find
    /// no node.
    pub spread_over: Vec<Selector>,
    /// The selectors of its own required anti-affinity. They keep whoever matches them off its node, whatever labels it
    /// has itself.
    pub repels: Vec<Selector>,
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all containers run yet.
    Pending,
    /// It is bound and was started.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// The node does not answer, or the phase is a new one.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Pod {
    /// The number of a port, if the pod has it.
    #[must_use]
    pub fn port(&self, port: &Port) -> Option<u16> {
        match port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => {
                let named = self.ports.iter().find(|(candidate, _)| candidate == name);
                named.map(|(_, number)| *number)
            }
        }
    }

    /// The text of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(AsRef::as_ref)
    }

    /// Whether its replacement needs another node, or one with other ports free.
    #[must_use]
    pub fn takes_ports_of_its_node(&self) -> bool {
        self.host_network || !self.host_ports.is_empty()
    }

    /// Whether all its containers have ended for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it carries the state label, whoever put it there.
    #[must_use]
    pub fn has_state_label(&self) -> bool {
        self.labels.contains_key(keys::STATE)
    }
}

/// An object that selects pods and does not own them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selecting {
    /// Which kind.
    pub kind: SelectingKind,
    /// Namespace and name.
    pub key: ObjectKey,
    /// `None` for a Service without a selector: it cannot be left by relabelling.
    pub selector: Option<Selector>,
    /// Of a PodDisruptionBudget: how many of its pods may go now. `None` where its status is not of its present spec.
    pub disruptions_allowed: Option<u32>,
    /// Of a PodDisruptionBudget: how many of its pods are to be healthy, by the same status.
    pub desired_healthy: Option<u32>,
    /// Of a Service: whether some of its traffic goes to pods of the same node alone.
    pub local: bool,
}

/// The kinds of [`Selecting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectingKind {
    /// A Service.
    Service,
    /// A PodDisruptionBudget.
    PodDisruptionBudget,
    /// A NetworkPolicy.
    NetworkPolicy,
}

impl SelectingKind {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::NetworkPolicy => "NetworkPolicy",
        }
    }
}

/// An object that owns pods, or owns what owns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Which kind.
    pub kind: ControllerKind,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// The pods it takes for its own.
    pub selector: Selector,
    /// Its own controller.
    pub owner: Option<Reference>,
    /// `spec.replicas`; of a DaemonSet, `status.desiredNumberScheduled`.
    pub desired: u32,
    /// The annotation [`keys::REVISION`].
    pub revision: Option<Arc<str>>,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// Of a Deployment: whether its strategy is `Recreate`.
    pub recreate: bool,
    /// Whether its pods are on the way from one template to another.
    pub rolling: bool,
    /// The annotation [`keys::RESET`].
    pub reset: Option<Arc<str>>,
    /// The commands among the annotations of its pod template: on its pods they are nobody's command.
    pub template_commands: Vec<Arc<str>>,
}

impl Controller {
    /// How a record names it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference {
            kind: self.kind.as_str().into(),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// The kinds of [`Controller`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControllerKind {
    /// A Deployment.
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

impl ControllerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
    ];

    /// The kind of that name, if it is one that is read.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its annotation [`keys::MODE`].
    pub mode: Option<Arc<str>>,
    /// Whether its deletion has begun.
    pub terminating: bool,
}
