//! A pod.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Annotations, Container, ContainerRun, ContainerState, ObjectKey, Reference, ResourceVersion,
    Uid,
};
use crate::{
    keys,
    overrides::Overrides,
    policy::Port,
    record::{ParsedRecord, Record, RecordState},
    selector::{Labels, Selector},
    text::Fingerprint,
};

/// How many labels of a pod are kept. An object has room for 100,000, and whoever may patch a pod may write them. A record
/// holds all labels of its pod, and has room for fewer than that: a pod that has more cannot be quarantined. It is not
/// left out of the view: it may have been quarantined before, and then it counts and is deleted as any other, and is
/// released once it has fewer.
pub const MAX_LABELS: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub key: ObjectKey,
    pub uid: Uid,
    pub resource_version: ResourceVersion,
    /// The first [`MAX_LABELS`], and the agent's own.
    pub labels: Labels,
    /// How many labels it has besides: if any, it is not known what selects it.
    pub labels_left_out: usize,
    pub annotations: Annotations,
    /// Its controller.
    pub owner: Option<Reference>,
    pub created: Option<Timestamp>,
    /// How often its containers were restarted, in all.
    pub restarts: u32,
    /// `None` until it is scheduled.
    pub node: Option<Arc<str>>,
    pub host_ports: Vec<HostPort>,
    /// Whether it uses its node's address: then it may take ports that it does not declare.
    pub host_network: bool,
    pub phase: Phase,
    pub ready: bool,
    pub terminating: bool,
    pub address: Option<IpAddr>,
    pub containers: Vec<Container>,
    /// The selectors of its own `DoNotSchedule` spread constraints: while it matches them, its replacement may find no
    /// node.
    pub spread_over: Vec<Selector>,
    /// The selectors of its own required anti-affinity. They keep every pod that matches them off its node, whatever
    /// labels it has itself.
    pub repels: Vec<Selector>,
}

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
                let mut ports = self
                    .containers
                    .iter()
                    .flat_map(|container| &container.ports);
                let named = ports.find(|(candidate, _)| candidate.as_ref() == Some(name));
                named.map(|(_, number)| *number)
            }
        }
    }

    /// The present run of the container that has a port; `None` while it does not run, or has not started up. Without a
    /// port, or where no container declares it, of all containers that have not ended: the latest.
    #[must_use]
    pub fn run(&self, port: Option<&Port>) -> Option<ContainerRun> {
        let has_port = |container: &&Container| {
            container.ports.iter().any(|(name, number)| match port {
                Some(Port::Number(asked)) => asked == number,
                Some(Port::Name(asked)) => name.as_ref() == Some(asked),
                None => false,
            })
        };
        let asked = self.containers.iter().find(has_port);
        let containers = asked.map_or(&self.containers[..], std::slice::from_ref);
        let mut latest = None;
        for container in containers {
            match container.state {
                ContainerState::Starting => return None,
                ContainerState::Running(run) => latest = latest.max(Some(run)),
                ContainerState::Ended => {}
            }
        }
        latest
    }

    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(AsRef::as_ref)
    }

    /// Whether its replacement needs a node on which certain ports are free.
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

    /// Whether it carries the state label as the agent writes it: an admission policy lets the agent delete no other pod.
    #[must_use]
    pub fn is_marked_quarantined(&self) -> bool {
        let state = self.labels.get(keys::STATE);
        state.is_some_and(|state| &**state == keys::QUARANTINED)
    }

    /// What its record annotation says.
    #[must_use]
    pub fn record(&self) -> &RecordState {
        let record = self.annotations.record();
        record.map_or(&RecordState::Absent, |record| record.on(&self.uid))
    }

    /// Its record, if the text is known to be the agent's.
    pub(crate) fn known_record(
        &self,
        is_known: impl FnOnce(&Fingerprint) -> bool,
    ) -> Option<&Record> {
        self.annotations.record()?.known(&self.uid, is_known)
    }

    /// Of the text of its record annotation, whatever that says.
    #[must_use]
    pub fn record_fingerprint(&self) -> Option<&Fingerprint> {
        self.annotations.record().map(ParsedRecord::fingerprint)
    }

    /// What people have written on it.
    #[must_use]
    pub fn overrides(&self) -> &Overrides {
        self.annotations.overrides()
    }

    /// Whether it counts for the limits: it carries the state label or a record and is not being deleted.
    #[must_use]
    pub fn counts_as_quarantined(&self) -> bool {
        !self.terminating && (self.has_state_label() || *self.record() != RecordState::Absent)
    }

    /// Whether a decision must check it on every tick, whatever the signals say.
    #[must_use]
    pub fn tracked(&self) -> bool {
        self.has_state_label()
            || keys::TRACKED
                .iter()
                .any(|key| self.annotations.contains_key(key))
            || !self.overrides().mistakes.is_empty()
    }
}

/// A port of its node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address; `None` for all of them.
    pub address: Option<Arc<str>>,
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
}

impl HostPort {
    /// Whether a node can give only one of the two to a pod.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let addresses = self.address.as_ref().zip(other.address.as_ref());
        self.port == other.port
            && self.protocol == other.protocol
            && addresses.is_none_or(|(one, other)| one == other)
    }
}
