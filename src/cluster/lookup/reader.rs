//! Looks up what no watch brings: what a decision needs to know of one pod alone.

use std::sync::Arc;

use kube::Client;
use tokio::sync::Semaphore;

use super::{drain, needs};
use crate::core::{
    lookup::{DrainQuery, NeedsQuery},
    needs::NeedsAt,
    object::Uid,
};

/// Pods whose needs are read at the same time, by three requests each: the API server has others to serve.
const NEEDS_AT_ONCE: usize = 8;

/// Pods whose drain is awaited at the same time, by a watch for each of their Services.
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

    /// What the replacement of a pod would need.
    pub async fn needs(&self, query: NeedsQuery) -> (Uid, NeedsAt) {
        // Nobody closes it.
        let _turn = self.needs.acquire().await;
        let needs = needs::needs(&self.client, &query).await;
        let at = query.at;
        (query.uid, NeedsAt { at, needs })
    }

    /// Waits for a while until a pod is out of the slices of its Services. Gives those that it is still in then.
    pub async fn drain(&self, query: &DrainQuery) -> Vec<Arc<str>> {
        // Nobody closes it.
        let _turn = self.drains.acquire().await;
        drain::still_in(&self.client, query).await
    }
}
