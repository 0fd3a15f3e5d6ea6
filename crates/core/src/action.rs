//! What is to be done: values with everything in them that the writer and the reports need.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{
    judge::Now,
    keys,
    ledger::{Memory, Note, Pace, Slot},
    object::{ObjectKey, Pod, Reference, ResourceVersion, Uid},
    policy::Detach,
    reason::Reason,
    record::{Record, Values},
    restore::Change,
    selector::Labels,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the ledger. `lost`: there are quarantined pods, so there was one before.
    CreateLedger {
        /// When it is found missing, if it was lost.
        lost: Option<Timestamp>,
        /// What the one before held besides slots, as far as it is known.
        memory: Memory,
    },
    /// Guard the ledger by its finalizer. `rebuilt`: it stands for one that was lost.
    MendLedger {
        /// When it is found to be another one than the Lease names, if so.
        rebuilt: Option<Timestamp>,
    },
    /// Have the Lease name the ledger: no slot is taken before that.
    NameLedger,
    /// Let a ledger that is being deleted go: no slot of it is needed any more.
    LetLedgerGo,
    /// Read what the replacement of a pod would need.
    Inquire(Inquiry),
    /// Ask the API server whether it would accept this change, before it is needed.
    TryEarly(Box<Quarantine>),
    /// Take a slot, then change the pod.
    Quarantine(Box<Quarantine>),
    /// Put a pod back.
    Release(Box<Release>),
    /// Give a released pod its own deletion cost back.
    Settle {
        /// The pod.
        pod: Target,
        /// The change.
        change: Change,
    },
    /// Delete a pod whose time is up.
    Reap(Box<Reap>),
    /// Look at the pod of a slot, and free or fence the slot by what is seen.
    CheckSlot(Slot),
    /// Write something into the ledger that takes no slot for a pod.
    Note(Note),
    /// See whether a quarantined pod goes out of the slices of its Services.
    Follow(Follow),
    /// Say why an unhealthy pod is left where it is.
    Refuse(Refusal),
    /// Say something else about a pod.
    Tell(Notice),
}

/// A pod as it must still be when a write arrives; otherwise the API server refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// Its version.
    pub resource_version: ResourceVersion,
}

impl From<&Pod> for Target {
    fn from(pod: &Pod) -> Self {
        Self {
            key: pod.key.clone(),
            uid: pod.uid.clone(),
            resource_version: pod.resource_version,
        }
    }
}

/// A pod that may soon leave its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// The pod.
    pub pod: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// Whether the nodes matter, too.
    pub with_nodes: bool,
    /// When it was asked.
    pub at: Now,
}

/// Take a pod out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// The pod.
    pub pod: Target,
    /// The slot to take, or to move forward, before anything else.
    pub slot: Slot,
    /// How the workload's replacements fare then, where its policy asked.
    pub pace: Option<Pace>,
    /// Whether nothing shows yet that the API server accepts such changes in this workload: then the change is tried
    /// first, and a denial takes no slot.
    pub try_first: bool,
    /// Whether it is out already, and something took it in again.
    pub again: bool,
    /// What changes on the pod.
    pub change: Change,
    /// All labels as they must be in the answer.
    pub labels: Labels,
    /// What the pod was before.
    pub before: Before,
    /// What is written on it.
    pub record: Record,
    /// Selectors that should have been left, or kept, and could not be.
    pub missed: Vec<Arc<str>>,
    /// How many of them are of NetworkPolicies.
    pub network_policies_left: usize,
}

/// What a pod was before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// All its labels.
    pub labels: Labels,
    /// The annotations that change.
    pub annotations: Values,
}

impl Before {
    /// The state of a pod that such a change is to be made to.
    #[must_use]
    pub fn of(pod: &Pod, change: &Change) -> Self {
        let keys = change.annotations.keys();
        Self {
            labels: pod.labels.clone(),
            annotations: keys
                .map(|key| (key.clone(), pod.annotations.get(key).cloned()))
                .collect(),
        }
    }
}

