//! What is promised, and is checked in every state and at every step.

use jiff::Timestamp;
use pod_quarantine_core::{
    ledger::Ledger,
    object::Pod,
    record::RecordState,
    restore::{Released, restore},
    selector::Labels,
};

use crate::{
    known::{GONE, Id, Memo, NOTHING},
    model::Model,
    state::State,
    world::{self, APP, PODS, index_of, now},
};

/// What was promised and is not so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A quarantine began where so many pods were out already.
    PastTheLimit(usize),
    /// A quarantined pod cannot be put back.
    NotRestorable(String),
    /// The same, of so many pods of one namespace.
    PastTheLimitOfANamespace(usize),
    /// So many slots were taken.
    SlotsPastTheLimit(usize),
    /// What no agent has quarantined was deleted, or before its time.
    Deleted(String),
    /// When nothing goes wrong any more, this does not end.
    NoProgress(String),
}

/// What was found to be so of a pod already.
#[derive(Default)]
pub(crate) struct Kept {
    counted: Memo<Id, bool>,
    restorable: Memo<(Id, Id, bool), Result<(), Violation>>,
}

impl Kept {
    pub(crate) fn is_counted(&self, model: &Model, id: Id) -> bool {
        let counted = |id: &Id| {
            model
                .pod(*id)
                .is_some_and(|pod| pod.counts_as_quarantined())
        };
        id > GONE && self.counted.get(id, counted)
    }

    /// `changed`: whether people have changed a label that the quarantine had edited.
    pub(crate) fn can_be_restored(
        &self,
        model: &Model,
        id: Id,
        labels_before: Id,
        changed: bool,
    ) -> Result<(), Violation> {
        let key = (id, labels_before, changed);
        self.restorable.get(key, |_| {
            let pod = model.pods.get(id);
            let before = model.labels.get(labels_before);
            let wrong = |why: String| Err(Violation::NotRestorable(format!("{}: {why}", pod.key)));
            let RecordState::Readable(record) = pod.record() else {
                return wrong(format!("{:?}", pod.record()));
            };
            let released = Released {
                at: Timestamp::UNIX_EPOCH,
                until: Timestamp::MIN,
                deletion_cost: None,
            };
            let change = restore(&pod, record.claimed(), &released, true).change;
            let mut after = pod.labels.clone();
            for (key, value) in change.labels {
                match value {
                    Some(value) => after.insert(key, value),
                    None => after.remove(&key),
                };
            }
            let theirs = |labels: &Labels| {
                let mut labels = labels.clone();
                if changed {
                    labels.remove(APP);
                }
                labels
            };
            if theirs(&after) == theirs(&before) {
                return Ok(());
            }
            wrong(format!("{before:?} would become {after:?}"))
        })
    }
}

impl Model {
    /// An agent quarantines a pod. Those that count by the doing of hostile people alone may do so at any time: they are
    /// not among the others.
    pub(crate) fn begins(&self, state: &State, index: usize) -> Result<(), Violation> {
        let namespace = world::key(index).namespace;
        let out = (0..PODS).filter(|other| state.labels_before[*other] != NOTHING);
        let out: Vec<usize> = out.collect();
        if out.len() >= self.scope.limit as usize {
            return Err(Violation::PastTheLimit(out.len()));
        }
        let here = out
            .iter()
            .filter(|other| world::key(**other).namespace == namespace);
        let here = here.count();
        if here >= self.scope.of_namespace as usize {
            return Err(Violation::PastTheLimitOfANamespace(here));
        }
        Ok(())
    }

    /// An agent has written the ledger.
    pub(crate) fn takes_slots(&self, ledger: &Ledger) -> Result<(), Violation> {
        let slots = ledger.slots.len();
        if slots > self.scope.limit as usize {
            return Err(Violation::SlotsPastTheLimit(slots));
        }
        Ok(())
    }

    /// An agent deletes a pod: an agent has written its record, and its time is up.
    pub(crate) fn deletes(&self, state: &State, pod: &Pod) -> Result<(), Violation> {
        let is_over = match pod.record() {
            RecordState::Readable(record) => record.claimed().expires <= now(state.time).wall,
            RecordState::Absent | RecordState::Newer(..) | RecordState::Damaged(_) => false,
        };
        let is_quarantined = state.labels_before[index_of(&pod.key)] != NOTHING;
        let is_as_written = self.is_as_written(state, index_of(&pod.key));
        if pod.has_state_label() && is_over && is_quarantined && is_as_written {
            return Ok(());
        }
        Err(Violation::Deleted(pod.key.to_string()))
    }
}
