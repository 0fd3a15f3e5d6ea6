//! The fields of each kind that are read off the wire: only what the core needs.
//!
//! A full Pod costs about 30 KiB once decoded; of most pods only names, labels and an address matter.
//! Unknown fields, `managedFields` above all, are skipped while parsing and never stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference, Time};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::{
    cluster::client::BadObject,
    core::{
        keys,
        object::{ObjectKey, Phase, ResourceVersion, Uid},
    },
};

type Map = BTreeMap<String, String>;

/// The metadata that is read of objects of any kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireMeta {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) labels: Option<Map>,
    #[serde(deserialize_with = "read_annotations")]
    pub(crate) annotations: Option<Map>,
    pub(crate) owner_references: Option<Vec<OwnerReference>>,
    pub(crate) creation_timestamp: Option<Time>,
    pub(crate) deletion_timestamp: Option<Time>,
    pub(crate) generation: Option<i64>,
}

/// Only the annotations that the agent reads: `kubectl apply` writes the whole object into one of the others.
fn read_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map>, D::Error> {
    let mut annotations = Option::<Map>::deserialize(deserializer)?;
    if let Some(annotations) = &mut annotations {
        annotations.retain(|key, _| {
            keys::READ_FROM_PODS.contains(&&**key)
                || [keys::MODE, keys::REVISION, keys::RESET, keys::REBUILT].contains(&&**key)
        });
    }
    Ok(annotations)
}

impl WireMeta {
    pub(crate) fn key(&self) -> Result<ObjectKey, BadObject> {
        let name = self.name.as_deref().ok_or(BadObject::Missing("name"))?;
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Ok(ObjectKey::new(namespace, name))
    }

    pub(crate) fn uid(&self) -> Result<Uid, BadObject> {
        let uid = self.uid.as_deref().ok_or(BadObject::Missing("uid"))?;
        Ok(uid.into())
    }

    pub(crate) fn version(&self) -> Result<ResourceVersion, BadObject> {
        let text = self.resource_version.as_deref();
        Ok(text.ok_or(BadObject::Missing("resourceVersion"))?.parse()?)
    }

    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    pub(crate) fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WirePod {
    pub(crate) metadata: WireMeta,
    #[serde(default)]
    pub(crate) spec: WirePodSpec,
    #[serde(default)]
    pub(crate) status: WirePodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WirePodSpec {
    pub(crate) containers: Vec<WireContainer>,
    /// Sidecars, which keep running, have ports, too.
    pub(crate) init_containers: Vec<WireContainer>,
    pub(crate) node_name: Option<String>,
    pub(crate) host_network: bool,
    pub(crate) affinity: Option<WireAffinity>,
    pub(crate) topology_spread_constraints: Option<Vec<WireSpread>>,
}

impl WirePodSpec {
    /// The ports of all its containers.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &WirePort> {
        let containers = self.containers.iter().chain(&self.init_containers);
        containers.flat_map(|container| &container.ports)
    }

    /// The containers that run on, sidecars among them.
    pub(crate) fn running_on(&self) -> impl Iterator<Item = &WireContainer> {
        let init = self.init_containers.iter();
        let sidecars = init.filter(|one| one.restart_policy.as_deref() == Some("Always"));
        self.containers.iter().chain(sidecars)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireContainer {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) ports: Vec<WirePort>,
    /// `Always` of an init container that is a sidecar.
    pub(crate) restart_policy: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WirePort {
    pub(crate) name: Option<String>,
    pub(crate) container_port: u16,
    pub(crate) host_port: Option<u16>,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: Option<String>,
    pub(crate) protocol: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireAffinity {
    pub(crate) pod_anti_affinity: Option<WireAntiAffinity>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireAntiAffinity {
    #[serde(default)]
    pub(crate) required_during_scheduling_ignored_during_execution: Vec<WireApart>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireApart {
    pub(crate) label_selector: Option<LabelSelector>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireSpread {
    pub(crate) label_selector: Option<LabelSelector>,
    pub(crate) when_unsatisfiable: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WirePodStatus {
    pub(crate) phase: Phase,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    pub(crate) conditions: Vec<WireCondition>,
    pub(crate) container_statuses: Vec<WireContainerStatus>,
    pub(crate) init_container_statuses: Vec<WireContainerStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireContainerStatus {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) restart_count: i64,
    /// Whether its startup probe has succeeded, if it has one.
    pub(crate) started: Option<bool>,
    #[serde(default)]
    pub(crate) state: WireContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireContainerState {
    pub(crate) running: Option<WireRunning>,
    pub(crate) terminated: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireRunning {
    pub(crate) started_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireCondition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

/// A controller; which of its fields are present depends on the kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireControllerSpec {
    pub(crate) selector: LabelSelector,
    pub(crate) replicas: Option<u32>,
    pub(crate) template: WireTemplate,
    /// Of a Deployment.
    pub(crate) strategy: WireStrategy,
    /// Of a StatefulSet or DaemonSet.
    pub(crate) update_strategy: WireStrategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WireStrategy {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(default, rename = "rollingUpdate")]
    pub(crate) rolling_update: WireRollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WireRollingUpdate {
    pub(crate) partition: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireControllerStatus {
    pub(crate) observed_generation: Option<i64>,
    pub(crate) replicas: Option<u32>,
    pub(crate) updated_replicas: Option<u32>,
    pub(crate) current_revision: Option<String>,
    pub(crate) update_revision: Option<String>,
    pub(crate) desired_number_scheduled: Option<u32>,
    pub(crate) updated_number_scheduled: Option<u32>,
    pub(crate) conditions: Vec<WireControllerCondition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireControllerCondition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) reason: String,
}

/// Of a pod template only the commands among its annotations.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WireTemplate {
    #[serde(default)]
    pub(crate) metadata: WireMeta,
}

macro_rules! controllers {
    ($($name:ident),*) => {$(
        #[derive(Clone, Debug, Deserialize)]
        pub(crate) struct $name {
            pub(crate) metadata: WireMeta,
            #[serde(default)]
            pub(crate) spec: WireControllerSpec,
            #[serde(default)]
            pub(crate) status: WireControllerStatus,
        }
    )*};
}

controllers!(
    WireDeployment,
    WireReplicaSet,
    WireStatefulSet,
    WireDaemonSet
);

/// A Service, whose selector is a plain map.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireService {
    pub(crate) metadata: WireMeta,
    #[serde(default)]
    pub(crate) spec: WireServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireServiceSpec {
    pub(crate) selector: Option<Map>,
    pub(crate) internal_traffic_policy: Option<String>,
    pub(crate) external_traffic_policy: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireBudget {
    pub(crate) metadata: WireMeta,
    #[serde(default)]
    pub(crate) spec: WireBudgetSpec,
    #[serde(default)]
    pub(crate) status: WireBudgetStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WireBudgetSpec {
    /// `None`: the budget selects no pod.
    pub(crate) selector: Option<LabelSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireBudgetStatus {
    pub(crate) observed_generation: Option<i64>,
    pub(crate) disruptions_allowed: Option<i32>,
    pub(crate) desired_healthy: Option<i32>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireNetworkPolicy {
    pub(crate) metadata: WireMeta,
    #[serde(default)]
    pub(crate) spec: WireNetworkPolicySpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireNetworkPolicySpec {
    pub(crate) pod_selector: LabelSelector,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireNamespace {
    pub(crate) metadata: WireMeta,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireNode {
    pub(crate) metadata: WireMeta,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireLedger {
    pub(crate) metadata: WireMeta,
    #[serde(default)]
    pub(crate) data: Option<Map>,
}
