//! Where the evidence of a policy comes from: a probe, or a query.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use strum::{IntoStaticStr, VariantArray};

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
    /// Path and query; begins with `/`.
    pub path: String,
    /// The number, or the name of a container's port.
    pub port: Port,
    /// As by the kubelet, the certificate is not verified.
    pub scheme: Scheme,
    /// Headers in the order of the file; `Host` among them sets the request's host.
    pub headers: Vec<(String, String)>,
    /// 1 s to 1 h.
    pub period: Duration,
    /// 1 s to 1 h; the next probe of a pod waits for the last one.
    pub timeout: Duration,
    /// Bad samples in a row that make a pod unhealthy.
    pub failure_threshold: NonZeroU32,
    /// Counted from the start of the container, as by the kubelet.
    pub initial_delay: Duration,
}

impl HttpProbe {
    /// A probe with its port: everything else has its default.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    /// By the name that a container gives it.
    Name(Arc<str>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Scheme {
    #[default]
    Http,
    /// The certificate is not verified.
    Https,
}

/// A query whose series are joined to pods by their [`PodLabels`].
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusQuery {
    /// PromQL.
    pub query: String,
    /// How far it looks back: by ranges, offsets and subqueries. What it says of a younger pod may be about an earlier one
    /// of the same name.
    pub look_back: Duration,
    pub threshold: Threshold,
    /// Time between two queries: 1 s to 1 h.
    pub interval: Duration,
    /// How long a pod must have been bad, as in an alerting rule: 1 s to 24 h.
    pub hold_for: Duration,
}

impl PrometheusQuery {
    /// A query with its required fields: everything else has its default.
    #[must_use]
    pub fn new(query: String, threshold: Threshold) -> Self {
        Self {
            query,
            look_back: Duration::ZERO,
            threshold,
            interval: Duration::from_secs(15),
            hold_for: Duration::from_mins(1),
        }
    }
}

/// When a value is bad. Both are strict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    Above(f64),
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusServer {
    /// The base address, `http` or `https`; a path prefix is kept.
    pub url: String,
    /// A file whose content is sent as `Authorization: Bearer`, read again for each query.
    pub bearer_token_file: Option<String>,
    /// PEM certificates to trust instead of the compiled-in ones.
    pub ca_file: Option<String>,
    /// Further headers, such as `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
    /// Further parameters of the query string, such as `namespace` of a port for tenants.
    pub parameters: Vec<(String, String)>,
    pub labels: PodLabels,
    /// How long an answer may take: at most 5 min.
    pub timeout: Duration,
}

impl PrometheusServer {
    /// A server with its address: everything else has its default.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            bearer_token_file: None,
            ca_file: None,
            headers: Vec::new(),
            parameters: Vec::new(),
            labels: PodLabels::default(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// The labels of a series that name its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLabels {
    pub namespace: String,
    pub pod: String,
}

impl Default for PodLabels {
    fn default() -> Self {
        Self {
            namespace: "namespace".to_owned(),
            pod: "pod".to_owned(),
        }
    }
}
