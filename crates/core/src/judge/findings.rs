//! What all signals say at one time: which pods they find bad, and how many have a verdict.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{BadThen, Judge, Verdict, WasUnreached};
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
    pub scopes: PodScopes,
    /// When the streak of bad answers began.
    pub since: Moment,
    /// When the pod was asked for the last of them.
    pub asked: Moment,
    /// Whether the signal has contrast: it has said `good` of this pod, or recently of another pod of its workload, before
    /// this pod was asked last.
    pub contrast: bool,
    /// Whether the pod counts as bad: if there is contrast, or was at an earlier bad answer since the policy found it good.
    pub counts_as_bad: bool,
    /// Since when the agent gets no connection, perhaps from before this streak; `None` once an answer with one came after the
    /// last without had become old.
    pub unreached_since: Option<Moment>,
    /// One line for people.
    pub reason: Arc<str>,
    /// The last samples, oldest first.
    pub evidence: Arc<[Evidence]>,
    /// The other pods of its scopes that were bad when it was asked last, where they may be more than are bad now. When a
    /// failure ends, each pod answers at its own turn.
    pub then: HashMap<Scope, BadThen>,
    /// Whether all those are known: not if the answer came very late, or if there were too many.
    pub then_is_known: bool,
}

/// What all signals say at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The pods that are `suspect` or `unhealthy`; those that have been bad for longest first, then by key and policy.
    pub pods: Vec<Finding>,
    /// The times without a connection that had not ended when the first of those pods was asked (now, if there is none); but
    /// for the pods whose last answer is bad, of which the findings say so.
    pub was_unreached: Vec<WasUnreached>,
    /// Since when there have been pods to judge.
    pub judging_since: Option<Moment>,
    /// How many other pods were bad and never good, in each scope of a pod that counts as bad: a new agent knows nothing
    /// else of them.
    pub never_good: HashMap<Scope, u32>,
    /// How many pods have a verdict, in the cluster and in each scope of a pod that counts as bad.
    pub with_verdict: HashMap<Scope, u32>,
}

impl Judge {
    /// The findings of now.
    #[must_use]
    pub fn findings(&mut self, now: Moment) -> Findings {
        self.end_stale(now);
        let policies = self.policies.values();
        let mut pods: Vec<Finding> = policies.flat_map(|streaks| streaks.findings(now)).collect();
        pods.sort_by(|a, b| {
            (a.since, &a.pod, &a.policy.name).cmp(&(b.since, &b.pod, &b.policy.name))
        });
        for uid in self.healthy.expire(now) {
            self.update_healthy(&uid);
        }
        let known = |scope: &Scope| self.healthy.count(scope) + self.spells.bad_alone(scope);
        let mut with_verdict = HashMap::from([(Scope::Cluster, known(&Scope::Cluster))]);
        let mut never_good = HashMap::new();
        let mut counted: HashSet<&Uid> = HashSet::new();
        for finding in pods.iter_mut().filter(|finding| !finding.counts_as_bad) {
            finding.counts_as_bad = self.spells.is_bad(&finding.policy.name, &finding.uid);
        }
        for finding in pods.iter().filter(|finding| finding.counts_as_bad) {
            let is_first = counted.insert(&finding.uid);
            let was_never_good = is_first && self.never_good.contains(&finding.uid);
            for scope in finding.scopes.iter() {
                let never = self.never_good.count(&scope);
                let others = never_good.entry(scope.clone()).or_insert(never);
                *others = others.saturating_sub(u32::from(was_never_good));
                let known = known(&scope);
                with_verdict.entry(scope).or_insert(known);
            }
        }
        let asked = pods.iter().map(|finding| finding.asked).min();
        self.expire_spells(asked, now);
        self.compare_with_spells(&mut pods);
        let was_unreached = self.spells.unreached_after(asked.unwrap_or(now));
        if self.is_judging() {
            self.judging_since.get_or_insert(now);
        }
        Findings {
            pods,
            was_unreached,
            judging_since: self.judging_since,
            never_good,
            with_verdict,
        }
    }

    /// Forgets the spells that matter to no answer that is known, or is still on its way. `asked` is when the first of the
    /// pods with a finding was asked.
    fn expire_spells(&mut self, asked: Option<Moment>, now: Moment) {
        let on_the_way = now.saturating_sub(self.longest_answer);
        let ended_by = asked.unwrap_or(Moment::MAX).min(on_the_way);
        let stale_before = now.saturating_sub(self.cooldown);
        self.spells.expire(ended_by, stale_before, now);
    }

    /// Says of each finding which other pods were bad when the pod was asked.
    fn compare_with_spells(&mut self, pods: &mut [Finding]) {
        for finding in pods {
            finding.then_is_known = self.spells.knows(finding.asked);
            // Without contrast no pod is quarantined.
            if finding.contrast {
                let of_pod = self.spells.of(&finding.uid);
                for scope in finding.scopes.iter() {
                    let then = self.spells.bad_then(&scope, &of_pod, finding.asked);
                    finding.then.extend(then.map(|then| (scope, then)));
                }
            }
        }
    }

    /// The last answers about some pods are so old that they say nothing of now.
    fn end_stale(&mut self, now: Moment) {
        let policies = self.policies.values_mut();
        let ended = policies.flat_map(|streaks| streaks.end_stale(now));
        let ended: Vec<_> = ended.collect();
        self.end(ended);
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
