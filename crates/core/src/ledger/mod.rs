//! The ledger: one slot per quarantined pod, and the rules by which a slot is taken, moved and freed.
//!
//! No slot, no quarantine. A slot is written, by compare-and-swap on the whole ledger, before its pod is; it is
//! freed only when no delayed write of the pod can succeed any more. So there are never fewer slots than pods that
//! are, or may yet be, quarantined, whichever process crashes and however late a request arrives.

mod known_pod;
mod memory;
mod slot;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use self::memory::storm_key;
pub use self::{
    known_pod::KnownPod,
    memory::{MAX_PACING_RECORDS, MAX_STORMS, Memory, PAUSE, PacingRecord, Pause, Storm},
    slot::{FENCE_AFTER, Slot, SlotFate, TwoRecords, fate},
};
use crate::{
    object::{ResourceVersion, Uid},
    scope::Scope,
    workload::WorkloadId,
};

/// No slot is taken for this long after the ledger was created in place of a lost one: a patch whose slot was lost with the
/// old ledger must have arrived by then. It is the only timing assumption of the protocol.
pub const REBUILD_WAIT: Duration = Duration::from_mins(10);

/// Name of the ledger of an installation.
#[must_use]
pub fn name(agent: &str) -> String {
    format!("pod-quarantine-ledger-{agent}")
}

/// Slots that the ledger's object can hold; the highest `limits.cluster.max`.
pub const MAX_SLOTS: usize = 1000;

/// What the view knows of the ledger object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub enum LedgerView {
    /// It was not read yet.
    #[default]
    NotLoaded,
    /// There is none. As the last one was read last, if one was.
    Gone(Option<Box<Ledger>>),
    Present(Ledger),
}

impl LedgerView {
    /// The ledger; `None` where there is none, or it was not read yet.
    #[must_use]
    pub fn present(&self) -> Option<&Ledger> {
        match self {
            Self::Present(ledger) => Some(ledger),
            Self::NotLoaded | Self::Gone(_) => None,
        }
    }

    /// The ledger, or else the last one.
    #[must_use]
    pub fn last(&self) -> Option<&Ledger> {
        match self {
            Self::Present(ledger) => Some(ledger),
            Self::Gone(last) => last.as_deref(),
            Self::NotLoaded => None,
        }
    }
}

/// The ledger as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The version that a compare-and-swap asks for.
    pub resource_version: ResourceVersion,
    /// Its uid, which differs from that of another ledger of the same name.
    pub uid: Uid,
    /// The slots by pod uid.
    pub slots: BTreeMap<Uid, Slot>,
    /// Everything else that must outlive a restart.
    pub memory: Memory,
    /// Entries that cannot be read. Like slots, they count against the cluster's limit, and are never dropped.
    pub unreadable: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether its deletion has begun: no slot is added then.
    pub terminating: bool,
    /// When it was created in place of a lost one, if it was.
    pub rebuilt: Option<Timestamp>,
}

