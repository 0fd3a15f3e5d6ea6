//! The watched kinds, and the updates of the view that each becomes.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    core::v1,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::{
    Converter,
    wire::{
        WireBudget, WireDaemonSet, WireDeployment, WireLedger, WireMeta, WireNamespace,
        WireNetworkPolicy, WireNode, WirePod, WireReplicaSet, WireService, WireStatefulSet,
    },
};
use crate::{
    cluster::client::BadObject,
    core::{
        object::{ControllerKind, ObjectKey, PodSelectingKind, ResourceVersion, Uid},
        view::{Update, Within},
    },
};

/// A watched kind: the part of its objects that is read.
pub(crate) trait WatchedKind: Clone + DeserializeOwned + Send + Sync + 'static {
    type Object: Resource<DynamicType = ()>;
    /// The kind as people write it, such as `pods`.
    const KIND: &'static str;
    /// Whether nothing but the metadata is read, and asked for.
    const METADATA_ONLY: bool = false;
    /// Whether an object that cannot be read is left out. Without the ledger nothing goes on.
    const MAY_BE_LEFT_OUT: bool = true;
    fn meta(&self) -> &WireMeta;
    /// The update for a new or changed object.
    fn present(&self, converter: &mut Converter) -> Result<Update, BadObject>;
    /// The update for a deleted object.
    fn gone(&self) -> Result<Update, BadObject>;
    /// The update for the end of a complete list.
    fn all(within: &Within, listed: Listed, version: ResourceVersion) -> Option<Update>;
}

pub(crate) type Listed = Vec<(ObjectKey, Uid)>;

fn keys_of<Set: FromIterator<ObjectKey>>(listed: Listed) -> Set {
    listed.into_iter().map(|(key, _)| key).collect()
}

impl WatchedKind for WirePod {
    type Object = v1::Pod;
    const KIND: &'static str = "pods";

    fn meta(&self) -> &WireMeta {
        &self.metadata
    }

    fn present(&self, converter: &mut Converter) -> Result<Update, BadObject> {
        Ok(Update::Pod(converter.pod(self)?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        Ok(Update::PodGone(self.metadata.key()?, self.metadata.uid()?))
    }

    fn all(within: &Within, listed: Listed, version: ResourceVersion) -> Option<Update> {
        Some(Update::AllPods(
            within.clone(),
            listed.into_iter().map(|(_, uid)| uid).collect(),
            version,
        ))
    }
}

macro_rules! watched_controllers {
    ($($wire:ident: $kind:ident, $name:literal;)*) => {$(
        impl WatchedKind for $wire {
            type Object = $kind;
            const KIND: &'static str = $name;

            fn meta(&self) -> &WireMeta {
                &self.metadata
            }

            fn present(&self, converter: &mut Converter) -> Result<Update, BadObject> {
                let kind = ControllerKind::$kind;
                Ok(Update::Controller(converter.controller(kind, &self.metadata, &self.spec, &self.status)?))
            }

            fn gone(&self) -> Result<Update, BadObject> {
                Ok(Update::ControllerGone(ControllerKind::$kind, self.metadata.key()?))
            }

            fn all(within: &Within, listed: Listed, _: ResourceVersion) -> Option<Update> {
                Some(Update::AllControllers(within.clone(), ControllerKind::$kind, keys_of(listed)))
            }
        }
    )*};
}

watched_controllers! {
    WireDeployment: Deployment, "deployments";
    WireReplicaSet: ReplicaSet, "replicasets";
    WireStatefulSet: StatefulSet, "statefulsets";
    WireDaemonSet: DaemonSet, "daemonsets";
}

macro_rules! watched_selecting {
    ($($wire:ident of $api:ty: $kind:ident, $name:literal, $present:expr;)*) => {$(
        impl WatchedKind for $wire {
            type Object = $api;
            const KIND: &'static str = $name;

            fn meta(&self) -> &WireMeta {
                &self.metadata
            }

            fn present(&self, converter: &mut Converter) -> Result<Update, BadObject> {
                let present: fn(&Self, &mut Converter) -> Result<_, BadObject> = $present;
                Ok(Update::Selecting(present(self, converter)?))
            }

            fn gone(&self) -> Result<Update, BadObject> {
                Ok(Update::SelectingGone(PodSelectingKind::$kind, self.metadata.key()?))
            }

            fn all(within: &Within, listed: Listed, _: ResourceVersion) -> Option<Update> {
                Some(Update::AllSelecting(within.clone(), PodSelectingKind::$kind, keys_of(listed)))
            }
        }
    )*};
}

watched_selecting! {
    WireService of v1::Service: Service, "services", |wire, converter| converter.service(wire);
    WireBudget of PodDisruptionBudget: PodDisruptionBudget, "poddisruptionbudgets", |wire, converter| {
        converter.budget(wire)
    };
    WireNetworkPolicy of NetworkPolicy: NetworkPolicy, "networkpolicies", |wire, converter| {
        converter.network_policy(wire)
    };
}

impl WatchedKind for WireNamespace {
    type Object = v1::Namespace;
    const KIND: &'static str = "namespaces";
    const METADATA_ONLY: bool = true;

    fn meta(&self) -> &WireMeta {
        &self.metadata
    }

    fn present(&self, converter: &mut Converter) -> Result<Update, BadObject> {
        Ok(Update::Namespace(converter.namespace(self)?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        Ok(Update::NamespaceGone(self.metadata.key()?.name))
    }

    fn all(_: &Within, listed: Listed, _: ResourceVersion) -> Option<Update> {
        Some(Update::AllNamespaces(
            listed.into_iter().map(|(key, _)| key.name).collect(),
        ))
    }
}

impl WatchedKind for WireNode {
    type Object = v1::Node;
    const KIND: &'static str = "nodes";
    const METADATA_ONLY: bool = true;

    fn meta(&self) -> &WireMeta {
        &self.metadata
    }

    fn present(&self, converter: &mut Converter) -> Result<Update, BadObject> {
        Ok(Update::Zone(converter.zone(self)?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        Ok(Update::NodeGone(self.metadata.key()?.name))
    }

    fn all(_: &Within, listed: Listed, _: ResourceVersion) -> Option<Update> {
        Some(Update::AllNodes(
            listed.into_iter().map(|(key, _)| key.name).collect(),
        ))
    }
}

impl WatchedKind for WireLedger {
    type Object = v1::ConfigMap;
    const KIND: &'static str = "ledger";
    const MAY_BE_LEFT_OUT: bool = false;

    fn meta(&self) -> &WireMeta {
        &self.metadata
    }

    fn present(&self, _: &mut Converter) -> Result<Update, BadObject> {
        Ok(Update::Ledger(self.ledger()?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        let version = self.metadata.version()?;
        Ok(Update::LedgerGone(Some(version)))
    }

    /// Only one object is watched, by name: if it exists, its own update came before.
    fn all(_: &Within, listed: Listed, version: ResourceVersion) -> Option<Update> {
        if listed.is_empty() {
            Some(Update::LedgerGone(Some(version)))
        } else {
            None
        }
    }
}
