//! Where the evidence comes from: each signal asks about the pods of one policy, for ever, and makes [`Sample`]s.
//!
//! A signal is an `async fn run`, which the agent starts with a [`SignalContext`]; nothing here spawns a task. What a signal
//! does concurrently it does within its own task. What the agent or the Prometheus server is to blame for is never `good`
//! or `bad`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::core::{
    judge::Sample,
    object::{ObjectKey, Uid},
    policy::Policy,
};

mod clock;
mod error_cause;
mod output;
pub mod probe;
pub mod prometheus;
mod schedule;
mod tls;

pub use clock::Clock;
pub use error_cause::ErrorCause;

/// The `User-Agent` of a probe and a query, unless the policy file sets one.
const USER_AGENT: &str = concat!("pod-quarantine/", env!("CARGO_PKG_VERSION"));

/// Time between two heartbeats of an idle signal. The health check asks for one a second.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A pod that a policy watches, as a signal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalTarget {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// Its address, once it has one.
    pub address: Option<IpAddr>,
    /// The probe's port in this pod; `None`: the pod has no such port.
    pub port: Option<u16>,
    /// When the kubelet first saw it.
    pub started: Option<Timestamp>,
}

/// What changed among the pods of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetChange {
    /// A pod is watched from now on, or has changed.
    Put(SignalTarget),
    /// A pod is not watched any more: samples of it that are still under way are dropped.
    Remove(Uid),
}

/// What a signal is given to work with.
pub struct SignalContext {
    /// The policy whose signal it is.
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

/// The name of a policy's signal as a task: the health check expects its heartbeats under this name.
#[must_use]
pub fn task_name(policy: &str) -> String {
    format!("signal {policy}")
}

/// Something that happened to a signal and is worth a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalEvent {
    /// A probe was sent and took so long, whatever its result.
    Probe(Duration),
    /// A query was sent and took so long, whatever its result.
    Query(Duration),
    /// There was an answer, good or bad.
    Success,
    /// There was no answer that counts. A pod that does not answer its probe is no error of the signal: it is `bad`.
    Error(ErrorCause),
}

/// Receives everything worth a metric, and the heartbeats.
pub trait Observer: Send + Sync {
    /// Records an event of the signal of this policy.
    fn observe(&self, policy: &str, event: SignalEvent);
    /// Records that the task of that name is alive; called at least once a second.
    fn beat(&self, task: &str);
}

/// Why a signal ended, which it does only when the agent does.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The other end of [`SignalContext::targets`] is gone.
    #[error("watch the pods of policy {0}: the channel of targets is closed")]
    TargetsClosed(Arc<str>),
    /// The other end of [`SignalContext::samples`] is gone.
    #[error("report samples of policy {0}: the channel of samples is closed")]
    SamplesClosed(Arc<str>),
    /// The cryptography that is compiled in does not fit together.
    #[error("set up TLS")]
    Tls(#[source] rustls::Error),
}
