//! A policy file in plain words, for the command `check`.

use std::fmt::{self, Write as _};

use super::duration::written;
use crate::core::{
    policy::{
        ClusterLimits, Contrast, Detach, HoldLimits, HttpProbe, Limits, MaxPods, MinPods, Mode,
        NamespaceLimits, NetworkPolicies, OnReplacementTimeout, PacingLimits, Policy, PolicyFile,
        Port, PrometheusQuery, ReapLimits, Scheme, Signal, Threshold, WorkloadLimits,
    },
    selector::Selector,
};

/// What a policy file means, in several lines and without a line break at the end.
#[must_use]
pub fn describe(file: &PolicyFile) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    _ = write_file(&mut text, file);
    text.truncate(text.trim_end().len());
    text
}

fn write_file(text: &mut String, file: &PolicyFile) -> fmt::Result {
    let PolicyFile {
        agent,
        prometheus,
        limits,
        ttl,
        mode,
        keep_node,
        policies,
    } = file;
    writeln!(text, "agent {agent}")?;
    line(
        text,
        "mode",
        &format!("{} (where a policy does not say otherwise)", means(*mode)),
    )?;
    let kept = written(*ttl);
    line(
        text,
        "by hand",
        &format!("a pod that a person quarantines and no policy selects is kept for {kept}"),
    )?;
    let node = if *keep_node {
        "the autoscalers are asked to leave the node while a quarantined pod is on it"
    } else {
        "the autoscalers may take the node, and a quarantined pod with it"
    };
    line(text, "nodes", node)?;
    if let Some(server) = prometheus {
        let timeout = written(server.timeout);
        line(
            text,
            "asks",
            &format!("{}, for an answer within {timeout}", server.url),
        )?;
    }
    writeln!(text, "\nlimits")?;
    write_limits(text, limits)?;
    for policy in policies {
        writeln!(text, "\npolicy {}", policy.name)?;
        write_policy(text, policy)?;
    }
    Ok(())
}

fn line(text: &mut String, what: &str, words: &str) -> fmt::Result {
    writeln!(text, "  {what:<12}{words}")
}

fn means(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off: touch nothing",
        Mode::Observe => "observe: decide, log and count, change nothing",
        Mode::Enforce => "enforce: act",
    }
}

fn write_limits(text: &mut String, limits: &Limits) -> fmt::Result {
    let Limits {
        cluster:
            ClusterLimits {
                max: cluster_max,
                per_hour: cluster_per_hour,
            },
        namespace: NamespaceLimits { max: namespace_max },
        workload:
            WorkloadLimits {
                max: workload_max,
                min_ready: workload_min_ready,
            },
        storm,
        pacing:
            PacingLimits {
                replacement_timeout,
                retries,
                during_rollout,
            },
        reap: ReapLimits {
            per_minute: reaps_per_minute,
        },
        hold: HoldLimits { max: hold_max },
    } = limits;
    line(
        text,
        "cluster",
        &format!(
            "at most {} in quarantine at once, at most {cluster_per_hour} within an hour",
            count(*cluster_max, "pod")
        ),
    )?;
    line(
        text,
        "namespace",
        &format!("at most {} in each", count(*namespace_max, "pod")),
    )?;
    let workload = match workload_max {
        MaxPods::Count(number) => format!("at most {} of each", count(number.get(), "pod")),
        MaxPods::Percent(percent) => {
            let of = |replicas: u32| (replicas * u32::from(*percent) / 100).max(1);
            let examples = [4, 20, 50].map(|replicas| format!("{} of {replicas}", of(replicas)));
            format!(
                "at most {percent}% of the desired replicas of each, rounded down and never less than 1: {}",
                examples.join(", ")
            )
        }
    };
    line(text, "workload", &workload)?;
    let least = match workload_min_ready {
        MinPods::Count(0) | MinPods::Percent(0) => "none".to_owned(),
        MinPods::Count(number) => format!("at least {}", count(*number, "pod")),
        MinPods::Percent(percent) => format!("at least {percent}% of the desired replicas"),
    };
    line(
        text,
        "",
        &format!("{least} of each to stay Ready where a Ready one is taken out"),
    )?;
    line(
        text,
        "storm",
        &format!(
            "nothing new where more than {}% of a workload's pods, or {}% of all, are unhealthy (two at least),",
            storm.workload, storm.cluster
        ),
    )?;
    let cooldown = written(storm.cooldown);
    line(text, "", &format!("until that is over for {cooldown}"))?;
    let reaps = count(*reaps_per_minute, "pod");
    line(
        text,
        "reap",
        &format!("at most {reaps} deleted a minute, once their time is up"),
    )?;
    let held = written(*hold_max);
    line(
        text,
        "hold",
        &format!("at most {held} longer than a pod's time"),
    )?;
    let replaced = written(*replacement_timeout);
    line(
        text,
        "pacing",
        &format!(
            "the next pod of a workload once the replacement of the last one is Ready; that is to be within {replaced}"
        ),
    )?;
    let soon = written(*replacement_timeout * 2);
    let retried = count(*retries, "replacement");
    line(
        text,
        "",
        &format!(
            "after {retried} in a row that turned unhealthy within {soon}, the workload is left alone"
        ),
    )?;
    let rollout = if *during_rollout {
        "also while the workload is rolled out"
    } else {
        "not while the workload is rolled out"
    };
    line(text, "", rollout)
}

