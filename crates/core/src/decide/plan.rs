//! How a pod is taken out: the change, the record and the slot.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Decision,
    candidates::{Candidate, Left, refused},
};
use crate::{
    action::{Before, Quarantine, Target},
    detach::{Constraints, Detachment, Named, detach},
    keys,
    ledger::Slot,
    object::Pod,
    overrides,
    policy::{Detach, NetworkPolicies},
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
    ) -> Result<Quarantine, Left> {
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
        let WayOut {
            edits,
            labels,
            missed,
            network_policies_left,
        } = way_out(&leaving, constraints)?;
        let kept_there = self.preserving(pod, &labels);
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
            restarts: pod.restarts,
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
            record_before: None,
            ready: pod.ready,
            replaced: None,
        };
        let mut change = Change {
            labels: differing(&pod.labels, &labels),
            annotations: kept_there,
        };
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
            pace: None,
            try_first: false,
            again: false,
            before: Before::of(pod, &change),
            change,
            labels,
            record,
            missed,
            network_policies_left,
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

/// How a pod gets out, as it is written on it.
pub(super) struct WayOut {
    /// The labels that are edited, with the value written.
    pub(super) edits: Values,
    /// All labels after that, the agent's own included.
    pub(super) labels: Labels,
    /// Selectors that should have been left, or kept, and could not be.
    pub(super) missed: Vec<Arc<str>>,
    /// How many of them are of NetworkPolicies.
    pub(super) network_policies_left: usize,
}

/// The way out, if there is one that the policy lets be taken.
pub(super) fn way_out(leaving: &Leaving<'_>, mut constraints: Constraints) -> Result<WayOut, Left> {
    let labels = &leaving.pod.labels;
    let policy = leaving.policy;
    // Nothing but NetworkPolicies is wished to be kept.
    if policy.is_some_and(|policy| policy.network_policies == NetworkPolicies::Keep) {
        let wished = std::mem::take(&mut constraints.wish_to_keep);
        let without = detach(labels, &constraints);
        constraints.keep.extend(wished.iter().cloned());
        if let Ok(without) = without
            && detach(labels, &constraints).is_err()
        {
            return refused(Reason::NetworkPolicy, left(&wished, &without).join("; "));
        }
    }
    let detachment = match detach(labels, &constraints) {
        Ok(detachment) => detachment,
        Err(no_way_out) => return refused(Reason::NoWayOut, no_way_out.to_string()),
    };
    let edits = detachment.edits.iter();
    Ok(WayOut {
        edits: edits
            .map(|(key, edit)| (key.clone(), edit.value()))
            .collect(),
        network_policies_left: left(&constraints.wish_to_keep, &detachment).len(),
        labels: detachment.labels,
        missed: detachment.missed,
    })
}

/// Those that no longer select the pod.
fn left(selecting: &[Named], detachment: &Detachment) -> Vec<String> {
    selecting
        .iter()
        .filter(|named| !named.selector.matches(&detachment.labels))
        .map(|named| format!("{} ({})", named.whose, named.selector))
        .collect()
}

/// The labels to write, and those to remove, so that they are as they should be.
pub(super) fn differing(now: &Labels, planned: &Labels) -> Values {
    let keys = now.keys().chain(planned.keys());
    let differing = keys.filter(|key| now.get(*key) != planned.get(*key));
    differing
        .map(|key| (key.clone(), planned.get(key).cloned()))
        .collect()
}

/// That much later; the end of time where that would be past it.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}
