//! The policy file after it was read and checked: what is judged, and within which limits.
//!
//! Built by `config`; plain values only. Every default is here, in a `new` or a `Default`: the reader of the file takes
//! it from there, says it to people and writes it into the JSON Schema.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::selector::Selector;

/// The policy's name in records, the log and the metrics where a person asked and no policy selects the pod.
pub const MANUAL: &str = "by-hand";

/// The whole policy file.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyFile {
    /// Name of this installation: it acts on its own records and counts everybody's.
    pub agent: Arc<str>,
    /// The Prometheus that `prometheus` policies ask; there if any policy needs it.
    pub prometheus: Option<PrometheusServer>,
    /// Bounds on what may be quarantined.
    pub limits: Limits,
    /// How long a pod that no policy selects is kept after a manual quarantine.
    pub ttl: Duration,
    /// How far a manual quarantine of a pod that no policy selects goes.
    pub mode: Mode,
    /// Whether the autoscalers are asked to leave the node while a pod is kept on it.
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

/// How far a decision is carried out. Ordered: the lowest of several wins.
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

/// Bounds on what may be quarantined at once, and on how fast that goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In the whole cluster.
    pub cluster: ClusterLimits,
    /// In each namespace.
    pub namespace: NamespaceLimits,
    /// In each workload.
    pub workload: WorkloadLimits,
    /// When it is not the pod.
    pub storm: StormLimits,
    /// How pods of one workload follow each other.
    pub pacing: PacingLimits,
    /// How fast pods are deleted.
    pub reap: ReapLimits,
    /// How long a pod can be held.
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

/// Bounds within one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Pods that are in quarantine at once: 1 to 1000.
    pub max: u32,
}

/// Bounds within one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkloadLimits {
    /// Pods that are in quarantine at once.
    pub max: MaxPods,
    /// Pods that stay Ready.
    pub min_ready: MinPods,
}

/// Above these shares of unhealthy pods nothing new is quarantined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimits {
    /// Of a workload's pods that have a verdict, in per cent: 1 to 100.
    pub workload: u8,
    /// Of all watched pods that have a verdict, in per cent: 1 to 100.
    pub cluster: u8,
    /// For how long the share must have been at or below the mark: 1 s to 24 h.
    pub cooldown: Duration,
}

/// How pods of one workload follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacingLimits {
    /// How long a replacement may take to be Ready: 1 s to 24 h.
    pub replacement_timeout: Duration,
    /// How many replacements in a row may turn unhealthy soon: 1 to 100.
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

/// How long a pod can be held.
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

impl Limits {
    /// How many pods of one workload may be in quarantine at once. Where no replacement starts (`detach: service`),
    /// it is one.
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
    /// So many pods.
    Count(NonZeroU32),
    /// So many per cent, 1 to 100.
    Percent(u8),
}

impl MaxPods {
    /// How many of so many desired replicas: 10% of 25 is 2, of 19 is 1, of 3 is 1 and of 0 is 1.
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

/// The least number of pods, or the least share of the desired replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinPods {
    /// So many pods.
    Count(u32),
    /// So many per cent, 0 to 100.
    Percent(u8),
}

impl MinPods {
    /// How many of so many desired replicas: 50% of 3 is 2, of 1 is 1, and of 0 is 0.
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

/// How long a quarantined pod is kept where nothing else is said.
pub const DEFAULT_TTL: Duration = Duration::from_hours(24);

/// How long a released pod is left alone where nothing else is said.
pub const DEFAULT_SETTLE: Duration = Duration::from_mins(5);

/// One policy: which pods, which evidence, what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Unique in the file; a DNS label (it is a metric label and part of messages).
    pub name: Arc<str>,
    /// The pods it watches.
    pub pods: Selector,
    /// The namespaces it watches them in; `None`: all but `kube-*` and the agent's own.
    pub namespaces: Option<Selector>,
    /// Where the evidence comes from.
    pub signal: Signal,
    /// How long a quarantined pod is kept.
    pub ttl: Duration,
    /// How far this policy goes.
    pub mode: Mode,
    /// What a pod is taken out of.
    pub detach: Detach,
    /// Label keys that are never edited.
    pub keep_labels: BTreeSet<Arc<str>>,
    /// Selectors of kinds that the agent does not read, to be left too; none is empty.
    pub also_leave: Vec<Selector>,
    /// What becomes of NetworkPolicies that the pod cannot stay in.
    pub network_policies: NetworkPolicies,
    /// Whether a pod is quarantined even if its replacement would share a volume, a port of the node or an identity
    /// with it.
    pub allow_exclusive: bool,
    /// How long a released pod is left alone: 1 s to 24 h.
    pub settle: Duration,
    /// What follows where the replacement is not Ready in time.
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

/// What a pod is taken out of.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Detach {
    /// Out of its Services and out of its controller, so that a replacement starts.
    #[default]
    Workload,
    /// Out of its Services alone: it stays in its controller, and no replacement starts.
    Service,
}

