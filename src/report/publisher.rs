//! Publishes Events to the API server, one after the other.

use std::{sync::Arc, time::Duration};

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::sync::mpsc;
use tracing::warn;

use super::{events::AgentEvent, metrics::Metrics};
use crate::{cluster::in_short, core::keys, deadline::within};

/// Events that wait to be published; more are dropped and counted.
const WAITING: usize = 1000;

/// How long publishing one Event may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Queues Events without waiting.
#[derive(Clone)]
pub struct Publisher {
    sender: mpsc::Sender<AgentEvent>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    /// Queues an Event, or drops it if too many are waiting.
    pub fn publish(&self, event: AgentEvent) {
        if self.sender.try_send(event).is_err() {
            self.metrics.event_dropped();
        }
    }
}

/// The publisher, and the task that publishes the Events for ever.
pub fn publisher(
    client: Client,
    instance: Option<String>,
    metrics: Arc<Metrics>,
) -> (Publisher, impl Future<Output = ()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let reporter = Reporter {
        controller: keys::REPORTING_CONTROLLER.into(),
        instance,
    };
    let recorder = Recorder::new(client, reporter);
    let task = publish(recorder, receiver, metrics.clone());
    (Publisher { sender, metrics }, task)
}

async fn publish(
    recorder: Recorder,
    mut receiver: mpsc::Receiver<AgentEvent>,
    metrics: Arc<Metrics>,
) {
    while let Some(AgentEvent { regarding, event }) = receiver.recv().await {
        let published = within(TIMEOUT, recorder.publish(&event, &regarding)).await;
        let why = match published {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => in_short(&error),
            Err(timed_out) => timed_out.to_string(),
        };
        metrics.event_dropped();
        warn!(event = event.reason, why, "publishing an Event failed");
    }
}
