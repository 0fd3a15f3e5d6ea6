//! What is read off the wire about a pod's replacement, and what it becomes in the core.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::Deserialize;

use super::{
    convert::{BadObject, Shared},
    wire::{WireRequirement, metadata},
    wire_quota::{Written, amounts},
};
use crate::core::{
    placement::{Bound, Placement, Term, Toleration},
    quantity::Quantity,
    quota::{Amounts, Taken},
    selector::Selector,
};

/// A pod, as far as its replacement would need the same.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub(super) struct WireNeedy {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: NeedySpec,
    #[serde(default)]
    status: NeedyStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NeedySpec {
    volumes: Vec<Volume>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: Written,
    resources: Resources,
    node_selector: BTreeMap<String, String>,
    affinity: Affinity,
    tolerations: Vec<WireToleration>,
    priority_class_name: Option<String>,
    active_deadline_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NeedyStatus {
    qos_class: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    persistent_volume_claim: Option<ClaimName>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimName {
    claim_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: Resources,
    restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Written,
    limits: Written,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: NodeAffinity,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<WireTerms>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTerms {
    node_selector_terms: Vec<WireTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerm {
    match_expressions: Vec<WireRequirement>,
    match_fields: Vec<WireRequirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireToleration {
    key: Option<String>,
    operator: Option<String>,
    value: Option<String>,
    effect: Option<String>,
}

/// A claim.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = PersistentVolumeClaim)]
pub(super) struct WireClaim {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: AccessModes,
    #[serde(default)]
    status: AccessModes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccessModes {
    access_modes: Vec<String>,
}

impl WireNeedy {
    /// The claims that its replacement would name, too. Those of ephemeral volumes are each pod's own.
    pub(super) fn claims(&self) -> impl Iterator<Item = String> {
        let volumes = self.spec.volumes.iter();
        volumes
            .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
    }

    /// What it takes of quotas: `PodUsageFunc` of the API server.
    pub(super) fn taken(&self) -> Result<Taken, BadObject> {
        let spec = &self.spec;
        let mut taken = Amounts::from([
            ("pods".into(), Quantity::whole(1)),
            ("count/pods".into(), Quantity::whole(1)),
        ]);
        for (resource, amount) in spec.total(|resources| &resources.requests)? {
            if is_extended(&resource) {
                taken.insert(format!("requests.{resource}").into(), amount);
            } else {
                taken.insert(format!("requests.{resource}").into(), amount);
                taken.insert(resource, amount);
            }
        }
        for (resource, amount) in spec.total(|resources| &resources.limits)? {
            taken.insert(format!("limits.{resource}").into(), amount);
        }
        Ok(Taken {
            amounts: taken,
            best_effort: self.status.qos_class.as_deref() == Some("BestEffort"),
            has_deadline: spec.active_deadline_seconds.is_some(),
            priority_class: spec.priority_class_name.as_deref().map(Into::into),
        })
    }
}

/// A resource that somebody added to Kubernetes, such as `example.com/gpu`: a quota counts what is requested of it.
fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/")
}

impl NeedySpec {
    /// What all containers need at the same time: those that go on running together, or the neediest of those that
    /// run before them, and the overhead.
    fn total(&self, of: impl Fn(&Resources) -> &Written) -> Result<Amounts, BadObject> {
        let mut beside = Amounts::new();
        let mut before = Amounts::new();
        for container in &self.init_containers {
            let own = amounts(of(&container.resources))?;
            if container.restart_policy.as_deref() == Some("Always") {
                add(&mut beside, &own);
                raise(&mut before, &beside);
            } else {
                let mut with_those_beside = beside.clone();
                add(&mut with_those_beside, &own);
                raise(&mut before, &with_those_beside);
            }
        }
        let mut total = beside;
        for container in &self.containers {
            add(&mut total, &amounts(of(&container.resources))?);
        }
        raise(&mut total, &before);
        // What is said of the pod as a whole holds for it.
        total.extend(amounts(of(&self.resources))?);
        for (resource, amount) in amounts(&self.overhead)? {
            if let Some(known) = total.get_mut(&resource) {
                *known = known.plus(amount);
            }
        }
        Ok(total)
    }
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let known = sum.entry(resource.clone()).or_default();
        *known = known.plus(*amount);
    }
}

fn raise(most: &mut Amounts, to: &Amounts) {
    for (resource, amount) in to {
        let known = most.entry(resource.clone()).or_default();
        *known = (*known).max(*amount);
    }
}

impl WireClaim {
    /// Those of the volume that it is bound to, else those it asks for.
    pub(super) fn modes(self) -> Vec<Arc<str>> {
        let bound = self.status.access_modes;
        let modes = if bound.is_empty() {
            self.spec.access_modes
        } else {
            bound
        };
        modes.into_iter().map(Into::into).collect()
    }
}

impl Shared {
    /// What a pod asks of its node.
    pub(super) fn placement(&mut self, wire: &WireNeedy) -> Result<Placement, BadObject> {
        let affinity = &wire.spec.affinity.node_affinity;
        let required = &affinity.required_during_scheduling_ignored_during_execution;
        let mut terms = None;
        if let Some(required) = required {
            let read = required.node_selector_terms.iter();
            terms = Some(read.map(|term| self.term(term)).collect::<Result<_, _>>()?);
        }
        let tolerations = wire.spec.tolerations.iter();
        Ok(Placement {
            node_selector: self.labels(Some(&wire.spec.node_selector)),
            terms,
            tolerations: tolerations.map(toleration).collect(),
        })
    }

    fn term(&mut self, wire: &WireTerm) -> Result<Term, BadObject> {
        let (bounds, labels): (Vec<_>, Vec<_>) = wire
            .match_expressions
            .iter()
            .partition(|one| ["Gt", "Lt"].contains(&one.operator.as_str()));
        let labels = labels.into_iter().map(|one| self.requirement(one));
        let labels = Selector::new(labels.collect::<Result<_, _>>()?);
        let name = wire.match_fields.iter().map(|one| self.requirement(one));
        let name = Selector::new(name.collect::<Result<_, _>>()?);
        let bound = |one: &WireRequirement| Bound {
            key: one.key.as_str().into(),
            above: one.operator == "Gt",
            // What is no number bounds nothing in: the scheduler finds no node either.
            than: one
                .values
                .first()
                .and_then(|value| value.parse().ok())
                .unwrap_or(if one.operator == "Gt" {
                    i64::MAX
                } else {
                    i64::MIN
                }),
        };
        Ok(Term {
            labels,
            name,
            bounds: bounds.into_iter().map(bound).collect(),
        })
    }
}

fn toleration(wire: &WireToleration) -> Toleration {
    let said = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(Arc::from)
    };
    let any_value = wire.operator.as_deref() == Some("Exists");
    Toleration {
        key: said(&wire.key),
        value: (!any_value).then(|| wire.value.as_deref().unwrap_or_default().into()),
        effect: said(&wire.effect),
    }
}
