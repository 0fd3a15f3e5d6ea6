//! What a pod says of itself at `/metrics`: its traffic by code, and how long the answers took.
//! Requests to the health paths and to `/metrics` itself are not traffic.

use std::time::Duration;

use hyper::StatusCode;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, Opts, Registry, TextEncoder};

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("http_requests_total", "Requests answered, by status code."),
            &["code"],
        )?;
        let duration = Histogram::with_opts(HistogramOpts::new(
            "http_request_duration_seconds",
            "Time from a request to the head of its answer.",
        ))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self {
            registry,
            requests,
            duration,
        })
    }

    /// Counts an answer. The series of a code begins with its first answer, as in most programs:
    /// a query must cope with a code that has none yet.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[status.as_str()]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Everything in the Prometheus text format.
    pub(crate) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
