//! A policy file in plain words, for the command `check`.

use std::fmt::{self, Write as _};

use super::duration::format_duration;
use crate::core::{
    policy::{
        Contrast, Detach, HttpProbe, Limits, MaxPods, MinPods, Mode, NetworkPolicies,
        OnReplacementTimeout, PacingLimits, PodLabels, Policy, PolicyFile, Port, PrometheusQuery,
        Scheme, Signal, StormLimits, Threshold, WorkloadLimits,
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
    let words = format!("{} (policies without their own mode)", means(*mode));
    line(text, "mode", &words)?;
    let ttl = format_duration(*ttl);
    let words = format!(
        "a pod that no policy selects is kept for {ttl} after a manual quarantine, then deleted"
    );
    line(text, "manual", &words)?;
    let words = if *keep_node {
        "the autoscalers are asked to keep a node while a quarantined pod runs on it"
    } else {
        "the autoscalers may remove a node, and the quarantined pods on it"
    };
    line(text, "nodes", words)?;
    if let Some(server) = prometheus {
        let timeout = format_duration(server.timeout);
        let words = format!("{}, which may take {timeout} to answer", server.url);
        line(text, "prometheus", &words)?;
        if !server.parameters.is_empty() {
            let sent = server.parameters.iter();
            let sent: Vec<_> = sent
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            line(text, "", &format!("with {}", sent.join(", ")))?;
        }
        if server.labels != PodLabels::default() {
            let PodLabels { namespace, pod } = &server.labels;
            let words = format!("a series names its pod by the labels {namespace} and {pod}");
            line(text, "", &words)?;
        }
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
        cluster,
        namespace,
        workload,
        storm,
        pacing,
        reap,
        hold,
    } = limits;
    let (pods, per_hour) = (count(cluster.max, "pod"), cluster.per_hour);
    let words =
        format!("at most {pods} in quarantine at once, at most {per_hour} new ones an hour");
    line(text, "cluster", &words)?;
    let pods = count(namespace.max, "pod");
    line(
        text,
        "namespace",
        &format!("at most {pods} of each namespace"),
    )?;
    write_workload(text, workload)?;
    write_storm(text, storm)?;
    write_pacing(text, pacing)?;
    let pods = count(reap.per_minute, "pod");
    let words = format!("at most {pods} deleted a minute, after their TTL has expired");
    line(text, "reap", &words)?;
    let longest = format_duration(hold.max);
    let words = format!("at most {longest} beyond the TTL of a pod");
    line(text, "hold", &words)
}

fn write_workload(text: &mut String, limits: &WorkloadLimits) -> fmt::Result {
    let WorkloadLimits { max, min_ready } = limits;
    let most = match max {
        MaxPods::Count(number) => {
            format!("at most {} of each workload", count(number.get(), "pod"))
        }
        MaxPods::Percent(percent) => {
            let examples = [4, 20, 50].map(|desired| format!("{} of {desired}", max.of(desired)));
            format!(
                "at most {percent}% of the desired replicas of each workload, rounded down but never less than 1: {}",
                examples.join(", ")
            )
        }
    };
    line(text, "workload", &most)?;
    let words = match min_ready {
        MinPods::Count(0) | MinPods::Percent(0) => {
            "a Ready pod is quarantined even if no other pod of its workload is Ready".to_owned()
        }
        MinPods::Count(number) => format!(
            "a Ready pod is quarantined only with at least {} of its workload",
            count(*number, "other Ready pod")
        ),
        MinPods::Percent(percent) => format!(
            "a Ready pod is quarantined only if at least {percent}% of the desired replicas stay Ready"
        ),
    };
    line(text, "", &words)
}

fn write_storm(text: &mut String, limits: &StormLimits) -> fmt::Result {
    let StormLimits {
        workload,
        node,
        zone,
        cluster,
        cooldown,
    } = limits;
    let words = format!(
        "nothing new while more than {workload}% of the pods of a workload, or {cluster}% of all watched pods, are unhealthy (at least two of them),"
    );
    line(text, "storm", &words)?;
    let words = format!(
        "or {node}% of those on a node, or {zone}% of those in a zone (at least three, of two workloads),"
    );
    line(text, "", &words)?;
    let cooldown = format_duration(*cooldown);
    line(text, "", &format!("and for {cooldown} afterwards"))
}

fn write_pacing(text: &mut String, limits: &PacingLimits) -> fmt::Result {
    let PacingLimits {
        replacement_timeout,
        retries,
        during_rollout,
    } = limits;
    let timeout = format_duration(*replacement_timeout);
    let words = format!(
        "the next pod of a workload waits until the replacement of the previous one is Ready, which may take {timeout}"
    );
    line(text, "pacing", &words)?;
    let soon = format_duration(*replacement_timeout * 2);
    let retries = count(*retries, "replacement");
    let words = format!(
        "a workload is left alone after {retries} in a row that turned unhealthy within {soon}"
    );
    line(text, "", &words)?;
    let words = if *during_rollout {
        "pods are quarantined even while a rollout of their workload is in progress"
    } else {
        "no pod is quarantined while a rollout of its workload is in progress"
    };
    line(text, "", words)
}

fn write_policy(text: &mut String, policy: &Policy) -> fmt::Result {
    line(text, "pods", &selects(&policy.pods, "all pods"))?;
    let namespaces = policy.namespaces.as_ref().map_or_else(
        || "all except kube-* and the agent's own".to_owned(),
        |namespaces| selects(namespaces, "all, including kube-* and the agent's own"),
    );
    line(text, "namespaces", &namespaces)?;
    match &policy.signal {
        Signal::Probe(probe) => write_probe(text, probe)?,
        Signal::Prometheus(query) => write_query(text, query)?,
    }
    let words = match policy.contrast {
        Contrast::Required => {
            "required: the signal also says good of another pod of the workload, or has said so of this pod since it started"
        }
        Contrast::None => "none: the signal need not have said good of any pod",
    };
    line(text, "contrast", words)?;
    let leaves = match policy.detach {
        Detach::Workload => "leaves its Services and its workload",
        Detach::Service => {
            "leaves its Services but not its workload, one pod of each workload at a time"
        }
    };
    let ttl = format_duration(policy.ttl);
    let acts = format!("the pod {leaves}, is kept for {ttl}, then deleted");
    let words = match policy.mode {
        Mode::Off => "off: nothing".to_owned(),
        Mode::Observe => {
            format!("observe: only a log line and a count; in enforce {acts}")
        }
        Mode::Enforce => format!("enforce: {acts}"),
    };
    line(text, "action", &words)?;
    if policy.detach == Detach::Workload {
        let then = match policy.on_replacement_timeout {
            OnReplacementTimeout::Keep => "stays in quarantine",
            OnReplacementTimeout::Release => "is released",
            OnReplacementTimeout::Reap => "is deleted, so that the resources it holds are free",
        };
        let words = format!("if its replacement is not Ready in time, the pod {then}");
        line(text, "timeout", &words)?;
        if policy.allow_exclusive {
            let words = "allowed: the replacement may share a volume or a port of the node with the pod, and the strategy may be Recreate";
            line(text, "exclusive", words)?;
        }
    }
    if policy.network_policies == NetworkPolicies::Keep {
        let words = "keep: no quarantine if a NetworkPolicy would no longer select the pod";
        line(text, "network", words)?;
    }
    let settle = format_duration(policy.settle);
    let words = format!("a released pod is left alone for {settle}, then judged again");
    line(text, "release", &words)?;
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
    let each = format_duration(*period);
    let mut request = format!("GET {scheme}://<pod>:{port}{path} every {each}");
    if !initial_delay.is_zero() {
        let delay = format_duration(*initial_delay);
        write!(request, ", from {delay} after the start of the container")?;
    }
    if !headers.is_empty() {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(request, ", with {}", names.join(", "))?;
    }
    line(text, "signal", &request)?;
    let timeout = format_duration(*timeout);
    let words = format!("no answer within {timeout}, or a status outside 200 to 399");
    line(text, "bad", &words)?;
    let bad = count(failure_threshold.get(), "bad probe");
    let words = match failure_threshold.get() - 1 {
        0 => format!("after {bad}"),
        gaps => {
            let earliest = format_duration(period.saturating_mul(gaps));
            format!(
                "after {bad} in a row, {each} apart: at the earliest {earliest} after the first"
            )
        }
    };
    line(text, "unhealthy", &words)
}

fn write_query(text: &mut String, query: &PrometheusQuery) -> fmt::Result {
    let PrometheusQuery {
        query,
        look_back,
        threshold,
        interval,
        hold_for,
    } = query;
    let interval = format_duration(*interval);
    line(
        text,
        "signal",
        &format!("one query for all pods every {interval}:"),
    )?;
    for query in query.lines().filter(|line| !line.trim().is_empty()) {
        line(text, "", &format!("  {query}"))?;
    }
    let bad = match threshold {
        Threshold::Above(bound) => format!("a value above {bound}"),
        Threshold::Below(bound) => format!("a value below {bound}"),
    };
    let words = format!("{bad}; no value, or NaN, is neither good nor bad");
    line(text, "bad", &words)?;
    if !look_back.is_zero() {
        let age = format_duration(*look_back);
        let words = format!(
            "nor is any value of a pod that started within {age}, as far as the query looks back"
        );
        line(text, "", &words)?;
    }
    let hold_for = format_duration(*hold_for);
    line(
        text,
        "unhealthy",
        &format!("after {hold_for} of bad values"),
    )
}

fn count(number: u32, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
