//! Where the evidence comes from: each signal asks about the pods of one policy, for ever, and makes [`Sample`]s.
//!
//! A signal is an `async fn run`, which the agent starts with a [`SignalContext`]; nothing here spawns a task. What a signal
//! does at once it does within its own task. No answer that is the agent's or the Prometheus server's fault is ever
//! `good` or `bad`.

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

/// How a probe and a query introduce themselves, unless the policy file says otherwise.
const USER_AGENT: &str = concat!("pod-quarantine/", env!("CARGO_PKG_VERSION"));

/// Time between two signs of life of an idle signal. The health check asks for one a second.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A pod that a policy watches, as a signal needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalTarget {
    /// Namespace and name.
    pub pod: ObjectKey,
    /// Its uid.
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
    /// A pod is watched from now on, or is no longer what it was.
    Put(SignalTarget),
    /// A pod is not watched any more: what is still on its way about it is dropped.
    Remove(Uid),
}

/// What a signal is given to work with.
pub struct SignalContext {
    /// The policy whose signal it is.
    pub policy: Arc<Policy>,
    /// The pods to ask about. The signal ends when this does.
    pub targets: mpsc::UnboundedReceiver<TargetChange>,
    /// Where answers go. The signal ends when nobody hears them.
    pub samples: mpsc::Sender<Sample>,
    /// The time.
    pub clock: Clock,
    /// Who is told how it goes.
    pub observer: Arc<dyn Observer>,
}

impl SignalContext {
    /// The name under which this signal gives signs of life, see [`Observer::beat`].
    #[must_use]
    pub fn task(&self) -> String {
        format!("signal {}", self.policy.name)
    }
}

/// Told of everything worth a metric.
pub trait Observer: Send + Sync {
    /// A probe was sent, whatever came of it.
    fn probed(&self, policy: &str, took: Duration);
    /// A query was sent, whatever came of it.
    fn queried(&self, policy: &str, took: Duration);
    /// Nothing could be learned: `cause` is one of [`ErrorCause::ALL`]. A pod that does not answer its probe is no failure
    /// of the signal, it is what `bad` means.
    fn failed(&self, policy: &str, cause: &'static str);
    /// Something was learned, good or bad.
    fn succeeded(&self, policy: &str);
    /// The task of that name is alive; called at least once a second.
    fn beat(&self, task: &str);
}

/// Why a signal ended, which it does only when the agent does.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The other end of [`SignalContext::targets`] is gone.
    #[error("watch the pods of policy {0}: nobody tells of them any more")]
    Unfed(Arc<str>),
    /// The other end of [`SignalContext::samples`] is gone.
    #[error("report samples of policy {0}: nobody hears them any more")]
    Unheard(Arc<str>),
    /// The cryptography that is compiled in does not fit together.
    #[error("set up tls")]
    Tls(#[source] rustls::Error),
}
