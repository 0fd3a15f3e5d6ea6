//! The bounds on what may be quarantined.

use std::{num::NonZeroU32, time::Duration};

use super::Detach;
use crate::scope::Scope;

/// Bounds on how many pods may be quarantined, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub cluster: ClusterLimits,
    pub namespace: NamespaceLimits,
    pub workload: WorkloadLimits,
    pub storm: StormLimits,
    /// How fast pods of one workload may be quarantined one after the other.
    pub pacing: PacingLimits,
    pub reap: ReapLimits,
    pub hold: HoldLimits,
}

/// Bounds within the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterLimits {
    /// Pods that are in quarantine at once: 1 to 1000.
    pub max: u32,
    /// Quarantines that begin within an hour: 1 to 10000.
    pub per_hour: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Pods that are in quarantine at once: 1 to 1000.
    pub max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadLimits {
    /// Pods that are in quarantine at once.
    pub max: MaxPods,
    pub min_ready: MinPods,
}

/// Above these shares of unhealthy pods nothing new is quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimits {
    /// Of a workload's pods that have a verdict, in per cent: 1 to 100.
    pub workload: u8,
    /// Of a node's watched pods that have a verdict, in per cent: 1 to 100.
    pub node: u8,
    /// Of a zone's watched pods that have a verdict, in per cent: 1 to 100.
    pub zone: u8,
    /// Of all watched pods that have a verdict, in per cent: 1 to 100.
    pub cluster: u8,
    /// For how long the share must have been at or below the threshold: 1 s to 24 h.
    pub cooldown: Duration,
}

/// How fast pods of one workload may be quarantined one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacingLimits {
    /// How long a replacement may take to be Ready: 1 s to 24 h.
    pub replacement_timeout: Duration,
    /// How many replacements in a row may turn unhealthy soon after they start: 1 to 100.
    pub retries: u32,
    /// Whether pods are quarantined while a rollout of their workload is in progress.
    pub during_rollout: bool,
}

/// How fast quarantined pods are deleted once their TTL has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReapLimits {
    /// Deletions in one minute: 1 to 1000.
    pub per_minute: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// The longest time after the pod's TTL: 1 s to 90 d.
    pub max: Duration,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        Self {
            max: 10,
            per_hour: 20,
        }
    }
}

impl Default for NamespaceLimits {
    fn default() -> Self {
        Self { max: 5 }
    }
}

impl Default for WorkloadLimits {
    fn default() -> Self {
        Self {
            max: MaxPods::Percent(10),
            min_ready: MinPods::Percent(50),
        }
    }
}

impl Default for StormLimits {
    fn default() -> Self {
        Self {
            workload: 50,
            node: 50,
            zone: 50,
            cluster: 20,
            cooldown: Duration::from_mins(10),
        }
    }
}

impl Default for PacingLimits {
    fn default() -> Self {
        Self {
            replacement_timeout: Duration::from_mins(5),
            retries: 3,
            during_rollout: false,
        }
    }
}

impl Default for ReapLimits {
    fn default() -> Self {
        Self { per_minute: 10 }
    }
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            max: Duration::from_hours(7 * 24),
        }
    }
}

impl ClusterLimits {
    /// How many quarantines may begin within an hour in one namespace: an eighth, rounded down, is kept for the others.
    #[must_use]
    pub fn per_hour_of_a_namespace(&self) -> u32 {
        self.per_hour - self.per_hour / 8
    }
}

impl StormLimits {
    /// Above which share of unhealthy pods there is a storm in a scope, in per cent.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> u8 {
        match scope {
            Scope::Cluster => self.cluster,
            Scope::Zone(_) => self.zone,
            Scope::Node(_) => self.node,
            Scope::Workload(_) => self.workload,
        }
    }
}

impl Limits {
    /// How many pods of one workload may be in quarantine at once: one if no replacement starts (`detach: service`).
    #[must_use]
    pub fn of_workload(&self, desired: u32, detach: Detach) -> u32 {
        match detach {
            Detach::Workload => self.workload.max.of(desired),
            Detach::Service => 1,
        }
    }
}

/// A number of pods, or a share of the desired replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxPods {
    Count(NonZeroU32),
    /// Per cent, 1 to 100.
    Percent(u8),
}

impl MaxPods {
    /// The number of pods for that many desired replicas: 10% of 25 is 2, of 19 is 1, of 3 is 1 and of 0 is 1.
    ///
    /// Never less than one: a cap that rounds to zero never acts on small workloads (envoyproxy/gateway#8140).
    #[must_use]
    pub fn of(self, desired: u32) -> u32 {
        match self {
            Self::Count(count) => count.get(),
            Self::Percent(percent) => {
                let share = u64::from(desired) * u64::from(percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

/// A minimum number of pods, or a minimum share of the desired replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinPods {
    Count(u32),
    /// Per cent, 0 to 100.
    Percent(u8),
}

impl MinPods {
    /// The number of pods for that many desired replicas: 50% of 3 is 2, of 1 is 1, and of 0 is 0.
    #[must_use]
    pub fn of(self, desired: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => {
                let share = (u64::from(desired) * u64::from(percent)).div_ceil(100);
                u32::try_from(share).unwrap_or(u32::MAX)
            }
        }
    }
}
