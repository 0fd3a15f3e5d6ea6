//! From the wire to the core: every field that can be missing or malformed is handled here.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{
    Interner,
    rolling::is_rolling,
    wire::{
        WireBudget, WireBudgetStatus, WireContainer, WireContainerStatus, WireControllerSpec,
        WireControllerStatus, WireLedger, WireMeta, WireNamespace, WireNetworkPolicy, WireNode,
        WirePod, WirePodSpec, WirePodStatus, WireService,
    },
};
use crate::{
    cluster::client::BadObject,
    core::{
        keys,
        ledger::Ledger,
        object::{
            Annotations, BudgetStatus, Container, ContainerRun, ContainerState, Controller,
            ControllerKind, DisruptionBudget, HostPort, MAX_ANNOTATION_BYTES, MAX_LABELS,
            Namespace, NetworkPolicy, NodeZone, ObjectKind, Pod, PodSelectingObject, Reference,
            Service,
        },
        selector::{Labels, MAX_SIZE, Selector},
        text::{Fingerprint, truncate},
    },
};

/// What is kept of a name, a kind or a uid in an ownerReference: the API server bounds none of them.
const MAX_NAME_BYTES: usize = 253;

/// Converts objects into those of the core; texts that they have in common are stored once.
#[derive(Debug, Default)]
pub(crate) struct Converter {
    interner: Interner,
}

impl Converter {
    pub(crate) fn pod(&mut self, wire: &WirePod) -> Result<Pod, BadObject> {
        let WirePod {
            metadata: meta,
            spec,
            status,
        } = wire;
        let labels = self.labels_of_pod(meta);
        let mut containers = Vec::new();
        for container in spec.running_on() {
            containers.push(self.container(container, status));
        }
        let mut restarts = 0_u32;
        for container in &status.container_statuses {
            restarts = restarts.saturating_add(restart_count(container));
        }
        let mut conditions = status.conditions.iter();
        let ready = conditions.find(|condition| condition.kind == "Ready");
        Ok(Pod {
            key: meta.key()?,
            uid: meta.uid()?,
            resource_version: meta.version()?,
            labels_left_out: meta
                .labels
                .as_ref()
                .map_or(0, |all| all.len() - labels.len()),
            labels,
            annotations: annotations(meta),
            owner: self.owner(meta),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            restarts,
            node: spec
                .node_name
                .as_deref()
                .map(|name| self.interner.text(name)),
            host_ports: self.host_ports(spec),
            host_network: spec.host_network,
            phase: status.phase,
            ready: ready.is_some_and(|ready| ready.status == "True"),
            terminating: meta.is_terminating(),
            address: status
                .pod_ip
                .as_deref()
                .and_then(|address| address.parse().ok()),
            containers,
            spread_over: self.spread_over(spec)?,
            repels: self.repels(spec)?,
        })
    }

    /// The first ones, and those by which a quarantined pod is known, wherever they stand among the others.
    fn labels_of_pod(&mut self, meta: &WireMeta) -> Labels {
        let all = meta.labels.iter().flatten().enumerate();
        let kept = all.filter(|(index, (key, _))| {
            *index < MAX_LABELS || [keys::STATE, keys::WORKLOAD].contains(&&***key)
        });
        kept.map(|(_, (key, value))| (self.interner.text(key), self.interner.text(value)))
            .collect()
    }

    fn container(&mut self, wire: &WireContainer, status: &WirePodStatus) -> Container {
        let statuses = status.container_statuses.iter();
        let mut statuses = statuses.chain(&status.init_container_statuses);
        let status = statuses.find(|status| status.name == wire.name);
        let ports = wire.ports.iter().map(|port| {
            let name = port.name.as_deref().map(|name| self.interner.text(name));
            (name, port.container_port)
        });
        Container {
            ports: ports.collect(),
            state: status.map_or(ContainerState::Starting, container_state),
        }
    }

    fn host_ports(&mut self, spec: &WirePodSpec) -> Vec<HostPort> {
        let mut taken = Vec::new();
        for port in spec.ports() {
            let Some(number @ 1..) = port.host_port else {
                continue;
            };
            taken.push(HostPort {
                port: number,
                address: match port.host_ip.as_deref() {
                    None | Some("" | "0.0.0.0" | "::") => None,
                    Some(address) => Some(self.interner.text(address)),
                },
                protocol: self
                    .interner
                    .text(port.protocol.as_deref().unwrap_or("TCP")),
            });
        }
        taken
    }

