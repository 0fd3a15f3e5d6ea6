//! What hostile people do: whoever may patch the pods of one namespace writes anything onto them, also what stood on them
//! before and what it has read on other pods. One pod has to do for all of theirs; they may not touch the others.

use std::sync::Arc;

use pod_quarantine_core::{
    keys,
    object::Pod,
    policy::Detach,
    record::{self, Record, RecordState, Values},
};
use test_objects::{at, labels};

use crate::{
    known::{GONE, Id, NOTHING},
    model::Model,
    server::{WrittenBy, next},
    state::State,
    step::{Next, Step},
    world::{self, APP, FOREIGN, HOSTILE, PODS},
};

/// What they do to a pod of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hostility {
    /// The state label, and nothing else.
    ForgesState,
    /// State label and record, as if the agent had quarantined the pod long ago: its ttl is over.
    ForgesRecord,
    /// The same in a newer version, with the command to release the pod.
    ForgesNewerRecord,
    ForgesRecordOfAnotherAgent,
    /// The record of another pod as it is, and no label.
    CopiesRecord,
    /// The record of another pod with the uid of this one.
    CopiesRecordWithItsUid,
    /// The record that an agent wrote here, and that is not here any more.
    WritesRecordBack,
    /// The label that the quarantine has edited, as it was.
    WritesLabelBack,
    TakesRecordOff,
    /// The same, and a quarantine is asked for, in one patch.
    TakesRecordOffAndAsks,
    /// A quarantine and a release, in one patch.
    AsksForBoth,
    /// What a fence of the pod's next version would write.
    ForgesFence,
    /// The mark of a release, which says nothing.
    ForgesReleased,
    /// The owner of a pod of another namespace.
    ForgesOwner,
    Deletes,
}

impl Hostility {
    const ALL: [Self; 15] = [
        Self::ForgesState,
        Self::ForgesRecord,
        Self::ForgesNewerRecord,
        Self::ForgesRecordOfAnotherAgent,
        Self::CopiesRecord,
        Self::CopiesRecordWithItsUid,
        Self::WritesRecordBack,
        Self::WritesLabelBack,
        Self::TakesRecordOff,
        Self::TakesRecordOffAndAsks,
        Self::AsksForBoth,
        Self::ForgesFence,
        Self::ForgesReleased,
        Self::ForgesOwner,
        Self::Deletes,
    ];

    /// The pod after it, but for its version. `source`: the record that is copied, or written back.
    fn on(self, pod: &Pod, source: Option<&Arc<str>>) -> Option<Pod> {
        let mut after = pod.clone();
        let text = |record: Record| record.to_text().expect("it is short");
        let record: Option<Arc<str>> = match self {
            Self::ForgesState => None,
            Self::ForgesRecord => Some(text(forged(pod)).into()),
            Self::ForgesNewerRecord => {
                let version = record::VERSION + 1;
                let record = forged(pod);
                Some(text(Record { version, ..record }).into())
            }
            Self::ForgesRecordOfAnotherAgent => {
                let agent = "elsewhere/default".into();
                let record = forged(pod);
                Some(text(Record { agent, ..record }).into())
            }
            Self::CopiesRecord => {
                let forged = || text(forged(&world::pod(FOREIGN))).into();
                let record = source.cloned().unwrap_or_else(forged);
                after.annotations.insert(keys::RECORD.into(), record);
                return Some(after);
            }
            Self::WritesRecordBack => Some(source?.clone()),
            Self::CopiesRecordWithItsUid => Some(Self::with_uid_of(pod, source?).into()),
            other => {
                other.on_all_else(&mut after);
                return Some(after);
            }
        };
        let state = keys::QUARANTINED.into();
        after.labels.insert(keys::STATE.into(), state);
        if let Some(record) = record {
            after.annotations.insert(keys::RECORD.into(), record);
        }
        if self == Self::ForgesNewerRecord {
            annotate(&mut after, keys::RELEASE, "force");
        }
        Some(after)
    }

    /// The text of a record with the uid of this pod.
    pub(crate) fn with_uid_of(pod: &Pod, text: &str) -> String {
        let uid = (0..PODS).map(|index| world::pod(index).uid);
        uid.fold(text.to_owned(), |text, other| {
            text.replace(&format!("{:?}", &*other), &format!("{:?}", &*pod.uid))
        })
    }

