//! Whether the quotas of a namespace leave room for another pod.
//!
//! The rules are those of the API server's quota admission (`pkg/quota/v1/evaluator/core/pods.go`): a quota counts the
//! pods that all of its scopes match, quarantined ones included, and a pod that would exceed `hard` is forbidden.

use std::{collections::BTreeMap, sync::Arc};

use crate::quantity::Quantity;

/// Amounts by resource name as in a quota, such as `requests.cpu`.
pub type Amounts = BTreeMap<Arc<str>, Quantity>;

/// What one pod uses, and the properties by which the scopes of quotas select it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Everything that a quota could count.
    pub amounts: Amounts,
    /// Whether it requests nothing: its quality of service is `BestEffort`.
    pub best_effort: bool,
    /// Whether it has `activeDeadlineSeconds`.
    pub has_deadline: bool,
    /// Its `priorityClassName`.
    pub priority_class: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub name: Arc<str>,
    /// The pods that it counts match all of these.
    pub scopes: Vec<QuotaScope>,
    /// `status.hard`: how much there is.
    pub hard: Amounts,
    /// `status.used`: how much of it is used.
    pub used: Amounts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Pods with a deadline, or those without.
    HasDeadline(bool),
    /// Pods that request nothing, or those that do.
    BestEffort(bool),
    /// Pods by their priority class.
    PriorityClass(PriorityClass),
    /// A scope that the agent does not know: it may match.
    Unknown,
}

/// The operators of the scope `PriorityClass` with their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriorityClass {
    In(Vec<Arc<str>>),
    NotIn(Vec<Arc<str>>),
    Exists,
    DoesNotExist,
}

/// The resources that a pod must request where a quota counts them.
const MUST_BE_REQUESTED: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];

impl QuotaScope {
    fn matches(&self, pod: &Taken) -> bool {
        let class = pod.priority_class.as_ref();
        match self {
            Self::HasDeadline(has) => *has == pod.has_deadline,
            Self::BestEffort(is) => *is == pod.best_effort,
            Self::PriorityClass(PriorityClass::In(names)) => {
                class.is_some_and(|class| names.contains(class))
            }
            Self::PriorityClass(PriorityClass::NotIn(names)) => {
                class.is_none_or(|class| !names.contains(class))
            }
            Self::PriorityClass(PriorityClass::Exists) => class.is_some(),
            Self::PriorityClass(PriorityClass::DoesNotExist) => class.is_none(),
            Self::Unknown => true,
        }
    }
}

impl Quota {
    /// Why that many more such pods would be forbidden; `None` if they would not.
    #[must_use]
    pub fn forbids(&self, pod: &Taken, pods: usize) -> Option<String> {
        if !self.scopes.iter().all(|scope| scope.matches(pod)) {
            return None;
        }
        let name = &self.name;
        for (resource, hard) in &self.hard {
            let Some(amount) = pod.amounts.get(resource) else {
                if MUST_BE_REQUESTED.contains(&&**resource) {
                    return Some(format!(
                        "ResourceQuota {name} counts {resource}, which the pod does not request"
                    ));
                }
                continue;
            };
            let used = self.used.get(resource).copied().unwrap_or_default();
            if used.plus(amount.times(pods)) > *hard {
                return Some(format!(
                    "ResourceQuota {name} has no {resource} left for it"
                ));
            }
        }
        None
    }
}