    /// The selectors of the pod's `DoNotSchedule` spread constraints. An empty one matches whatever the labels are.
    fn spread_over(&mut self, spec: &WirePodSpec) -> Result<Vec<Selector>, BadObject> {
        let spreads = spec.topology_spread_constraints.iter().flatten();
        let hard = spreads.filter(|spread| spread.when_unsatisfiable == "DoNotSchedule");
        self.selectors(hard.filter_map(|spread| spread.label_selector.as_ref()))
    }

    /// The selectors of the pod's required anti-affinity.
    fn repels(&mut self, spec: &WirePodSpec) -> Result<Vec<Selector>, BadObject> {
        let affinity = spec.affinity.as_ref();
        let anti_affinity = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let terms =
            anti_affinity.map(|anti| &anti.required_during_scheduling_ignored_during_execution);
        let terms = terms.into_iter().flatten();
        self.selectors(terms.filter_map(|term| term.label_selector.as_ref()))
    }

    /// All of them together are as large as one may be. A pod in which they are larger cannot be read; nor could it ever:
    /// nobody can change them, so it was not quarantined before.
    fn selectors<'w>(
        &mut self,
        wire: impl Iterator<Item = &'w LabelSelector>,
    ) -> Result<Vec<Selector>, BadObject> {
        let mut selectors = Vec::new();
        let mut size = 0;
        for wire in wire {
            let selector = self.interner.selector(wire)?;
            size += selector.size();
            if size > MAX_SIZE {
                return Err(BadObject::SelectorTooLarge);
            }
            if !selector.is_empty() {
                selectors.push(selector);
            }
        }
        Ok(selectors)
    }

    fn owner(&mut self, meta: &WireMeta) -> Option<Reference> {
        let owner = meta
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true))?;
        let kind = match ObjectKind::from(owner.kind.as_str()) {
            // Other API groups have a `StatefulSet`, too, and whoever creates a pod can write any version there.
            ObjectKind::Controller(_) if owner.api_version != "apps/v1" => {
                let kind = format!("{}.{}", owner.kind, owner.api_version);
                ObjectKind::Other(self.interner.text(truncate(&kind, MAX_NAME_BYTES)))
            }
            ObjectKind::Controller(kind) => ObjectKind::Controller(kind),
            ObjectKind::Other(kind) => {
                ObjectKind::Other(self.interner.text(truncate(&kind, MAX_NAME_BYTES)))
            }
        };
        let uid = truncate(&owner.uid, MAX_NAME_BYTES);
        Some(Reference {
            kind,
            name: self.interner.text(truncate(&owner.name, MAX_NAME_BYTES)),
            uid: self.interner.text(uid).into(),
        })
    }

    pub(crate) fn controller(
        &mut self,
        kind: ControllerKind,
        meta: &WireMeta,
        spec: &WireControllerSpec,
        status: &WireControllerStatus,
    ) -> Result<Controller, BadObject> {
        let mut template_commands = Vec::new();
        for command in [keys::QUARANTINE, keys::RELEASE] {
            if spec.template.metadata.annotation(command).is_some() {
                template_commands.push(self.interner.text(command));
            }
        }
        let desired = match kind {
            ControllerKind::DaemonSet => status.desired_number_scheduled.unwrap_or(0),
            // The API server's default.
            _ => spec.replicas.unwrap_or(1),
        };
        Ok(Controller {
            kind,
            key: meta.key()?,
            uid: meta.uid()?,
            selector: self.interner.selector(&spec.selector)?,
            owner: self.owner(meta),
            desired,
            revision: meta.annotation(keys::REVISION).map(Fingerprint::of),
            terminating: meta.is_terminating(),
            rolling: is_rolling(kind, meta, spec, status),
            reset: meta.annotation(keys::RESET).map(Fingerprint::of),
            recreate: spec.strategy.kind.as_deref() == Some("Recreate"),
            template_commands,
        })
    }

    /// An empty selector of a Service counts as none.
    pub(crate) fn service(&mut self, wire: &WireService) -> Result<PodSelectingObject, BadObject> {
        let selector = self.interner.labels_selector(wire.spec.selector.as_ref())?;
        let policies = [
            wire.spec.internal_traffic_policy.as_deref(),
            wire.spec.external_traffic_policy.as_deref(),
        ];
        Ok(PodSelectingObject::Service(Service {
            key: wire.metadata.key()?,
            selector: Some(selector).filter(|selector| !selector.is_empty()),
            local: policies.contains(&Some("Local")),
        }))
    }

    /// A status of another generation than the spec's says nothing about the spec.
    pub(crate) fn budget(&mut self, wire: &WireBudget) -> Result<PodSelectingObject, BadObject> {
        let selector = wire.spec.selector.as_ref();
        let selector = selector.map(|selector| self.interner.selector(selector));
        let is_current = wire.status.observed_generation == wire.metadata.generation;
        Ok(PodSelectingObject::PodDisruptionBudget(DisruptionBudget {
            key: wire.metadata.key()?,
            selector: selector.transpose()?,
            status: if is_current {
                budget_status(&wire.status)
            } else {
                None
            },
        }))
    }

    pub(crate) fn network_policy(
        &mut self,
        wire: &WireNetworkPolicy,
    ) -> Result<PodSelectingObject, BadObject> {
        Ok(PodSelectingObject::NetworkPolicy(NetworkPolicy {
            key: wire.metadata.key()?,
            selector: self.interner.selector(&wire.spec.pod_selector)?,
        }))
    }

    pub(crate) fn zone(&mut self, wire: &WireNode) -> Result<NodeZone, BadObject> {
        let labels = wire.metadata.labels.as_ref();
        let zone = labels.and_then(|labels| labels.get(keys::ZONE));
        Ok(NodeZone {
            node: self.interner.text(&wire.metadata.key()?.name),
            zone: zone.map(|zone| self.interner.text(zone)),
        })
    }

    pub(crate) fn namespace(&mut self, wire: &WireNamespace) -> Result<Namespace, BadObject> {
        let meta = &wire.metadata;
        Ok(Namespace {
            name: meta.key()?.name,
            labels: self.interner.labels(meta.labels.as_ref()),
            mode: meta
                .annotation(keys::MODE)
                .map(|mode| self.interner.text(mode)),
            terminating: meta.is_terminating(),
        })
    }
}

