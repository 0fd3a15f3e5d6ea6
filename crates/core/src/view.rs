//! What the agent knows of the cluster: the latest of every watched object, and the ledger.
//!
//! Filled by `cluster`, read by [`super::decide`]. An object never goes back to an older resourceVersion, in
//! whatever order watches and the answers to writes come in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::{
    ledger::{LedgerView, Memory, Pause},
    object::{
        Controller, ControllerKind, Namespace, ObjectKey, Pod, Reference, ResourceVersion,
        Selecting, SelectingKind, Uid,
    },
    policy::{Mode, Policy},
    record,
};

/// Objects of a namespace by kind and name.
pub(super) type ByNamespace<Kind, Object> = BTreeMap<Arc<str>, BTreeMap<(Kind, Arc<str>), Object>>;

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(super) pods: BTreeMap<ObjectKey, Pod>,
    /// The pods that a decision must look at whatever the signals say, see [`Pod::is_marked`].
    marked: BTreeSet<ObjectKey>,
    /// The pods by the uid of their controller.
    owned: HashMap<Uid, BTreeSet<ObjectKey>>,
    /// The pods that take ports of their nodes.
    with_ports_of_nodes: BTreeSet<ObjectKey>,
    /// The pods that went last: the answer to a write may come after the watch told of the pod's end.
    gone: VecDeque<Uid>,
    pub(super) namespaces: BTreeMap<Arc<str>, Namespace>,
    pub(super) selecting: ByNamespace<SelectingKind, Selecting>,
    pub(super) controllers: ByNamespace<ControllerKind, Controller>,
    /// The ledger.
    pub ledger: LedgerView,
    /// The agent's Lease.
    pub lease: LeaseView,
    /// The version that it was read at.
    pub(super) lease_version: Option<ResourceVersion>,
    /// The version at which a ledger went, of the last one that did.
    pub(super) ledger_gone: Option<ResourceVersion>,
    /// What the last ledger that was read held besides slots.
    pub(super) remembered: Memory,
    /// Why the view must not be acted on just now, if so: a watch has not synced, or has been silent too long.
    pub stale: Option<Arc<str>>,
    /// Why nothing new is quarantined although the view is current, if so: the policy file in force is not the one that
    /// people wrote last, or the clock is off.
    pub unsure: Option<Arc<str>>,
    /// Whether the agent's clock and the API server's are so far apart that no time can be trusted.
    pub clock_is_off: bool,
    /// The agent's own namespace.
    pub own_namespace: Arc<str>,
}

/// What is known of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LeaseView {
    /// It was not read yet.
    #[default]
    Unread,
    /// It names the ledger of that uid, or none: then there was none yet, and none can be lost.
    Names(Option<Uid>),
}

/// How many pods that went are remembered. An answer is late by the ten seconds of a request at most, in which far
/// fewer pods go.
const GONE: usize = 1024;

/// The top controller of a pod, and the pod's own.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The pod's controller.
    pub owner: &'a Controller,
    /// The Deployment above it, if there is one.
    pub deployment: Option<&'a Controller>,
    /// The owner's owner, if that is of a kind that the agent does not read, such as an Argo Rollout.
    pub unread: Option<&'a Reference>,
}

impl Workload<'_> {
    /// The top of the chain, as a record names it.
    #[must_use]
    pub fn reference(&self) -> Reference {
        let known = self.deployment.unwrap_or(self.owner).reference();
        self.unread.cloned().unwrap_or(known)
    }

    /// The uid that limits are counted by.
    #[must_use]
    pub fn uid(&self) -> &Uid {
        let known = &self.deployment.unwrap_or(self.owner).uid;
        self.unread.map_or(known, |unread| &unread.uid)
    }

    /// What people have written into its annotation [`RESET`](super::keys::RESET).
    #[must_use]
    pub fn reset(&self) -> Option<&Arc<str>> {
        self.deployment.unwrap_or(self.owner).reset.as_ref()
    }

    /// Whether the pod's controller is of the revision that is wanted.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let deployment = self.deployment;
        deployment.is_none_or(|deployment| deployment.revision == self.owner.revision)
    }

    /// Whether its pods are on the way from one template to another. A parent that is not read is rolled out while more
    /// than one of its ReplicaSets wants pods.
    #[must_use]
    pub fn is_rolling(&self, view: &View) -> bool {
        let seen = self.deployment.unwrap_or(self.owner);
        let wanted = || view.sets_of(self).filter(|set| set.desired > 0).count();
        seen.rolling || self.unread.is_some() && wanted() > 1
    }

    /// How many pods are wanted. During a rollout a ReplicaSet wants fewer than its Deployment.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.deployment.unwrap_or(self.owner).desired
    }
}

/// Why a pod has no workload that can be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoWorkload {
    /// No controller owns the pod.
    Unowned,
    /// A controller of a kind that the agent does not read.
    Unread(Reference),
    /// The controller is named but not in the view: the view lags behind.
    NotSeen(Reference),
}

