//! Which labels change, and what is written along with them: `NothingToLeave`, `NetworkPolicy`, `NoWayOut`.
//!
//! The search is the costly check, so it comes after the limits.

use std::sync::Arc;

use super::{
    case::{Case, Skip},
    constraints::LeavingPod,
    edits::LabelEdits,
};
use crate::{
    decide::{
        context::Context,
        searches::{PutOff, Searches},
    },
    keys,
    ledger::{Slot, TwoRecords},
    object::Pod,
    reason::{Reason, Refusal},
    record::{self, Record, Values},
    restore,
    selector::Labels,
    text::Fingerprint,
    time::after,
    write::{Before, Change, PodVersion, Quarantine},
};

/// The quarantine of a case: the change, the record and the slot.
pub(super) fn plan(
    cx: &Context<'_>,
    searches: &mut Searches,
    case: &Case<'_, '_>,
) -> Result<Quarantine, Skip> {
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
    let answer = searches
        .answer(cx, &leaving)
        .map_err(|PutOff| Skip::PutOff)?;
    let LabelEdits {
        edits,
        labels,
        missed,
        network_policies_left,
    } = answer.edits.clone()?;
    check_length(&pod.labels)?;
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
        evidence: candidate.evidence.to_vec(),
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
    let fingerprint = Fingerprint::of(&text);
    let other_record = match case.slot {
        None => None,
        Some(slot) => slot
            .other_record(pod.resource_version, &fingerprint)
            .map_err(|TwoRecords| Skip::BacksOff)?,
    };
    let slot = Slot {
        uid: pod.uid.clone(),
        namespace: pod.key.namespace.clone(),
        name: pod.key.name.clone(),
        workload: workload.id(),
        policy: record.policy.clone(),
        resource_version: pod.resource_version,
        at: cx.now.wall,
        record: fingerprint,
        record_before: other_record,
        ready: pod.ready,
        lost: case.candidate.unreached_since.is_some(),
        replaced: None,
        carried_over: false,
        expires: None,
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

/// Whether labels may fit into a record, which holds them all. A record is written several times to make it fit, in each
/// decision that asks for it: for labels that alone are too long, not once.
fn check_length(labels: &Labels) -> Result<(), Refusal> {
    let pairs = labels.iter();
    let bytes: usize = pairs.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > record::MAX_BYTES {
        let most = record::MAX_BYTES;
        let detail =
            format!("write the record: its labels alone have {bytes} bytes, at most {most} fit");
        return Err(Refusal::new(Reason::NoWayOut, detail));
    }
    Ok(())
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

/// The labels to write, and those to remove, to get from one set of labels to another.
pub(in crate::decide) fn differing(now: &Labels, planned: &Labels) -> Values {
    let keys = now.keys().chain(planned.keys());
    let differing = keys.filter(|key| now.get(*key) != planned.get(*key));
    differing
        .map(|key| (key.clone(), planned.get(key).cloned()))
        .collect()
}
