//! What is promised, and is checked in every state and at every step.

use jiff::Timestamp;
use pod_quarantine_core::{
    object::Pod,
    record::RecordState,
    restore::{Released, restore},
    selector::Labels,
};

use crate::{
    known::{GONE, Id, Memo},
    model::Model,
    world::APP,
};

/// What was promised and is not so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A quarantine began where so many pods were out already.
    PastTheLimit(usize),
    /// A quarantined pod cannot be put back.
    NotRestorable(String),
    /// What is no quarantined pod was deleted.
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

    pub(crate) fn begins(limit: u32, others: usize) -> Result<(), Violation> {
        if others < limit as usize {
            return Ok(());
        }
        Err(Violation::PastTheLimit(others))
    }

    pub(crate) fn deletes(pod: &Pod) -> Result<(), Violation> {
        let readable = matches!(pod.record(), RecordState::Readable(_));
        if readable && pod.has_state_label() {
            return Ok(());
        }
        Err(Violation::Deleted(pod.key.to_string()))
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
            let change = restore(&pod, record, &released, true).change;
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
