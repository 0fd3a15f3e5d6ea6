//! When pods left their Service's EndpointSlices, by a watch that was opened before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(1);

/// A watch on the EndpointSlices of the Service `web` in one namespace.
pub(crate) struct Slices {
    seen: watch::Receiver<Seen>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Seen {
    /// The pods of each slice.
    slices: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// When each pod was last removed from a slice.
    left: BTreeMap<Arc<str>, Timestamp>,
}

impl Slices {
    pub(crate) fn watch(client: Client, namespace: &str) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let api: Api<EndpointSlice> = Api::namespaced(client, namespace);
        let task = tokio::spawn(async move {
            let config = watcher::Config::default().labels("kubernetes.io/service-name=web");
            let events = watcher(api, config);
            pin_mut!(events);
            while let Some(event) = events.next().await {
                // Before anything else is done with the event.
                let at = Timestamp::now();
                match event {
                    Ok(Event::Apply(slice) | Event::InitApply(slice)) => {
                        sender.send_modify(|seen| seen.record(&slice, at));
                    }
                    Ok(_) => {}
                    Err(error) => eprintln!("the watch on the EndpointSlices: {error}"),
                }
            }
        });
        Self {
            seen,
            task: task.abort_handle(),
        }
    }

    /// Waits until a pod has left. Returns when it did.
    pub(crate) async fn left(&self, pod: &str) -> anyhow::Result<Timestamp> {
        let mut seen = self.seen.clone();
        let gone = timeout(LONG, seen.wait_for(|seen| seen.left.contains_key(pod)))
            .await
            .with_context(|| format!("{pod} is in an EndpointSlice after {LONG:?}"))?
            .context("the watch on the EndpointSlices has ended")?;
        gone.left.get(pod).copied().context("it has not left")
    }
}

impl Drop for Slices {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn record(&mut self, slice: &EndpointSlice, at: Timestamp) {
        let name = slice.metadata.name.clone().unwrap_or_default();
        let pods = slice.endpoints.iter().filter_map(|endpoint| {
            let pod = endpoint.target_ref.as_ref()?.name.as_deref()?;
            Some(Arc::from(pod))
        });
        let now: BTreeSet<Arc<str>> = pods.collect();
        let before = self.slices.insert(name, now.clone()).unwrap_or_default();
        for pod in before.difference(&now) {
            self.left.insert(pod.clone(), at);
        }
    }
}
