//! Why an unhealthy pod is not quarantined: a closed set for the log, Events and metrics.

use std::fmt;

use strum::{IntoStaticStr, VariantArray};

/// Why a pod is not quarantined, in the order of the checks: the first that fails is the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantArray)]
pub enum Reason {
    /// The mode in force touches nothing.
    Off,
    /// People have paused the agent.
    Paused,
    /// People exempted the pod.
    Exempt,
    /// The pod was released recently.
    Settling,
    /// The signal has said `good` neither of the pod nor, recently, of another of its workload.
    NeverSeenGood,
    /// What is known of the cluster may be out of date.
    StaleView,
    /// An admission policy or webhook denied the patch.
    AdmissionDenied,
    /// An admission webhook changed the patch.
    Mutated,
    /// No slot can be taken.
    LedgerUnavailable,
    /// Pods of this owner are not quarantined.
    OwnerKind,
    /// Too many pods are unhealthy at once: the pod may not be the cause.
    Storm,
    /// A rollout of the workload is in progress.
    Rollout,
    /// The replacements turned unhealthy, too.
    RetriesExhausted,
    /// The replacement of another pod is not Ready.
    Pacing,
    /// The workload's limit is reached.
    WorkloadLimit,
    /// The namespace's limit is reached.
    NamespaceLimit,
    /// The cluster's limit is reached.
    ClusterLimit,
    /// The hourly limit is reached.
    HourlyLimit,
    /// No Service selects the pod, and it would stay in its workload.
    NothingToLeave,
    /// A NetworkPolicy would no longer select the pod.
    NetworkPolicy,
    /// No set of label edits satisfies all selectors.
    NoWayOut,
    /// Too few pods of the workload would stay Ready.
    MinReady,
    /// A PodDisruptionBudget would be violated.
    DisruptionBudget,
    /// A Service would be left without a Ready endpoint.
    LastEndpoint,
    /// The replacement would need something that two pods cannot share.
    ExclusiveResource,
    /// A quota would forbid the replacement.
    QuotaExhausted,
    /// The mode in force only observes.
    Observe,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The sentence, before the detail of the case.
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "the mode is off",
            Self::Paused => "quarantine is paused",
            Self::Exempt => "the pod is exempt",
            Self::Settling => "the pod was released recently",
            Self::NeverSeenGood => {
                "when this pod was last asked, the signal had not said good of it, nor recently of another pod of its workload"
            }
            Self::StaleView => "what is known of the cluster may be out of date",
            Self::AdmissionDenied => "the API server denied the change",
            Self::Mutated => "an admission webhook altered the change, which was undone",
            Self::LedgerUnavailable => "no slot can be taken in the ledger",
            Self::OwnerKind => "pods of this owner are not quarantined",
            Self::Storm => "too many pods are unhealthy at once: it may not be the pod",
            Self::Rollout => "a rollout of its workload is in progress",
            Self::RetriesExhausted => "the replacements of its workload turned unhealthy, too",
            Self::Pacing => "a replacement is not Ready",
            Self::WorkloadLimit => "the limit of its workload is reached",
            Self::NamespaceLimit => "the limit of its namespace is reached",
            Self::ClusterLimit => "the limit of the cluster is reached",
            Self::HourlyLimit => "the hourly limit is reached",
            Self::NothingToLeave => "no Service selects the pod, and it would stay in its workload",
            Self::NetworkPolicy => "a NetworkPolicy would no longer select the pod",
            Self::NoWayOut => "no change of labels takes the pod out",
            Self::MinReady => "too few pods of its workload would stay Ready",
            Self::DisruptionBudget => "it would violate a PodDisruptionBudget",
            Self::LastEndpoint => "a Service would be left without a Ready endpoint",
            Self::ExclusiveResource => "its replacement could not run at the same time",
            Self::QuotaExhausted => "a quota would forbid its replacement",
            Self::Observe => "it would be quarantined, but the mode is observe",
        })
    }
}

/// Why a pod is not quarantined: the reason, and the detail of the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    /// The detail of the case; may be empty.
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { reason, detail }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, detail } = self;
        if detail.is_empty() {
            write!(formatter, "{reason}")
        } else {
            write!(formatter, "{reason}: {detail}")
        }
    }
}
