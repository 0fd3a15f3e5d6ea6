//! The API server: watches in, writes out. kube's types stay in here.

mod convert;
mod drain;
mod error;
mod headers;
pub mod kubernetes;
mod leadership;
mod lease;
mod ledger;
mod needs;
mod pods;
mod read;
pub mod reader;
mod request;
mod rolling;
mod sign_in;
pub mod watch;
mod watched;
mod wire;
mod wire_needs;
mod wire_node;
mod wire_quota;

use futures::future::{BoxFuture, FutureExt};
use kube::{Api, Client};
use tokio::sync::mpsc;

use self::{
    watch::{News, Watched, follow},
    wire::{
        WireBudget, WireDaemonSet, WireDeployment, WireLedger, WireNamespace, WireNetworkPolicy,
        WirePod, WireReplicaSet, WireService, WireStatefulSet,
    },
};

pub use self::{
    error::in_short,
    headers::{Headers, client},
    leadership::{Candidate, KIND as LEASE, Leadership, lead},
    read::{UnreadablePod, read_pod},
    sign_in::{SignInError, config},
};

/// Every watch that the view is made of: the name of its kind, and what runs for ever.
#[must_use]
pub fn watches(
    client: &Client,
    namespace: &str,
    agent: &str,
    news: &mpsc::Sender<News>,
) -> Vec<(&'static str, BoxFuture<'static, ()>)> {
    fn all<K: Watched>(
        client: &Client,
        news: &mpsc::Sender<News>,
    ) -> (&'static str, BoxFuture<'static, ()>) {
        let watch = follow(Api::<K>::all(client.clone()), None, news.clone());
        (K::KIND, watch.boxed())
    }
    let ledger = Api::<WireLedger>::namespaced(client.clone(), namespace);
    let ledger_only = format!("metadata.name={}", crate::core::ledger::name(agent));
    vec![
        all::<WirePod>(client, news),
        all::<WireNamespace>(client, news),
        all::<WireReplicaSet>(client, news),
        all::<WireDeployment>(client, news),
        all::<WireStatefulSet>(client, news),
        all::<WireDaemonSet>(client, news),
        all::<WireService>(client, news),
        all::<WireBudget>(client, news),
        all::<WireNetworkPolicy>(client, news),
        (
            WireLedger::KIND,
            follow(ledger, Some(ledger_only), news.clone()).boxed(),
        ),
    ]
}
