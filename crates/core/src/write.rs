//! What is to be written: values with everything in them that the writer needs.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use strum::IntoStaticStr;

use crate::{
    keys,
    ledger::{Ledger, Note, PacingRecord, Slot},
    object::{ObjectKey, Pod, Reference, ResourceVersion, Uid},
    policy::Detach,
    record::{Record, Values},
    selector::Labels,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    CreateLedger {
        /// When the loss was found, if one was lost.
        lost: Option<Timestamp>,
        /// What is carried over of the ledger before, if that was read.
        before: Option<Box<Ledger>>,
    },
    /// Write onto the ledger that it replaces a lost one: it is another one than the Lease names.
    RepairLedger {
        /// When that was found.
        rebuilt: Timestamp,
    },
    /// Write the ledger's uid into the Lease: no slot is taken before that.
    NameLedger,
    /// Take a slot, then change the pod.
    Quarantine(Box<Quarantine>),
    Release(Box<Release>),
    /// Restore the deletion cost of a released pod.
    Settle {
        pod: PodVersion,
        change: Change,
    },
    /// Delete a pod whose TTL expired.
    Reap(Box<Reap>),
    /// Read the pod of a slot, and free or fence the slot accordingly.
    CheckSlot(Slot),
    /// Write an entry into the ledger that takes no slot for a quarantine.
    Note(Note),
}

/// What a write does to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Act {
    Quarantine,
    /// Quarantine a quarantined pod that is selected again.
    Again,
    Release,
    Settle,
    Reap,
    Fence,
}

impl Act {
    /// The verb.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A pod as it must still be when a write arrives; otherwise the API server refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodVersion {
    pub key: ObjectKey,
    pub uid: Uid,
    pub resource_version: ResourceVersion,
}

impl From<&Pod> for PodVersion {
    fn from(pod: &Pod) -> Self {
        Self {
            key: pod.key.clone(),
            uid: pod.uid.clone(),
            resource_version: pod.resource_version,
        }
    }
}

/// A change of labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Labels to write or, where `None`, to remove.
    pub labels: Values,
    /// Annotations to write or, where `None`, to remove.
    pub annotations: Values,
}

impl Change {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    pub pod: PodVersion,
    /// The slot to take, or to move forward, before anything else.
    pub slot: Slot,
    /// The pacing record of the workload after this quarantine; `None` where nothing is paced: for a manual request, where
    /// the pod stays in its workload, and where it is already quarantined.
    pub pacing: Option<PacingRecord>,
    /// Whether it is not known yet that the API server accepts such changes in this workload: then the change is sent
    /// as a dry run first, and a denial takes no slot.
    pub dry_run_first: bool,
    /// Whether the pod is already quarantined, and selected again.
    pub again: bool,
    pub change: Change,
    /// All labels that the pod in the answer must have.
    pub labels: Labels,
    pub before: Before,
    pub record: Record,
    /// The selectors that should be left, or kept, and cannot be.
    pub missed: Vec<Arc<str>>,
    /// How many of them are of NetworkPolicies.
    pub network_policies_left: usize,
}

/// The state of a pod before a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    pub labels: Labels,
    /// The annotations that change.
    pub annotations: Values,
}

impl Before {
    /// The state of a pod that is about to be changed.
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
    /// How the pod in the answer differs from the plan, if it does: then an admission webhook altered the change.
    #[must_use]
    pub fn difference(&self, pod: &Pod) -> Option<String> {
        let planned = self.labels.keys().chain(pod.labels.keys());
        let differing = planned.filter(|key| self.labels.get(*key) != pod.labels.get(*key));
        let mut differing: BTreeSet<String> = differing.map(|key| format!("label {key}")).collect();
        let record = self.change.annotations.get(keys::RECORD);
        if record.and_then(Option::as_ref) != pod.annotations.get(keys::RECORD) {
            differing.insert(format!("annotation {}", keys::RECORD));
        }
        if differing.is_empty() {
            return None;
        }
        Some(Vec::from_iter(differing).join(", "))
    }

    /// The change that restores an altered pod.
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

/// The cause of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ReleaseCause {
    /// People requested it, and it does no harm.
    Annotation,
    /// People requested it, even if it does harm.
    Force,
    /// The pod's replacement was not Ready in time.
    ReplacementTimeout,
}

impl ReleaseCause {
    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub pod: PodVersion,
    pub change: Change,
    /// The policy that requested the quarantine.
    pub policy: Arc<str>,
    pub cause: ReleaseCause,
    /// Keys that someone else changed since, which stay.
    pub left: Vec<Arc<str>>,
    /// Of a forced release that does harm: the harm and its consequence.
    pub follows: Option<String>,
    pub workload: Reference,
    /// Whether the pod had left its workload, too.
    pub detach: Detach,
    /// The names of the Services that the pod had left.
    pub services: Vec<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    pub pod: PodVersion,
    /// The policy that requested the quarantine.
    pub policy: Arc<str>,
    pub why: String,
}
