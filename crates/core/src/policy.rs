//! The policy file after it was read and checked: what is judged, and within which limits.
//!
//! Built by `config`; plain values only. Every default is here, in a `new` or a `Default`: the reader of the file takes
//! it from there, says it to people and writes it into the JSON Schema.

mod limits;
mod signal;

pub use self::{
    limits::{
        ClusterLimits, HoldLimits, Limits, MaxPods, MinPods, NamespaceLimits, PacingLimits,
        ReapLimits, StormLimits, WorkloadLimits,
    },
    signal::{HttpProbe, Port, PrometheusQuery, PrometheusServer, Scheme, Signal, Threshold},
};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::selector::Selector;

/// The policy's name in records, the log and the metrics where a person asked and no policy selects the pod.
pub const MANUAL: &str = "by-hand";

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// Name of this installation: it acts on its own records and counts those of all installations.
    pub agent: Arc<str>,
    /// The server for the policies with a query; there if any policy needs it.
    pub prometheus: Option<PrometheusServer>,
    /// Bounds on what may be quarantined.
    pub limits: Limits,
    /// How long a pod that no policy selects is kept after a manual quarantine.
    pub ttl: Duration,
    /// How far a manual quarantine of a pod that no policy selects goes.
    pub mode: Mode,
    /// Whether the autoscalers are asked to keep a node while a quarantined pod runs on it.
    pub keep_node: bool,
    /// At least one; names are unique.
    pub policies: Vec<Arc<Policy>>,
}

impl PolicyFile {
    /// The file that says nothing but its policies.
    #[must_use]
    pub fn new(policies: Vec<Arc<Policy>>) -> Self {
        Self {
            agent: "default".into(),
            prometheus: None,
            limits: Limits::default(),
            ttl: DEFAULT_TTL,
            mode: Mode::default(),
            keep_node: true,
            policies,
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| &*policy.name == name)
    }
}

/// How far decisions are carried out. Ordered: the lowest of several wins.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "camelCase")]
pub enum Mode {
    /// Nothing is touched.
    Off,
    /// Decide, log and count; change nothing.
    #[default]
    Observe,
    /// Act.
    Enforce,
}

impl Mode {
    /// Every mode, lowest first.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As it is written in the file, on a namespace and in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The mode written so, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// How long a quarantined pod is kept by default.
pub const DEFAULT_TTL: Duration = Duration::from_hours(24);

/// How long a released pod is left alone by default.
pub const DEFAULT_SETTLE: Duration = Duration::from_mins(5);

/// One policy: which pods, which evidence, what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique in the file; a DNS label (it is a metric label and part of messages).
    pub name: Arc<str>,
    pub pods: Selector,
    /// The namespaces it watches them in; `None`: all but `kube-*` and the agent's own.
    pub namespaces: Option<Selector>,
    /// Where the evidence comes from.
    pub signal: Signal,
    /// How long a quarantined pod is kept.
    pub ttl: Duration,
    /// How far this policy goes.
    pub mode: Mode,
    pub detach: Detach,
    /// Label keys that are never edited.
    pub keep_labels: BTreeSet<Arc<str>>,
    /// Selectors of kinds that the agent does not read, to be left too; none is empty.
    pub also_leave: Vec<Selector>,
    /// What happens if a NetworkPolicy would no longer select the pod.
    pub network_policies: NetworkPolicies,
    /// Whether a pod is quarantined even if its replacement would share a volume, a port of the node or an identity
    /// with it.
    pub allow_exclusive: bool,
    /// How long a released pod is left alone: 1 s to 24 h.
    pub settle: Duration,
    /// What happens if the replacement is not Ready in time.
    pub on_replacement_timeout: OnReplacementTimeout,
    /// Whether another pod must have been seen good.
    pub contrast: Contrast,
}

impl Policy {
    /// The policy that says nothing but this.
    #[must_use]
    pub fn new(name: &str, pods: Selector, signal: Signal) -> Self {
        Self {
            name: name.into(),
            pods,
            namespaces: None,
            signal,
            ttl: DEFAULT_TTL,
            mode: Mode::default(),
            detach: Detach::default(),
            keep_labels: BTreeSet::new(),
            also_leave: Vec::new(),
            network_policies: NetworkPolicies::default(),
            allow_exclusive: false,
            settle: DEFAULT_SETTLE,
            on_replacement_timeout: OnReplacementTimeout::default(),
            contrast: Contrast::default(),
        }
    }

    /// Time between two samples of one pod.
    #[must_use]
    pub fn interval(&self) -> Duration {
        match &self.signal {
            Signal::Probe(probe) => probe.period,
            Signal::Prometheus(query) => query.interval,
        }
    }

    /// Answers further apart than this are not in a row, and one older than this says nothing about now.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.interval() * 3
    }

    /// Whether bad answers from `since` to `last` suffice.
    pub(crate) fn is_past(&self, since: Duration, last: Duration, count: u32) -> bool {
        match &self.signal {
            Signal::Probe(probe) => count >= probe.failure_threshold.get(),
            Signal::Prometheus(query) => last.saturating_sub(since) >= query.hold_for,
        }
    }

    /// The time in which another pod must have been good: long enough for each to have been asked.
    pub(crate) fn window(&self) -> Duration {
        match &self.signal {
            Signal::Probe(probe) => probe.period * probe.failure_threshold.get() + probe.timeout,
            Signal::Prometheus(query) => query.hold_for + query.interval * 2,
        }
    }
}

/// What a quarantined pod leaves.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Detach {
    /// Its Services and its controller, so that a replacement starts.
    #[default]
    Workload,
    /// Its Services alone: it stays in its controller, and no replacement starts.
    Service,
}

/// What happens if a NetworkPolicy would no longer select the pod. Where there is a choice, it still does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum NetworkPolicies {
    /// They are left, and an Event says so.
    #[default]
    Leave,
    /// They are kept, and the pod is not quarantined.
    Keep,
}

/// What happens to a quarantined pod whose replacement is not Ready in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum OnReplacementTimeout {
    /// The quarantined pod is kept, and an Event says so.
    #[default]
    Keep,
    Release,
    /// It is deleted, so that the resources it holds are free.
    Reap,
}

/// Whether a verdict needs another pod, or an earlier time, in which the signal said `good`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum Contrast {
    /// It does: a signal that has never said `good` says nothing.
    #[default]
    Required,
    None,
}
