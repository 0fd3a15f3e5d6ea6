//! How many probes run at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Namespaces without a running probe are not forgotten before that many are known.
const FORGET_AT: usize = 1024;

/// The permits of all probes of the agent. The pods of one namespace get some of them at most: pods that never answer hold
/// theirs for the whole timeout, and whoever labels pods decides how many are probed.
#[derive(Clone)]
pub struct Permits {
    all: Arc<Semaphore>,
    of_namespace: usize,
    of_namespaces: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
}

impl Permits {
    /// Permits from that semaphore, at most `of_namespace` of them for the pods of one namespace.
    #[must_use]
    pub fn new(all: Arc<Semaphore>, of_namespace: usize) -> Self {
        Self {
            all,
            of_namespace,
            of_namespaces: Arc::default(),
        }
    }

    /// Waits for the namespace's turn first, so that nothing that waits for that holds a permit of the others.
    pub(super) async fn acquire(
        &self,
        namespace: &Arc<str>,
    ) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let of_namespace = self.of_namespace(namespace).acquire_owned().await?;
        let of_all = self.all.clone().acquire_owned().await?;
        Ok([of_namespace, of_all])
    }

    fn of_namespace(&self, namespace: &Arc<str>) -> Arc<Semaphore> {
        let known = self.of_namespaces.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.len() >= FORGET_AT {
            known.retain(|_, permits| Arc::strong_count(permits) > 1);
        }
        let permits = known.entry(namespace.clone());
        let permits = permits.or_insert_with(|| Arc::new(Semaphore::new(self.of_namespace)));
        permits.clone()
    }
}
