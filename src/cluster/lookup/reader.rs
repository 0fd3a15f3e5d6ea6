//! Looks up what no watch reports and a decision needs to know about one pod.

use std::sync::Arc;

use kube::Client;
use tokio::sync::Semaphore;

use super::{drain, needs};
use crate::core::{
    lookup::{DrainQuery, NeedsQuery},
    needs::NeedsAt,
    object::Uid,
};

/// Pods whose needs are read concurrently, by a few requests each: the API server has other clients to serve.
const NEEDS_AT_ONCE: usize = 8;

/// Pods whose drain is awaited concurrently, by a watch for each of their Services.
const DRAINS_AT_ONCE: usize = 32;

#[derive(Clone)]
pub struct Reader {
    client: Client,
    needs: Arc<Semaphore>,
    drains: Arc<Semaphore>,
}

impl Reader {
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            needs: Arc::new(Semaphore::new(NEEDS_AT_ONCE)),
            drains: Arc::new(Semaphore::new(DRAINS_AT_ONCE)),
        }
    }

    /// Reads what the replacement of a pod would need.
    pub async fn needs(&self, query: NeedsQuery) -> (Uid, NeedsAt) {
        // The semaphore is never closed.
        let _turn = self.needs.acquire().await;
        let needs = needs::needs(&self.client, &query).await;
        let at = query.at;
        (query.uid, NeedsAt { at, needs })
    }

    /// Waits for a while until a pod is out of the slices of its Services. Returns the Services whose slices still contain it
    /// then.
    pub async fn drain(&self, query: &DrainQuery) -> Vec<Arc<str>> {
        // The semaphore is never closed.
        let _turn = self.drains.acquire().await;
        drain::still_in(&self.client, query).await
    }
}
