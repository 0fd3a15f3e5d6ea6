//! The result of a decision.

use super::state::{Condition, State};
use crate::{
    lookup::Lookup,
    notice::{Notice, Notification, RefusedPod, Topic},
    object::{ObjectKind, Pod, Reference},
    record::Record,
    write::{Quarantine, Write},
};

/// The result of a decision: one list for each consumer, in the order of the decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// For the writer.
    pub writes: Vec<Write>,
    /// For the reader. No decision waits for them.
    pub lookups: Vec<Lookup>,
    /// For the report.
    pub notices: Vec<Notice>,
    /// How many searches for labels were left to the next decision, because this one would have taken too long.
    pub put_off: u32,
}

impl Plan {
    /// The quarantines decided so far.
    pub(super) fn quarantines(&self) -> impl Iterator<Item = &Quarantine> {
        self.writes.iter().filter_map(|write| match write {
            Write::Quarantine(quarantine) => Some(&**quarantine),
            _ => None,
        })
    }

    /// Refuses a quarantine. What a person and what a signal requests may be refused for different reasons: each is
    /// reported.
    pub(super) fn refuse(&mut self, state: &mut State, refused: RefusedPod) {
        let condition = Condition::Refused {
            manual: refused.manual,
            policy: refused.policy.clone(),
            reason: refused.refusal.reason,
        };
        if state.reported.record(&refused.uid, condition) {
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

    /// Notifies that a command in a pod template is ignored.
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

    /// Notifies about the workload of a quarantined pod, or about the pod's own controller where the workload is of a kind
    /// that the agent does not read.
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
        let condition = Condition::Notified(topic, message.as_str().into());
        if state.reported.record(&pod.uid, condition) {
            self.notices.push(Notice::Notify(Notification {
                namespace: pod.key.namespace.clone(),
                pod: Some(pod.key.name.clone()),
                policy: pod.record().claimed().map(|record| record.policy.clone()),
                about,
                topic,
                message,
            }));
        }
    }
}
