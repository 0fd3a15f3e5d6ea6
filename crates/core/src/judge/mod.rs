//! From samples to verdicts.
//!
//! A verdict is made of the streak of one signal's answers about one pod. `none` ends the streak: no answer is neither good
//! nor bad, and the answers before it say nothing about now (as an absent series ends a pending Prometheus alert). Time is
//! the agent's monotonic clock: a wall clock that jumps makes no pod unhealthy.
//!
//! A *spell* outlasts the streak: it is the time from a policy's first bad answer about a pod until that policy finds it good,
//! or judges it no longer.

mod findings;
mod healthy;
pub mod judgement;
mod never_good;
mod pod_spells;
mod scope_counts;
mod spell_counts;
mod spells;
mod streak;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use strum::{IntoStaticStr, VariantArray};

pub use self::{
    findings::{Finding, Findings},
    spells::{BadThen, MAX_UNREACHED, WasUnreached},
};
use self::{
    healthy::Healthy,
    never_good::NeverGood,
    spells::{SpellOf, Spells},
    streak::{EndedStreak, PolicyStreaks},
};
use crate::{
    object::{ContainerRun, ObjectKey, Uid},
    policy::{PolicyFile, Signal},
    scope::PodScopes,
    time::{Moment, Now},
};

/// The answer of a signal about a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Answer {
    Good,
    Bad,
    /// There was no answer.
    None,
}

impl Answer {
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One answer about one pod at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The policy that the signal belongs to.
    pub policy: Arc<str>,
    /// The pod's uid: an answer never counts for a later pod of the same name.
    pub pod: Uid,
    /// The run of the container that was asked, where the signal asks one.
    pub run: Option<ContainerRun>,
    pub at: Now,
    /// When the pod was asked: what a late answer says is as old as this.
    pub asked: Moment,
    pub answer: Answer,
    /// Of a bad answer: whether there was no connection to the pod. That may be the agent's network, too.
    pub unreached: bool,
    /// What was seen, such as `HTTP 500`.
    pub saw: Arc<str>,
}

/// What the samples of one policy add up to for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// The last answer was good.
    Healthy,
    /// The last answer was bad, but the streak is not past the threshold yet.
    Suspect,
    /// The streak of bad answers is past the threshold.
    Unhealthy,
    /// There was no answer recently.
    Unknown,
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The answers of all signals, as far as they still matter.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    policies: BTreeMap<Arc<str>, PolicyStreaks>,
    healthy: Healthy,
    spells: Spells,
    never_good: NeverGood,
    judging_since: Option<Moment>,
    /// How long an answer may be on its way.
    longest_answer: Duration,
    /// [`StormLimits::cooldown`](crate::policy::StormLimits::cooldown): how long a spell waits.
    cooldown: Duration,
}

/// How much longer than its timeout an answer takes until it is recorded, on a busy machine.
const LATE: Duration = Duration::from_secs(10);

impl Judge {
    /// Takes a new policy file: the answers for a policy whose signal and pods are unchanged stay, all others are dropped, also
    /// those that are still on their way.
    pub fn set_policies(&mut self, file: &PolicyFile, now: Moment) {
        let of_queries = file.prometheus.as_ref().map(|server| server.timeout);
        let timeouts = file
            .policies
            .iter()
            .filter_map(|policy| match &policy.signal {
                Signal::Probe(probe) => Some(probe.timeout),
                Signal::Prometheus(_) => of_queries,
            });
        self.longest_answer = timeouts.max().unwrap_or_default() + LATE;
        self.cooldown = file.limits.storm.cooldown;
        let mut known = std::mem::take(&mut self.policies);
        let mut dropped = Vec::new();
        for policy in &file.policies {
            let unchanged = |streaks: &PolicyStreaks| {
                streaks.policy.signal == policy.signal && streaks.policy.pods == policy.pods
            };
            let mut streaks = match known.remove(&policy.name) {
                Some(streaks) if unchanged(&streaks) => streaks,
                Some(mut changed) => {
                    dropped.extend(self.drop_policy(&mut changed));
                    PolicyStreaks::after(policy, changed, now)
                }
                None => PolicyStreaks::new(policy, now),
            };
            streaks.policy = policy.clone();
            self.policies.insert(policy.name.clone(), streaks);
        }
        for mut streaks in known.into_values() {
            dropped.extend(self.drop_policy(&mut streaks));
        }
        for uid in &dropped {
            self.set_never_good(uid);
        }
        self.forget_beginning();
    }

    /// Drops the answers for a policy; the pods that it found bad may be so still. Returns its pods.
    fn drop_policy(&mut self, streaks: &mut PolicyStreaks) -> Vec<Uid> {
        let policy = streaks.policy.name.clone();
        for uid in self.healthy.forget_policy(&policy) {
            self.update_healthy(&uid);
        }
        self.end(streaks.end_all());
        streaks.pods.keys().cloned().collect()
    }

