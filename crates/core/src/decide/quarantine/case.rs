//! A candidate with everything that the checks read: ledger, slot and workload. `LedgerUnavailable`, where no slot can
//! be taken.

use super::{candidate::Candidate, owner};
use crate::{
    decide::{
        context::{Context, NoSlot},
        state::State,
    },
    ledger::{Ledger, Slot},
    policy::Detach,
    reason::{Reason, Refusal},
    workload::Workload,
};

/// Why a candidate is not quarantined now.
pub(super) enum Skip {
    Refused(Refusal),
    /// The view has not caught up with the version of the pod that its slot was moved to.
    SlotAhead,
    /// The ledger is just being made or read.
    LedgerAhead,
    /// The needs of its replacement were not read recently.
    NeedsLookup,
    /// Its last change failed a short time ago, or two changes of this version of it may yet arrive.
    BacksOff,
    /// Which labels change is not searched for in this decision any more.
    PutOff,
}

impl From<Refusal> for Skip {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A candidate for which a slot can be taken and whose owner allows quarantine.
pub(super) struct Case<'c, 'a> {
    pub(super) candidate: &'c Candidate<'a>,
    pub(super) ledger: &'a Ledger,
    /// The slot that the pod already has.
    pub(super) slot: Option<&'a Slot>,
    pub(super) workload: Workload<'a>,
}

impl<'c, 'a> Case<'c, 'a> {
    pub(super) fn open(
        cx: &Context<'a>,
        state: &State,
        candidate: &'c Candidate<'a>,
    ) -> Result<Self, Skip> {
        let pod = candidate.pod;
        let ledger = cx.open_ledger().map_err(|no_slot| match no_slot {
            NoSlot::Yet(_) if state.awaits_ledger(cx.now.moment) => Skip::LedgerAhead,
            why => Refusal::new(Reason::LedgerUnavailable, why.to_string()).into(),
        })?;
        if ledger.unreadable.contains_key(&*pod.uid) {
            let detail = "the pod's entry in the ledger cannot be read";
            return Err(Refusal::new(Reason::LedgerUnavailable, detail).into());
        }
        let workload = owner::check(cx, candidate)?;
        let slot = ledger.slots.get(&pod.uid);
        if slot.is_some_and(|slot| slot.carried_over) {
            let detail = "the pod's slot is from the ledger that was lost: it is freed first";
            return Err(Refusal::new(Reason::LedgerUnavailable, detail).into());
        }
        if slot.is_some_and(|slot| slot.resource_version > pod.resource_version) {
            return Err(Skip::SlotAhead);
        }
        Ok(Self {
            candidate,
            ledger,
            slot,
            workload,
        })
    }

    /// Whether the pod stays in its workload, so that no replacement starts.
    pub(super) fn stays_in_workload(&self) -> bool {
        self.candidate.detach() == Detach::Service
    }
}
