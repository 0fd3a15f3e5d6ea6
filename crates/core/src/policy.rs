//! The policy file after it was read and checked: which pods are judged, and within which limits.
//!
//! Built by `config`; plain values only. Every default is here, in a `new` or a `Default`: the reader of the file takes
//! it from there, shows it to people and writes it into the JSON Schema.

mod limits;
mod signal;

pub use self::{
    limits::{
        ClusterLimits, HoldLimits, Limits, MaxPods, MinPods, NamespaceLimits, PacingLimits,
        ReapLimits, StormLimits, WorkloadLimits,
    },
    signal::{
        HttpProbe, PodLabels, Port, PrometheusQuery, PrometheusServer, Scheme, Signal, Threshold,
    },
};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::selector::Selector;

/// The policy's name in records, the log and the metrics after a manual request for a pod that no policy selects. No
/// policy may have it.
pub const MANUAL: &str = "by-hand";

/// The installation that obeys manual requests for pods that no policy selects.
pub const DEFAULT_AGENT: &str = "default";

#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// Name of this installation: it acts on its own records and counts those of all installations.
    pub agent: Arc<str>,
    /// The server for the policies with a query; `Some` if there is such a policy.
    pub prometheus: Option<PrometheusServer>,
    pub limits: Limits,
    /// How long a pod is kept after a manual quarantine that no policy says more of.
    pub ttl: Duration,
    /// The mode where no policy says more: for manual requests, and for quarantined pods whose policy is gone.
    pub mode: Mode,
    /// Whether the autoscalers are asked to keep a node while a quarantined pod runs on it.
    pub keep_node: bool,
    /// At least one; names are unique.
    pub policies: Vec<Arc<Policy>>,
}

impl PolicyFile {
    /// A file with nothing but policies: everything else has its default.
    #[must_use]
    pub fn new(policies: Vec<Arc<Policy>>) -> Self {
        Self {
            agent: DEFAULT_AGENT.into(),
            prometheus: None,
            limits: Limits::default(),
            ttl: DEFAULT_TTL,
            mode: Mode::default(),
            keep_node: true,
            policies,
        }
    }

    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| &*policy.name == name)
    }
}

/// How far decisions are carried out. Ordered: the lowest of several modes wins.
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

    /// The text in the file, on a namespace and in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The mode of that text; `None` if there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// How long a quarantined pod is kept by default.
pub const DEFAULT_TTL: Duration = Duration::from_hours(24);

/// How long a released pod is left alone by default.
pub const DEFAULT_SETTLE: Duration = Duration::from_mins(5);

/// One policy: which pods it watches, by which signal, and what it does with unhealthy ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique in the file; a DNS label (it is a metric label and part of messages).
    pub name: Arc<str>,
    pub pods: Selector,
    /// The namespaces it watches them in; `None`: all but `kube-*` and the agent's own.
    pub namespaces: Option<Selector>,
    pub signal: Signal,
    /// How long a quarantined pod is kept.
    pub ttl: Duration,
    pub mode: Mode,
    pub detach: Detach,
    /// Keys of labels that are never edited.
    pub keep_labels: BTreeSet<Arc<str>>,
    /// Selectors of kinds that the agent does not read, which the pod leaves, too; none is empty.
    pub also_leave: Vec<Selector>,
    /// What happens if a NetworkPolicy would no longer select the pod.
    pub network_policies: NetworkPolicies,
    /// Whether a pod is quarantined even if its replacement would share a volume or a port of the node with it, or if the
    /// strategy of its Deployment is `Recreate`.
    pub allow_exclusive: bool,
    /// How long a released pod is left alone: 1 s to 24 h.
    pub settle: Duration,
    /// What happens if the replacement is not Ready in time.
    pub on_replacement_timeout: OnReplacementTimeout,
    /// Whether this pod, or another pod of its workload, must have been seen good.
    pub contrast: Contrast,
}

impl Policy {
    /// A policy with its required fields: everything else has its default.
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

    /// Answers further apart than this make no streak, and an older answer says nothing about now.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        let timeout = match &self.signal {
            Signal::Probe(probe) => probe.timeout,
            Signal::Prometheus(_) => Duration::ZERO,
        };
        self.interval().max(timeout) * 3
    }

    /// Whether bad answers from `since` to `last` suffice.
    pub(crate) fn is_past(&self, since: Duration, last: Duration, count: u32) -> bool {
        match &self.signal {
            Signal::Probe(probe) => count >= probe.failure_threshold.get(),
            Signal::Prometheus(query) => last.saturating_sub(since) >= query.hold_for,
        }
    }

    /// The time in which another pod must have been good: long enough for every pod to have been asked.
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

/// What happens if no set of edits keeps a NetworkPolicy selecting the pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum NetworkPolicies {
    /// The pod leaves the NetworkPolicy, and an Event says so.
    #[default]
    Leave,
    /// The pod is not quarantined.
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
    /// It does: a signal that has never said `good` gives no verdict.
    #[default]
    Required,
    None,
}
