//! Where a signal's answers and signs of life go.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Clock, ErrorCause, Observer, SignalContext, SignalError};
use crate::core::{
    judge::{Answer, Now, Sample},
    object::Uid,
};

/// The outgoing half of a [`SignalContext`].
pub(super) struct SignalOutput {
    pub(super) policy: Arc<str>,
    task: String,
    samples: mpsc::Sender<Sample>,
    clock: Clock,
    observer: Arc<dyn Observer>,
}

impl SignalOutput {
    pub(super) fn new(context: &SignalContext) -> Self {
        Self {
            policy: context.policy.name.clone(),
            task: context.task(),
            samples: context.samples.clone(),
            clock: context.clock.clone(),
            observer: context.observer.clone(),
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

    pub(super) fn failed(&self, cause: ErrorCause) {
        self.observer.failed(&self.policy, cause.as_str());
    }

    pub(super) fn succeeded(&self) {
        self.observer.succeeded(&self.policy);
    }
}
