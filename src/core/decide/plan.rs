//! How a pod is taken out: the change, the record and the slot.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Decision,
    candidates::{Candidate, Refused, refused},
};
use crate::core::{
    action::{Quarantine, Target},
    detach::detach,
    keys,
    ledger::Slot,
    object::Pod,
    overrides,
    policy::Detach,
    reason::Reason,
    record::{self, Record, Values},
    restore::{self, Change},
    selector::Labels,
    surroundings::{self, Leaving},
    view::Workload,
};

impl<'a> Decision<'a> {
    pub(super) fn plan(
        &self,
        candidate: &Candidate<'a>,
        workload: &Workload<'a>,
    ) -> Result<Quarantine, Refused> {
        let pod = candidate.pod;
        let policy = candidate.policy.as_deref();
        let leaving = Leaving {
            pod,
            name: &workload.reference().name,
            workload: Some(*workload),
            detach: candidate.detach(),
            policy,
        };
        let constraints = surroundings::around(self.view, &leaving);
        if leaving.detach == Detach::Service && constraints.leave.is_empty() {
            return refused(Reason::NothingToLeave, "");
        }
        let detachment = match detach(&pod.labels, &constraints) {
            Ok(detachment) => detachment,
            Err(no_way_out) => return refused(Reason::NoWayOut, no_way_out.to_string()),
        };
        let edits = detachment.edits.iter();
        let edits: Values = edits
            .map(|(key, edit)| (key.clone(), edit.value()))
            .collect();
        let kept_there = self.preserving(pod, &detachment.labels);
        let before = |key: &Arc<str>| (key.clone(), pod.annotations.get(key).cloned());
        let ttl = overrides::read(pod)
            .ttl
            .unwrap_or(policy.map_or(self.file.ttl, |policy| policy.ttl));
        let record = Record {
            version: record::VERSION,
            uid: pod.uid.clone(),
            agent: self.agent.clone(),
            policy: candidate.policy_name(),
            reason: candidate.reason.clone(),
            evidence: candidate.evidence.clone(),
            at: self.now.wall,
            expires: after(self.now.wall, ttl),
            labels: pod.labels.clone(),
            edits: edits.clone(),
            annotations: kept_there.keys().map(before).collect(),
            owner: workload.owner.reference(),
            workload: workload.reference(),
            detach: leaving.detach,
            services: surroundings::services(self.view, pod),
        };
        let text = match record.to_text() {
            Ok(text) => text,
            Err(too_long) => return refused(Reason::NoWayOut, too_long.to_string()),
        };
        let slot = Slot {
            uid: pod.uid.clone(),
            namespace: pod.key.namespace.clone(),
            name: pod.key.name.clone(),
            workload: workload.uid().clone(),
            policy: record.policy.clone(),
            resource_version: pod.resource_version,
            at: self.now.wall,
            record: record::fingerprint(&text),
        };
        let mut change = Change {
            labels: edits,
            annotations: kept_there,
        };
        let added = constraints
            .added
            .into_iter()
            .map(|(key, value)| (key, Some(value)));
        change.labels.extend(added);
        change
            .annotations
            .insert(keys::RECORD.into(), Some(text.into()));
        for command in [keys::QUARANTINE, keys::RELEASE] {
            if pod.annotations.contains_key(command) {
                change.annotations.insert(command.into(), None);
            }
        }
        Ok(Quarantine {
            pod: Target::from(pod),
            slot,
            try_first: false,
            change,
            labels: detachment.labels,
            record,
            missed: detachment.missed,
        })
    }

    /// The annotations that keep a quarantined pod, and its node, where they are.
    fn preserving(&self, pod: &Pod, labels: &Labels) -> Values {
        let autoscalers = [keys::DO_NOT_DISRUPT, keys::SAFE_TO_EVICT];
        let instance = pod.labels.get(keys::INSTANCE);
        let argo = (instance.is_some() && labels.get(keys::INSTANCE) == instance)
            .then_some(keys::ARGO_SYNC_OPTIONS);
        let wanted = autoscalers
            .into_iter()
            .filter(|_| self.file.keep_node)
            .chain(argo);
        let value = |key: &str| restore::preserving(key, pod.annotation(key));
        wanted.map(|key| (key.into(), Some(value(key)))).collect()
    }
}

/// That much later; the end of time where that would be past it.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}
