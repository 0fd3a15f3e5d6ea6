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
        let mut judgement = Judgement {
            verdict,
            reason: None,
            evidence: Vec::new(),
        };
        if let Some(streaks) = self.policies.get(policy)
            && let Some(streak) = streaks.pods.get(uid)
        {
            if matches!(verdict, Verdict::Suspect | Verdict::Unhealthy)
                && let Some(bad) = &streak.bad
            {
                judgement.reason = Some(bad.reason.clone());
            }
            judgement.evidence.extend(streak.seen.iter().cloned());
        }
        judgement
    }
}
