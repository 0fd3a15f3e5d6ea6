//! What is read off the wire about a node, and what it becomes in the core.

use k8s_openapi::{api::core::v1::Node, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::Deserialize;

use super::{
    convert::{BadObject, Shared, key},
    wire::{WireCondition, metadata},
};
use crate::core::placement::{self, Taint};

/// A node.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Node)]
pub(super) struct WireNode {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
    taints: Vec<WireTaint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WireTaint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<WireCondition>,
}

impl Shared {
    pub(super) fn node(&mut self, wire: &WireNode) -> Result<placement::Node, BadObject> {
        let ready =
            |condition: &WireCondition| condition.kind == "Ready" && condition.status == "True";
        let taints = wire.spec.taints.iter();
        let repelling = taints.filter(|taint| taint.effect != "PreferNoSchedule");
        Ok(placement::Node {
            name: key(&wire.metadata)?.name,
            labels: self.labels(wire.metadata.labels.as_ref()),
            takes_pods: wire.status.conditions.iter().any(ready) && !wire.spec.unschedulable,
            taints: repelling
                .map(|taint| Taint {
                    key: self.text(&taint.key),
                    value: self.text(&taint.value),
                    effect: self.text(&taint.effect),
                })
                .collect(),
        })
    }
}
