//! Which labels change, and what is written along with them: `NothingToLeave`, `NetworkPolicy`, `NoWayOut`.
//!
//! The search may take 25 ms for one pod, so it runs after the limits.

use std::sync::Arc;

use super::{
    case::Case,
    constraints::{LeavingPod, constraints_for},
};
use crate::{
    decide::context::Context,
    detach::{Constraints, Detachment, NamedSelector, detach},
    keys,
    ledger::Slot,
    object::Pod,
    policy::{Detach, NetworkPolicies},
    reason::{Reason, Refusal},
    record::{self, Record, Values},
    restore,
    selector::Labels,
    text::Fingerprint,
    time::after,
    write::{Before, Change, PodVersion, Quarantine},
};

/// The label edits that quarantine a pod.
pub(in crate::decide) struct LabelEdits {
    /// The edited labels with the value written; `None` where the key is removed.
    pub(in crate::decide) edits: Values,
    /// All labels after the edits, the agent's own included.
    pub(in crate::decide) labels: Labels,
    /// The selectors that should be left, or kept, and cannot be.
    pub(in crate::decide) missed: Vec<Arc<str>>,
    /// How many of them are of NetworkPolicies.
    pub(in crate::decide) network_policies_left: usize,
}

/// The quarantine of a case: the change, the record and the slot.
pub(super) fn plan(cx: &Context<'_>, case: &Case<'_, '_>) -> Result<Quarantine, Refusal> {
    let candidate = case.candidate;
    let (pod, policy) = (candidate.pod, candidate.policy.as_deref());
    let workload = &case.workload;
    let leaving = LeavingPod {
        pod,
        name: &workload.reference().name,
        workload: Some(*workload),
        detach: candidate.detach(),
        policy,
    };
    let constraints = constraints_for(cx.view, &leaving);
    if leaving.detach == Detach::Service && constraints.leave.is_empty() {
        return Err(Refusal::new(Reason::NothingToLeave, ""));
    }
    let LabelEdits {
        edits,
        labels,
        missed,
        network_policies_left,
    } = label_edits(&leaving, constraints)?;
    let protection = protection(cx, pod, &labels);
    let before = |key: &Arc<str>| (key.clone(), pod.annotations.get(key).cloned());
    let ttl = pod.overrides().ttl;
    let ttl = ttl.unwrap_or(policy.map_or(cx.file.ttl, |policy| policy.ttl));
    let record = Record {
        version: record::VERSION,
        uid: pod.uid.clone(),
        agent: cx.agent.clone(),
        policy: candidate.policy_name(),
        manual: candidate.manual,
        reason: candidate.reason.clone(),
        evidence: candidate.evidence.clone(),
        at: cx.now.wall,
        expires: after(cx.now.wall, ttl),
        labels: pod.labels.clone(),
        edits,
        annotations: protection.keys().map(before).collect(),
        owner: workload.owner.reference(),
        workload: workload.reference(),
        detach: leaving.detach,
        restarts: pod.restarts,
        services: service_names(cx, pod),
    };
    let text = record
        .to_text()
        .map_err(|too_long| Refusal::new(Reason::NoWayOut, too_long.to_string()))?;
    let slot = Slot {
        uid: pod.uid.clone(),
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        workload: workload.id(),
        policy: record.policy.clone(),
        resource_version: pod.resource_version,
        at: cx.now.wall,
        record: Fingerprint::of(&text),
        record_before: None,
        ready: pod.ready,
        replaced: None,
    };
    let mut change = Change {
        labels: differing(&pod.labels, &labels),
        annotations: protection,
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
        pod: PodVersion::from(pod),
        slot,
        pacing: None,
        dry_run_first: false,
        again: false,
        before: Before::of(pod, &change),
        change,
        labels,
        record,
        missed,
        network_policies_left,
    })
}

/// The annotations that keep a quarantined pod on its node, and keep the node.
fn protection(cx: &Context<'_>, pod: &Pod, labels: &Labels) -> Values {
    let mut keys = Vec::new();
    if cx.file.keep_node {
        keys.extend([keys::DO_NOT_DISRUPT, keys::SAFE_TO_EVICT]);
    }
    let instance = pod.labels.get(keys::INSTANCE);
    if instance.is_some() && labels.get(keys::INSTANCE) == instance {
        keys.push(keys::ARGO_SYNC_OPTIONS);
    }
    let value = |key: &str| restore::preserving(key, pod.annotation(key));
    keys.into_iter()
        .map(|key| (key.into(), Some(value(key))))
        .collect()
}

/// The names of the Services that select a pod.
pub(in crate::decide) fn service_names(cx: &Context<'_>, pod: &Pod) -> Vec<Arc<str>> {
    let services = cx.view.services_of(pod);
    services.map(|service| service.key.name.clone()).collect()
}

/// The edits that quarantine a pod, if the policy allows any.
pub(in crate::decide) fn label_edits(
    leaving: &LeavingPod<'_>,
    mut constraints: Constraints,
) -> Result<LabelEdits, Refusal> {
    let labels = &leaving.pod.labels;
    let policy = leaving.policy;
    // Only NetworkPolicies are among the wishes to keep.
    if policy.is_some_and(|policy| policy.network_policies == NetworkPolicies::Keep) {
        let wished = std::mem::take(&mut constraints.wish_to_keep);
        let without = detach(labels, &constraints);
        constraints.keep.extend(wished.iter().cloned());
        if let Ok(without) = without
            && detach(labels, &constraints).is_err()
        {
            let detail = left(&wished, &without).join("; ");
            return Err(Refusal::new(Reason::NetworkPolicy, detail));
        }
    }
    let detachment = detach(labels, &constraints)
        .map_err(|no_way_out| Refusal::new(Reason::NoWayOut, no_way_out.to_string()))?;
    let edits = detachment.edits.iter();
    Ok(LabelEdits {
        edits: edits
            .map(|(key, edit)| (key.clone(), edit.value()))
            .collect(),
        network_policies_left: left(&constraints.wish_to_keep, &detachment).len(),
        labels: detachment.labels,
        missed: detachment.missed,
    })
}

/// The selectors that no longer match the pod.
fn left(selectors: &[NamedSelector], detachment: &Detachment) -> Vec<String> {
    selectors
        .iter()
        .filter(|named| !named.selector.matches(&detachment.labels))
        .map(|named| format!("{} ({})", named.whose, named.selector))
        .collect()
}

/// The labels to write, and those to remove, to get from one set of labels to another.
pub(in crate::decide) fn differing(now: &Labels, planned: &Labels) -> Values {
    let keys = now.keys().chain(planned.keys());
    let differing = keys.filter(|key| now.get(*key) != planned.get(*key));
    differing
        .map(|key| (key.clone(), planned.get(key).cloned()))
        .collect()
}
