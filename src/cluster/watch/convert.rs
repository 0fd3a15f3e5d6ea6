//! From the wire to the core: every field that can be missing or malformed is dealt with here.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{
    Interner,
    rolling::is_rolling,
    wire::{
        WireBudget, WireControllerSpec, WireControllerStatus, WireLedger, WireMeta, WireNamespace,
        WirePod, WirePodSpec, WireService,
    },
};
use crate::{
    cluster::client::BadObject,
    core::{
        keys,
        ledger::Ledger,
        object::{Controller, ControllerKind, Namespace, Pod, Reference, Selecting, SelectingKind},
        replacement::HostPort,
        selector::Selector,
    },
};

/// Makes core objects of what was read; texts that they have in common are kept once.
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
        let mut ports = Vec::new();
        for port in spec.ports() {
            if let Some(name) = &port.name {
                ports.push((self.interner.text(name), port.container_port));
            }
        }
        let mut restarts = 0_u32;
        for container in &status.container_statuses {
            let of_it = u32::try_from(container.restart_count).unwrap_or(0);
            restarts = restarts.saturating_add(of_it);
        }
        let mut conditions = status.conditions.iter();
        let ready = conditions.find(|condition| condition.kind == "Ready");
        Ok(Pod {
            key: meta.key()?,
            uid: meta.uid()?,
            resource_version: meta.version()?,
            labels: self.interner.labels(meta.labels.as_ref()),
            annotations: self.interner.labels(meta.annotations.as_ref()),
            owner: self.owner(meta),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            started: status.start_time,
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
            ports,
            spread_over: self.spread_over(spec)?,
            repels: self.repels(spec)?,
        })
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

    /// The selectors of its `DoNotSchedule` spread constraints. An empty one matches whatever the labels are.
    fn spread_over(&mut self, spec: &WirePodSpec) -> Result<Vec<Selector>, BadObject> {
        let spreads = spec.topology_spread_constraints.iter().flatten();
        let hard = spreads.filter(|spread| spread.when_unsatisfiable == "DoNotSchedule");
        self.selectors(hard.filter_map(|spread| spread.label_selector.as_ref()))
    }

    /// The selectors of its required anti-affinity.
    fn repels(&mut self, spec: &WirePodSpec) -> Result<Vec<Selector>, BadObject> {
        let affinity = spec.affinity.as_ref();
        let anti_affinity = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let terms =
            anti_affinity.map(|anti| &anti.required_during_scheduling_ignored_during_execution);
        let terms = terms.into_iter().flatten();
        self.selectors(terms.filter_map(|term| term.label_selector.as_ref()))
    }

    fn selectors<'w>(
        &mut self,
        wire: impl Iterator<Item = &'w LabelSelector>,
    ) -> Result<Vec<Selector>, BadObject> {
        let mut selectors = Vec::new();
        for wire in wire {
            let selector = self.interner.selector(wire)?;
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
        // Other groups have a `StatefulSet`, too.
        let foreign =
            ControllerKind::parse(&owner.kind).is_some() && !owner.api_version.starts_with("apps/");
        let group = owner.api_version.split('/').next().unwrap_or_default();
        let kind = if foreign {
            format!("{}.{group}", owner.kind)
        } else {
            owner.kind.clone()
        };
        Some(Reference {
            kind: self.interner.text(&kind),
            name: self.interner.text(&owner.name),
            uid: self.interner.text(&owner.uid),
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
            revision: meta
                .annotation(keys::REVISION)
                .map(|text| self.interner.text(text)),
            terminating: meta.is_terminating(),
            rolling: is_rolling(kind, meta, spec, status),
            reset: meta
                .annotation(keys::RESET)
                .map(|text| self.interner.text(text)),
            recreate: spec.strategy.kind.as_deref() == Some("Recreate"),
            template_commands,
        })
    }

    /// A Service with an empty selector has none.
    pub(crate) fn service(&mut self, wire: &WireService) -> Result<Selecting, BadObject> {
        let labels = self.interner.labels(wire.spec.selector.as_ref());
        let policies = [
            wire.spec.internal_traffic_policy.as_deref(),
            wire.spec.external_traffic_policy.as_deref(),
        ];
        Ok(Selecting {
            kind: SelectingKind::Service,
            key: wire.metadata.key()?,
            selector: if labels.is_empty() {
                None
            } else {
                Some(Selector::from_labels(&labels))
            },
            disruptions_allowed: None,
            desired_healthy: None,
            local: policies.contains(&Some("Local")),
        })
    }

    pub(crate) fn selecting(
        &mut self,
        kind: SelectingKind,
        meta: &WireMeta,
        selector: Option<&LabelSelector>,
    ) -> Result<Selecting, BadObject> {
        Ok(Selecting {
            kind,
            key: meta.key()?,
            selector: selector
                .map(|selector| self.interner.selector(selector))
                .transpose()?,
            disruptions_allowed: None,
            desired_healthy: None,
            local: false,
        })
    }

    /// A status of another generation than the spec's says nothing about it.
    pub(crate) fn budget(&mut self, wire: &WireBudget) -> Result<Selecting, BadObject> {
        let kind = SelectingKind::PodDisruptionBudget;
        let status = &wire.status;
        let allowed = if status.observed_generation == wire.metadata.generation {
            status.disruptions_allowed
        } else {
            None
        };
        Ok(Selecting {
            disruptions_allowed: allowed.and_then(|allowed| allowed.try_into().ok()),
            desired_healthy: status
                .desired_healthy
                .and_then(|healthy| healthy.try_into().ok()),
            ..self.selecting(kind, &wire.metadata, wire.spec.selector.as_ref())?
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

impl WireLedger {
    pub(crate) fn ledger(&self) -> Result<Ledger, BadObject> {
        let meta = &self.metadata;
        let entries = self.data.iter().flatten();
        let entries = entries.map(|(key, text)| (key.as_str(), text.as_str()));
        let mut ledger = Ledger::read(meta.version()?, entries);
        ledger.uid = meta.uid()?;
        let mut finalizers = meta.finalizers.iter().flatten();
        ledger.guarded = finalizers.any(|finalizer| finalizer == keys::LEDGER_FINALIZER);
        ledger.terminating = meta.is_terminating();
        let rebuilt = meta.annotation(keys::REBUILT);
        // A time that cannot be read is taken for the latest: no slot is taken until a person mends it.
        ledger.rebuilt = rebuilt.map(|text| text.parse().unwrap_or(Timestamp::MAX));
        Ok(ledger)
    }
}
