//! The ledger: one slot per quarantined pod, and the rules by which a slot is taken, moved and freed.
//!
//! No slot, no quarantine. A slot is written, by compare-and-swap on the whole ledger, before its pod is; it is
//! freed only when no delayed write of it can succeed any more. So the slots are never fewer than the pods that
//! are, or may yet be, quarantined, whoever crashes and however late a request arrives.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::object::{ObjectKey, Pod, ResourceVersion, Uid};

/// A slot younger than this is not fenced: its writer may still be at it, and two agents that fence each
/// other's fresh slots would starve.
pub const FENCE_AFTER: Duration = Duration::from_secs(30);

/// No slot is taken for so long after the ledger was rebuilt from the pods: a patch whose slot was lost with the
/// old ledger must have arrived by then. It is the one timing assumption of the protocol.
pub const REBUILD_WAIT: Duration = Duration::from_mins(10);

/// The right to quarantine one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// The pod's uid.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its workload's uid.
    pub workload: Uid,
    /// The policy that asked.
    pub policy: Arc<str>,
    /// The pod's version that the patch asks for. It only ever moves forward.
    pub resource_version: ResourceVersion,
    /// When the slot was taken.
    pub at: Timestamp,
    /// The [fingerprint](super::record::fingerprint) of the record.
    pub record: Arc<str>,
    /// That of the record before it, where the pod was to be taken out again: which of both it carries is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_before: Option<Arc<str>>,
    /// When the pod's replacement was Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Timestamp>,
}

impl Slot {
    /// The pod's key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }

    /// Whether a record is this slot's.
    #[must_use]
    pub fn knows(&self, fingerprint: &str) -> bool {
        *self.record == *fingerprint || self.record_before.as_deref() == Some(fingerprint)
    }
}

/// What is known of the ledger object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LedgerView {
    /// It was not read yet.
    #[default]
    Unread,
    /// It is not there.
    Gone,
    /// It is there.
    Present(Ledger),
}

/// The ledger as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The version that a compare-and-swap asks for.
    pub resource_version: ResourceVersion,
    /// The slots by pod uid.
    pub slots: BTreeMap<Uid, Slot>,
    /// Entries that are no slots. They count against the cluster's limit and are never dropped.
    pub unreadable: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether its deletion has begun: no slot is added then.
    pub terminating: bool,
    /// When it was rebuilt from the pods, if it was.
    pub rebuilt: Option<Timestamp>,
}

impl Ledger {
    /// Reads the entries of the ledger object.
    #[must_use]
    pub fn read<'a>(
        resource_version: ResourceVersion,
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut ledger = Self {
            resource_version,
            slots: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            terminating: false,
            rebuilt: None,
        };
        for (key, text) in entries {
            match serde_json::from_str::<Slot>(text) {
                Ok(slot) if &*slot.uid == key => {
                    ledger.slots.insert(slot.uid.clone(), slot);
                }
                _ => {
                    ledger.unreadable.insert(key.into(), text.into());
                }
            }
        }
        ledger
    }

    /// The entries that stand for this ledger, one a slot.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, String> {
        let slots = self.slots.values().map(|slot| {
            // Plain strings and numbers: serialising them cannot fail.
            let text = serde_json::to_string(slot).unwrap_or_default();
            (slot.uid.to_string(), text)
        });
        let unreadable = self.unreadable.iter();
        let unreadable = unreadable.map(|(key, text)| (key.to_string(), text.to_string()));
        unreadable.chain(slots).collect()
    }

    /// Why no slot may be added now, if so.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<&'static str> {
        if self.terminating {
            return Some("the ledger is being deleted");
        }
        let age = now.duration_since(self.rebuilt?);
        let waiting = age.as_secs() < REBUILD_WAIT.as_secs().cast_signed();
        waiting.then_some("the ledger was lost and rebuilt less than ten minutes ago")
    }

    /// Adds a slot, or moves the one that is there forward. False, and nothing done, if it would move backwards or
    /// write over an entry that cannot be read: that may be a later slot of a newer agent.
    #[must_use]
    pub fn take(&mut self, slot: Slot) -> bool {
        let backwards = |known: &Slot| known.resource_version > slot.resource_version;
        if self.slots.get(&slot.uid).is_some_and(backwards)
            || self.unreadable.contains_key(&slot.uid)
        {
            return false;
        }
        self.slots.insert(slot.uid.clone(), slot);
        true
    }

    /// Writes into a slot when the pod's replacement was Ready, if the slot is otherwise as the decision knew it.
    #[must_use]
    pub fn note_replaced(&mut self, slot: &Slot) -> bool {
        let Some(known) = self.slots.get_mut(&slot.uid) else {
            return false;
        };
        let before = Slot {
            replaced: None,
            ..slot.clone()
        };
        let same = *known == before;
        if same {
            known.replaced = slot.replaced;
        }
        same
    }

    /// Takes a slot out if it still stands at the version that the decision was made on.
    #[must_use]
    pub fn free(&mut self, slot: &Slot) -> bool {
        let same = self.slots.get(&slot.uid) == Some(slot);
        same && self.slots.remove(&slot.uid).is_some()
    }
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotFate {
    /// Its pod is, or may yet be, quarantined.
    Keep,
    /// No delayed write of it can succeed.
    Free,
    /// The pod has not changed since the slot was taken: it must be made to change first.
    Fence,
}

/// What becomes of a slot, by its pod as a GET without resourceVersion saw it *after* the slot was read.
/// Never by a cached pod.
#[must_use]
pub fn fate(slot: &Slot, found: Option<&Pod>, now: Timestamp) -> SlotFate {
    let Some(pod) = found.filter(|pod| pod.uid == slot.uid) else {
        return SlotFate::Free;
    };
    let quarantined = pod.has_state_label()
        || !matches!(super::record::read(pod), super::record::Reading::Absent);
    if quarantined {
        // A delayed patch can do to a quarantined pod that goes away nothing that was not done.
        return if pod.terminating {
            SlotFate::Free
        } else {
            SlotFate::Keep
        };
    }
    if pod.resource_version > slot.resource_version {
        return SlotFate::Free;
    }
    let age = now.duration_since(slot.at);
    if pod.resource_version == slot.resource_version
        && age.as_secs() >= FENCE_AFTER.as_secs().cast_signed()
    {
        SlotFate::Fence
    } else {
        SlotFate::Keep
    }
}
