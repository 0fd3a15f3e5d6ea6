//! Where a signal's answers and signs of life go.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Cause, Clock, Observer, SignalError, Wiring};
use crate::core::{
    judge::{Answer, Now, Sample},
    object::Uid,
};

/// The outgoing half of a [`Wiring`].
pub(super) struct Outlet {
    pub(super) policy: Arc<str>,
    task: String,
    samples: mpsc::Sender<Sample>,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl Outlet {
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            policy: wiring.policy.name.clone(),
            task: wiring.task(),
            samples: wiring.samples.clone(),
            clock: wiring.clock.clone(),
            observer: wiring.observer.clone(),
        }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Returns once the sample has been taken.
    pub(super) async fn send(
        &self,
        pod: Uid,
        at: Now,
        answer: Answer,
        saw: Arc<str>,
    ) -> Result<(), SignalError> {
        let policy = self.policy.clone();
        let sample = Sample {
            policy,
            pod,
            at,
            answer,
            saw,
        };
        let sent = self.samples.send(sample).await;
        sent.map_err(|_| SignalError::Unheard(self.policy.clone()))
    }

    pub(super) fn beat(&self) {
        self.observer.beat(&self.task);
    }

    pub(super) fn probed(&self, took: Duration) {
        self.observer.probed(&self.policy, took);
    }

    pub(super) fn queried(&self, took: Duration) {
        self.observer.queried(&self.policy, took);
    }

    pub(super) fn failed(&self, cause: Cause) {
        self.observer.failed(&self.policy, cause.as_str());
    }

    pub(super) fn succeeded(&self) {
        self.observer.succeeded(&self.policy);
    }
}
