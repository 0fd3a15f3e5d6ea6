//! What the agent knows of the cluster: the latest state of every watched object, and the ledger.
//!
//! Filled by `cluster`, read by [`crate::decide`]. An object never goes back to an older resourceVersion, in
//! whatever order watches and the answers to writes come in.

mod owned;
mod unreadable;
mod update;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

pub use self::update::{Update, Within};
use self::{owned::Owned, unreadable::Unreadable};
use crate::{
    ledger::{LedgerView, Pause},
    object::{
        Controller, ControllerKind, DisruptionBudget, Namespace, ObjectKey, ObjectKind, Pod,
        PodSelectingKind, PodSelectingObject, Reference, ResourceVersion, Service, Uid,
    },
    policy::{Mode, Policy},
    scope::PodScopes,
    workload::{NoWorkload, Workload, WorkloadId},
};

/// Objects of a namespace by kind and name.
type ByNamespace<Kind, Object> = BTreeMap<Arc<str>, BTreeMap<(Kind, Arc<str>), Object>>;

#[derive(Clone, Debug, Default)]
pub struct View {
    pods: BTreeMap<ObjectKey, Pod>,
    /// The pods that a decision must check whatever the signals say, see [`Pod::tracked`].
    tracked: BTreeSet<ObjectKey>,
    pods_of_owners: Owned<ObjectKey>,
    on_nodes: ByNode,
    zones: BTreeMap<Arc<str>, Arc<str>>,
    /// The pods with host ports, by node.
    with_host_ports: ByNode,
    /// The pods that were deleted last: the answer to a write may arrive after the watch reported the pod's deletion.
    gone: VecDeque<Uid>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    selecting: ByNamespace<PodSelectingKind, PodSelectingObject>,
    controllers: ByNamespace<ControllerKind, Controller>,
    controllers_of_owners: Owned<(ControllerKind, Arc<str>)>,
    /// The uid of an object itself is the API server's, and one object's alone.
    controllers_by_uid: HashMap<Uid, (ControllerKind, ObjectKey)>,
    unreadable: Unreadable,
    /// Which of all changes of selectors was the last in each namespace.
    selectors_changed: BTreeMap<Arc<str>, u64>,
    changes: u64,
    pub ledger: LedgerView,
    pub lease: LeaseView,
    lease_version: Option<ResourceVersion>,
    /// The version at which a ledger was last deleted.
    ledger_gone: Option<ResourceVersion>,
    /// Why the view may be out of date: a watch has not synced, or has been silent too long; `None` where it is current.
    pub stale: Option<Arc<str>>,
    pub own_namespace: Arc<str>,
    /// Where the watches look; empty for the whole cluster. Nobody would tell of a change elsewhere.
    pub watched_namespaces: BTreeSet<Arc<str>>,
}

/// What the view knows of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LeaseView {
    /// It was not read yet.
    #[default]
    NotLoaded,
    /// It names the ledger of that uid, or `None`: then there was no ledger yet, and none can be lost.
    Names(Option<Uid>),
}

/// How many deleted pods are remembered. An answer is late by at most the ten seconds of a request, in which far fewer
/// pods are deleted.
const GONE: usize = 1024;

impl View {
    /// An empty view, of the agent in that namespace.
    #[must_use]
    pub fn new(own_namespace: &str) -> Self {
        Self {
            own_namespace: own_namespace.into(),
            ..Self::default()
        }
    }

    /// Records a pod, unless a newer state of it, its deletion or a later pod of its name is known. True if the view
    /// changed.
    pub fn put_pod(&mut self, pod: Pod) -> bool {
        if !self.is_watched(&pod.key.namespace) {
            return false;
        }
        let known = self.pods.get(&pod.key);
        if known.is_some_and(|known| known.resource_version >= pod.resource_version) {
            return false;
        }
        if known.is_none_or(|known| known.uid != pod.uid) && self.gone.contains(&pod.uid) {
            return false;
        }
        self.erase(&pod.key, &pod.uid);
        if pod.tracked() {
            self.tracked.insert(pod.key.clone());
        }
        if let Some(node) = &pod.node {
            insert(&mut self.on_nodes, node, &pod.key);
            if pod.takes_host_ports() {
                insert(&mut self.with_host_ports, node, &pod.key);
            }
        }
        let (key, owner) = (&pod.key, pod.owner.as_ref());
        self.pods_of_owners
            .insert(&key.namespace, owner, key.clone());
        self.pods.insert(pod.key.clone(), pod);
        true
    }

