//! What selects pods and does not own them.

use strum::IntoStaticStr;

use super::ObjectKey;
use crate::selector::{Labels, Selector};

/// An object that selects pods and does not own them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodSelectingObject {
    Service(Service),
    PodDisruptionBudget(DisruptionBudget),
    NetworkPolicy(NetworkPolicy),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub key: ObjectKey,
    /// `None` where it has no selector: then a pod cannot leave it by its labels.
    pub selector: Option<Selector>,
    /// Whether some of its traffic goes only to pods on the same node.
    pub local: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisruptionBudget {
    pub key: ObjectKey,
    /// `None`: it selects no pod.
    pub selector: Option<Selector>,
    /// `None` where its status is of an earlier spec.
    pub status: Option<BudgetStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetStatus {
    /// How many of its pods may be disrupted now.
    pub disruptions_allowed: u32,
    /// How many of its pods must stay healthy.
    pub desired_healthy: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    pub key: ObjectKey,
    pub selector: Selector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
pub enum PodSelectingKind {
    Service,
    PodDisruptionBudget,
    NetworkPolicy,
}

impl PodSelectingKind {
    /// As Kubernetes writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl PodSelectingObject {
    #[must_use]
    pub fn kind(&self) -> PodSelectingKind {
        match self {
            Self::Service(_) => PodSelectingKind::Service,
            Self::PodDisruptionBudget(_) => PodSelectingKind::PodDisruptionBudget,
            Self::NetworkPolicy(_) => PodSelectingKind::NetworkPolicy,
        }
    }

    /// `None` where it selects no pod.
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Service(service) => service.selector.as_ref(),
            Self::PodDisruptionBudget(budget) => budget.selector.as_ref(),
            Self::NetworkPolicy(policy) => Some(&policy.selector),
        }
    }

    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Service(service) => &service.key,
            Self::PodDisruptionBudget(budget) => &budget.key,
            Self::NetworkPolicy(policy) => &policy.key,
        }
    }
}

impl Service {
    /// Whether it selects a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        let selector = self.selector.as_ref();
        selector.is_some_and(|selector| selector.matches(labels))
    }

    /// Whether it is meant for quarantined pods.
    #[must_use]
    pub fn is_about_quarantine(&self) -> bool {
        let selector = self.selector.as_ref();
        selector.is_some_and(Selector::is_about_quarantine)
    }
}

impl DisruptionBudget {
    /// Whether it selects a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        let selector = self.selector.as_ref();
        selector.is_some_and(|selector| selector.matches(labels))
    }
}
