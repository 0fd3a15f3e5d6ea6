//! Reads what no watch tells: what a decision needs to know of one pod alone.

use kube::Client;

use super::{drain, needs};
use std::sync::Arc;

use crate::core::{
    action::{Follow, Inquiry},
    object::Uid,
    replacement::Reading,
};

/// The eyes of the agent, beside its watches.
#[derive(Clone)]
pub struct Reader {
    client: Client,
}

impl Reader {
    /// Reads with that client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// What the replacement of a pod would need.
    pub async fn inquire(&self, inquiry: Inquiry) -> (Uid, Reading) {
        let needs = needs::needs(&self.client, &inquiry).await;
        let reading = Reading {
            at: inquiry.at,
            needs,
        };
        (inquiry.uid, reading)
    }

    /// Follows a pod out of the slices of its Services, for a while. Gives those that it is still in then.
    pub async fn drained(&self, follow: &Follow) -> Vec<Arc<str>> {
        drain::drained(&self.client, follow).await
    }
}
