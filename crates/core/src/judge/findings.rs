//! What all signals say at one time: which pods they find bad, and how many have a verdict.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{Judge, Verdict};
use crate::{
    object::{ObjectKey, Uid},
    policy::Policy,
    record::Evidence,
    scope::{PodScopes, Scope},
    time::Moment,
};

/// A pod that a policy's signal finds suspect or unhealthy.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub policy: Arc<Policy>,
    /// `Suspect`, or `Unhealthy`: past the threshold.
    pub verdict: Verdict,
    pub pod: ObjectKey,
    pub uid: Uid,
    /// With which pods it is compared and counted.
    pub place: PodScopes,
    /// When the streak of bad answers began.
    pub since: Moment,
    /// When the pod was asked what it answered last.
    pub asked: Moment,
    /// Whether the signal has contrast: it has said `good` of this pod, or recently of another pod of its workload.
    pub contrast: bool,
    /// Whether there was no connection for at least one of the bad answers: of a network that fails, the first of them may
    /// still have had one.
    pub unreached: bool,
    /// One line for people.
    pub reason: Arc<str>,
    /// The last samples, oldest first.
    pub evidence: Arc<[Evidence]>,
}

/// A pod that was bad a short time ago, and is so no longer, or is judged no longer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    pub pod: ObjectKey,
    pub uid: Uid,
    pub place: PodScopes,
    /// When it was asked for the first of its bad answers.
    pub from: Moment,
    /// When another answer came; until when it may have been bad if none did.
    pub until: Moment,
    /// Whether there was no connection for one of the bad answers.
    pub unreached: bool,
}

/// What all signals say at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The pods that are `suspect` or `unhealthy`; those that have been bad for longest first, then by key and policy.
    pub pods: Vec<Finding>,
    /// The pods that were bad when one of those was asked for its last answer, and are so no longer. When a failure ends,
    /// each pod answers at its own turn.
    pub recovered: Vec<Recovered>,
    /// How many pods have a verdict, in the cluster and in each scope that has a finding with contrast.
    pub with_verdict: HashMap<Scope, u32>,
}

impl Judge {
    /// The findings of now. A finding without contrast is about a pod of which nothing is known.
    #[must_use]
    pub fn findings(&mut self, now: Moment) -> Findings {
        let mut pods: Vec<Finding> = self
            .policies
            .values()
            .flat_map(|streaks| streaks.findings(now))
            .collect();
        pods.sort_by(|a, b| {
            (a.since, &a.pod, &a.policy.name).cmp(&(b.since, &b.pod, &b.policy.name))
        });
        let lasts = self.policies.values();
        let lasts = lasts.map(|streaks| streaks.policy.stale_after());
        let longest = lasts.max().unwrap_or_default();
        for streaks in self.policies.values_mut() {
            streaks.expire_recovered(now.saturating_sub(longest));
        }
        let first_asked = pods.iter().map(|finding| finding.asked).min();
        let recovered = first_asked.map_or_else(Vec::new, |asked| {
            let streaks = self.policies.values();
            let recovered = streaks.flat_map(|streaks| streaks.recovered_after(asked));
            recovered.cloned().collect()
        });
        self.healthy.expire(now);
        let mut with_verdict =
            HashMap::from([(Scope::Cluster, self.healthy.count(&Scope::Cluster))]);
        let mut counted: HashSet<&Uid> = HashSet::new();
        for finding in pods.iter().filter(|finding| finding.contrast) {
            let is_new = counted.insert(&finding.uid) && !self.healthy.contains(&finding.uid);
            for scope in finding.place.scopes() {
                let healthy = self.healthy.count(&scope);
                let count = with_verdict.entry(scope).or_insert(healthy);
                *count += u32::from(is_new);
            }
        }
        Findings {
            pods,
            recovered,
            with_verdict,
        }
    }

    /// How many pods each policy finds unhealthy now.
    #[must_use]
    pub fn unhealthy_by_policy(&self, now: Moment) -> BTreeMap<Arc<str>, i64> {
        let mut counts = BTreeMap::new();
        for (policy, streaks) in &self.policies {
            let findings = streaks.findings(now);
            let unhealthy = findings.filter(|finding| finding.verdict == Verdict::Unhealthy);
            let count = i64::try_from(unhealthy.count()).unwrap_or(i64::MAX);
            if count > 0 {
                counts.insert(policy.clone(), count);
            }
        }
        counts
    }
}
