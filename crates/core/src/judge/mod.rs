//! From samples to verdicts.
//!
//! A verdict is made of the streak of one signal's answers about one pod. `none` ends the streak: no answer is neither good
//! nor bad, and the answers before it say nothing about now (as an absent series ends a pending Prometheus alert). Time is
//! the agent's monotonic clock: a wall clock that jumps makes no pod unhealthy.

mod findings;
mod healthy;
pub mod judgement;
mod streak;

use std::{collections::BTreeMap, sync::Arc};

use strum::{IntoStaticStr, VariantArray};

pub use self::findings::{Finding, Findings, Recovered};
use self::{healthy::Healthy, streak::PolicyStreaks};
use crate::{
    object::{ContainerRun, ObjectKey, Uid},
    policy::PolicyFile,
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
}

impl Judge {
    /// Takes a new policy file: the answers for an unchanged policy stay, all others are dropped.
    pub fn set_policies(&mut self, file: &PolicyFile) {
        let mut known = std::mem::take(&mut self.policies);
        for policy in &file.policies {
            let unchanged = |streaks: &PolicyStreaks| {
                streaks.policy.signal == policy.signal && streaks.policy.pods == policy.pods
            };
            let kept = known.remove(&policy.name).filter(unchanged);
            if kept.is_none() {
                self.healthy.forget_policy(&policy.name);
            }
            let mut streaks = kept.unwrap_or_else(|| PolicyStreaks::new(policy));
            streaks.policy = policy.clone();
            self.policies.insert(policy.name.clone(), streaks);
        }
        for policy in known.keys() {
            self.healthy.forget_policy(policy);
        }
    }

    /// Accepts samples of a pod from now on.
    pub fn watch(&mut self, policy: &str, uid: &Uid, pod: &ObjectKey, place: &PodScopes) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            streaks.watch(uid, pod, place);
            if let Some((place, until)) = streaks.health(uid) {
                self.healthy.set(&streaks.policy.name, uid, place, until);
            }
        }
    }

    /// Forgets a pod: it is gone, quarantined, or no longer selected.
    pub fn forget(&mut self, policy: &str, uid: &Uid) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            streaks.forget(uid);
            self.healthy.remove(policy, uid);
        }
    }

    /// Says which run of its container a pod is in now. What another run answered, or answers yet, says nothing of this one.
    pub fn set_run(&mut self, policy: &str, uid: &Uid, run: Option<ContainerRun>) {
        if let Some(streaks) = self.policies.get_mut(policy)
            && streaks.set_run(uid, run)
        {
            self.healthy.remove(policy, uid);
        }
    }

    /// Judges a pod from the start again: earlier answers about it make no streak, but still show that the signal can say
    /// `good`.
    pub fn restart(&mut self, policy: &str, uid: &Uid) {
        if let Some(streaks) = self.policies.get_mut(policy) {
            streaks.restart(uid);
            self.healthy.remove(policy, uid);
        }
    }

    /// Records a sample. A sample of a pod that is not watched, or of another run of its container, is dropped.
    pub fn record(&mut self, sample: &Sample) {
        if let Some(streaks) = self.policies.get_mut(&sample.policy)
            && streaks.record(sample)
            && let Some((place, until)) = streaks.health(&sample.pod)
        {
            let policy = &streaks.policy.name;
            self.healthy.set(policy, &sample.pod, place, until);
        }
    }

    #[must_use]
    pub fn verdict(&self, policy: &str, uid: &str, now: Moment) -> Verdict {
        self.policies
            .get(policy)
            .map_or(Verdict::Unknown, |streaks| streaks.verdict(uid, now))
    }
}
