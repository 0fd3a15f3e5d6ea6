//! The bounds on what may be quarantined.

use std::time::Duration;

use super::{
    file::DAY,
    reader::{Fields, record},
    values::{AtLeast, Percent, Portion, Switch, Time, Whole},
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{
        ClusterLimits, HoldLimits, Limits, MaxPods, MinPods, NamespaceLimits, PacingLimits,
        ReapLimits, StormLimits, WorkloadLimits,
    },
};

pub(super) fn limits(fields: &mut Fields) -> Option<Limits> {
    let default = Limits::default();
    let cluster = fields.or(
        "cluster",
        "in the whole cluster",
        record(self::cluster),
        (default.cluster.max, default.cluster.per_hour),
    );
    let namespace_max = fields.or(
        "namespace",
        "in one namespace",
        record(|fields| {
            pods(
                fields,
                "pods in quarantine at once in one namespace: by default 5",
                5,
            )
        }),
        default.namespace.max,
    );
    let workload = fields.or(
        "workload",
        "in one workload",
        record(self::workload),
        (default.workload.max, default.workload.min_ready),
    );
    let storm = fields.or(
        "storm",
        "when it is not the pod: nothing new is quarantined",
        record(self::storm),
        default.storm,
    );
    let pacing = fields.or(
        "pacing",
        "how pods of one workload follow each other",
        record(self::pacing),
        (
            default.pacing.replacement_timeout,
            default.pacing.retries,
            default.pacing.during_rollout,
        ),
    );
    let reaps_per_minute = fields.or(
        "reap",
        "how fast pods are deleted whose time is up",
        record(|fields| {
            fields.or(
                "perMinute",
                "deletions in one minute: by default 10",
                Whole {
                    least: 1,
                    most: 1000,
                },
                10,
            )
        }),
        default.reap.per_minute,
    );
    let hold_max = fields.or(
        "hold",
        "how long pods can be held",
        record(|fields| {
            fields.or(
                "max",
                "how long a pod can be held by annotation after its time is up: by default 7d, at most 90d",
                Time { most: LONGEST_TTL },
                7 * DAY,
            )
        }),
        default.hold.max,
    );
    let (max, per_hour) = cluster?;
    let cluster = ClusterLimits { max, per_hour };
    let (max, min_ready) = workload?;
    let workload = WorkloadLimits { max, min_ready };
    let (replacement_timeout, retries, during_rollout) = pacing?;
    Some(Limits {
        cluster,
        namespace: NamespaceLimits {
            max: namespace_max?,
        },
        workload,
        storm: storm?,
        pacing: PacingLimits {
            replacement_timeout,
            retries,
            during_rollout,
        },
        reap: ReapLimits {
            per_minute: reaps_per_minute?,
        },
        hold: HoldLimits { max: hold_max? },
    })
}

fn cluster(fields: &mut Fields) -> Option<(u32, u32)> {
    let max = pods(
        fields,
        "pods in quarantine at once in the cluster: by default 10",
        10,
    );
    let per_hour = fields.or(
        "perHour",
        "quarantines that begin in the cluster within an hour: by default 20",
        Whole {
            least: 1,
            most: 10_000,
        },
        20,
    );
    max.zip(per_hour)
}

fn workload(fields: &mut Fields) -> Option<(MaxPods, MinPods)> {
    let max = fields.or(
        "max",
        "pods in quarantine at once in one workload: a number, or a share of its desired replicas, rounded down but never less than one: by default 10%",
        Portion { most: 1000 },
        MaxPods::Percent(10),
    );
    let min_ready = fields.or(
        "minReady",
        "pods of a workload that stay Ready when a Ready one is taken out: a number, or a share of its desired replicas, rounded up: by default 50%",
        AtLeast { most: 100_000 },
        MinPods::Percent(50),
    );
    max.zip(min_ready)
}

fn storm(fields: &mut Fields) -> Option<StormLimits> {
    let workload = fields.or(
        "workload",
        "where more than this share of the pods of a workload is unhealthy, and two at least, nothing new is quarantined there: by default 50%",
        Percent,
        50,
    );
    let cluster = fields.or(
        "cluster",
        "where more than this share of all watched pods is unhealthy, and two at least, nothing new is quarantined: by default 20%",
        Percent,
        20,
    );
    let cooldown = fields.or(
        "cooldown",
        "how long the share must have been at the mark or below before it goes on: by default 10m, at most 24h",
        Time { most: DAY },
        Duration::from_mins(10),
    );
    Some(StormLimits {
        workload: workload?,
        cluster: cluster?,
        cooldown: cooldown?,
    })
}

fn pacing(fields: &mut Fields) -> Option<(Duration, u32, bool)> {
    let replacement_timeout = fields.or(
        "replacementTimeout",
        "how long a replacement may take to be Ready: by default 5m, at most 24h",
        Time { most: DAY },
        Duration::from_mins(5),
    );
    let retries = fields.or(
        "retries",
        "how many replacements of a workload in a row may turn unhealthy within twice replacementTimeout before it is left alone: by default 3",
        Whole {
            least: 1,
            most: 100,
        },
        3,
    );
    let during_rollout = fields.or(
        "duringRollout",
        "whether pods are taken out while their workload is rolled out: by default false",
        Switch,
        false,
    );
    Some((replacement_timeout?, retries?, during_rollout?))
}

fn pods(fields: &mut Fields, about: &str, default: u32) -> Option<u32> {
    fields.or(
        "max",
        about,
        Whole {
            least: 1,
            most: 1000,
        },
        default,
    )
}
