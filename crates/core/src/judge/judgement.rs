//! What one policy says of one pod, with its reasons.

use std::sync::Arc;

use super::{Judge, Moment, Verdict};
use crate::record::Evidence;

/// A verdict, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Of a pod that is not well: one line for people.
    pub reason: Option<Arc<str>>,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
}

impl Judge {
    /// What a policy says of a pod now, and why.
    #[must_use]
    pub fn judgement(&self, policy: &str, uid: &str, now: Moment) -> Judgement {
        let verdict = self.verdict(policy, uid, now);
        let rows = self.policies.get(policy);
        let of_pod = rows.and_then(|rows| Some((rows, rows.pods.get(uid)?)));
        let bad = matches!(verdict, Verdict::Suspect | Verdict::Unhealthy);
        let reason = of_pod.filter(|_| bad).and_then(|(rows, row)| {
            let (since, count) = row.bad?;
            Some(rows.reason(row, since, count, now))
        });
        let seen = of_pod.into_iter().flat_map(|(_, row)| &row.seen);
        Judgement {
            verdict,
            reason,
            evidence: seen.cloned().collect(),
        }
    }
}

impl Verdict {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }
}