fn restart_count(status: &WireContainerStatus) -> u32 {
    u32::try_from(status.restart_count).unwrap_or(0)
}

/// As the kubelet: probes wait for the startup probe, and count from the start of the container, not of the pod, whose
/// images are pulled and whose init containers run first (`prober/worker.go`).
fn container_state(status: &WireContainerStatus) -> ContainerState {
    let running = status.state.running.as_ref();
    match running.and_then(|running| running.started_at) {
        Some(since) if status.started != Some(false) => ContainerState::Running(ContainerRun {
            since,
            restarts: restart_count(status),
        }),
        None if status.state.terminated.is_some() => ContainerState::Ended,
        Some(_) | None => ContainerState::Starting,
    }
}

/// Not interned: whoever may patch a pod can write a new long one again and again.
fn annotations(meta: &WireMeta) -> Annotations {
    let texts = meta.annotations.iter().flatten();
    let read = texts.filter_map(|(key, text)| {
        let mut keys = keys::READ_FROM_PODS.iter();
        let key = keys.find(|known| *known == key)?;
        Some((Arc::from(*key), truncate(text, MAX_ANNOTATION_BYTES).into()))
    });
    read.collect()
}

fn budget_status(wire: &WireBudgetStatus) -> Option<BudgetStatus> {
    let desired_healthy = wire.desired_healthy;
    Some(BudgetStatus {
        disruptions_allowed: wire.disruptions_allowed?.try_into().ok()?,
        desired_healthy: desired_healthy.map_or(0, |healthy| healthy.try_into().unwrap_or(0)),
    })
}

impl WireLedger {
    pub(crate) fn ledger(&self) -> Result<Ledger, BadObject> {
        let meta = &self.metadata;
        let entries = self.data.iter().flatten();
        let entries = entries.map(|(key, text)| (key.as_str(), text.as_str()));
        let mut ledger = Ledger::read(meta.version()?, entries);
        ledger.uid = meta.uid()?;
        ledger.terminating = meta.is_terminating();
        let rebuilt = meta.annotation(keys::REBUILT);
        // A time that cannot be read counts as the latest: no slot is taken until a person repairs it.
        ledger.rebuilt = rebuilt.map(|text| text.parse().unwrap_or(Timestamp::MAX));
        Ok(ledger)
    }
}
