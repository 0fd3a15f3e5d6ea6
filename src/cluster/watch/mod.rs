//! What the view is made of: every kind is listed once and then watched, and what is read becomes [`Update`]s.

mod convert;
mod follow;
mod interner;
mod kinds;
mod rolling;
mod wire;

use futures::future::{BoxFuture, FutureExt};
use kube::Client;
use tokio::sync::mpsc;

use self::{
    follow::follow,
    kinds::WatchedKind,
    wire::{
        WireBudget, WireDaemonSet, WireDeployment, WireNamespace, WireNetworkPolicy,
        WireReplicaSet, WireService, WireStatefulSet,
    },
};
use super::client::Objects;
use crate::core::{ledger, view::Update};

pub(super) use self::{
    convert::Converter,
    interner::Interner,
    wire::{WireLedger, WirePod},
};

/// What a watch says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchState {
    /// It follows: all that was there has been passed on.
    Following,
    /// It does not, and why.
    Broken(String),
}

/// What comes from a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// About the cluster, from the watch of that kind.
    Update(&'static str, Box<Update>),
    /// About the watch of that kind.
    Watch(&'static str, WatchState),
    /// The API server spoke to the watch of that kind, of nothing that changed.
    Bookmark(&'static str),
}

/// Every watch that the view is made of: the name of its kind, and what runs for ever.
#[must_use]
pub fn watches(
    client: &Client,
    namespace: &str,
    agent: &str,
    events: &mpsc::Sender<WatchEvent>,
) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
    fn all<K: WatchedKind>(
        client: &Client,
        events: &mpsc::Sender<WatchEvent>,
    ) -> (&'static str, BoxFuture<'static, ()>) {
        let objects = Objects::<K>::of::<K::Object>(client, None);
        (K::KIND, follow(objects, None, events.clone()).boxed())
    }
    let ledger = Objects::of::<<WireLedger as WatchedKind>::Object>(client, Some(namespace));
    let ledger_only = format!("metadata.name={}", ledger::name(agent));
    vec![
        all::<WirePod>(client, events),
        all::<WireNamespace>(client, events),
        all::<WireReplicaSet>(client, events),
        all::<WireDeployment>(client, events),
        all::<WireStatefulSet>(client, events),
        all::<WireDaemonSet>(client, events),
        all::<WireService>(client, events),
        all::<WireBudget>(client, events),
        all::<WireNetworkPolicy>(client, events),
        (
            WireLedger::KIND,
            follow::<WireLedger>(ledger, Some(ledger_only), events.clone()).boxed(),
        ),
    ]
}