    /// Removes a pod in favour of a newer state of the pod `for_uid`. If that is another pod, this one was deleted.
    fn erase(&mut self, key: &ObjectKey, for_uid: &str) {
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        if &*pod.uid != for_uid {
            self.gone.truncate(GONE - 1);
            self.gone.push_front(pod.uid.clone());
        }
        self.tracked.remove(key);
        if let Some(node) = &pod.node {
            remove(&mut self.on_nodes, node, key);
            remove(&mut self.with_host_ports, node, key);
        }
        self.pods_of_owners
            .remove(&key.namespace, pod.owner.as_ref(), key);
    }

    /// Removes a deleted pod by its uid, not a later pod of the same name. True if the view changed.
    pub fn remove_pod(&mut self, key: &ObjectKey, uid: &str) -> bool {
        let same = self.pods.get(key).is_some_and(|known| &*known.uid == uid);
        if same {
            self.erase(key, "");
        }
        same
    }

    /// Whether the view has the pods of a namespace.
    #[must_use]
    pub fn is_watched(&self, namespace: &str) -> bool {
        self.watched_namespaces.is_empty() || self.watched_namespaces.contains(namespace)
    }

    /// Removes the pods that a complete list, read at `version`, does not contain. Returns their keys.
    pub fn retain_pods(
        &mut self,
        within: &Within,
        listed: &BTreeSet<Uid>,
        version: ResourceVersion,
    ) -> Vec<ObjectKey> {
        let mut gone = Vec::new();
        for pod in self.pods.values() {
            let is_older = pod.resource_version <= version;
            if within.has(&pod.key) && is_older && !listed.contains(&pod.uid) {
                gone.push(pod.key.clone());
            }
        }
        for key in &gone {
            self.erase(key, "");
        }
        gone
    }

    #[must_use]
    pub fn pod(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(key)
    }

    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    pub fn pods_in(&self, namespace: &Arc<str>) -> impl Iterator<Item = &Pod> {
        let first = ObjectKey::new(namespace.clone(), "");
        let here = move |(key, _): &(&ObjectKey, &Pod)| key.namespace == *namespace;
        self.pods
            .range(first..)
            .take_while(here)
            .map(|(_, pod)| pod)
    }

    /// The pods of a workload, in the order of controllers and keys.
    pub fn pods_of<'a>(&'a self, workload: &Workload<'a>) -> impl Iterator<Item = &'a Pod> {
        let sets = self.replica_sets_of(workload);
        sets.into_iter().flat_map(|set| self.owned(set))
    }

    /// The controllers that own the pods of a workload: all its ReplicaSets, of whatever revision.
    #[must_use]
    pub fn replica_sets_of<'a>(&'a self, workload: &Workload<'a>) -> Vec<&'a Controller> {
        match &workload.owner.owner {
            None => vec![workload.owner],
            Some(parent) => self.controllers_below(&workload.owner.key.namespace, parent),
        }
    }

    /// The controllers that a reference in that namespace owns, by kind and name.
    #[must_use]
    pub fn controllers_below(&self, namespace: &Arc<str>, owner: &Reference) -> Vec<&Controller> {
        let of_namespace = self.controllers.get(namespace);
        let below = self.controllers_of_owners.of(namespace, owner);
        below.filter_map(|key| of_namespace?.get(key)).collect()
    }

    /// Whether a rollout of a workload is in progress. For a custom parent: whether more than one of its ReplicaSets wants
    /// pods.
    #[must_use]
    pub fn is_rolling(&self, workload: &Workload<'_>) -> bool {
        if workload.top().rolling {
            return true;
        }
        let wanting = || {
            let sets = self.replica_sets_of(workload).into_iter();
            sets.filter(|set| set.desired > 0).count()
        };
        workload.custom_parent.is_some() && wanting() > 1
    }

