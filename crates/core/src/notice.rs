//! What is reported and changes nothing: refusals, and whatever else people should know.

use std::sync::Arc;

use strum::{IntoStaticStr, VariantArray};

use crate::{
    object::{ObjectKey, Reference, Uid},
    reason::{Reason, Refusal},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An unhealthy pod is not quarantined.
    Refused(RefusedPod),
    /// Something else about a pod, its workload or the agent.
    Notify(Notification),
}

/// A pod whose quarantine was requested and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPod {
    pub pod: ObjectKey,
    pub uid: Uid,
    /// Whether a person requested it, not a signal.
    pub manual: bool,
    pub policy: Arc<str>,
    /// Why the quarantine was requested.
    pub asked: Arc<str>,
    pub refusal: Refusal,
}

impl RefusedPod {
    #[must_use]
    pub fn event_reason(&self) -> EventReason {
        if self.refusal.reason == Reason::Observe {
            EventReason::WouldQuarantine
        } else {
            EventReason::QuarantineRefused
        }
    }

    /// The note of its Event.
    #[must_use]
    pub fn note(&self) -> String {
        let policy = note_prefix(&self.policy);
        format!("{policy}({}): {}", self.asked, self.refusal)
    }
}

/// The beginning of the note of every refusal by that policy: the plugin knows the policy by it.
#[must_use]
pub fn note_prefix(policy: &str) -> String {
    format!("policy {policy} ")
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub namespace: Arc<str>,
    /// The pod that is the cause, if one is.
    pub pod: Option<Arc<str>>,
    /// The policy that requested its quarantine, if it is quarantined.
    pub policy: Option<Arc<str>>,
    /// The object of the Event: the pod, its workload, or the agent's ledger.
    pub about: Reference,
    pub topic: Topic,
    pub message: String,
}

/// The reasons of the agent's Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
pub enum EventReason {
    Quarantined,
    QuarantineRefused,
    /// Instead of `Quarantined` where the mode is `observe`.
    WouldQuarantine,
    Released,
    Reaped,
    #[strum(transparent)]
    Topic(Topic),
}

impl EventReason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The topic of a notification, which is the reason of its Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
pub enum Topic {
    /// An annotation cannot be read or obeyed.
    BadAnnotation,
    /// A release was asked for and is not carried out.
    ReleaseRefused,
    /// The TTL of a pod expired and the pod is kept.
    #[strum(serialize = "HeldPastTTL")]
    HeldPastTtl,
    /// A pod is quarantined, and is not out of everything.
    NotDrained,
    /// The replacement of a quarantined pod is not Ready in time.
    ReplacementNotReady,
    /// Too many pods are unhealthy at once.
    QuarantineStorm,
    Paused,
    /// People have ended the pause.
    Resumed,
}

impl Topic {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The Event's reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
