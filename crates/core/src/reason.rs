//! Why an unhealthy pod is left where it is: a closed set that feeds log, event and metric alike.

use std::fmt;

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// People exempted the pod.
    Exempt,
    /// The mode in force only observes.
    Observe,
    /// The mode in force touches nothing.
    Off,
    /// People have paused it.
    Paused,
    /// The signal has said `good` of no pod of the workload.
    NeverSeenGood,
    /// The cluster's limit is reached.
    ClusterLimit,
    /// The namespace's limit is reached.
    NamespaceLimit,
    /// The workload's limit is reached.
    WorkloadLimit,
    /// As many were quarantined within the hour as may be.
    HourlyLimit,
    /// Too few pods of the workload would stay Ready.
    MinReady,
    /// A disruption budget does not bear it.
    DisruptionBudget,
    /// A Service would be left without a Ready endpoint.
    LastEndpoint,
    /// It is not the pod: too many are unhealthy at once.
    Storm,
    /// The replacement of the last one is not Ready.
    Pacing,
    /// The replacements turned unhealthy, too.
    RetriesExhausted,
    /// The workload is rolled out.
    Rollout,
    /// It was released lately.
    Settling,
    /// The pod's owner is of a kind that pods are not taken from.
    OwnerKind,
    /// A selector stands in the way.
    NoWayOut,
    /// No Service selects the pod, and it is not to leave its workload.
    NothingToLeave,
    /// A NetworkPolicy would no longer select the pod.
    NetworkPolicy,
    /// The replacement would share with the pod what two cannot share.
    ExclusiveResource,
    /// A quota would forbid the replacement.
    QuotaExhausted,
    /// An admission policy or webhook denied the patch.
    AdmissionDenied,
    /// An admission webhook changed the patch.
    Mutated,
    /// No slot can be had.
    LedgerUnavailable,
    /// What is known of the cluster may be out of date.
    StaleView,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 27] = [
        Self::Exempt,
        Self::Observe,
        Self::Off,
        Self::Paused,
        Self::NeverSeenGood,
        Self::ClusterLimit,
        Self::NamespaceLimit,
        Self::WorkloadLimit,
        Self::HourlyLimit,
        Self::MinReady,
        Self::DisruptionBudget,
        Self::LastEndpoint,
        Self::Storm,
        Self::Pacing,
        Self::RetriesExhausted,
        Self::Rollout,
        Self::Settling,
        Self::OwnerKind,
        Self::NoWayOut,
        Self::NothingToLeave,
        Self::NetworkPolicy,
        Self::ExclusiveResource,
        Self::QuotaExhausted,
        Self::AdmissionDenied,
        Self::Mutated,
        Self::LedgerUnavailable,
        Self::StaleView,
    ];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "Exempt",
            Self::Observe => "Observe",
            Self::Off => "Off",
            Self::Paused => "Paused",
            Self::NeverSeenGood => "NeverSeenGood",
            Self::ClusterLimit => "ClusterLimit",
            Self::NamespaceLimit => "NamespaceLimit",
            Self::WorkloadLimit => "WorkloadLimit",
            Self::HourlyLimit => "HourlyLimit",
            Self::MinReady => "MinReady",
            Self::DisruptionBudget => "DisruptionBudget",
            Self::LastEndpoint => "LastEndpoint",
            Self::Storm => "Storm",
            Self::Pacing => "Pacing",
            Self::RetriesExhausted => "RetriesExhausted",
            Self::Rollout => "Rollout",
            Self::Settling => "Settling",
            Self::OwnerKind => "OwnerKind",
            Self::NoWayOut => "NoWayOut",
            Self::NothingToLeave => "NothingToLeave",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::ExclusiveResource => "ExclusiveResource",
            Self::QuotaExhausted => "QuotaExhausted",
            Self::AdmissionDenied => "AdmissionDenied",
            Self::Mutated => "Mutated",
            Self::LedgerUnavailable => "LedgerUnavailable",
            Self::StaleView => "StaleView",
        }
    }
}

/// The sentence; what is particular to the case stands behind it.
impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exempt => "the pod is exempt",
            Self::Observe => "it would be quarantined, but the mode is observe",
            Self::Off => "the mode is off",
            Self::Paused => "quarantine is paused",
            Self::NeverSeenGood => {
                "the signal has not said good of this pod nor lately of another one of its workload"
            }
            Self::ClusterLimit => "the cluster's limit is reached",
            Self::NamespaceLimit => "the namespace's limit is reached",
            Self::WorkloadLimit => "the workload's limit is reached",
            Self::HourlyLimit => "the limit of an hour is reached",
            Self::MinReady => "too few pods of its workload would stay Ready",
            Self::DisruptionBudget => "a PodDisruptionBudget does not bear it",
            Self::LastEndpoint => "a Service would be left without a Ready endpoint",
            Self::Storm => "too many pods are unhealthy at once: it may not be the pod",
            Self::Pacing => "the replacement of the last one is not Ready",
            Self::RetriesExhausted => "its workload's replacements turned unhealthy, too",
            Self::Rollout => "its workload is rolled out",
            Self::Settling => "the pod was released lately",
            Self::OwnerKind => "pods of this owner are not quarantined",
            Self::NoWayOut => "no change of labels takes the pod out",
            Self::NothingToLeave => "no Service selects the pod, and it would stay in its workload",
            Self::NetworkPolicy => "a NetworkPolicy would no longer select the pod",
            Self::ExclusiveResource => "its replacement could not run beside it",
            Self::QuotaExhausted => "a quota would forbid its replacement",
            Self::AdmissionDenied => "the API server denied the change",
            Self::Mutated => "an admission webhook altered the change; it was undone",
            Self::LedgerUnavailable => "no slot can be had in the ledger",
            Self::StaleView => "what is known may be out of date",
        })
    }
}