impl View {
    /// A view of nothing yet, of the agent in that namespace.
    #[must_use]
    pub fn new(own_namespace: &str) -> Self {
        Self {
            own_namespace: own_namespace.into(),
            ..Self::default()
        }
    }

    /// Takes a pod in, unless a newer state of it, its successor or its end is known. True if something changed.
    pub fn put_pod(&mut self, pod: Pod) -> bool {
        let known = self.pods.get(&pod.key);
        if known.is_some_and(|known| known.resource_version >= pod.resource_version) {
            return false;
        }
        if known.is_none_or(|known| known.uid != pod.uid) && self.gone.contains(&pod.uid) {
            return false;
        }
        self.erase(&pod.key, &pod.uid);
        if pod.is_marked() {
            self.marked.insert(pod.key.clone());
        }
        if pod.takes_ports_of_its_node() {
            self.with_ports_of_nodes.insert(pod.key.clone());
        }
        if let Some(owner) = &pod.owner {
            self.owned
                .entry(owner.uid.clone())
                .or_default()
                .insert(pod.key.clone());
        }
        self.pods.insert(pod.key.clone(), pod);
        true
    }

    /// Takes a pod out, for a newer state of the pod `for_uid`. Unless it is that pod itself, it is gone for good.
    fn erase(&mut self, key: &ObjectKey, for_uid: &str) {
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        if &*pod.uid != for_uid {
            self.gone.truncate(GONE - 1);
            self.gone.push_front(pod.uid.clone());
        }
        self.marked.remove(key);
        self.with_ports_of_nodes.remove(key);
        if let Some(owner) = pod.owner
            && let Some(pods) = self.owned.get_mut(&owner.uid)
        {
            pods.remove(key);
            if pods.is_empty() {
                self.owned.remove(&owner.uid);
            }
        }
    }

    /// Forgets a pod that is gone: the one of that uid, not a successor of the same name.
    pub fn remove_pod(&mut self, key: &ObjectKey, uid: &str) -> bool {
        let same = self.pods.get(key).is_some_and(|known| &*known.uid == uid);
        if same {
            self.erase(key, "");
        }
        same
    }

    /// Forgets the pods that a complete list, read at `version`, does not have. Gives their keys.
    pub fn retain_pods(
        &mut self,
        listed: &BTreeSet<Uid>,
        version: ResourceVersion,
    ) -> Vec<ObjectKey> {
        let gone = |pod: &&Pod| !listed.contains(&pod.uid) && pod.resource_version <= version;
        let gone: Vec<ObjectKey> = self
            .pods
            .values()
            .filter(gone)
            .map(|pod| pod.key.clone())
            .collect();
        for key in &gone {
            self.erase(key, "");
        }
        gone
    }

    /// The pod of that name.
    #[must_use]
    pub fn pod(&self, key: &ObjectKey) -> Option<&Pod> {
        self.pods.get(key)
    }

    /// All pods, by key.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// The pods of a namespace, by name.
    pub fn pods_in(&self, namespace: &Arc<str>) -> impl Iterator<Item = &Pod> {
        let first = ObjectKey::new(namespace.clone(), "");
        let here = move |(key, _): &(&ObjectKey, &Pod)| key.namespace == *namespace;
        self.pods
            .range(first..)
            .take_while(here)
            .map(|(_, pod)| pod)
    }

    /// The pods of a workload, by controller and key.
    pub fn pods_of<'a>(&'a self, workload: &Workload<'a>) -> impl Iterator<Item = &'a Pod> {
        self.sets_of(workload).flat_map(|set| self.owned(&set.uid))
    }

    /// The controllers that own the pods of a workload: all its ReplicaSets, of whatever revision.
    pub fn sets_of<'a>(&'a self, workload: &Workload<'a>) -> impl Iterator<Item = &'a Controller> {
        let (owner, top) = (workload.owner, workload.uid().clone());
        self.controllers(&owner.key.namespace).filter(move |set| {
            let above = set.owner.as_ref().map(|owner| &owner.uid);
            set.uid == owner.uid || above == Some(&top)
        })
    }

    /// The pods that a controller owns, by key.
    pub fn owned(&self, controller: &str) -> impl Iterator<Item = &Pod> {
        let keys = self.owned.get(controller).into_iter().flatten();
        keys.filter_map(|key| self.pods.get(key))
    }

    /// The marked pods, in the order of their keys.
    pub fn marked(&self) -> impl Iterator<Item = &Pod> {
        self.marked.iter().filter_map(|key| self.pods.get(key))
    }

    /// The pods that take ports of their nodes.
    pub fn with_ports_of_nodes(&self) -> impl Iterator<Item = &Pod> {
        let keys = self.with_ports_of_nodes.iter();
        keys.filter_map(|key| self.pods.get(key))
    }

