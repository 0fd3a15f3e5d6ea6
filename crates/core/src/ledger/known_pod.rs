//! A quarantined pod that the agent quarantined itself.

use super::{Ledger, Slot};
use crate::{object::Pod, record::Record};

/// A pod whose record the agent wrote: its slot knows the text. Only [`Ledger::known`] makes one; what is done with a
/// pod beyond counting, showing and releasing it asks for one.
#[derive(Clone, Copy, Debug)]
pub struct KnownPod<'a> {
    pod: &'a Pod,
    record: &'a Record,
    slot: &'a Slot,
}

impl<'a> KnownPod<'a> {
    #[must_use]
    pub fn pod(&self) -> &'a Pod {
        self.pod
    }

    #[must_use]
    pub fn record(&self) -> &'a Record {
        self.record
    }

    #[must_use]
    pub fn slot(&self) -> &'a Slot {
        self.slot
    }
}

impl Ledger {
    /// A pod that has a slot with exactly its record: only then did the agent write the record. Anyone else who may patch
    /// the pod can write one, too.
    #[must_use]
    pub fn known<'a>(&'a self, pod: &'a Pod) -> Option<KnownPod<'a>> {
        let slot = self.slots.get(&pod.uid)?;
        let record = pod.known_record(|text| slot.knows(text))?;
        Some(KnownPod { pod, record, slot })
    }
}
