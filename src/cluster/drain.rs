//! Follows a pod out of the EndpointSlices of its Services.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::discovery::v1::EndpointSlice, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Error, Resource,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::wire::metadata;
use crate::core::action::Follow;

/// How long a pod may take to leave the slices: it takes milliseconds, and a second on a large cluster.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);

/// Between two attempts to read the slices.
const AGAIN: Duration = Duration::from_millis(500);

/// An EndpointSlice: only whose addresses it has.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = EndpointSlice)]
struct WireSlice {
    #[serde(deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    endpoints: Option<Vec<WireEndpoint>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEndpoint {
    target_ref: Option<WireTarget>,
}

#[derive(Clone, Debug, Deserialize)]
struct WireTarget {
    uid: Option<String>,
}

impl WireSlice {
    fn name(&self) -> String {
        self.metadata.name.clone().unwrap_or_default()
    }

    fn has(&self, pod: &str) -> bool {
        let endpoints = self.endpoints.iter().flatten();
        let mut targets = endpoints.filter_map(|endpoint| endpoint.target_ref.as_ref());
        targets.any(|target| target.uid.as_deref() == Some(pod))
    }
}

/// Follows the pod until it is out of the slices of all its Services, for [`DRAINED_WITHIN`] at most. Gives the
/// Services that it is still in then, as far as is known.
pub(super) async fn drained(client: &Client, follow: &Follow) -> Vec<Arc<str>> {
    let out_of = |service: Arc<str>| async move {
        let out = timeout(DRAINED_WITHIN, out_of(client, follow, &service)).await;
        out.is_err().then_some(service)
    };
    let services = futures::future::join_all(follow.services.iter().cloned().map(out_of));
    services.await.into_iter().flatten().collect()
}

/// Returns when the pod is in none of the slices of a Service.
async fn out_of(client: &Client, follow: &Follow, service: &str) {
    let api: Api<WireSlice> = Api::namespaced(client.clone(), &follow.pod.namespace);
    let selector = format!("kubernetes.io/service-name={service}");
    // What went wrong on the way is tried again until the time is up; then the pod counts as not drained.
    while !matches!(watch(&api, &selector, &follow.uid).await, Ok(true)) {
        sleep(AGAIN).await;
    }
}

/// Lists the slices and watches them until none has the pod. False where the watch ended before.
async fn watch(api: &Api<WireSlice>, selector: &str, pod: &str) -> Result<bool, Error> {
    let slices = api.list(&ListParams::default().labels(selector)).await?;
    let with_pod = slices.items.iter().filter(|slice| slice.has(pod));
    let mut with_pod: BTreeSet<String> = with_pod.map(WireSlice::name).collect();
    let version = slices.metadata.resource_version.unwrap_or_default();
    if with_pod.is_empty() {
        return Ok(true);
    }
    let params = WatchParams::default().labels(selector);
    let mut events = api.watch(&params, &version).await?.boxed();
    while let Some(event) = events.try_next().await? {
        match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) if slice.has(pod) => {
                with_pod.insert(slice.name());
            }
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) | WatchEvent::Deleted(slice) => {
                with_pod.remove(&slice.name());
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