    fn on_all_else(self, pod: &mut Pod) {
        match self {
            Self::WritesLabelBack => {
                let first = world::pod(HOSTILE);
                pod.labels.insert(APP.into(), first.labels[APP].clone());
            }
            Self::TakesRecordOff => take_record_off(pod),
            Self::TakesRecordOffAndAsks => {
                take_record_off(pod);
                annotate(pod, keys::QUARANTINE, "x");
            }
            Self::AsksForBoth => {
                annotate(pod, keys::QUARANTINE, "x");
                annotate(pod, keys::RELEASE, "force");
            }
            Self::ForgesFence => {
                let version = next(pod.resource_version).to_string();
                annotate(pod, keys::FENCE, &version);
            }
            Self::ForgesReleased => annotate(pod, keys::RELEASED, "x"),
            Self::ForgesOwner => pod.owner = Some(world::owner(FOREIGN)),
            Self::Deletes => pod.terminating = true,
            Self::ForgesState
            | Self::ForgesRecord
            | Self::ForgesNewerRecord
            | Self::ForgesRecordOfAnotherAgent
            | Self::CopiesRecord
            | Self::CopiesRecordWithItsUid
            | Self::WritesRecordBack => {}
        }
    }
}

fn annotate(pod: &mut Pod, key: &str, text: &str) {
    pod.annotations.insert(key.into(), text.into());
}

fn take_record_off(pod: &mut Pod) {
    pod.labels.remove(keys::STATE);
    pod.annotations.remove(keys::RECORD);
}

/// A record as the agent might have written it, ten years ago.
fn forged(pod: &Pod) -> Record {
    Record {
        version: record::VERSION,
        uid: pod.uid.clone(),
        agent: world::AGENT.into(),
        policy: world::POLICY.into(),
        manual: false,
        reason: "x".into(),
        evidence: Vec::new(),
        at: at("2020-01-31T12:00:00Z"),
        expires: at("2020-01-31T16:00:00Z"),
        labels: labels(&[(APP, "p2")]),
        edits: Values::from([(APP.into(), None)]),
        annotations: Values::new(),
        owner: world::owner(FOREIGN),
        workload: world::owner(FOREIGN),
        detach: Detach::Workload,
        restarts: 0,
        services: vec!["p2".into()],
    }
}

impl Model {
    pub(crate) fn hostility(&self, state: &State, then: Next<'_>) {
        let Some(left) = state.left.without(|left| &mut left.hostile) else {
            return;
        };
        for act in Hostility::ALL {
            let source = self.source(state, act);
            let Some(after) = self.befallen(state.pods[HOSTILE], act, source) else {
                continue;
            };
            self.take(Step::Hostile(act), state, then, |state| {
                state.left = left;
                state.changed_by_people[HOSTILE] |= act == Hostility::WritesLabelBack;
                self.becomes(state, HOSTILE, after, WrittenBy::Someone)
            });
        }
    }

    /// The record that is copied, or written back.
    fn source(&self, state: &State, act: Hostility) -> Id {
        let record = |id: Id| match self.pod(id)?.record() {
            RecordState::Readable(_) => self.record_text(id),
            RecordState::Absent | RecordState::Damaged(_) | RecordState::Newer(..) => None,
        };
        match act {
            Hostility::CopiesRecord | Hostility::CopiesRecordWithItsUid => {
                let others = (0..PODS).filter(|other| *other != HOSTILE);
                let mut records = others.filter_map(|other| record(state.pods[other]));
                let record = records.next();
                record.map_or(NOTHING, |record| self.records.name(record))
            }
            Hostility::WritesRecordBack => state.wrote,
            _ => NOTHING,
        }
    }

    /// The pod after an act; `None` where nothing changes.
    fn befallen(&self, pod: Id, act: Hostility, source: Id) -> Option<Id> {
        self.befallen.get((pod, act, source), |(pod, act, source)| {
            let pod = self.pod(*pod)?;
            let source = (*source > GONE).then(|| self.records.get(*source));
            let mut after = act.on(&pod, source.as_deref())?;
            if after == *pod {
                return None;
            }
            after.resource_version = next(pod.resource_version);
            Some(self.pods.name(after))
        })
    }
}
