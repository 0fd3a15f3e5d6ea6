//! The pods whose quarantine a person or a policy requests.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use crate::{
    decide::{context::Context, plan::Plan, readings::ReadFor, state::State},
    judge::{BadThen, Finding, Verdict},
    keys,
    notice::RefusedPod,
    object::{Pod, Uid},
    policy::{DEFAULT_AGENT, Detach, MANUAL, Mode, Policy},
    reason::Refusal,
    record::Evidence,
    scope::Scope,
    time::Moment,
};

/// A pod whose quarantine a person or a policy requests.
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    /// Whether a person asked, not a signal.
    pub(super) manual: bool,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) mode: Mode,
    pub(super) reason: Arc<str>,
    pub(super) evidence: &'a [Evidence],
    pub(super) contrast: bool,
    /// When the signal asked for the pod's last answer. `None` of a manual request.
    pub(super) asked_at: Option<Moment>,
    /// The other pods of its scopes that were bad then, where they may be more than are bad now.
    pub(super) then: Option<&'a HashMap<Scope, BadThen>>,
    pub(super) then_is_known: bool,
    /// Since when the signal has got no connection to it, if it is Ready.
    pub(super) unreached_since: Option<Moment>,
}

impl Candidate<'_> {
    pub(super) fn policy_name(&self) -> Arc<str> {
        match &self.policy {
            Some(policy) => policy.name.clone(),
            None => MANUAL.into(),
        }
    }

    pub(super) fn detach(&self) -> Detach {
        let policy = self.policy.as_ref();
        policy.map_or(Detach::Workload, |policy| policy.detach)
    }

    pub(super) fn allows_exclusive(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| policy.allow_exclusive)
    }

    /// What the needs of its replacement are read for.
    pub(super) fn read_for(&self) -> ReadFor {
        (self.pod.uid.clone(), self.allows_exclusive())
    }

    pub(super) fn refused(&self, refusal: Refusal) -> RefusedPod {
        RefusedPod {
            pod: self.pod.key.clone(),
            uid: self.pod.uid.clone(),
            manual: self.manual,
            policy: self.policy_name(),
            asked: self.reason.clone(),
            refusal,
        }
    }
}

/// The candidates that may be acted on, then those that are only observed. Within each: manual requests first, then the
/// pods that most policies find unhealthy, then those that have been bad for longest, then by key.
pub(super) fn candidates<'a>(
    cx: &Context<'a>,
    state: &mut State,
    findings: &'a [Finding],
    plan: &mut Plan,
) -> Vec<Candidate<'a>> {
    let mut candidates = manual(cx, state, plan);
    let mut unhealthy: Vec<&Finding> = Vec::new();
    let mut found_by: HashMap<&Uid, usize> = HashMap::new();
    for finding in findings {
        if finding.verdict == Verdict::Unhealthy {
            unhealthy.push(finding);
            if finding.contrast {
                *found_by.entry(&finding.uid).or_default() += 1;
            }
        }
    }
    unhealthy.sort_by_cached_key(|finding| Reverse(found_by.get(&finding.uid)));
    candidates.extend(
        unhealthy
            .into_iter()
            .filter_map(|finding| from_finding(cx, finding)),
    );
    candidates.sort_by_key(|candidate| Reverse(candidate.mode));
    candidates
}

/// The pods with a manual request.
fn manual<'a>(cx: &Context<'a>, state: &mut State, plan: &mut Plan) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for pod in cx.view.tracked() {
        if pod.counts_as_quarantined() || pod.terminating {
            continue;
        }
        let Some(reason) = pod.overrides().quarantine.clone() else {
            continue;
        };
        if let Some(owner) = cx.template_with(keys::QUARANTINE, pod) {
            plan.notify_ignored(state, pod, keys::QUARANTINE, &owner);
            continue;
        }
        let selecting = cx.file.policies.iter();
        let policy = selecting
            .filter(|policy| cx.view.selects(policy, pod))
            .min_by_key(|policy| Reverse(policy.mode))
            .cloned();
        // Of several installations one obeys where no policy selects the pod.
        if policy.is_none() && &*cx.file.agent != DEFAULT_AGENT {
            continue;
        }
        let mode = policy.as_ref().map_or(cx.file.mode, |policy| policy.mode);
        candidates.push(Candidate {
            pod,
            manual: true,
            mode: mode.min(cx.view.namespace_mode(&pod.key.namespace)),
            policy,
            reason,
            evidence: &[],
            contrast: true,
            asked_at: None,
            then: None,
            then_is_known: true,
            unreached_since: state.lost.get(&pod.uid).map(|lost| lost.since),
        });
    }
    candidates
}

/// `None` if the policy of a finding is no longer in force, or its pod can no longer be quarantined.
pub(super) fn from_finding<'a>(cx: &Context<'a>, finding: &'a Finding) -> Option<Candidate<'a>> {
    let policy = cx.file.policy(&finding.policy.name)?;
    let pod = cx.view.pod(&finding.pod)?;
    let is_in_force = Arc::ptr_eq(policy, &finding.policy) || *policy == finding.policy;
    if !is_in_force
        || pod.uid != finding.uid
        || pod.counts_as_quarantined()
        || pod.terminating
        || !cx.view.selects(policy, pod)
    {
        return None;
    }
    Some(Candidate {
        pod,
        manual: false,
        mode: policy.mode.min(cx.view.namespace_mode(&pod.key.namespace)),
        policy: Some(policy.clone()),
        reason: finding.reason.clone(),
        evidence: &finding.evidence,
        contrast: finding.contrast,
        asked_at: Some(finding.asked),
        then: Some(&finding.then),
        then_is_known: finding.then_is_known,
        unreached_since: finding.unreached_since.filter(|_| pod.ready),
    })
}
