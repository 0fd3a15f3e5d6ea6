//! The right to quarantine one pod, and when it ends.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    object::{ObjectKey, Pod, ResourceVersion, Uid},
    record::RecordState,
    text::Fingerprint,
    workload::WorkloadId,
};

/// A slot younger than this is not fenced: its writer may still be at work, and two agents that fence each
/// other's fresh slots would starve.
pub const FENCE_AFTER: Duration = Duration::from_secs(30);

/// The right to quarantine one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub uid: Uid,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub workload: WorkloadId,
    pub policy: Arc<str>,
    /// The version of the pod that the patch requires. It only ever moves forward.
    pub resource_version: ResourceVersion,
    /// When the slot was taken.
    pub at: Timestamp,
    /// Of the record's text.
    pub record: Fingerprint,
    /// Of the text of another record that the pod may carry instead: the one before, if the pod is being quarantined again,
    /// or the one that the slot was taken with before, for the same version of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_before: Option<Fingerprint>,
    /// Whether the pod was Ready: then its quarantine counts against its PodDisruptionBudgets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    /// Whether it was Ready and the agent got no connection to it. That may be the agent's network, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// When the pod's replacement was Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Timestamp>,
    /// When its TTL expires, as the last readable annotation said: an unreadable one never shortens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it comes from a ledger that was lost, as an agent had read that one last: the slot may have been freed since.
    /// So it tells the record of its pod, and is no right to quarantine it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried_over: bool,
}

impl Slot {
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }

    /// Which other record the pod may carry if the slot is taken again, with that one: a patch that was sent for the same
    /// version may yet arrive. An error if there are two of them already: the pod must change first.
    pub fn other_record(
        &self,
        version: ResourceVersion,
        record: &Fingerprint,
    ) -> Result<Option<Fingerprint>, TwoRecords> {
        if self.resource_version != version {
            return Ok(None);
        }
        match &self.record_before {
            other if self.record == *record => Ok(other.clone()),
            Some(other) if other != record => Err(TwoRecords),
            _ => Ok(Some(self.record.clone())),
        }
    }

    /// Whether a record is this slot's.
    #[must_use]
    pub fn knows(&self, record: &Fingerprint) -> bool {
        self.record == *record || self.record_before.as_ref() == Some(record)
    }
}

/// A pod may already carry one of two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoRecords;

/// Whether a slot is kept, freed or fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotFate {
    /// Its pod is, or may yet be, quarantined.
    Keep,
    /// No delayed write of it can succeed.
    Free,
    /// The pod has not changed since the slot was taken: a write must change it first.
    Fence,
}

/// Decides by the pod as a GET without resourceVersion returned it *after* the slot was read, never by a cached
/// pod.
#[must_use]
pub fn fate(slot: &Slot, found: Option<&Pod>, now: Timestamp) -> SlotFate {
    let Some(pod) = found.filter(|pod| pod.uid == slot.uid) else {
        return SlotFate::Free;
    };
    let quarantined = pod.has_state_label() || *pod.record() != RecordState::Absent;
    if quarantined {
        // A delayed patch of a quarantined pod that is being deleted changes nothing more.
        return if pod.terminating {
            SlotFate::Free
        } else {
            SlotFate::Keep
        };
    }
    if pod.resource_version > slot.resource_version {
        return SlotFate::Free;
    }
    // A slot of the far future is of a clock that was wrong, and as old as any.
    let is_old = now.duration_since(slot.at).unsigned_abs() >= FENCE_AFTER;
    if pod.resource_version == slot.resource_version && is_old {
        SlotFate::Fence
    } else {
        SlotFate::Keep
    }
}