/// What becomes of NetworkPolicies that a pod cannot stay in. It stays where a choice exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum NetworkPolicies {
    /// They are left, and an Event says so.
    #[default]
    Leave,
    /// They are kept, and the pod is not quarantined.
    Keep,
}

/// What follows where a replacement is not Ready in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "camelCase")]
pub enum OnReplacementTimeout {
    /// The quarantined pod is kept, and an Event says so.
    #[default]
    Keep,
    /// It is released.
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
    /// It does not.
    None,
}

/// Where the evidence comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// An HTTP probe of the pod's own address.
    Probe(HttpProbe),
    /// A Prometheus query for all pods at once.
    Prometheus(PrometheusQuery),
}

/// An HTTP probe, field for field a Kubernetes probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// Path and query, begins with `/`.
    pub path: String,
    /// Number, or name of a container's port.
    pub port: Port,
    /// A certificate is not verified, as the kubelet does not.
    pub scheme: Scheme,
    /// Headers in the order of the file; `Host` among them sets the request's host.
    pub headers: Vec<(String, String)>,
    /// 1 s to 1 h.
    pub period: Duration,
    /// At least 1 s, at most the period.
    pub timeout: Duration,
    /// Bad samples in a row that make a pod unhealthy.
    pub failure_threshold: NonZeroU32,
    /// Counted from the start of the pod.
    pub initial_delay: Duration,
}

impl HttpProbe {
    /// The probe that says nothing but its port.
    #[must_use]
    pub fn new(port: Port) -> Self {
        Self {
            path: "/".to_owned(),
            port,
            scheme: Scheme::default(),
            headers: Vec::new(),
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            failure_threshold: const { NonZeroU32::new(3).unwrap() },
            initial_delay: Duration::ZERO,
        }
    }
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By number.
    Number(u16),
    /// By the name that a container gives it.
    Name(Arc<str>),
}

/// How a probe speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS, the certificate unverified.
    Https,
}

/// A query whose series are joined to pods by their labels `namespace` and `pod`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusQuery {
    /// PromQL.
    pub query: String,
    /// When a value is bad.
    pub threshold: Threshold,
    /// Time between two queries: 1 s to 1 h.
    pub interval: Duration,
    /// How long a pod must have been bad, as in an alerting rule: 1 s to 24 h.
    pub hold_for: Duration,
}

impl PrometheusQuery {
    /// The query that says nothing but what it asks, and when a value is bad.
    #[must_use]
    pub fn new(query: String, threshold: Threshold) -> Self {
        Self {
            query,
            threshold,
            interval: Duration::from_secs(15),
            hold_for: Duration::from_mins(1),
        }
    }
}

/// When a value is bad. Both are strict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// Above this number.
    Above(f64),
    /// Below this number.
    Below(f64),
}

impl Threshold {
    /// Whether a value is bad; `None` for a value that is not a number.
    #[must_use]
    pub fn is_bad(self, value: f64) -> Option<bool> {
        match self {
            _ if value.is_nan() => None,
            Self::Above(bound) => Some(value > bound),
            Self::Below(bound) => Some(value < bound),
        }
    }
}

/// The Prometheus to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusServer {
    /// Base address, `http` or `https`; a path prefix is kept.
    pub url: String,
    /// A file whose content is sent as `Authorization: Bearer`, read again for each query.
    pub bearer_token_file: Option<String>,
    /// PEM certificates to trust instead of the compiled-in ones.
    pub ca_file: Option<String>,
    /// Further headers, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
    /// How long an answer may take: at most 5 m.
    pub timeout: Duration,
}

impl PrometheusServer {
    /// The server that says nothing but its address.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            bearer_token_file: None,
            ca_file: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }
}
