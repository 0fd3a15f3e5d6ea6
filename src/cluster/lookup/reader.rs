//! Looks up what no watch brings: what a decision needs to know of one pod alone.

use std::sync::Arc;

use kube::Client;
use tokio::sync::Semaphore;

use super::{drain, needs};
use crate::core::{
    action::{Follow, Inquiry},
    object::Uid,
    replacement::Reading,
};

/// Inquiries at the same time, of three requests each: the API server has others to serve.
const INQUIRIES: usize = 8;

/// Pods that are followed at the same time, by a watch for each of their Services.
const FOLLOWS: usize = 32;

/// The agent's look-ups.
#[derive(Clone)]
pub struct Reader {
    client: Client,
    inquiries: Arc<Semaphore>,
    follows: Arc<Semaphore>,
}

impl Reader {
    /// Reads with that client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            inquiries: Arc::new(Semaphore::new(INQUIRIES)),
            follows: Arc::new(Semaphore::new(FOLLOWS)),
        }
    }

    /// What the replacement of a pod would need.
    pub async fn inquire(&self, inquiry: Inquiry) -> (Uid, Reading) {
        // Nobody closes it.
        let _turn = self.inquiries.acquire().await;
        let needs = needs::needs(&self.client, &inquiry).await;
        let reading = Reading {
            at: inquiry.at,
            needs,
        };
        (inquiry.uid, reading)
    }

    /// Follows a pod out of the slices of its Services, for a while. Gives those that it is still in then.
    pub async fn drained(&self, follow: &Follow) -> Vec<Arc<str>> {
        // Nobody closes it.
        let _turn = self.follows.acquire().await;
        drain::drained(&self.client, follow).await
    }
}
