//! Waits until a pod is out of the EndpointSlices of its Services.

use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Error, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::time::{sleep, timeout};

use crate::core::lookup::DrainQuery;

/// How long a pod may take to leave the slices: usually milliseconds, and a second on a large cluster.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);

/// The time between two attempts to read the slices.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether a slice contains an endpoint of that pod.
fn has(slice: &EndpointSlice, pod: &str) -> bool {
    let mut targets = slice
        .endpoints
        .iter()
        .filter_map(|one| one.target_ref.as_ref());
    targets.any(|target| target.uid.as_deref() == Some(pod))
}

/// Services of a pod that are followed at once: whoever may create Services can have a pod leave a thousand of them.
const AT_ONCE: usize = 8;

/// Waits until the pod is out of the slices of all its Services, for at most [`DRAINED_WITHIN`]. Returns the Services
/// whose slices still contain it then, as far as is known.
pub(super) async fn still_in(client: &Client, query: &DrainQuery) -> Vec<Arc<str>> {
    let mut left: BTreeSet<Arc<str>> = query.services.iter().cloned().collect();
    let out_of = |service: Arc<str>| async move {
        out_of(client, query, &service).await;
        service
    };
    let services = stream::iter(query.services.iter().cloned()).map(out_of);
    let mut drained = pin!(services.buffer_unordered(AT_ONCE));
    let all = async {
        while let Some(service) = drained.next().await {
            left.remove(&service);
        }
    };
    // Those that are not reached in time are as good as those that still contain it.
    let _ = timeout(DRAINED_WITHIN, all).await;
    left.into_iter().collect()
}

/// Waits until the pod is in none of the slices of a Service.
async fn out_of(client: &Client, query: &DrainQuery, service: &str) {
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &query.pod.namespace);
    let selector = format!("kubernetes.io/service-name={service}");
    // A failure is retried until the time limit; then the pod counts as not drained.
    while !matches!(watch(&api, &selector, &query.uid).await, Ok(true)) {
        sleep(AGAIN).await;
    }
}

/// Lists the slices and watches them until none contains the pod. False if the watch ended before.
async fn watch(api: &Api<EndpointSlice>, selector: &str, pod: &str) -> Result<bool, Error> {
    let slices = api.list(&ListParams::default().labels(selector)).await?;
    let with_pod = slices.items.iter().filter(|slice| has(slice, pod));
    let mut with_pod: BTreeSet<String> = with_pod.map(EndpointSlice::name_any).collect();
    let version = slices.metadata.resource_version.unwrap_or_default();
    if with_pod.is_empty() {
        return Ok(true);
    }
    let params = WatchParams::default().labels(selector);
    let mut events = api.watch(&params, &version).await?.boxed();
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) if has(&slice, pod) => {
                with_pod.insert(slice.name_any());
            }
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) | WatchEvent::Deleted(slice) => {
                with_pod.remove(&slice.name_any());
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(Error::Api(status)),
        }
        if with_pod.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
