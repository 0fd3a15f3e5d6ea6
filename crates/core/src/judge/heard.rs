//! What all signals say at one time: whom they find bad, and of how many they say anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Finding, Judge, Moment, Verdict};
use crate::object::Uid;

/// All pods are counted so often at most: there may be very many.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// What all signals say at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// The pods that are `suspect` or `unhealthy`, the longest bad first, then by key and policy.
    pub findings: Vec<Finding>,
    /// Of how many pods of a workload anything is said, by its uid; those workloads alone of which a pod is among the
    /// findings.
    pub heard: BTreeMap<Uid, u32>,
    /// Of how many pods in all; zero where fewer than two are among the findings.
    pub heard_in_all: u32,
}

impl Judge {
    /// What is said now. A finding without contrast is of a pod of which nothing is known.
    #[must_use]
    pub fn verdicts(&mut self, now: Moment) -> Verdicts {
        let findings = self.findings(now);
        let told = findings.iter().filter(|finding| finding.contrast);
        let bad: BTreeSet<&Uid> = told.clone().map(|finding| &finding.uid).collect();
        let workloads: BTreeSet<&Uid> = told.map(|finding| &finding.workload).collect();
        let heard = workloads
            .into_iter()
            .map(|workload| (workload.clone(), self.heard_of(workload, &bad, now)))
            .collect();
        let heard_in_all = if bad.len() < 2 {
            0
        } else {
            self.heard_in_all(&bad, now)
        };
        Verdicts {
            findings,
            heard,
            heard_in_all,
        }
    }

    fn heard_of(&self, workload: &Uid, bad: &BTreeSet<&Uid>, now: Moment) -> u32 {
        let policies = self.policies.values();
        let pods = policies.filter_map(|rows| rows.workloads.get(workload));
        let pods: BTreeSet<&Uid> = pods.flatten().collect();
        let heard = pods
            .into_iter()
            .filter(|uid| bad.contains(uid) || self.is_healthy(uid, now));
        count(heard)
    }

    fn heard_in_all(&mut self, bad: &BTreeSet<&Uid>, now: Moment) -> u32 {
        if let Some((at, heard)) = self.heard
            && now.saturating_sub(at) < COUNT_EVERY
        {
            return heard.max(count(bad.iter()));
        }
        let mut pods: BTreeSet<&Uid> = BTreeSet::new();
        for rows in self.policies.values() {
            let healthy = |uid: &&Uid| rows.verdict(uid, now) == Verdict::Healthy;
            pods.extend(rows.pods.keys().filter(healthy));
        }
        let heard = count(pods.union(bad));
        self.heard = Some((now, heard));
        heard
    }

    fn is_healthy(&self, uid: &Uid, now: Moment) -> bool {
        let mut policies = self.policies.values();
        policies.any(|rows| rows.verdict(uid, now) == Verdict::Healthy)
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}
