//! A pod.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Annotations, ObjectKey, Reference, ResourceVersion, Uid};
use crate::{
    keys,
    overrides::Overrides,
    policy::Port,
    record::RecordState,
    selector::{Labels, Selector},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub key: ObjectKey,
    pub uid: Uid,
    /// The version that this was read at.
    pub resource_version: ResourceVersion,
    pub labels: Labels,
    /// Those of [`keys::READ_FROM_PODS`].
    pub annotations: Annotations,
    /// Its controller.
    pub owner: Option<Reference>,
    pub created: Option<Timestamp>,
    /// When the kubelet first saw it.
    pub started: Option<Timestamp>,
    /// How often its containers were restarted.
    pub restarts: u32,
    /// Its node, once it has one.
    pub node: Option<Arc<str>>,
    /// The ports that it takes of its node.
    pub host_ports: Vec<HostPort>,
    /// Whether it has its node's address: then it may take ports that it does not declare.
    pub host_network: bool,
    pub phase: Phase,
    pub ready: bool,
    /// Whether its deletion has begun.
    pub terminating: bool,
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
    pub fn takes_host_ports(&self) -> bool {
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

    /// What stands in its record annotation.
    #[must_use]
    pub fn record(&self) -> RecordState {
        RecordState::parse(self.annotation(keys::RECORD), &self.uid)
    }

    /// What people have written on it.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides::read(&self.annotations)
    }

    /// Whether it counts for the limits: it carries the state label or a record and is not going away.
    #[must_use]
    pub fn counts_as_quarantined(&self) -> bool {
        !self.terminating && (self.has_state_label() || self.record() != RecordState::Absent)
    }

    /// Whether a decision must look at it on every tick, whatever the signals say.
    #[must_use]
    pub fn tracked(&self) -> bool {
        self.has_state_label()
            || keys::TRACKED
                .iter()
                .any(|key| self.annotations.contains_key(*key))
            || !self.overrides().mistakes.is_empty()
    }
}

/// A port that a pod takes of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `None` for all of them.
    pub address: Option<Arc<str>>,
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

impl HostPort {
    /// Whether only one of the two can be had on a node.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let addresses = self.address.as_ref().zip(other.address.as_ref());
        self.port == other.port
            && self.protocol == other.protocol
            && addresses.is_none_or(|(one, other)| one == other)
    }
}
