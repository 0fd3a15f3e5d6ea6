//! What watches and the answers to writes report of the cluster, and how it changes the view.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{LeaseView, View};
use crate::{
    ledger::{Ledger, LedgerView},
    object::{
        Controller, ControllerKind, Namespace, NodeZone, ObjectKey, Pod, PodSelectingKind,
        PodSelectingObject, ResourceVersion, Uid,
    },
};

/// Where a watch looks, and its lists are complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Within {
    #[default]
    Cluster,
    Namespace(Arc<str>),
}

impl Within {
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(name) => *name == key.namespace,
        }
    }
}

/// One report of a watch, or of the answer to a write. `Pod(…)` and the like: it exists, as created or changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    Pod(Pod),
    PodGone(ObjectKey, Uid),
    /// The complete list of pods at that version.
    AllPods(Within, BTreeSet<Uid>, ResourceVersion),
    Controller(Controller),
    ControllerGone(ControllerKind, ObjectKey),
    /// The complete list of that kind.
    AllControllers(Within, ControllerKind, BTreeSet<ObjectKey>),
    Selecting(PodSelectingObject),
    SelectingGone(PodSelectingKind, ObjectKey),
    /// The complete list of that kind.
    AllSelecting(Within, PodSelectingKind, BTreeSet<ObjectKey>),
    Zone(NodeZone),
    NodeGone(Arc<str>),
    AllNodes(BTreeSet<Arc<str>>),
    /// An object of that kind, such as `services`, cannot be read.
    Unreadable(&'static str, ObjectKey),
    /// It can be read again, or is gone.
    Readable(&'static str, ObjectKey),
    Namespace(Namespace),
    NamespaceGone(Arc<str>),
    AllNamespaces(BTreeSet<Arc<str>>),
    Ledger(Ledger),
    /// The Lease at that version names the ledger of that uid, or none.
    Lease(Option<Uid>, ResourceVersion),
    /// There is no ledger; it was deleted at that version, if that is known.
    LedgerGone(Option<ResourceVersion>),
}

impl View {
    /// Applies an update. Returns the pods that it affects: a changed pod, or those of a changed controller or namespace.
    pub fn update(&mut self, update: Update) -> Vec<ObjectKey> {
        match update {
            Update::Pod(pod) => {
                let key = pod.key.clone();
                return if self.put_pod(pod) {
                    vec![key]
                } else {
                    Vec::new()
                };
            }
            Update::PodGone(key, uid) => {
                return if self.remove_pod(&key, &uid) {
                    vec![key]
                } else {
                    Vec::new()
                };
            }
            Update::AllPods(within, uids, version) => {
                return self.retain_pods(&within, &uids, version);
            }
            Update::Controller(controller) => {
                let pods = self.pods_below(&controller);
                self.put_controller(controller);
                return pods;
            }
            Update::ControllerGone(kind, key) => self.remove_controller(kind, &key),
            Update::AllControllers(within, kind, keys) => {
                self.retain_controllers(&within, kind, &keys);
            }
            Update::Selecting(object) => self.put_selecting(object),
            Update::SelectingGone(kind, key) => self.remove_selecting(kind, &key),
            Update::AllSelecting(within, kind, keys) => {
                self.retain_selecting(&within, kind, &keys);
            }
            Update::Zone(NodeZone { node, zone }) => return self.put_zone(&node, zone),
            Update::NodeGone(node) => return self.put_zone(&node, None),
            Update::AllNodes(nodes) => self.zones.retain(|node, _| nodes.contains(node)),
            Update::Unreadable(kind, key) => {
                self.unreadable.insert(kind, &key);
                self.selectors_changed_in(&key.namespace);
            }
            Update::Readable(kind, key) => {
                self.unreadable.remove(kind, &key);
                self.selectors_changed_in(&key.namespace);
            }
            Update::Namespace(namespace) => {
                let known = self.namespace(&namespace.name);
                let changed = known.is_none_or(|known| known.labels != namespace.labels);
                let name = namespace.name.clone();
                self.put_namespace(namespace);
                if changed {
                    return self.pods_in(&name).map(|pod| pod.key.clone()).collect();
                }
            }
            Update::NamespaceGone(name) => self.remove_namespace(&name),
            Update::AllNamespaces(names) => self.namespaces.retain(|name, _| names.contains(name)),
            Update::Ledger(ledger) => self.put_ledger(ledger),
            Update::Lease(named, version) => self.put_lease(named, version),
            Update::LedgerGone(version) => {
                let last = match std::mem::take(&mut self.ledger) {
                    LedgerView::Present(ledger) => Some(Box::new(ledger)),
                    LedgerView::Gone(last) => last,
                    LedgerView::NotLoaded => None,
                };
                self.ledger = LedgerView::Gone(last);
                self.ledger_gone = self.ledger_gone.max(version);
            }
        }
        Vec::new()
    }

    /// Records the ledger, unless a newer state or its deletion is known: the answer to a write may arrive after the
    /// watch reported that.
    fn put_ledger(&mut self, ledger: Ledger) {
        let known = self.ledger.present().map(|known| known.resource_version);
        let latest = known.max(self.ledger_gone);
        if latest.is_none_or(|latest| latest <= ledger.resource_version) {
            self.ledger = LedgerView::Present(ledger);
        }
    }

    /// Records the Lease, unless a newer state of it is known.
    fn put_lease(&mut self, named: Option<Uid>, version: ResourceVersion) {
        if self.lease_version.is_none_or(|known| known <= version) {
            self.lease = LeaseView::Names(named);
            self.lease_version = Some(version);
        }
    }

    /// The pods of a controller's workload, if the controller's own owner is new.
    fn pods_below(&self, controller: &Controller) -> Vec<ObjectKey> {
        let namespace = &controller.key.namespace;
        let reference = controller.reference();
        let known = self.controller(namespace, &reference);
        if known.is_some_and(|known| known.owner == controller.owner) {
            return Vec::new();
        }
        let below = self.controllers_below(namespace, &reference);
        let owners = below.into_iter().chain([controller]);
        owners
            .flat_map(|owner| self.owned(owner))
            .map(|pod| pod.key.clone())
            .collect()
    }

    /// Removes the controllers of a kind that a complete list does not contain.
    fn retain_controllers(
        &mut self,
        within: &Within,
        kind: ControllerKind,
        listed: &BTreeSet<ObjectKey>,
    ) {
        let known = self.controllers.values().flat_map(BTreeMap::values);
        let gone = known.filter(|known| {
            known.kind == kind && within.has(&known.key) && !listed.contains(&known.key)
        });
        let gone: Vec<ObjectKey> = gone.map(|known| known.key.clone()).collect();
        for key in gone {
            self.remove_controller(kind, &key);
        }
    }

    /// Removes the objects of a kind that a complete list does not contain.
    fn retain_selecting(
        &mut self,
        within: &Within,
        kind: PodSelectingKind,
        listed: &BTreeSet<ObjectKey>,
    ) {
        let known = self.selecting.values().flat_map(BTreeMap::values);
        let gone = known.filter(|known| {
            known.kind() == kind && within.has(known.key()) && !listed.contains(known.key())
        });
        let gone: Vec<ObjectKey> = gone.map(|known| known.key().clone()).collect();
        for key in gone {
            self.remove_selecting(kind, &key);
        }
    }
}
