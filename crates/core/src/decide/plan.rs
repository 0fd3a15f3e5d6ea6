//! What a decision brings about.

use std::sync::Arc;

use super::state::State;
use crate::{
    lookup::Lookup,
    notice::{Notice, Notification, RefusedPod, Topic},
    object::{ObjectKind, Pod, Reference},
    record::Record,
    write::{Quarantine, Write},
};

/// What a decision brings about: each list is for one consumer, in the order in which it was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For the writer.
    pub writes: Vec<Write>,
    /// For the reader. Nothing that is decided waits for it.
    pub lookups: Vec<Lookup>,
    /// For the report.
    pub notices: Vec<Notice>,
}

impl Plan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.lookups.is_empty() && self.notices.is_empty()
    }

    /// The quarantines that were decided so far.
    pub(super) fn quarantines(&self) -> impl Iterator<Item = &Quarantine> {
        self.writes.iter().filter_map(|write| match write {
            Write::Quarantine(quarantine) => Some(&**quarantine),
            _ => None,
        })
    }

    /// Leaves a pod where it is. What people asked for and what a signal asks for may be refused for different reasons:
    /// each is reported.
    pub(super) fn refuse(&mut self, state: &mut State, refused: RefusedPod) {
        let who = if refused.manual {
            "people"
        } else {
            "its signal"
        };
        let topic = format!("refused to {who} for {}", refused.policy);
        let reason = refused.refusal.reason.as_str();
        if state
            .reported
            .record(&refused.uid, topic.into(), reason.into())
        {
            self.notices.push(Notice::Refused(refused.clone()));
        }
        state.refused.push(refused);
    }

    /// Notifies about a pod.
    pub(super) fn notify(&mut self, state: &mut State, pod: &Pod, topic: Topic, message: String) {
        let about = Reference {
            kind: ObjectKind::from("Pod"),
            name: pod.key.name.clone(),
            uid: pod.uid.clone(),
        };
        self.notify_about(state, pod, about, topic, message);
    }

    /// Notifies that a command stands in a pod template, and is ignored.
    pub(super) fn notify_ignored(
        &mut self,
        state: &mut State,
        pod: &Pod,
        command: &str,
        owner: &Reference,
    ) {
        let message = format!("{command} is ignored: it stands in the pod template of {owner}");
        self.notify(state, pod, Topic::BadAnnotation, message);
    }

    /// Notifies about the workload of a quarantined pod; where that is of a kind that is not read, about the pod's own
    /// controller.
    pub(super) fn notify_about_workload(
        &mut self,
        state: &mut State,
        pod: &Pod,
        record: &Record,
        topic: Topic,
        message: String,
    ) {
        let about = match record.workload.kind {
            ObjectKind::Controller(_) => &record.workload,
            ObjectKind::Other(_) => &record.owner,
        };
        self.notify_about(state, pod, about.clone(), topic, message);
    }

    fn notify_about(
        &mut self,
        state: &mut State,
        pod: &Pod,
        about: Reference,
        topic: Topic,
        message: String,
    ) {
        let key = format!("{} {message}", topic.as_str());
        if state.reported.record(&pod.uid, key.into(), Arc::default()) {
            self.notices.push(Notice::Notify(Notification {
                namespace: pod.key.namespace.clone(),
                pod: Some(pod.key.name.clone()),
                policy: pod.record().into_record().map(|record| record.policy),
                about,
                topic,
                message,
            }));
        }
    }
}
