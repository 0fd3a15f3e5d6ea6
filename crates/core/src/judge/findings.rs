//! What all signals say at one time: which pods they find bad, and how many have a verdict.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Judge, Verdict};
use crate::{
    object::{ObjectKey, Uid},
    policy::Policy,
    record::Evidence,
    time::Moment,
    workload::WorkloadId,
};

/// All pods are counted at most this often: there may be very many.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A pod that a policy's signal finds suspect or unhealthy.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub policy: Arc<Policy>,
    /// `Suspect`, or `Unhealthy`: past the threshold.
    pub verdict: Verdict,
    pub pod: ObjectKey,
    pub uid: Uid,
    /// The workload whose pods it is compared with.
    pub workload: WorkloadId,
    /// When the streak of bad answers began.
    pub since: Moment,
    /// Whether the signal has contrast: it has said `good` of this pod, or recently of another pod of its workload.
    pub contrast: bool,
    /// One line for people.
    pub reason: Arc<str>,
    pub evidence: Vec<Evidence>,
}

/// What all signals say at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The pods that are `suspect` or `unhealthy`; those that have been bad for longest first, then by key and policy.
    pub pods: Vec<Finding>,
    /// How many pods of a workload have a verdict; only of workloads that have a pod among the findings.
    pub with_verdict: BTreeMap<WorkloadId, u32>,
    /// How many pods in all have a verdict; zero where fewer than two pods are among the findings.
    pub with_verdict_in_all: u32,
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
        let known = pods.iter().filter(|finding| finding.contrast);
        let bad: BTreeSet<&Uid> = known.clone().map(|finding| &finding.uid).collect();
        let workloads: BTreeSet<&WorkloadId> = known.map(|finding| &finding.workload).collect();
        let with_verdict = workloads
            .into_iter()
            .map(|workload| (workload.clone(), self.count_of(workload, &bad, now)))
            .collect();
        let with_verdict_in_all = if bad.len() < 2 {
            0
        } else {
            self.count_all(&bad, now)
        };
        Findings {
            pods,
            with_verdict,
            with_verdict_in_all,
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

    fn count_of(&self, workload: &WorkloadId, bad: &BTreeSet<&Uid>, now: Moment) -> u32 {
        let policies = self.policies.values();
        let pods = policies.filter_map(|streaks| streaks.workloads.get(workload));
        let pods: BTreeSet<&Uid> = pods.flatten().collect();
        let with_verdict = pods
            .into_iter()
            .filter(|uid| bad.contains(uid) || self.is_healthy(uid, now));
        count(with_verdict)
    }

    fn count_all(&mut self, bad: &BTreeSet<&Uid>, now: Moment) -> u32 {
        if let Some((at, known)) = self.with_verdict
            && now.saturating_sub(at) < COUNT_EVERY
        {
            return known.max(count(bad.iter()));
        }
        let mut pods: BTreeSet<&Uid> = BTreeSet::new();
        for streaks in self.policies.values() {
            for uid in streaks.pods.keys() {
                if streaks.verdict(uid, now) == Verdict::Healthy {
                    pods.insert(uid);
                }
            }
        }
        let known = count(pods.union(bad));
        self.with_verdict = Some((now, known));
        known
    }

    fn is_healthy(&self, uid: &Uid, now: Moment) -> bool {
        let mut policies = self.policies.values();
        policies.any(|streaks| streaks.verdict(uid, now) == Verdict::Healthy)
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}
