//! The outgoing half of a [`SignalContext`]: samples, events for the metrics, and heartbeats.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Clock, Observer, SignalContext, SignalError, SignalEvent};
use crate::core::{judge::Sample, time::Now};

/// The receivers of the samples of one policy and of its signal's events.
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

    /// Sends a sample. Returns once the channel has taken it.
    pub(super) async fn send(&self, sample: Sample) -> Result<(), SignalError> {
        let sent = self.samples.send(sample).await;
        sent.map_err(|_| SignalError::SamplesClosed(self.policy.clone()))
    }

    pub(super) fn beat(&self) {
        self.observer.beat(&self.task);
    }

    pub(super) fn observe(&self, event: SignalEvent) {
        self.observer.observe(&self.policy, event);
    }
}
