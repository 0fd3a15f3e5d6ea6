//! What is to be written: values with everything in them that the writer needs.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use strum::IntoStaticStr;

use crate::{
    keys,
    ledger::{Memory, Note, PacingRecord, Slot},
    object::{ObjectKey, Pod, Reference, ResourceVersion, Uid},
    policy::Detach,
    record::{Record, Values},
    selector::Labels,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    CreateLedger {
        /// When it is found missing, if it was lost: there are quarantined pods, so there was one before.
        lost: Option<Timestamp>,
        /// What the one before held besides slots, as far as it is known.
        memory: Memory,
    },
    /// Guard the ledger by its finalizer.
    RepairLedger {
        /// When it is found to be another one than the Lease names, if so: it stands for one that was lost.
        rebuilt: Option<Timestamp>,
    },
    /// Write the ledger's uid into the Lease: no slot is taken before that.
    NameLedger,
    /// Let a ledger go that is being deleted: no slot of it is needed any more.
    ReleaseLedger,
    /// Take a slot, then change the pod.
    Quarantine(Box<Quarantine>),
    Release(Box<Release>),
    /// Give a released pod its own deletion cost back.
    Settle {
        pod: PodVersion,
        change: Change,
    },
    /// Delete a pod whose TTL expired.
    Reap(Box<Reap>),
    /// Look at the pod of a slot, and free or fence the slot by what is seen.
    CheckSlot(Slot),
    /// Write something into the ledger that takes no slot for a pod.
    Note(Note),
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

/// A change of labels and annotations, and what the pod must be for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Labels to write or, where `None`, to remove.
    pub labels: Values,
    /// Annotations likewise.
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
    /// How the workload's replacements fare then, where its policy asked.
    pub pacing: Option<PacingRecord>,
    /// Whether nothing shows yet that the API server accepts such changes in this workload: then the change goes out as
    /// a dry run first, and a denial takes no slot.
    pub dry_run_first: bool,
    /// Whether it is out already, and something selects it again.
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
        if differing.is_empty() {
            return None;
        }
        Some(Vec::from_iter(differing).join(", "))
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

/// What brings a release about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ReleaseCause {
    /// People asked for it, and it does no harm.
    Annotation,
    /// People asked for it whatever follows.
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
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    pub cause: ReleaseCause,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    pub pod: PodVersion,
    /// The policy that had asked for the quarantine.
    pub policy: Arc<str>,
    pub why: String,
}