    /// Accepts samples of a pod from now on.
    pub fn watch(&mut self, policy: &str, uid: &Uid, pod: &ObjectKey, scopes: &PodScopes) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            let ended = streaks.watch(uid, pod, scopes);
            self.end(ended);
            self.spells.set_scopes(uid, scopes);
            self.set_health(policy, uid);
            self.set_never_good(uid);
        }
    }

    /// Forgets a pod: it is gone.
    pub fn forget_pod(&mut self, uid: &Uid, now: Moment) {
        let policies: Vec<Arc<str>> = self.policies.keys().cloned().collect();
        for policy in policies {
            self.forget(&policy, uid, now);
        }
        self.spells.close_all(uid, now);
    }

    /// Forgets a pod that a policy no longer selects.
    pub fn forget(&mut self, policy: &str, uid: &Uid, now: Moment) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            let was_watched = streaks.pods.contains_key(uid);
            let ended = streaks.forget(uid);
            self.end(ended);
            if was_watched {
                self.remove_health(policy, uid);
                self.set_never_good(uid);
            }
        }
        self.spells.close(policy, uid, now);
        self.forget_beginning();
    }

    /// Without a pod to judge, nothing is known of any.
    fn forget_beginning(&mut self) {
        if !self.is_judging() {
            self.judging_since = None;
        }
    }

    fn is_judging(&self) -> bool {
        let mut policies = self.policies.values();
        policies.any(|streaks| !streaks.pods.is_empty())
    }

    /// Whether any time in which the pod was bad is remembered still.
    #[must_use]
    pub fn has_spells(&self, uid: &Uid) -> bool {
        self.spells.has(uid)
    }

    /// Forgets when a pod was bad: it is quarantined, and counts as such.
    pub fn forget_spells(&mut self, uid: &Uid) {
        self.spells.forget(uid);
    }

    /// Says which run of its container a pod is in now. What another run answered, or answers yet, says nothing of this one.
    pub fn set_run(&mut self, policy: &str, uid: &Uid, run: Option<ContainerRun>) {
        if let Some(streaks) = self.policies.get_mut(policy)
            && streaks.set_run(uid, run)
        {
            self.restart(policy, uid);
        }
    }

    /// Judges a pod from the start again: earlier answers about it make no streak, but still show that the signal can say
    /// `good`.
    pub fn restart(&mut self, policy: &str, uid: &Uid) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            let ended = streaks.restart(uid);
            self.end(ended);
            self.remove_health(policy, uid);
        }
    }

    /// Records a sample. A sample of a pod that is not watched, or of another run of its container, is dropped.
    pub fn record(&mut self, sample: &Sample) {
        let (policy, uid) = (&*sample.policy, &sample.pod);
        let Some(streaks) = self.policies.get_mut(policy) else {
            return;
        };
        let Some(recorded) = streaks.record(sample, self.cooldown) else {
            return;
        };
        self.end(recorded.ended);
        match sample.answer {
            Answer::Good => self.spells.close(policy, uid, sample.at.moment),
            Answer::Bad => self.set_bad(policy, uid, recorded.has_contrast),
            Answer::None => {}
        }
        self.set_never_good(uid);
        self.set_health(policy, uid);
    }

    fn set_bad(&mut self, policy: &str, uid: &Uid, has_contrast: bool) {
        if let Some(streaks) = self.policies.get(policy)
            && let Some(streak) = streaks.pods.get(uid)
            && let Some(bad) = &streak.bad
        {
            let of = SpellOf {
                policy: &streaks.policy.name,
                uid,
                key: &streak.pod,
                scopes: &streak.scopes,
                is_healthy: self.healthy.contains(uid),
                was_never_good: self.never_good.contains(uid),
            };
            self.spells.set_bad(of, bad.answers(), has_contrast);
        }
    }

    /// Bad answers have ended: by a good one, or the pod waits for one. What ends with a good one was bad in any case, also if
    /// there was no contrast before.
    fn end(&mut self, ended: impl IntoIterator<Item = EndedStreak>) {
        for ended in ended {
            let of = SpellOf {
                policy: &ended.policy,
                uid: &ended.uid,
                key: &ended.pod,
                scopes: &ended.scopes,
                is_healthy: self.healthy.contains(&ended.uid),
                was_never_good: self.never_good.contains(&ended.uid),
            };
            self.spells.set_bad(of, ended.bad, ended.has_contrast);
            match ended.good {
                Some(at) => self.spells.close(&ended.policy, &ended.uid, at),
                None => self.spells.wait(&ended.policy, &ended.uid, ended.stale_at),
            }
        }
    }

    fn set_health(&mut self, policy: &str, uid: &Uid) {
        if let Some(streaks) = self.policies.get(policy)
            && let Some((scopes, until)) = streaks.health(uid)
        {
            self.healthy.set(&streaks.policy.name, uid, scopes, until);
            self.update_healthy(uid);
        }
    }

    fn remove_health(&mut self, policy: &str, uid: &Uid) {
        self.healthy.remove(policy, uid);
        self.update_healthy(uid);
    }

    /// Tells the spells what has become of a pod's health.
    fn update_healthy(&mut self, uid: &Uid) {
        self.spells.set_healthy(uid, self.healthy.contains(uid));
    }

    fn set_never_good(&mut self, uid: &Uid) {
        let streaks = || {
            let policies = self.policies.values();
            policies.filter_map(|streaks| streaks.pods.get(uid))
        };
        let was_good = streaks().any(|streak| streak.last_good.is_some());
        let bad = streaks().find(|streak| streak.was_bad && !was_good);
        self.never_good.set(uid, bad.map(|streak| &streak.scopes));
        self.spells
            .set_never_good(uid, self.never_good.contains(uid));
    }

    #[must_use]
    pub fn verdict(&self, policy: &str, uid: &str, now: Moment) -> Verdict {
        self.policies
            .get(policy)
            .map_or(Verdict::Unknown, |streaks| streaks.verdict(uid, now))
    }
}