fn write_policy(text: &mut String, policy: &Policy) -> fmt::Result {
    line(text, "pods", &selects(&policy.pods, "every pod"))?;
    let namespaces = policy.namespaces.as_ref().map_or_else(
        || "all but kube-* and the agent's own".to_owned(),
        |namespaces| selects(namespaces, "all, kube-* and the agent's own too"),
    );
    line(text, "namespaces", &namespaces)?;
    match &policy.signal {
        Signal::Probe(probe) => write_probe(text, probe)?,
        Signal::Prometheus(query) => write_query(text, query)?,
    }
    match policy.contrast {
        Contrast::Required => line(
            text,
            "only if",
            "the same says good of another pod of its workload, or has said so of this one since it started",
        )?,
        Contrast::None => line(
            text,
            "even if",
            "the same has never said good of any pod (contrast: none)",
        )?,
    }
    let out = match policy.detach {
        Detach::Workload => "out of its Services and its workload",
        Detach::Service => "out of its Services, not out of its workload, one pod of each",
    };
    let out = format!("{out}, kept for {}, then deleted", written(policy.ttl));
    let then = match policy.mode {
        Mode::Off => "nothing (off)".to_owned(),
        Mode::Observe => format!("nothing but a log line and a count (observe); in enforce: {out}"),
        Mode::Enforce => out,
    };
    line(text, "then", &then)?;
    if policy.detach == Detach::Workload {
        let replacement = match policy.on_replacement_timeout {
            OnReplacementTimeout::Keep => "kept all the same",
            OnReplacementTimeout::Release => "put back",
            OnReplacementTimeout::Reap => "deleted, so that what it holds is free",
        };
        let without = format!("a replacement that is Ready in time: {replacement}");
        line(text, "without", &without)?;
        if policy.allow_exclusive {
            let shared = "the replacement would share a volume, a port of the node or an identity with it (allowExclusive)";
            line(text, "even if", shared)?;
        }
    }
    if policy.network_policies == NetworkPolicies::Keep {
        let kept = "a NetworkPolicy would no longer select the pod (networkPolicies: keep)";
        line(text, "not if", kept)?;
    }
    let settled = written(policy.settle);
    line(
        text,
        "released",
        &format!("a pod that is put back is left alone for {settled}, then judged afresh"),
    )?;
    if !policy.keep_labels.is_empty() {
        let keys: Vec<&str> = policy.keep_labels.iter().map(AsRef::as_ref).collect();
        line(text, "never edits", &keys.join(", "))?;
    }
    for selector in &policy.also_leave {
        line(text, "also leaves", &selector.to_string())?;
    }
    Ok(())
}

fn selects(selector: &Selector, everything: &str) -> String {
    if selector.is_empty() {
        everything.to_owned()
    } else {
        selector.to_string()
    }
}

fn write_probe(text: &mut String, probe: &HttpProbe) -> fmt::Result {
    let HttpProbe {
        path,
        port,
        scheme,
        headers,
        period,
        timeout,
        failure_threshold,
        initial_delay,
    } = probe;
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let port = match port {
        Port::Number(number) => number.to_string(),
        Port::Name(name) => format!("<{name}>"),
    };
    let mut asked = format!(
        "GET {scheme}://<pod>:{port}{path} every {}",
        written(*period)
    );
    if !initial_delay.is_zero() {
        write!(
            asked,
            ", from {} after the start of the pod",
            written(*initial_delay)
        )?;
    }
    if !headers.is_empty() {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(asked, ", with {}", names.join(", "))?;
    }
    line(text, "measures", &asked)?;
    line(
        text,
        "bad",
        &format!(
            "no answer within {}, or a status that is not 200 to 399",
            written(*timeout)
        ),
    )?;
    let bad = count(failure_threshold.get(), "bad probe");
    let unhealthy = match failure_threshold.get() - 1 {
        0 => format!("after {bad}"),
        gaps => {
            let (period, least) = (written(*period), written(period.saturating_mul(gaps)));
            format!("after {bad} in a row, {period} apart: {least} after the first at the earliest")
        }
    };
    line(text, "unhealthy", &unhealthy)
}

fn write_query(text: &mut String, query: &PrometheusQuery) -> fmt::Result {
    let PrometheusQuery {
        query,
        threshold,
        interval,
        hold_for,
    } = query;
    line(
        text,
        "measures",
        &format!("one query for all pods every {}:", written(*interval)),
    )?;
    for query in query.lines().filter(|line| !line.trim().is_empty()) {
        line(text, "", &format!("  {query}"))?;
    }
    let bad = match threshold {
        Threshold::Above(bound) => format!("a value above {bound}"),
        Threshold::Below(bound) => format!("a value below {bound}"),
    };
    line(
        text,
        "bad",
        &format!("{bad}; no value, or NaN, is neither good nor bad"),
    )?;
    line(
        text,
        "unhealthy",
        &format!("after {} of bad values", written(*hold_for)),
    )
}

fn count(number: u32, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
