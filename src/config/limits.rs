//! The key `limits`.

use std::time::Duration;

use super::{
    numbers::{CountOrPercent, DurationKind, Integer, MinCountOrPercent, Percent},
    reader::Fields,
    values::Boolean,
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{
        ClusterLimits, HoldLimits, Limits, NamespaceLimits, PacingLimits, ReapLimits, StormLimits,
        WorkloadLimits,
    },
};

const DAY: Duration = Duration::from_hours(24);

/// A number of pods.
const PODS: Integer = Integer { min: 1, max: 1000 };

pub(super) fn limits(fields: &mut Fields) -> Option<Limits> {
    let cluster = fields.section("cluster", "limits of the whole cluster", cluster);
    let namespace = fields.section("namespace", "limits of each namespace", namespace);
    let workload = fields.section("workload", "limits of each workload", workload);
    let storm = fields.section(
        "storm",
        "when so many pods are unhealthy that the cause lies elsewhere, and nothing new is quarantined",
        storm,
    );
    let pacing = fields.section(
        "pacing",
        "how pods of one workload follow each other into quarantine",
        pacing,
    );
    let reap = fields.section(
        "reap",
        "how fast pods are deleted whose TTL has expired",
        reap,
    );
    let hold = fields.section("hold", "how long a pod can be held", hold);
    Some(Limits {
        cluster: cluster?,
        namespace: namespace?,
        workload: workload?,
        storm: storm?,
        pacing: pacing?,
        reap: reap?,
        hold: hold?,
    })
}

fn cluster(fields: &mut Fields) -> Option<ClusterLimits> {
    let default = ClusterLimits::default();
    let max = fields.or(
        "max",
        "pods of the cluster that are in quarantine at once",
        PODS,
        default.max,
    );
    let per_hour = fields.or(
        "perHour",
        "quarantines that begin in the cluster within an hour",
        Integer {
            min: 1,
            max: 10_000,
        },
        default.per_hour,
    );
    Some(ClusterLimits {
        max: max?,
        per_hour: per_hour?,
    })
}

fn namespace(fields: &mut Fields) -> Option<NamespaceLimits> {
    let default = NamespaceLimits::default();
    let max = fields.or(
        "max",
        "pods of one namespace that are in quarantine at once",
        PODS,
        default.max,
    );
    Some(NamespaceLimits { max: max? })
}

fn workload(fields: &mut Fields) -> Option<WorkloadLimits> {
    let default = WorkloadLimits::default();
    let max = fields.or(
        "max",
        "pods of one workload that are in quarantine at once: a number, or a percentage of its desired replicas, rounded down but never less than one",
        CountOrPercent { max: 1000 },
        default.max,
    );
    let min_ready = fields.or(
        "minReady",
        "pods of a workload that stay Ready when a Ready pod is quarantined: a number, or a percentage of its desired replicas, rounded up",
        MinCountOrPercent { max: 100_000 },
        default.min_ready,
    );
    Some(WorkloadLimits {
        max: max?,
        min_ready: min_ready?,
    })
}

fn storm(fields: &mut Fields) -> Option<StormLimits> {
    let default = StormLimits::default();
    let workload = fields.or(
        "workload",
        "while more than this percentage of the pods of a workload is unhealthy, and at least two of them, no further pod of it is quarantined",
        Percent,
        default.workload,
    );
    let node = fields.or(
        "node",
        "while more than this percentage of the watched pods on a node is unhealthy, and at least three of them, of two workloads, no further pod on it is quarantined",
        Percent,
        default.node,
    );
    let zone = fields.or(
        "zone",
        "while more than this percentage of the watched pods in a zone is unhealthy, and at least three of them, of two workloads, no further pod in it is quarantined",
        Percent,
        default.zone,
    );
    let cluster = fields.or(
        "cluster",
        "while more than this percentage of all watched pods is unhealthy, and at least two of them, no further pod is quarantined",
        Percent,
        default.cluster,
    );
    let cooldown = fields.or(
        "cooldown",
        "how long the percentage must stay at or below the threshold before the storm is over",
        DurationKind { max: DAY },
        default.cooldown,
    );
    Some(StormLimits {
        workload: workload?,
        node: node?,
        zone: zone?,
        cluster: cluster?,
        cooldown: cooldown?,
    })
}

fn pacing(fields: &mut Fields) -> Option<PacingLimits> {
    let default = PacingLimits::default();
    let replacement_timeout = fields.or(
        "replacementTimeout",
        "how long a replacement may take to become Ready",
        DurationKind { max: DAY },
        default.replacement_timeout,
    );
    let retries = fields.or(
        "retries",
        "how many replacements of a workload in a row may turn unhealthy within twice replacementTimeout before the workload is left alone",
        Integer { min: 1, max: 100 },
        default.retries,
    );
    let during_rollout = fields.or(
        "duringRollout",
        "whether pods are quarantined while a rollout of their workload is in progress",
        Boolean,
        default.during_rollout,
    );
    Some(PacingLimits {
        replacement_timeout: replacement_timeout?,
        retries: retries?,
        during_rollout: during_rollout?,
    })
}

fn reap(fields: &mut Fields) -> Option<ReapLimits> {
    let default = ReapLimits::default();
    let per_minute = fields.or(
        "perMinute",
        "pods that are deleted within a minute",
        PODS,
        default.per_minute,
    );
    Some(ReapLimits {
        per_minute: per_minute?,
    })
}

fn hold(fields: &mut Fields) -> Option<HoldLimits> {
    let default = HoldLimits::default();
    let max = fields.or(
        "max",
        "how long an annotation can hold a pod after its TTL has expired",
        DurationKind { max: LONGEST_TTL },
        default.max,
    );
    Some(HoldLimits { max: max? })
}