    /// The pods that a controller owns, in the order of their keys.
    pub fn owned(&self, controller: &Controller) -> impl Iterator<Item = &Pod> + use<'_> {
        let namespace = &controller.key.namespace;
        let keys = self.pods_of_owners.of(namespace, &controller.reference());
        keys.filter_map(|key| self.pods.get(key))
    }

    /// The tracked pods, in the order of their keys.
    pub fn tracked(&self) -> impl Iterator<Item = &Pod> {
        self.tracked.iter().filter_map(|key| self.pods.get(key))
    }

    /// The pods with host ports on a node.
    pub fn with_host_ports_on(&self, node: &str) -> impl Iterator<Item = &Pod> {
        let keys = self.with_host_ports.get(node).into_iter().flatten();
        keys.filter_map(|key| self.pods.get(key))
    }

    pub fn put_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    pub fn put_selecting(&mut self, object: PodSelectingObject) {
        let ObjectKey { namespace, name } = object.key().clone();
        let of_namespace = self.selecting.entry(namespace.clone()).or_default();
        let is_new = |known: Option<&PodSelectingObject>| {
            known.is_none_or(|known| known.selector() != object.selector())
        };
        let key = (object.kind(), name);
        let changed = is_new(of_namespace.get(&key));
        of_namespace.insert(key, object);
        if changed {
            self.selectors_changed_in(&namespace);
        }
    }

    /// The objects in a namespace that cannot be read, but for pods: what they select is not known.
    pub fn unreadable_in(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = &(&'static str, Arc<str>)> {
        self.unreadable.selecting_in(namespace)
    }

    /// How many objects of each kind cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> BTreeMap<&'static str, i64> {
        self.unreadable.by_kind()
    }

    fn selectors_changed_in(&mut self, namespace: &Arc<str>) {
        self.changes += 1;
        let is_any = self.selecting.contains_key(namespace)
            || self.controllers.contains_key(namespace)
            || self.unreadable_in(namespace).next().is_some();
        if is_any {
            self.selectors_changed
                .insert(namespace.clone(), self.changes);
        } else {
            self.selectors_changed.remove(namespace);
        }
    }

    /// Another number after each change of what selects pods in a namespace, or owns them; 0 where nothing does.
    #[must_use]
    pub fn selectors_version(&self, namespace: &str) -> u64 {
        self.selectors_changed.get(namespace).copied().unwrap_or(0)
    }

    pub fn remove_selecting(&mut self, kind: PodSelectingKind, key: &ObjectKey) {
        let removed = remove_from(
            &mut self.selecting,
            &key.namespace,
            &(kind, key.name.clone()),
        );
        if removed.is_some() {
            self.selectors_changed_in(&key.namespace);
        }
    }

    /// The Services, PodDisruptionBudgets and NetworkPolicies of one namespace, by kind and name.
    pub fn selecting(&self, namespace: &str) -> impl Iterator<Item = &PodSelectingObject> {
        self.selecting
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The PodDisruptionBudgets that select a pod.
    pub fn budgets_of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a DisruptionBudget> {
        let objects = self.selecting(&pod.key.namespace);
        objects.filter_map(|object| match object {
            PodSelectingObject::PodDisruptionBudget(budget) if budget.selects(&pod.labels) => {
                Some(budget)
            }
            _ => None,
        })
    }

    /// The Services that select a pod, except those that are meant for quarantined pods.
    pub fn services_of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Service> {
        let objects = self.selecting(&pod.key.namespace);
        objects.filter_map(|object| match object {
            PodSelectingObject::Service(service)
                if service.selects(&pod.labels) && !service.is_about_quarantine() =>
            {
                Some(service)
            }
            _ => None,
        })
    }

    pub fn put_controller(&mut self, controller: Controller) {
        let ObjectKey { namespace, name } = controller.key.clone();
        let key = (controller.kind, name);
        let of_namespace = self.controllers.entry(namespace.clone()).or_default();
        let known = of_namespace.get(&key);
        let changed = known.is_none_or(|known| {
            known.uid != controller.uid
                || known.owner != controller.owner
                || known.selector != controller.selector
        });
        if !changed {
            of_namespace.insert(key, controller);
            return;
        }
        self.remove_controller(controller.kind, &controller.key);
        self.controllers_of_owners
            .insert(&namespace, controller.owner.as_ref(), key.clone());
        let of_uid = (controller.kind, controller.key.clone());
        self.controllers_by_uid
            .insert(controller.uid.clone(), of_uid);
        let of_namespace = self.controllers.entry(namespace.clone()).or_default();
        of_namespace.insert(key, controller);
        self.selectors_changed_in(&namespace);
    }

    pub fn remove_controller(&mut self, kind: ControllerKind, key: &ObjectKey) {
        let ObjectKey { namespace, name } = key;
        let key = (kind, name.clone());
        if let Some(known) = remove_from(&mut self.controllers, namespace, &key) {
            self.controllers_of_owners
                .remove(namespace, known.owner.as_ref(), &key);
            self.controllers_by_uid.remove(&known.uid);
            self.selectors_changed_in(namespace);
        }
    }

    /// The controllers of one namespace, by kind and name.
    pub fn controllers(&self, namespace: &str) -> impl Iterator<Item = &Controller> {
        self.controllers
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The controller of a reference: of that kind, name and uid.
    #[must_use]
    pub fn controller(&self, namespace: &str, reference: &Reference) -> Option<&Controller> {
        let ObjectKind::Controller(kind) = reference.kind else {
            return None;
        };
        let of_namespace = self.controllers.get(namespace)?;
        let controller = of_namespace.get(&(kind, reference.name.clone()))?;
        (controller.uid == reference.uid).then_some(controller)
    }

    /// The controller of that uid, in any namespace.
    #[must_use]
    pub fn controller_of_uid(&self, uid: &str) -> Option<&Controller> {
        let (kind, key) = self.controllers_by_uid.get(uid)?;
        let of_namespace = self.controllers.get(&key.namespace)?;
        of_namespace.get(&(*kind, key.name.clone()))
    }

    /// The workload of a pod.
    pub fn workload(&self, pod: &Pod) -> Result<Workload<'_>, NoWorkload> {
        let reference = pod.owner.as_ref().ok_or(NoWorkload::Unowned)?;
        self.workload_of(&pod.key.namespace, reference)
    }

    /// The workload of a controller's pods.
    pub fn workload_of(
        &self,
        namespace: &str,
        reference: &Reference,
    ) -> Result<Workload<'_>, NoWorkload> {
        let ObjectKind::Controller(_) = reference.kind else {
            return Err(NoWorkload::UnsupportedKind(reference.clone()));
        };
        let seen = |reference: &Reference| {
            let controller = self.controller(namespace, reference);
            controller.ok_or_else(|| NoWorkload::NotSeen(reference.clone()))
        };
        let owner = seen(reference)?;
        let (deployment, custom_parent) = match &owner.owner {
            None => (None, None),
            Some(parent) => match parent.kind {
                ObjectKind::Controller(_) => (Some(seen(parent)?), None),
                ObjectKind::Other(_) => (None, Some(parent)),
            },
        };
        Ok(Workload {
            owner,
            deployment,
            custom_parent,
        })
    }

    /// With which pods a pod is counted.
    #[must_use]
    pub fn scopes_of(&self, pod: &Pod) -> PodScopes {
        let zone = pod.node.as_ref().and_then(|node| self.zones.get(node));
        PodScopes {
            workload: self.workload_id(pod),
            node: pod.node.clone(),
            zone: zone.cloned(),
            exempt: pod.overrides().exempt,
        }
    }

    /// Records the zone of a node. Returns the pods on it if that is news.
    pub fn put_zone(&mut self, node: &Arc<str>, zone: Option<Arc<str>>) -> Vec<ObjectKey> {
        if self.zones.get(node) == zone.as_ref() {
            return Vec::new();
        }
        match zone {
            Some(zone) => self.zones.insert(node.clone(), zone),
            None => self.zones.remove(node),
        };
        let pods = self.on_nodes.get(node).into_iter().flatten();
        pods.cloned().collect()
    }

    /// What a pod is compared within: its workload, else what owns it, else the pod alone.
    #[must_use]
    pub fn workload_id(&self, pod: &Pod) -> WorkloadId {
        match (self.workload(pod), &pod.owner) {
            (Ok(workload), _) => workload.id(),
            (Err(_), Some(owner)) => WorkloadId::named(&pod.key.namespace, owner),
            (Err(_), None) => WorkloadId::of_pod(&pod.uid),
        }
    }

    /// Whether a policy watches a pod. A namespace that is not in the view is not watched.
    #[must_use]
    pub fn selects(&self, policy: &Policy, pod: &Pod) -> bool {
        let Some(namespace) = self.namespace(&pod.key.namespace) else {
            return false;
        };
        let watched = match &policy.namespaces {
            Some(selector) => selector.matches(&namespace.labels),
            None => !namespace.name.starts_with("kube-") && namespace.name != self.own_namespace,
        };
        watched && policy.pods.matches(&pod.labels)
    }

    /// The pause, if people have set one. While there is no ledger, that of the last ledger holds.
    #[must_use]
    pub fn pause(&self) -> Option<&Pause> {
        self.ledger.last()?.memory.pause.as_ref()
    }

    /// The highest mode that a namespace allows: `off` if its annotation cannot be read, or if it is not in the view.
    #[must_use]
    pub fn namespace_mode(&self, name: &str) -> Mode {
        match self.namespace(name) {
            None => Mode::Off,
            Some(Namespace { mode: None, .. }) => Mode::Enforce,
            Some(Namespace {
                mode: Some(text), ..
            }) => Mode::parse(text).unwrap_or(Mode::Off),
        }
    }
}

/// Pods of each node.
type ByNode = BTreeMap<Arc<str>, BTreeSet<ObjectKey>>;

fn insert(pods: &mut ByNode, node: &Arc<str>, pod: &ObjectKey) {
    let of_node = pods.entry(node.clone()).or_default();
    of_node.insert(pod.clone());
}

fn remove(pods: &mut ByNode, node: &Arc<str>, pod: &ObjectKey) {
    if let Some(of_node) = pods.get_mut(node) {
        of_node.remove(pod);
        if of_node.is_empty() {
            pods.remove(node);
        }
    }
}

/// Removes an object; of a namespace without any, nothing is kept.
fn remove_from<Kind: Ord, Object>(
    objects: &mut ByNamespace<Kind, Object>,
    namespace: &str,
    key: &(Kind, Arc<str>),
) -> Option<Object> {
    let of_namespace = objects.get_mut(namespace)?;
    let removed = of_namespace.remove(key);
    if of_namespace.is_empty() {
        objects.remove(namespace);
    }
    removed
}
