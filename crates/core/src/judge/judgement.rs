//! The verdict of one policy about one pod, with its evidence.

use std::sync::Arc;

use super::{Judge, Verdict};
use crate::{record::Evidence, time::Moment};

/// A verdict and its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// One line for people; `None` of a healthy pod.
    pub reason: Option<Arc<str>>,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
}

impl Judge {
    /// The verdict of a policy about a pod now, and why.
    #[must_use]
    pub fn judgement(&self, policy: &str, uid: &str, now: Moment) -> Judgement {
        let verdict = self.verdict(policy, uid, now);
        let streaks = self.policies.get(policy);
        let of_pod = streaks.and_then(|streaks| Some((streaks, streaks.pods.get(uid)?)));
        let bad = matches!(verdict, Verdict::Suspect | Verdict::Unhealthy);
        let reason = of_pod.filter(|_| bad).and_then(|(streaks, streak)| {
            let (since, count) = streak.bad?;
            Some(streaks.reason(streak, since, count, now))
        });
        let seen = of_pod.into_iter().flat_map(|(_, streak)| &streak.seen);
        Judgement {
            verdict,
            reason,
            evidence: seen.cloned().collect(),
        }
    }
}
