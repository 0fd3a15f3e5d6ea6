//! Agents that break one rule of the protocol each. They are made by altering what the real code sees or sends; the
//! search has to find what comes of it.

use std::sync::Arc;

use jiff::Timestamp;
use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView},
    object::{Pod, ResourceVersion, Uid},
    view::View,
    write::{Change, PodVersion, Write},
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// Slots are freed by what the agent's own view has of the pod.
    FreesByItsView,
    /// The API server may answer from a cache that lags, and a slot is freed at any *other* version than its own.
    FreesAtAnyOtherVersion,
    /// The API server may answer from such a cache, and nothing else is wrong: the rule of the *newer* version bears it.
    ReadsFromACache,
    /// A fence is the same text each time.
    FencesWithOneText,
    /// A slot is moved back to the version that the view has of the pod.
    MovesSlotsBack,
    /// A ledger that was lost is open at once.
    RebuildsAtOnce,
    /// Nobody remembers that there was a ledger.
    ForgetsTheLedger,
}

const ONE_TEXT: &str = "fenced";

impl Broken {
    /// Where all fences are alike, each pod was fenced before.
    pub(crate) fn alter_at_first(broken: Option<Self>, pod: &mut Pod) {
        if broken == Some(Self::FencesWithOneText) {
            pod.annotations.insert(keys::FENCE.into(), ONE_TEXT.into());
        }
    }

    pub(crate) fn fence(broken: Option<Self>, change: &mut Change) {
        if broken == Some(Self::FencesWithOneText)
            && let Some(Some(text)) = change.annotations.get_mut(keys::FENCE)
        {
            *text = ONE_TEXT.into();
        }
    }

    /// What a GET finds.
    pub(crate) fn found(
        broken: Option<Self>,
        target: &PodVersion,
        fresh: Option<Arc<Pod>>,
        cached: Option<Arc<Pod>>,
    ) -> Option<Arc<Pod>> {
        match (broken, cached) {
            (Some(Self::FreesByItsView), cached) => cached,
            (Some(Self::ReadsFromACache), Some(cached)) => Some(cached),
            (Some(Self::FreesAtAnyOtherVersion), Some(cached)) => {
                let mut pod = (*cached).clone();
                if pod.resource_version != target.resource_version {
                    pod.resource_version = after(target.resource_version);
                }
                Some(Arc::new(pod))
            }
            _ => fresh,
        }
    }

    /// Decides again on a view in which no slot is newer than the pod, and takes the quarantines of that decision. Gives
    /// the ledger that goes with them.
    pub(crate) fn move_slots_back(
        view: &View,
        writes: &mut Vec<Write>,
        decision: impl Fn(&View) -> Vec<Write>,
    ) -> Option<Ledger> {
        let LedgerView::Present(ledger) = &view.ledger else {
            return None;
        };
        let mut moved = ledger.clone();
        for slot in moved.slots.values_mut() {
            if let Some(pod) = view.pod(&slot.key()) {
                slot.resource_version = slot.resource_version.min(pod.resource_version);
            }
        }
        let mut altered = view.clone();
        altered.ledger = LedgerView::Present(moved.clone());
        let mut before = ledger.clone();
        for action in decision(&altered) {
            let Write::Quarantine(quarantine) = action else {
                continue;
            };
            let uid = &quarantine.slot.uid;
            if ledger.slots.get(uid) != moved.slots.get(uid) {
                before.slots.insert(uid.clone(), moved.slots[uid].clone());
                writes.push(Write::Quarantine(quarantine));
            }
        }
        Some(before)
    }

    /// When the ledger says that it was rebuilt.
    pub(crate) fn rebuilt(broken: Option<Self>, lost: Option<Timestamp>) -> Option<Timestamp> {
        lost.filter(|_| broken != Some(Self::RebuildsAtOnce))
    }

    /// Which ledger the Lease is seen to name: with nobody to remember, the one that there is.
    pub(crate) fn named(broken: Option<Self>, view: &View, named: Option<Uid>) -> Option<Uid> {
        match (broken, &view.ledger) {
            (Some(Self::RebuildsAtOnce | Self::ForgetsTheLedger), LedgerView::Present(ledger)) => {
                Some(ledger.uid.clone())
            }
            (Some(Self::ForgetsTheLedger), _) => None,
            _ => named,
        }
    }
}

fn after(version: ResourceVersion) -> ResourceVersion {
    let number: u64 = version.to_string().parse().expect("a number");
    ResourceVersion::new(number + 1)
}
