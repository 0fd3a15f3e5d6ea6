//! Publishes Events to the API server, one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};
use tokio::sync::Notify;
use tracing::warn;

use super::{event_queue::EventQueue, events::AgentEvent, metrics::Metrics};
use crate::{cluster::in_short, core::keys, deadline::within};

/// How long publishing one Event may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Queues Events without waiting.
#[derive(Clone)]
pub struct Publisher {
    waiting: Arc<SharedQueue>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct SharedQueue {
    queue: Mutex<EventQueue>,
    pushed: Notify,
}

impl SharedQueue {
    fn queue(&self) -> MutexGuard<'_, EventQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> AgentEvent {
        loop {
            let pushed = self.pushed.notified();
            if let Some(event) = self.queue().pop() {
                return event;
            }
            pushed.await;
        }
    }
}

impl Publisher {
    /// Queues an Event, or drops it if too many are waiting.
    pub fn publish(&self, event: AgentEvent) {
        if self.waiting.queue().push(event) {
            self.waiting.pushed.notify_one();
        } else {
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
    let waiting = Arc::<SharedQueue>::default();
    let reporter = Reporter {
        controller: keys::REPORTING_CONTROLLER.into(),
        instance,
    };
    let recorder = Recorder::new(client, reporter);
    let task = publish(recorder, waiting.clone(), metrics.clone());
    (Publisher { waiting, metrics }, task)
}

async fn publish(recorder: Recorder, waiting: Arc<SharedQueue>, metrics: Arc<Metrics>) {
    loop {
        let AgentEvent { regarding, event } = waiting.next().await;
        let published = within(TIMEOUT, recorder.publish(&event, &regarding)).await;
        let why = match published {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => in_short(&error),
            Err(timed_out) => timed_out.to_string(),
        };
        metrics.event_dropped();
        let ObjectReference {
            namespace, name, ..
        } = regarding;
        let event = event.reason;
        warn!(namespace, name, event, why, "publishing an Event failed");
    }
}
