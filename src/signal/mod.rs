//! Signals: each asks about the pods of one policy for ever and sends [`Sample`]s.
//!
//! A signal is an `async fn run`, which the agent starts with a [`SignalContext`]; nothing here spawns a task. What a signal
//! does concurrently it does within its own task. A failure of the agent or of the Prometheus server is never `good` or
//! `bad`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    core::{
        judge::Sample,
        object::{ContainerRun, ObjectKey, Uid},
        policy::Policy,
    },
};

mod error_cause;
mod output;
pub mod probe;
pub mod prometheus;
mod remark;
mod schedule;
pub(crate) mod tls;

pub use error_cause::ErrorCause;
pub use remark::Remark;

/// The `User-Agent` of a probe and a query, unless the policy file sets one.
const USER_AGENT: &str = concat!("pod-quarantine/", env!("CARGO_PKG_VERSION"));

/// The time between two heartbeats of an idle signal. The health check requires one a second.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A pod that a policy watches, with what a signal needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalTarget {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// `None` until the pod has an address.
    pub address: Option<IpAddr>,
    /// The probe's port in this pod; `None` if the pod has no such port.
    pub port: Option<u16>,
    /// The present run of the container that is asked; `None` while it has not started.
    pub run: Option<ContainerRun>,
}

/// What changed among the pods of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetChange {
    /// A pod is watched from now on, or a watched pod has changed.
    Put(SignalTarget),
    /// A pod is not watched any more: samples that are still to come are dropped.
    Remove(Uid),
}

/// The inputs and outputs of a signal.
pub struct SignalContext {
    /// The policy that the signal belongs to.
    pub policy: Arc<Policy>,
    /// The pods to ask about. The signal ends when this is closed.
    pub targets: mpsc::UnboundedReceiver<TargetChange>,
    /// Where samples go. The signal ends when this is closed.
    pub samples: mpsc::Sender<Sample>,
    pub clock: Clock,
    /// Receives the metrics and the heartbeats.
    pub observer: Arc<dyn Observer>,
}

impl SignalContext {
    /// The name of this signal's task, see [`task_name`].
    #[must_use]
    pub fn task(&self) -> String {
        task_name(&self.policy.name)
    }
}

/// The name of the task of a policy's signal: the health check expects its heartbeats under this name.
#[must_use]
pub fn task_name(policy: &str) -> String {
    format!("signal {policy}")
}

/// An event of a signal that a metric records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEvent {
    /// A probe was sent and took this long, whatever its result.
    Probe(Duration),
    /// A query was sent and took this long, whatever its result.
    Query(Duration),
    /// There was an answer, good or bad.
    Success,
    /// There was no answer. A pod that does not answer its probe is no error of the signal: it is `bad`.
    Error(ErrorCause),
    /// There was an answer, with something to be told of it.
    Remark(Remark),
}

/// Receives the events and the heartbeats of signals.
pub trait Observer: Send + Sync {
    /// Records an event of the signal of this policy.
    fn observe(&self, policy: &str, event: SignalEvent);
    /// Records that the task of that name is alive; called at least once a second.
    fn beat(&self, task: &str);
}

/// Why a signal ended, which happens only when the agent stops.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The other end of [`SignalContext::targets`] was closed.
    #[error("watch the pods of policy {0}: the channel of targets is closed")]
    TargetsClosed(Arc<str>),
    /// The other end of [`SignalContext::samples`] was closed.
    #[error("report samples of policy {0}: the channel of samples is closed")]
    SamplesClosed(Arc<str>),
    /// The compiled-in cryptography lacks something that TLS needs.
    #[error("set up TLS")]
    Tls(#[source] rustls::Error),
}