    /// Takes a namespace in.
    pub fn put_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// The namespace of that name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// Takes in a Service, PodDisruptionBudget or NetworkPolicy.
    pub fn put_selecting(&mut self, object: Selecting) {
        let of_namespace = self
            .selecting
            .entry(object.key.namespace.clone())
            .or_default();
        of_namespace.insert((object.kind, object.key.name.clone()), object);
    }

    /// Forgets one.
    pub fn remove_selecting(&mut self, kind: SelectingKind, key: &ObjectKey) {
        if let Some(of_namespace) = self.selecting.get_mut(&key.namespace) {
            of_namespace.remove(&(kind, key.name.clone()));
        }
    }

    /// Those of one namespace, by kind and name.
    pub fn selecting(&self, namespace: &str) -> impl Iterator<Item = &Selecting> {
        self.selecting
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The disruption budgets that a pod counts for.
    pub fn budgets_of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = &'a Selecting> {
        let selects = |object: &&Selecting| {
            let selector = object.selector.as_ref();
            selector.is_some_and(|selector| selector.matches(&pod.labels))
        };
        self.selecting(&pod.key.namespace)
            .filter(|object| object.kind == SelectingKind::PodDisruptionBudget)
            .filter(selects)
    }

    /// Takes in a controller.
    pub fn put_controller(&mut self, controller: Controller) {
        let of_namespace = self
            .controllers
            .entry(controller.key.namespace.clone())
            .or_default();
        of_namespace.insert((controller.kind, controller.key.name.clone()), controller);
    }

    /// Forgets one.
    pub fn remove_controller(&mut self, kind: ControllerKind, key: &ObjectKey) {
        if let Some(of_namespace) = self.controllers.get_mut(&key.namespace) {
            of_namespace.remove(&(kind, key.name.clone()));
        }
    }

    /// Those of one namespace, by kind and name.
    pub fn controllers(&self, namespace: &str) -> impl Iterator<Item = &Controller> {
        self.controllers
            .get(namespace)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// The controller that a reference means: of that kind, name and uid.
    #[must_use]
    pub fn controller(&self, namespace: &str, reference: &Reference) -> Option<&Controller> {
        self.controllers(namespace).find(|controller| {
            controller.uid == reference.uid && controller.kind.as_str() == &*reference.kind
        })
    }

    /// The controller of that uid, in whatever namespace.
    #[must_use]
    pub fn controller_of_uid(&self, uid: &str) -> Option<&Controller> {
        let all = self.controllers.values().flat_map(BTreeMap::values);
        let mut all = all.filter(|controller| &*controller.uid == uid);
        all.next()
    }

    /// What a pod belongs to.
    pub fn workload(&self, pod: &Pod) -> Result<Workload<'_>, NoWorkload> {
        let reference = pod.owner.as_ref().ok_or(NoWorkload::Unowned)?;
        self.workload_of(&pod.key.namespace, reference)
    }

    /// What the pods of a controller belong to.
    pub fn workload_of(
        &self,
        namespace: &str,
        reference: &Reference,
    ) -> Result<Workload<'_>, NoWorkload> {
        if !is_read(reference) {
            return Err(NoWorkload::Unread(reference.clone()));
        }
        let owner = self
            .controller(namespace, reference)
            .ok_or_else(|| NoWorkload::NotSeen(reference.clone()))?;
        let (deployment, unread) = match &owner.owner {
            None => (None, None),
            Some(above) if is_read(above) => {
                let seen = self.controller(namespace, above);
                (
                    Some(seen.ok_or_else(|| NoWorkload::NotSeen(above.clone()))?),
                    None,
                )
            }
            Some(above) => (None, Some(above)),
        };
        Ok(Workload {
            owner,
            deployment,
            unread,
        })
    }

    /// The workload that a counted pod is counted for: the recorded one, else the one that owns it.
    #[must_use]
    pub fn workload_uid(&self, pod: &Pod) -> Option<Uid> {
        match record::read(pod).record() {
            Some(record) => Some(record.workload.uid.clone()),
            None => self
                .workload(pod)
                .ok()
                .map(|workload| workload.uid().clone()),
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

    /// The pause, where people have set one. As long as there is no ledger, what the last one said holds.
    #[must_use]
    pub fn pause(&self) -> Option<&Pause> {
        match &self.ledger {
            LedgerView::Present(ledger) => ledger.memory.pause.as_ref(),
            LedgerView::Unread | LedgerView::Gone => self.remembered.pause.as_ref(),
        }
    }

    /// How far a namespace lets anything go. What cannot be read counts as `off`; a namespace that is not in the
    /// view, too.
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

/// Whether the agent reads objects of that kind.
fn is_read(reference: &Reference) -> bool {
    ControllerKind::parse(&reference.kind).is_some()
}
