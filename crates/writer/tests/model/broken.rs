//! Agents that break one rule of the protocol each. They are made by altering what the real code sees or sends; the
//! search has to find what comes of it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use pod_quarantine_core::{
    keys,
    ledger::{Ledger, LedgerView, Note, Slot},
    object::{ObjectKey, Pod, ResourceVersion, Uid},
    text::Fingerprint,
    view::View,
    workload::WorkloadId,
    write::{Change, PodVersion, Write},
};

use crate::{
    hostile::Hostility,
    world::{self, FOREIGN, HOSTILE},
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
    /// A slot that was carried over of a lost ledger is as good as any.
    TakesCarriedOverSlotsForRights,
    /// Nobody remembers that there was a ledger.
    ForgetsTheLedger,
    /// A fence is the version alone, also where the pod carries just that.
    FencesWithTheVersionAlone,
    /// Whoever has written a record, it is taken for the agent's.
    BelievesEveryRecord,
    /// A record with the uid of another pod is one.
    BelievesRecordsOfOtherPods,
    /// Pods that count without a slot get one.
    GivesSlotsToForgedPods,
    /// The pods of a namespace that count without a slot have no share in common.
    CountsForgedPodsOneByOne,
    /// An owner is known by its uid, in whichever namespace it is.
    OwnsAcrossNamespaces,
}

const ONE_TEXT: &str = "fenced";

impl Broken {
    /// Where all fences are alike, each pod was fenced before.
    pub(crate) fn alter_at_first(broken: Option<Self>, pod: &mut Pod) {
        if broken == Some(Self::FencesWithOneText) {
            pod.annotations.insert(keys::FENCE.into(), ONE_TEXT.into());
        }
    }

    pub(crate) fn fence(broken: Option<Self>, pod: &PodVersion, change: &mut Change) {
        if broken == Some(Self::FencesWithOneText)
            && let Some(Some(text)) = change.annotations.get_mut(keys::FENCE)
        {
            *text = ONE_TEXT.into();
        }
        if broken == Some(Self::FencesWithTheVersionAlone)
            && let Some(fence) = change.annotations.get_mut(keys::FENCE)
        {
            *fence = Some(pod.resource_version.to_string().into());
        }
    }

    /// How an agent takes a pod that it sees.
    pub(crate) fn pod_in_the_view(broken: Option<Self>, pod: &Pod, ledger: Option<&Ledger>) -> Pod {
        let has_slot = ledger.is_some_and(|ledger| ledger.slots.contains_key(&pod.uid));
        let mut pod = pod.clone();
        match broken {
            Some(Self::BelievesRecordsOfOtherPods) => make_record_its_own(&mut pod),
            Some(Self::CountsForgedPodsOneByOne) if pod.counts_as_quarantined() && !has_slot => {
                pod.key.namespace = format!("of-{}", pod.key.name).into();
            }
            _ => {}
        }
        pod
    }

    pub(crate) fn alter_view(broken: Option<Self>, view: &mut View) {
        match broken {
            Some(Self::OwnsAcrossNamespaces) => {
                let theirs =
                    ObjectKey::new(world::key(HOSTILE).namespace, world::key(FOREIGN).name);
                view.put_controller(world::replica_set(theirs, FOREIGN));
            }
            Some(Self::BelievesEveryRecord) => {
                let counted = counted(view);
                if let LedgerView::Present(ledger) = &mut view.ledger {
                    for pod in counted {
                        let fingerprint = pod.record_fingerprint().cloned();
                        let slot = ledger.slots.entry(pod.uid.clone());
                        let slot = slot.or_insert_with(|| slot_of(&pod));
                        slot.record = fingerprint.unwrap_or_else(|| slot.record.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// Takes slots for pods that count without one, whatever the limits. Gives the ledger that goes with that.
    pub(crate) fn give_slots(view: &View, writes: &mut Vec<Write>) -> Option<Ledger> {
        let mut ledger = view.ledger.present()?.clone();
        for pod in counted(view) {
            if !ledger.slots.contains_key(&pod.uid) {
                let slot = slot_of(&pod);
                ledger.slots.insert(pod.uid.clone(), slot.clone());
                // So that the ledger is written.
                let expires = Some(slot.at);
                writes.push(Write::Note(Note::Expires(Slot { expires, ..slot })));
            }
        }
        Some(ledger)
    }

    /// The slots of a ledger that is created.
    pub(crate) fn carried_over(
        broken: Option<Self>,
        slots: &BTreeMap<Uid, Slot>,
    ) -> BTreeMap<Uid, Slot> {
        let mut slots = slots.clone();
        if broken == Some(Self::TakesCarriedOverSlotsForRights) {
            for slot in slots.values_mut() {
                slot.carried_over = false;
            }
        }
        slots
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
            (Some(Self::BelievesRecordsOfOtherPods), _) => fresh.map(|pod| {
                let mut pod = (*pod).clone();
                make_record_its_own(&mut pod);
                Arc::new(pod)
            }),
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

/// Writes the pod's own uid into its record.
fn make_record_its_own(pod: &mut Pod) {
    if let Some(text) = pod.annotations.get(keys::RECORD).cloned() {
        let own = Hostility::with_uid_of(pod, &text);
        pod.annotations.insert(keys::RECORD.into(), own.into());
    }
}

fn counted(view: &View) -> Vec<Pod> {
    let counted = view.tracked().filter(|pod| pod.counts_as_quarantined());
    counted.cloned().collect()
}

/// A slot that knows no record.
fn slot_of(pod: &Pod) -> Slot {
    Slot {
        uid: pod.uid.clone(),
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        workload: WorkloadId::of_pod(&pod.uid),
        policy: world::POLICY.into(),
        resource_version: pod.resource_version,
        at: world::now(0).wall,
        record: Fingerprint::of(""),
        record_before: None,
        ready: false,
        lost: false,
        replaced: None,
        carried_over: false,
        expires: None,
    }
}

fn after(version: ResourceVersion) -> ResourceVersion {
    let number: u64 = version.to_string().parse().expect("a number");
    ResourceVersion::new(number + 1)
}
