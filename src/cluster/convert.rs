//! From the wire to the core: every field that can be missing or malformed is dealt with here.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    rolling::is_rolling,
    wire::{
        WireBudget, WireControllerSpec, WireControllerStatus, WirePod, WirePodSpec,
        WireRequirement, WireSelector, WireService,
    },
};
use crate::core::{
    keys,
    object::{
        BadResourceVersion, Controller, ControllerKind, ObjectKey, Pod, Reference, ResourceVersion,
        Selecting, SelectingKind, Uid,
    },
    quantity::BadQuantity,
    replacement::HostPort,
    selector::{Labels, Operator, Requirement, Selector},
};

/// An object that cannot be understood. It is left out of the view, so nothing is done about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadObject {
    /// The API server always sends these.
    #[error("read an object: it has no {0}")]
    Missing(&'static str),
    /// It is no number.
    #[error(transparent)]
    ResourceVersion(#[from] BadResourceVersion),
    /// The API server refuses such selectors.
    #[error("read a selector: unknown operator {0:?}")]
    Operator(String),
    /// The API server refuses such amounts.
    #[error(transparent)]
    Quantity(#[from] BadQuantity),
}

/// Strings that many objects have in common are kept once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    texts: HashSet<Arc<str>>,
    /// When there are so many, those that nobody uses any more are dropped.
    sweep_at: usize,
}

impl Shared {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if self.texts.len() >= self.sweep_at {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
            self.sweep_at = (self.texts.len() * 2).max(1024);
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    pub(super) fn labels(&mut self, map: Option<&BTreeMap<String, String>>) -> Labels {
        let pairs = map.into_iter().flatten();
        pairs
            .map(|(key, value)| (self.text(key), self.text(value)))
            .collect()
    }

    pub(super) fn requirement(&mut self, wire: &WireRequirement) -> Result<Requirement, BadObject> {
        let values: BTreeSet<Arc<str>> = wire.values.iter().map(|value| self.text(value)).collect();
        let operator = match wire.operator.as_str() {
            "In" => Operator::In(values),
            "NotIn" => Operator::NotIn(values),
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => return Err(BadObject::Operator(other.to_owned())),
        };
        Ok(Requirement {
            key: self.text(&wire.key),
            operator,
        })
    }

    pub(super) fn selector(&mut self, wire: &WireSelector) -> Result<Selector, BadObject> {
        let labels = Selector::from_labels(&self.labels(wire.match_labels.as_ref()));
        let expressions = wire.match_expressions.iter().flatten();
        let expressions: Result<Vec<Requirement>, BadObject> =
            expressions.map(|wire| self.requirement(wire)).collect();
        Ok(Selector::new(
            labels
                .requirements()
                .iter()
                .cloned()
                .chain(expressions?)
                .collect(),
        ))
    }

    pub(super) fn pod(&mut self, wire: &WirePod) -> Result<Pod, BadObject> {
        let meta = &wire.metadata;
        let containers = wire
            .spec
            .containers
            .iter()
            .chain(&wire.spec.init_containers);
        let ports = containers.flat_map(|container| &container.ports);
        let named = ports.filter_map(|port| Some((port.name.as_deref()?, port.container_port)));
        let ports = named
            .map(|(name, number)| (self.text(name), number))
            .collect();
        let restarts = wire.status.container_statuses.iter();
        let ready = |condition: &&super::wire::WireCondition| condition.kind == "Ready";
        Ok(Pod {
            key: key(meta)?,
            uid: uid(meta)?,
            resource_version: resource_version(meta)?,
            labels: self.labels(meta.labels.as_ref()),
            annotations: self.labels(meta.annotations.as_ref()),
            owner: self.owner(meta),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            started: wire.status.start_time,
            restarts: restarts
                .map(|container| u32::try_from(container.restart_count).unwrap_or(0))
                .fold(0, u32::saturating_add),
            node: wire.spec.node_name.as_deref().map(|name| self.text(name)),
            host_ports: self.host_ports(&wire.spec),
            host_network: wire.spec.host_network,
            phase: wire.status.phase,
            ready: wire
                .status
                .conditions
                .iter()
                .find(ready)
                .is_some_and(|ready| ready.status == "True"),
            terminating: meta.deletion_timestamp.is_some(),
            address: wire
                .status
                .pod_ip
                .as_deref()
                .and_then(|address| address.parse().ok()),
            ports,
            spread_over: self.spread_over(&wire.spec)?,
            repels: self.repels(&wire.spec)?,
        })
    }

    fn host_ports(&mut self, spec: &WirePodSpec) -> Vec<HostPort> {
        let containers = spec.containers.iter().chain(&spec.init_containers);
        let ports = containers.flat_map(|container| &container.ports);
        let taken = ports.filter_map(|port| {
            let address = port.host_ip.as_deref();
            let one = address.filter(|address| !["", "0.0.0.0", "::"].contains(address));
            Some(HostPort {
                port: port.host_port.filter(|number| *number > 0)?,
                address: one.map(|address| self.text(address)),
                protocol: self.text(port.protocol.as_deref().unwrap_or("TCP")),
            })
        });
        taken.collect()
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
        wire: impl Iterator<Item = &'w WireSelector>,
    ) -> Result<Vec<Selector>, BadObject> {
        let selectors = wire.map(|wire| self.selector(wire));
        let selectors = selectors.collect::<Result<Vec<_>, _>>()?;
        Ok(selectors
            .into_iter()
            .filter(|selector| !selector.is_empty())
            .collect())
    }

    fn owner(&mut self, meta: &ObjectMeta) -> Option<Reference> {
        let owner = meta
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true))?;
        let foreign = is_read_kind(&owner.kind) && !owner.api_version.starts_with("apps/");
        let group = owner.api_version.split('/').next().unwrap_or_default();
        let kind = if foreign {
            format!("{}.{group}", owner.kind)
        } else {
            owner.kind.clone()
        };
        Some(Reference {
            kind: self.text(&kind),
            name: self.text(&owner.name),
            uid: self.text(&owner.uid),
        })
    }

    pub(super) fn controller(
        &mut self,
        kind: ControllerKind,
        meta: &ObjectMeta,
        spec: &WireControllerSpec,
        status: &WireControllerStatus,
    ) -> Result<Controller, BadObject> {
        let template = spec
            .template
            .metadata
            .annotations
            .iter()
            .flatten()
            .map(|(key, _)| key.as_str());
        let commands = template.filter(|key| [keys::QUARANTINE, keys::RELEASE].contains(key));
        let desired = match kind {
            ControllerKind::DaemonSet => status.desired_number_scheduled.unwrap_or(0),
            // The API server's default.
            _ => spec.replicas.unwrap_or(1),
        };
        Ok(Controller {
            kind,
            key: key(meta)?,
            uid: uid(meta)?,
            selector: self.selector(&spec.selector)?,
            owner: self.owner(meta),
            desired,
            revision: meta
                .annotations
                .as_ref()
                .and_then(|all| all.get(keys::REVISION))
                .map(|text| self.text(text)),
            terminating: meta.deletion_timestamp.is_some(),
            rolling: is_rolling(kind, meta, spec, status),
            reset: meta
                .annotations
                .as_ref()
                .and_then(|all| all.get(keys::RESET))
                .map(|text| self.text(text)),
            recreate: spec.strategy.kind.as_deref() == Some("Recreate"),
            template_commands: commands.map(|key| self.text(key)).collect(),
        })
    }

    /// A Service with an empty selector has none.
    pub(super) fn service(&mut self, wire: &WireService) -> Result<Selecting, BadObject> {
        let labels = self.labels(wire.spec.selector.as_ref());
        let policies = [
            &wire.spec.internal_traffic_policy,
            &wire.spec.external_traffic_policy,
        ];
        Ok(Selecting {
            kind: SelectingKind::Service,
            key: key(&wire.metadata)?,
            selector: (!labels.is_empty()).then(|| Selector::from_labels(&labels)),
            disruptions_allowed: None,
            desired_healthy: None,
            local: policies
                .into_iter()
                .any(|policy| policy.as_deref() == Some("Local")),
        })
    }

    pub(super) fn selecting(
        &mut self,
        kind: SelectingKind,
        meta: &ObjectMeta,
        selector: Option<&WireSelector>,
    ) -> Result<Selecting, BadObject> {
        Ok(Selecting {
            kind,
            key: key(meta)?,
            selector: selector
                .map(|selector| self.selector(selector))
                .transpose()?,
            disruptions_allowed: None,
            desired_healthy: None,
            local: false,
        })
    }

    /// A status of another generation than the spec's says nothing about it.
    pub(super) fn budget(&mut self, wire: &WireBudget) -> Result<Selecting, BadObject> {
        let kind = SelectingKind::PodDisruptionBudget;
        let status = &wire.status;
        let current = status.observed_generation == wire.metadata.generation;
        Ok(Selecting {
            disruptions_allowed: status
                .disruptions_allowed
                .filter(|_| current)
                .and_then(|allowed| allowed.try_into().ok()),
            desired_healthy: status
                .desired_healthy
                .and_then(|healthy| healthy.try_into().ok()),
            ..self.selecting(kind, &wire.metadata, wire.spec.selector.as_ref())?
        })
    }
}

/// Whether a controller of that kind is read, if it is of the group `apps`. Other groups have a `StatefulSet` too.
fn is_read_kind(kind: &str) -> bool {
    ControllerKind::ALL.iter().any(|read| read.as_str() == kind)
}

/// Namespace and name.
pub(super) fn key(meta: &ObjectMeta) -> Result<ObjectKey, BadObject> {
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    Ok(ObjectKey::new(
        namespace,
        meta.name.as_deref().ok_or(BadObject::Missing("name"))?,
    ))
}

/// The uid.
pub(super) fn uid(meta: &ObjectMeta) -> Result<Uid, BadObject> {
    meta.uid
        .as_deref()
        .map(Into::into)
        .ok_or(BadObject::Missing("uid"))
}

/// The resourceVersion, as a number.
pub(super) fn resource_version(meta: &ObjectMeta) -> Result<ResourceVersion, BadObject> {
    let text = meta
        .resource_version
        .as_deref()
        .ok_or(BadObject::Missing("resourceVersion"))?;
    Ok(text.parse()?)
}
