//! The signal of a policy: a probe, or a query.

use std::{num::NonZeroU32, time::Duration};

use super::{
    collections::list,
    numbers::{Count, DurationKind, Number, Seconds},
    pattern::{HEADER_NAME, HEADER_VALUE, PATH},
    promql::Query,
    reader::{Fields, object},
    values::{Matching, PodPort, choice},
};
use crate::core::policy::{HttpProbe, PodLabels, Port, PrometheusQuery, Threshold};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Fields of a Kubernetes probe that have no meaning here.
const NOT_IN_A_PROBE: [(&str, &str); 3] = [
    ("exec", "the agent runs nothing in a pod; use httpGet"),
    (
        "tcpSocket",
        "an accepted connection says little about a pod; use httpGet",
    ),
    ("grpc", "use httpGet"),
];

/// The longest time in a probe: an hour.
const SECONDS: Seconds = Seconds { min: 1, max: 3600 };

pub(super) fn probe(fields: &mut Fields) -> Option<HttpProbe> {
    let default = probe_defaults();
    let http_get = fields.require(
        "httpGet",
        "the request that is sent to the pod",
        object(http_get),
    );
    let period = fields.or(
        "periodSeconds",
        "seconds between two probes of a pod",
        SECONDS,
        default.period,
    );
    let timeout = fields.or(
        "timeoutSeconds",
        "seconds that an answer may take",
        SECONDS,
        default.timeout,
    );
    let failure_threshold = fields.or(
        "failureThreshold",
        "bad answers in a row that make a pod unhealthy",
        Count { max: 1000 },
        default.failure_threshold,
    );
    let initial_delay = fields.or(
        "initialDelaySeconds",
        "seconds from the start of the container to its first probe, as by the kubelet",
        Seconds { min: 0, max: 3600 },
        default.initial_delay,
    );
    let success_threshold = fields.or(
        "successThreshold",
        "as in a Kubernetes probe; here one good answer always makes a pod healthy again",
        Count { max: 1000 },
        NonZeroU32::MIN,
    );
    if success_threshold.is_some_and(|threshold| threshold > NonZeroU32::MIN) {
        let message = "one good answer makes a pod healthy again, whatever number stands here";
        fields.warn("successThreshold", message);
    }
    let grace = fields.optional(
        "terminationGracePeriodSeconds",
        "as in a Kubernetes probe; here it means nothing",
        SECONDS,
    );
    if grace.is_some() {
        let message = "means nothing: a probe of the agent kills no pod";
        fields.warn("terminationGracePeriodSeconds", message);
    }
    for (key, instead) in NOT_IN_A_PROBE {
        fields.refuse(key, instead);
    }
    if let (Some(period), Some(timeout)) = (period, timeout)
        && timeout > period
    {
        let period = period.as_secs();
        let message = format!(
            "is more than periodSeconds, which is {period}: the next probe of a pod waits for the last one"
        );
        fields.warn("timeoutSeconds", &message);
    }
    Some(HttpProbe {
        period: period?,
        timeout: timeout?,
        failure_threshold: failure_threshold?,
        initial_delay: initial_delay?,
        ..http_get?
    })
}

/// A probe for its defaults.
fn probe_defaults() -> HttpProbe {
    HttpProbe::new(Port::Number(0))
}

/// The request of a probe; the rest of the probe keeps its defaults.
fn http_get(fields: &mut Fields) -> Option<HttpProbe> {
    let default = probe_defaults();
    let path = fields.or(
        "path",
        "path and query",
        Matching(&PATH),
        default.path.into(),
    );
    let port = fields.require(
        "port",
        "number of the port, or the name that a container gives it",
        PodPort,
    );
    let scheme = fields.or(
        "scheme",
        "HTTP, or HTTPS without verification of the certificate, as the kubelet does",
        choice(),
        default.scheme,
    );
    let headers = fields.or_empty(
        "httpHeaders",
        "headers of the request; Host may be among them",
        list(object(header)),
    );
    fields.refuse(
        "host",
        "a probe goes to the pod's own address; to set the Host header, use httpHeaders",
    );
    Some(HttpProbe {
        path: path?.to_string(),
        scheme: scheme?,
        headers: headers?,
        ..HttpProbe::new(port?)
    })
}

fn header(fields: &mut Fields) -> Option<(String, String)> {
    let name = fields.require("name", "name of the header", Matching(&HEADER_NAME));
    let value = fields.require("value", "value of the header", Matching(&HEADER_VALUE));
    Some((name?.to_string(), value?.to_string()))
}

pub(super) fn query(fields: &mut Fields, labels: &PodLabels) -> Option<PrometheusQuery> {
    // Only the defaults of this query are read.
    let default = PrometheusQuery::new(String::new(), Threshold::Above(0.0));
    let query = fields.require(
        "query",
        "PromQL that returns one series per pod, healthy pods included, with the labels that name its pod",
        Query(labels),
    );
    let above = fields.optional("above", "a value above this number is bad", Number);
    let below = fields.optional("below", "a value below this number is bad", Number);
    fields.exactly_one(["above", "below"]);
    let interval = fields.or(
        "interval",
        "time between two queries",
        DurationKind { max: HOUR },
        default.interval,
    );
    let hold_for = fields.or(
        "for",
        "how long the values of a pod must be bad before it is unhealthy",
        DurationKind { max: DAY },
        default.hold_for,
    );
    let threshold = above.map(Threshold::Above).or(below.map(Threshold::Below));
    let (query, look_back) = query?;
    Some(PrometheusQuery {
        query,
        look_back,
        threshold: threshold?,
        interval: interval?,
        hold_for: hold_for?,
    })
}
