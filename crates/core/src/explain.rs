//! Why a pod is, or is not, quarantined now: everything known of it, as values that can be sent and read back.
//!
//! Members of closed sets are texts here: the plugin may be older than the agent that answers it.

use serde::{Deserialize, Serialize};

use crate::{
    decide::{Doubt, State},
    judge::Judge,
    ledger::Pause,
    notice::RefusedPod,
    object::{ObjectKey, Pod},
    policy::{Policy, PolicyFile},
    record::Evidence,
    time::Now,
    view::View,
};

/// What an agent says of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The installation that answers, `namespace/name`.
    pub agent: String,
    /// Whether the agent acts. A standby knows no verdicts.
    pub acts: bool,
    /// `None` where people have not paused the agent.
    pub pause: Option<Pause>,
    /// Why what the agent knows of the cluster may be out of date; `None` where it is current.
    pub stale: Option<String>,
    /// `None` where the agent knows of no such pod.
    pub pod: Option<Explained>,
}

/// A pod that an agent knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    pub uid: String,
    pub quarantined: bool,
    pub terminating: bool,
    pub exempt: bool,
    /// The highest mode that its namespace allows.
    pub namespace_mode: String,
    /// Its controller, such as `ReplicaSet web-7d4b9c`.
    pub owner: Option<String>,
    /// The top controller, where the agent has seen it.
    pub workload: Option<String>,
    /// Why a manual request is not carried out.
    pub asked: Option<HeldBack>,
    /// One of each policy that selects it, in the order of the file.
    pub policies: Vec<Opinion>,
    /// The names of the policies that do not select it.
    pub other_policies: Vec<String>,
    /// The annotations of people that cannot be read.
    pub mistakes: Vec<String>,
}

/// What one policy says of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opinion {
    pub policy: String,
    /// The mode in force: the lower of the policy's and the namespace's.
    pub mode: String,
    /// `healthy`, `suspect`, `unhealthy` or `unknown`.
    pub verdict: String,
    /// In one line what is wrong; `None` of a healthy pod.
    pub reason: Option<String>,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
    /// Why an unhealthy pod is not quarantined.
    pub held_back: Option<HeldBack>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// One of the refusal reasons.
    pub reason: String,
    pub sentence: String,
}

impl From<&RefusedPod> for HeldBack {
    fn from(refused: &RefusedPod) -> Self {
        Self {
            reason: refused.refusal.reason.as_str().to_owned(),
            sentence: refused.refusal.to_string(),
        }
    }
}

/// Explains a pod by the last decision and the present view, as an agent that acts.
#[must_use]
pub fn explain(
    key: &ObjectKey,
    file: &PolicyFile,
    view: &View,
    judge: &Judge,
    state: &State,
    doubt: Option<Doubt>,
    now: Now,
) -> Explanation {
    let explained = |pod: &Pod| {
        let overrides = pod.overrides();
        let namespace_mode = view.namespace_mode(&pod.key.namespace);
        let (selecting, others): (Vec<_>, Vec<_>) =
            file.policies.iter().partition(|one| view.selects(one, pod));
        let opinion = |policy: &Policy| {
            let judgement = judge.judgement(&policy.name, &pod.uid, now.moment);
            let mut refused = state.refused(&pod.uid);
            let refused = refused.find(|one| !one.manual && one.policy == policy.name);
            Opinion {
                policy: policy.name.to_string(),
                mode: policy.mode.min(namespace_mode).as_str().to_owned(),
                verdict: judgement.verdict.as_str().to_owned(),
                reason: judgement.reason.map(|reason| reason.to_string()),
                evidence: judgement.evidence,
                held_back: refused.map(Into::into),
            }
        };
        let workload = view.workload(pod).ok();
        let asked = state.refused(&pod.uid).find(|one| one.manual);
        Explained {
            uid: pod.uid.to_string(),
            quarantined: pod.counts_as_quarantined(),
            terminating: pod.terminating,
            exempt: overrides.exempt,
            namespace_mode: namespace_mode.as_str().to_owned(),
            owner: pod.owner.as_ref().map(ToString::to_string),
            workload: workload.map(|workload| workload.reference().to_string()),
            asked: asked.map(Into::into),
            policies: selecting.iter().map(|policy| opinion(policy)).collect(),
            other_policies: others
                .iter()
                .map(|policy| policy.name.to_string())
                .collect(),
            mistakes: overrides
                .mistakes
                .iter()
                .map(|mistake| mistake.message.clone())
                .collect(),
        }
    };
    Explanation {
        agent: format!("{}/{}", view.own_namespace, file.agent),
        acts: true,
        pause: view.pause().cloned(),
        stale: view
            .stale
            .as_deref()
            .or(doubt.map(Doubt::as_str))
            .map(ToOwned::to_owned),
        pod: view.pod(key).map(explained),
    }
}