impl Quarantine {
    /// How the pod in the answer differs from the plan, if it does: then a webhook altered the change.
    #[must_use]
    pub fn difference(&self, pod: &Pod) -> Option<String> {
        let planned = self.labels.keys().chain(pod.labels.keys());
        let differing = planned.filter(|key| self.labels.get(*key) != pod.labels.get(*key));
        let labels = differing.map(|key| format!("label {key}"));
        let record = self.change.annotations.get(keys::RECORD);
        let lost = record.and_then(Option::as_ref) != pod.annotations.get(keys::RECORD);
        let annotation = lost.then(|| format!("annotation {}", keys::RECORD));
        let differing: BTreeSet<String> = labels.chain(annotation).collect();
        let differing: Vec<String> = differing.into_iter().collect();
        (!differing.is_empty()).then(|| differing.join(", "))
    }

    /// The change that makes an altered pod what it was.
    #[must_use]
    pub fn undo(&self, pod: &Pod) -> Change {
        let before = &self.before.labels;
        let keys = before.keys().chain(pod.labels.keys());
        let differing = keys.filter(|key| before.get(*key) != pod.labels.get(*key));
        Change {
            labels: differing
                .map(|key| (key.clone(), before.get(key).cloned()))
                .collect(),
            annotations: self.before.annotations.clone(),
        }
    }
}

/// Put a pod back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The pod.
    pub pod: Target,
    /// What changes on it.
    pub change: Change,
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    /// `annotation`, `force` or `replacement-timeout`.
    pub cause: &'static str,
    /// Keys that someone else changed since, and that stay.
    pub left: Vec<Arc<str>>,
    /// What speaks against it and what follows, where it is done by force.
    pub follows: Option<String>,
    /// The workload it came from.
    pub workload: Reference,
    /// Whether it had left that, too.
    pub detach: Detach,
    /// The Services it had left.
    pub services: Vec<Arc<str>>,
}

/// Delete a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    /// The pod.
    pub pod: Target,
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    /// Why, in words.
    pub why: String,
}

/// An unhealthy pod that is left where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pod.
    pub pod: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// The policy that asked.
    pub policy: Arc<str>,
    /// Why it asked.
    pub asked: Arc<str>,
    /// Why nothing is done.
    pub reason: Reason,
    /// What is particular to the case; may be empty.
    pub detail: String,
}

/// A quarantined pod, and the Services that it is to be out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The pod.
    pub pod: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    /// The Services.
    pub services: Vec<Arc<str>>,
    /// When it was quarantined.
    pub at: Timestamp,
}

/// Something to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The pod, if it is because of one.
    pub pod: Option<Arc<str>>,
    /// The policy that had asked for its quarantine, if it is quarantined.
    pub policy: Option<Arc<str>>,
    /// The pod, its workload, or the agent's ledger, in that namespace.
    pub about: Reference,
    /// What it is about.
    pub topic: Topic,
    /// The sentence.
    pub message: String,
}

/// What a notice is about: the reason of its Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// An annotation cannot be read or obeyed.
    BadAnnotation,
    /// A release was asked for and is not carried out.
    ReleaseRefused,
    /// A pod's time is up and it is kept.
    HeldPastTtl,
    /// A pod is quarantined, and is not out of everything.
    NotDrained,
    /// The replacement of a quarantined pod is not Ready in time.
    ReplacementNotReady,
    /// Too many pods are unhealthy at once.
    QuarantineStorm,
    /// People have paused everything.
    Paused,
    /// They let it go on.
    Resumed,
}

impl Topic {
    /// The Event's reason.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadAnnotation => "BadAnnotation",
            Self::ReleaseRefused => "ReleaseRefused",
            Self::HeldPastTtl => "HeldPastTTL",
            Self::NotDrained => "NotDrained",
            Self::ReplacementNotReady => "ReplacementNotReady",
            Self::QuarantineStorm => "QuarantineStorm",
            Self::Paused => "Paused",
            Self::Resumed => "Resumed",
        }
    }
}