/// An entry to be written that takes no slot for a quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The replacement of the slot's pod is Ready.
    Replaced(Slot),
    /// The TTL of the slot's pod is another one than before.
    Expires(Slot),
    StormBegan(Storm),
    StormEnded(Scope),
    /// The pacing record of a workload no longer counts.
    Forgotten(WorkloadId),
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
            uid: Uid::default(),
            slots: BTreeMap::new(),
            memory: Memory::default(),
            unreadable: BTreeMap::new(),
            terminating: false,
            rebuilt: None,
        };
        for (key, text) in entries {
            if ledger.memory.read(key, text) {
                continue;
            }
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

    /// What of a lost ledger is in the next one. An entry that cannot be read may be a slot of a newer agent, which would take
    /// it for a right.
    #[must_use]
    pub fn carry_over(mut self) -> Self {
        for slot in self.slots.values_mut() {
            slot.carried_over = true;
        }
        self.unreadable.retain(|key, _| Memory::is_key(key));
        self
    }

    /// The entries of the ledger object: one for each slot, and those of the memory.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, String> {
        let slots = self.slots.values().map(|slot| {
            // Plain strings and numbers: serialising them cannot fail.
            let text = serde_json::to_string(slot).unwrap_or_default();
            (slot.uid.to_string(), text)
        });
        let unreadable = self.unreadable.iter();
        let unreadable = unreadable.map(|(key, text)| (key.to_string(), text.to_string()));
        let memory = self.memory.entries().into_iter();
        memory.chain(unreadable).chain(slots).collect()
    }

    /// Why no slot may be added now; `None` if one may.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<String> {
        if self.terminating {
            return Some("the ledger is being deleted".to_owned());
        }
        if let Some(key) = self.unreadable.keys().find(|key| Memory::is_key(key)) {
            let why = format!("its entry {key} cannot be read: repair or remove it");
            return Some(why);
        }
        let age = now.duration_since(self.rebuilt?);
        if age.as_secs() < REBUILD_WAIT.as_secs().cast_signed() {
            return Some("the ledger was lost and rebuilt less than ten minutes ago".to_owned());
        }
        None
    }

    /// Adds a slot, or moves the existing one forward; a new one counts towards the hourly limit. False, with nothing
    /// changed, if it would move backwards or overwrite an entry that cannot be read: that may be a later slot of a
    /// newer agent.
    #[must_use]
    pub fn take(&mut self, slot: Slot) -> bool {
        let backwards = |known: &Slot| known.resource_version > slot.resource_version;
        if self.slots.get(&slot.uid).is_some_and(backwards)
            || self.unreadable.contains_key(&*slot.uid)
        {
            return false;
        }
        let (at, namespace) = (slot.at, slot.namespace.clone());
        if self.slots.insert(slot.uid.clone(), slot).is_none() {
            self.memory.count(at, &namespace);
        }
        true
    }

    /// Adds a slot, or moves it forward, as [`Ledger::take`] does, together with the pacing record of its workload.
    #[must_use]
    pub fn begin(&mut self, slot: Slot, pacing: Option<&PacingRecord>) -> bool {
        let workload = slot.workload.clone();
        let begins = !self.slots.contains_key(&slot.uid);
        let taken = self.take(slot);
        if let Some(pacing) = pacing
            && taken
            && begins
        {
            self.memory.put_pacing(&workload, pacing.clone());
        }
        taken
    }

    /// Applies a note. False, with nothing changed, if the note is not new or no longer holds.
    #[must_use]
    pub fn note(&mut self, note: &Note) -> bool {
        match note {
            Note::Replaced(slot) => self.note_slot(slot, |known| known.replaced = slot.replaced),
            Note::Expires(slot) => self.note_slot(slot, |known| known.expires = slot.expires),
            Note::StormBegan(storm) => {
                let storms = &self.memory.storms;
                let new = !storms.contains_key(&storm.scope) && self.has_room_for(storm);
                if new {
                    let scope = storm.scope.clone();
                    self.memory.storms.insert(scope, storm.clone());
                }
                new
            }
            Note::StormEnded(scope) => self.memory.storms.remove(scope).is_some(),
            Note::Forgotten(workload) => self.memory.pacing.remove(workload).is_some(),
        }
    }

    /// Whether a storm may be added: there is room, and its entry is none that cannot be read.
    pub(crate) fn has_room_for(&self, storm: &Storm) -> bool {
        let key = storm_key(&storm.scope);
        self.memory.has_room_for(storm) && !self.unreadable.contains_key(&*key)
    }

    /// Changes a slot into that one, if it then is that one: in all else it is as at the decision.
    fn note_slot(&mut self, slot: &Slot, change: impl FnOnce(&mut Slot)) -> bool {
        let Some(known) = self.slots.get_mut(&slot.uid) else {
            return false;
        };
        let mut changed = known.clone();
        change(&mut changed);
        let is_new = changed == *slot && changed != *known;
        if is_new {
            *known = changed;
        }
        is_new
    }

    /// Removes a slot if it still has the version that the decision was made on.
    #[must_use]
    pub fn free(&mut self, slot: &Slot) -> bool {
        let same = self.slots.get(&slot.uid) == Some(slot);
        same && self.slots.remove(&slot.uid).is_some()
    }
}
