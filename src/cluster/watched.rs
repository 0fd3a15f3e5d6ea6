//! The kinds that are watched, and what each becomes in the view.

use super::{
    convert::{BadObject, Shared, key, resource_version, uid},
    watch::Watched,
    wire::{
        WireBudget, WireDaemonSet, WireDeployment, WireLedger, WireNamespace, WireNetworkPolicy,
        WirePod, WireReplicaSet, WireService, WireStatefulSet,
    },
};
use crate::core::{
    keys,
    object::{ControllerKind, Namespace, ObjectKey, ResourceVersion, SelectingKind, Uid},
    update::Update,
};

type Listed = Vec<(ObjectKey, Uid)>;

fn keys_of<Set: FromIterator<ObjectKey>>(listed: Listed) -> Set {
    listed.into_iter().map(|(key, _)| key).collect()
}

impl Watched for WirePod {
    const KIND: &'static str = "pods";

    fn seen(&self, shared: &mut Shared) -> Result<Update, BadObject> {
        Ok(Update::Pod(shared.pod(self)?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        Ok(Update::PodGone(key(&self.metadata)?, uid(&self.metadata)?))
    }

    fn all(listed: Listed, version: ResourceVersion) -> Option<Update> {
        Some(Update::AllPods(
            listed.into_iter().map(|(_, uid)| uid).collect(),
            version,
        ))
    }
}

macro_rules! watched_controllers {
    ($($wire:ident: $kind:ident, $name:literal;)*) => {$(
        impl Watched for $wire {
            const KIND: &'static str = $name;

            fn seen(&self, shared: &mut Shared) -> Result<Update, BadObject> {
                let kind = ControllerKind::$kind;
                Ok(Update::Controller(shared.controller(kind, &self.metadata, &self.spec, &self.status)?))
            }

            fn gone(&self) -> Result<Update, BadObject> {
                Ok(Update::ControllerGone(ControllerKind::$kind, key(&self.metadata)?))
            }

            fn all(listed: Listed, _: ResourceVersion) -> Option<Update> {
                Some(Update::AllControllers(ControllerKind::$kind, keys_of(listed)))
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
    ($($wire:ident: $kind:ident, $name:literal, $seen:expr;)*) => {$(
        impl Watched for $wire {
            const KIND: &'static str = $name;

            fn seen(&self, shared: &mut Shared) -> Result<Update, BadObject> {
                let seen: fn(&Self, &mut Shared) -> Result<_, BadObject> = $seen;
                Ok(Update::Selecting(seen(self, shared)?))
            }

            fn gone(&self) -> Result<Update, BadObject> {
                Ok(Update::SelectingGone(SelectingKind::$kind, key(&self.metadata)?))
            }

            fn all(listed: Listed, _: ResourceVersion) -> Option<Update> {
                Some(Update::AllSelecting(SelectingKind::$kind, keys_of(listed)))
            }
        }
    )*};
}

watched_selecting! {
    WireService: Service, "services", |wire, shared| shared.service(wire);
    WireBudget: PodDisruptionBudget, "poddisruptionbudgets", |wire, shared| {
        shared.budget(wire)
    };
    WireNetworkPolicy: NetworkPolicy, "networkpolicies", |wire, shared| {
        shared.selecting(SelectingKind::NetworkPolicy, &wire.metadata, Some(&wire.spec.pod_selector))
    };
}

impl Watched for WireNamespace {
    const KIND: &'static str = "namespaces";

    fn seen(&self, shared: &mut Shared) -> Result<Update, BadObject> {
        let mode = self
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(keys::MODE));
        Ok(Update::Namespace(Namespace {
            name: key(&self.metadata)?.name,
            labels: shared.labels(self.metadata.labels.as_ref()),
            mode: mode.map(|mode| shared.text(mode)),
            terminating: self.metadata.deletion_timestamp.is_some(),
        }))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        Ok(Update::NamespaceGone(key(&self.metadata)?.name))
    }

    fn all(listed: Listed, _: ResourceVersion) -> Option<Update> {
        Some(Update::AllNamespaces(
            listed.into_iter().map(|(key, _)| key.name).collect(),
        ))
    }
}

impl Watched for WireLedger {
    const KIND: &'static str = "ledger";

    fn seen(&self, _: &mut Shared) -> Result<Update, BadObject> {
        Ok(Update::Ledger(super::ledger::from_wire(self)?))
    }

    fn gone(&self) -> Result<Update, BadObject> {
        let version = resource_version(&self.metadata)?;
        Ok(Update::LedgerGone(Some(version)))
    }

    /// One object is watched, by name: if it is there, its own update came before.
    fn all(listed: Listed, version: ResourceVersion) -> Option<Update> {
        let gone = Update::LedgerGone(Some(version));
        listed.is_empty().then_some(gone)
    }
}
