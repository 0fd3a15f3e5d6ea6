//! The watches that fill the view: every kind is listed once and then watched, and its objects become [`Update`]s.

mod convert;
mod follow;
mod interner;
mod kinds;
mod namespaces;
mod rolling;
mod wire;

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use kube::Client;
use tokio::sync::{Semaphore, mpsc};

use self::{
    follow::{Followed, follow},
    kinds::WatchedKind,
    namespaces::poll_namespace,
    wire::{
        WireBudget, WireDaemonSet, WireDeployment, WireNamespace, WireNetworkPolicy, WireNode,
        WireReplicaSet, WireService, WireStatefulSet,
    },
};
use super::client::Objects;
use crate::core::{
    ledger,
    view::{Update, Within},
};

pub(super) use self::{
    convert::Converter,
    interner::Interner,
    wire::{WireLedger, WirePod},
};

/// Whether the view has everything that a watch reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// Everything that existed when the watch was opened has been passed on.
    InSync,
    /// With the reason.
    OutOfSync(String),
}

/// What a watch passes on, with the name of its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    Update(&'static str, Box<Update>),
    Watch(&'static str, WatchState),
    /// A sign of life without a change.
    Bookmark(&'static str),
}

/// An installation, and where it looks.
#[derive(Clone, Copy, Debug)]
pub struct Installation<'a> {
    /// The agent's own namespace, with its ledger.
    pub own_namespace: &'a str,
    /// The name of the installation.
    pub agent: &'a str,
    /// The namespaces whose pods it looks at; empty for those of the whole cluster.
    pub namespaces: &'a [Arc<str>],
}

/// What an agent of these namespaces cannot know; `None` for one of the whole cluster.
#[must_use]
pub fn not_known(namespaces: &[Arc<str>]) -> Option<String> {
    if namespaces.is_empty() {
        return None;
    }
    Some(format!(
        "only the pods of {} are watched. Not known: nodes (no storm of a zone is found, and a pod with ports of its node is not quarantined), and pods in quarantine elsewhere (they do not count for limits.cluster)",
        namespaces.join(", ")
    ))
}

/// Every watch that fills the view: its name, and the future, which runs for ever.
#[must_use]
pub fn watches(
    client: &Client,
    installation: Installation<'_>,
    events: &mpsc::Sender<WatchEvent>,
) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
    let pages = Arc::new(Semaphore::new(PAGES_AT_ONCE));
    let ledger = Followed::<WireLedger> {
        name: WireLedger::KIND,
        objects: Objects::of::<<WireLedger as WatchedKind>::Object>(
            client,
            Some(installation.own_namespace),
        ),
        within: Within::Cluster,
        fields: Some(format!(
            "metadata.name={}",
            ledger::name(installation.agent)
        )),
        pages: pages.clone(),
    };
    let mut watches = Watches {
        client,
        events,
        pages,
        all: Vec::new(),
    };
    if installation.namespaces.is_empty() {
        watches.add_namespaced(&Within::Cluster);
        watches.add::<WireNamespace>(&Within::Cluster);
        watches.add::<WireNode>(&Within::Cluster);
    } else {
        for namespace in installation.namespaces {
            watches.add_namespaced(&Within::Namespace(namespace.clone()));
            let name = format!("namespace {namespace}").leak();
            let polled = poll_namespace(client.clone(), name, namespace.clone(), events.clone());
            watches.all.push((name, polled.boxed()));
        }
    }
    watches
        .all
        .push((WireLedger::KIND, follow(ledger, events.clone()).boxed()));
    watches.all
}

/// All kinds of a cluster at once, and no more of many namespaces.
const PAGES_AT_ONCE: usize = 12;

struct Watches<'a> {
    client: &'a Client,
    events: &'a mpsc::Sender<WatchEvent>,
    pages: Arc<Semaphore>,
    all: Vec<(&'static str, BoxFuture<'static, ()>)>,
}

impl Watches<'_> {
    /// Those of the kinds that are in a namespace.
    fn add_namespaced(&mut self, within: &Within) {
        self.add::<WirePod>(within);
        self.add::<WireReplicaSet>(within);
        self.add::<WireDeployment>(within);
        self.add::<WireStatefulSet>(within);
        self.add::<WireDaemonSet>(within);
        self.add::<WireService>(within);
        self.add::<WireBudget>(within);
        self.add::<WireNetworkPolicy>(within);
    }

    fn add<K: WatchedKind>(&mut self, within: &Within) {
        let (name, namespace) = match within {
            Within::Cluster => (K::KIND, None),
            Within::Namespace(namespace) => (name_within(K::KIND, namespace), Some(&**namespace)),
        };
        let mut objects = Objects::<K>::of::<K::Object>(self.client, namespace);
        if K::METADATA_ONLY {
            objects = objects.metadata_only();
        }
        let followed = Followed {
            name,
            objects,
            within: within.clone(),
            fields: None,
            pages: self.pages.clone(),
        };
        self.all
            .push((name, follow(followed, self.events.clone()).boxed()));
    }
}

/// The name of a watch within a namespace. There are as many as the command line names, and they last as long as the agent.
fn name_within(kind: &str, namespace: &str) -> &'static str {
    format!("{kind} of {namespace}").leak()
}
