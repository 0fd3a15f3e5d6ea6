//! The watches that fill the view: every kind is listed once and then watched, and its objects become [`Update`]s.

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
        WireBudget, WireDaemonSet, WireDeployment, WireNamespace, WireNetworkPolicy, WireNode,
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

/// Every watch that fills the view: the name of its kind, and the future, which runs for ever.
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
        let mut objects = Objects::<K>::of::<K::Object>(client, None);
        if K::METADATA_ONLY {
            objects = objects.metadata_only();
        }
        (K::KIND, follow(objects, None, events.clone()).boxed())
    }
    let ledger = Objects::of::<<WireLedger as WatchedKind>::Object>(client, Some(namespace));
    let ledger_only = format!("metadata.name={}", ledger::name(agent));
    vec![
        all::<WirePod>(client, events),
        all::<WireNamespace>(client, events),
        all::<WireNode>(client, events),
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
