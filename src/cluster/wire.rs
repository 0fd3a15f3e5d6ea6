//! What is read of each kind off the wire: only what the core needs.
//!
//! A full Pod costs about 30 KiB once decoded; of most of them nothing but names, labels and an address matters.
//! Unknown fields, `managedFields` above all, are skipped while parsing and never stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        core::v1::{ConfigMap, Namespace, Pod, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time},
};
use kube::Resource;
use serde::{Deserialize, Deserializer};

use crate::core::{keys, object::Phase};

type Map = BTreeMap<String, String>;

/// What is read of any object's metadata. It becomes an [`ObjectMeta`], since that is what [`Resource`] speaks of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<Map>,
    annotations: Option<Map>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    generation: Option<i64>,
    finalizers: Option<Vec<String>>,
}

pub(super) fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let wire = WireMeta::deserialize(deserializer)?;
    let read = |key: &str| {
        keys::READ_FROM_PODS.contains(&key)
            || [keys::MODE, keys::REVISION, keys::RESET].contains(&key)
    };
    let annotations = wire.annotations.map(|mut annotations| {
        annotations.retain(|key, _| read(key));
        annotations
    });
    let owner_references = wire.owner_references.map(|mut owners| {
        owners.retain(|owner| owner.controller == Some(true));
        owners
    });
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        labels: wire.labels,
        annotations,
        owner_references,
        creation_timestamp: wire.creation_timestamp,
        deletion_timestamp: wire.deletion_timestamp,
        generation: wire.generation,
        ..ObjectMeta::default()
    })
}

/// A `LabelSelector`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireSelector {
    pub(super) match_labels: Option<Map>,
    pub(super) match_expressions: Option<Vec<WireRequirement>>,
}

/// One of its expressions.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WireRequirement {
    pub(super) key: String,
    pub(super) operator: String,
    #[serde(default)]
    pub(super) values: Vec<String>,
}

/// A pod.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Pod)]
pub(super) struct WirePod {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: WirePodSpec,
    #[serde(default)]
    pub(super) status: WirePodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WirePodSpec {
    pub(super) containers: Vec<WireContainer>,
    /// Those that go on running beside the others have ports too.
    pub(super) init_containers: Vec<WireContainer>,
    pub(super) node_name: Option<String>,
    pub(super) host_network: bool,
    pub(super) affinity: Option<WireAffinity>,
    pub(super) topology_spread_constraints: Option<Vec<WireSpread>>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WireContainer {
    #[serde(default)]
    pub(super) ports: Vec<WirePort>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePort {
    pub(super) name: Option<String>,
    pub(super) container_port: u16,
    pub(super) host_port: Option<u16>,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: Option<String>,
    pub(super) protocol: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireAffinity {
    pub(super) pod_anti_affinity: Option<WireAntiAffinity>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireAntiAffinity {
    #[serde(default)]
    pub(super) required_during_scheduling_ignored_during_execution: Vec<WireApart>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireApart {
    pub(super) label_selector: Option<WireSelector>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSpread {
    pub(super) label_selector: Option<WireSelector>,
    pub(super) when_unsatisfiable: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WirePodStatus {
    pub(super) phase: Phase,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    pub(super) start_time: Option<Timestamp>,
    pub(super) conditions: Vec<WireCondition>,
    pub(super) container_statuses: Vec<WireContainerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireContainerStatus {
    #[serde(default)]
    pub(super) restart_count: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WireCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

/// A controller; which of its fields are there depends on the kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireControllerSpec {
    pub(super) selector: WireSelector,
    pub(super) replicas: Option<u32>,
    pub(super) template: WireTemplate,
    /// Of a Deployment.
    pub(super) strategy: WireStrategy,
    /// Of a StatefulSet or DaemonSet.
    pub(super) update_strategy: WireStrategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WireStrategy {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default, rename = "rollingUpdate")]
    pub(super) rolling_update: WireRollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireRollingUpdate {
    pub(super) partition: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireControllerStatus {
    pub(super) observed_generation: Option<i64>,
    pub(super) replicas: Option<u32>,
    pub(super) updated_replicas: Option<u32>,
    pub(super) current_revision: Option<String>,
    pub(super) update_revision: Option<String>,
    pub(super) desired_number_scheduled: Option<u32>,
    pub(super) updated_number_scheduled: Option<u32>,
    pub(super) conditions: Vec<WireControllerCondition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WireControllerCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) reason: String,
}

/// A pod template: only which commands its annotations carry.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WireTemplate {
    #[serde(default, deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
}

macro_rules! controllers {
    ($($name:ident of $kind:ident),*) => {$(
        /// A controller of that kind.
        #[derive(Clone, Debug, Deserialize, Resource)]
        #[resource(inherit = $kind)]
        pub(super) struct $name {
            #[serde(deserialize_with = "metadata")]
            pub(super) metadata: ObjectMeta,
            #[serde(default)]
            pub(super) spec: WireControllerSpec,
            #[serde(default)]
            pub(super) status: WireControllerStatus,
        }
    )*};
}

controllers!(
    WireDeployment of Deployment,
    WireReplicaSet of ReplicaSet,
    WireStatefulSet of StatefulSet,
    WireDaemonSet of DaemonSet
);

/// A Service, whose selector is a plain map.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Service)]
pub(super) struct WireService {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: WireServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireServiceSpec {
    pub(super) selector: Option<Map>,
    pub(super) internal_traffic_policy: Option<String>,
    pub(super) external_traffic_policy: Option<String>,
}

/// A PodDisruptionBudget.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = PodDisruptionBudget)]
pub(super) struct WireBudget {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: WireBudgetSpec,
    #[serde(default)]
    pub(super) status: WireBudgetStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WireBudgetSpec {
    /// Without one the budget selects no pod.
    pub(super) selector: Option<WireSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireBudgetStatus {
    pub(super) observed_generation: Option<i64>,
    pub(super) disruptions_allowed: Option<i32>,
    pub(super) desired_healthy: Option<i32>,
}

/// A NetworkPolicy.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = NetworkPolicy)]
pub(super) struct WireNetworkPolicy {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: WireNetworkPolicySpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireNetworkPolicySpec {
    pub(super) pod_selector: WireSelector,
}

/// A namespace.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Namespace)]
pub(super) struct WireNamespace {
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
}

/// The ledger object.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = ConfigMap)]
pub(super) struct WireLedger {
    #[serde(deserialize_with = "ledger_metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) data: Option<Map>,
}

/// All annotations and finalizers of the ledger are the agent's.
fn ledger_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let wire = WireMeta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        annotations: wire.annotations,
        finalizers: wire.finalizers,
        deletion_timestamp: wire.deletion_timestamp,
        ..ObjectMeta::default()
    })
}
