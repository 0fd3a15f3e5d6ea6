//! Where the evidence of a policy comes from: a probe, or a query.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{
    collections::list,
    pattern::{HEADER_NAME, HEADER_VALUE, PATH},
    promql::Query,
    reader::{Fields, record},
    values::{Choice, Count, Number, PortOfPod, Seconds, Text, Time},
};
use crate::core::policy::{HttpProbe, Port, PrometheusQuery, Scheme, Threshold};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Fields of a Kubernetes probe that mean nothing here.
const NOT_IN_A_PROBE: [(&str, &str); 5] = [
    ("exec", "only httpGet is; the agent runs nothing in a pod"),
    (
        "tcpSocket",
        "only httpGet is: that a port accepts says little about a pod",
    ),
    ("grpc", "only httpGet is"),
    (
        "successThreshold",
        "one good answer makes a pod healthy again",
    ),
    (
        "terminationGracePeriodSeconds",
        "a probe of the agent kills nothing",
    ),
];

/// The seconds of a probe go up to an hour.
const SECONDS: Seconds = Seconds {
    least: 1,
    most: 3600,
};

/// An HTTP probe.
pub(super) fn probe(fields: &mut Fields) -> Option<HttpProbe> {
    let request = fields.required("httpGet", "what is asked of the pod", record(http_get));
    let period = fields.or(
        "periodSeconds",
        "time between two probes of a pod: by default 10, at most 3600",
        SECONDS,
        Duration::from_secs(10),
    );
    let timeout = fields.or(
        "timeoutSeconds",
        "how long an answer may take: by default 1, at most periodSeconds",
        SECONDS,
        Duration::from_secs(1),
    );
    let failure_threshold = fields.or(
        "failureThreshold",
        "bad answers in a row that make a pod unhealthy: by default 3",
        Count { most: 1000 },
        NonZeroU32::MIN.saturating_add(2),
    );
    let initial_delay = fields.or(
        "initialDelaySeconds",
        "how long after its start a pod is first asked: by default 0",
        Seconds {
            least: 0,
            most: 3600,
        },
        Duration::ZERO,
    );
    for (key, instead) in NOT_IN_A_PROBE {
        fields.refused(key, instead);
    }
    if let (Some(period), Some(timeout)) = (period, timeout)
        && timeout > period
    {
        let period = period.as_secs();
        fields.wrong(
            "timeoutSeconds",
            &format!("must be at most periodSeconds, which is {period}"),
        );
    }
    let Request {
        path,
        port,
        scheme,
        headers,
    } = request?;
    Some(HttpProbe {
        path,
        port,
        scheme,
        headers,
        period: period?,
        timeout: timeout?,
        failure_threshold: failure_threshold?,
        initial_delay: initial_delay?,
    })
}

struct Request {
    path: String,
    port: Port,
    scheme: Scheme,
    headers: Vec<(String, String)>,
}

fn http_get(fields: &mut Fields) -> Option<Request> {
    let path = fields.or(
        "path",
        "path and query: by default /",
        Text(&PATH),
        Arc::from("/"),
    );
    let port = fields.required(
        "port",
        "the number of the port, or the name that a container gives it",
        PortOfPod,
    );
    let scheme = fields.or(
        "scheme",
        "HTTP (the default), or HTTPS with the certificate unverified, as the kubelet does it",
        Choice(&[("HTTP", Scheme::Http), ("HTTPS", Scheme::Https)]),
        Scheme::Http,
    );
    let headers = fields.or(
        "httpHeaders",
        "headers of the request; Host may be among them",
        list(record(header)),
        Vec::new(),
    );
    fields.refused(
        "host",
        "a probe goes to the pod's own address; to set the Host header, put it into httpHeaders",
    );
    Some(Request {
        path: path?.to_string(),
        port: port?,
        scheme: scheme?,
        headers: headers?,
    })
}

fn header(fields: &mut Fields) -> Option<(String, String)> {
    let name = fields.required("name", "the header's name", Text(&HEADER_NAME));
    let value = fields.required("value", "its value", Text(&HEADER_VALUE));
    Some((name?.to_string(), value?.to_string()))
}

/// A query of Prometheus.
pub(super) fn query(fields: &mut Fields) -> Option<PrometheusQuery> {
    let query = fields.required(
        "query",
        "PromQL that returns one series for each pod, healthy ones too, with the labels namespace and pod",
        Query,
    );
    let above = fields.optional("above", "a value above this number is bad", Number);
    let below = fields.optional("below", "a value below this number is bad", Number);
    fields.exactly_one(["above", "below"]);
    let interval = fields.or(
        "interval",
        "time between two queries: by default 15s, at most 1h",
        Time { most: HOUR },
        Duration::from_secs(15),
    );
    let hold_for = fields.or(
        "for",
        "how long a pod must have been bad before it is unhealthy: by default 1m, at most 24h",
        Time { most: DAY },
        Duration::from_mins(1),
    );
    let threshold = above.map(Threshold::Above).or(below.map(Threshold::Below));
    Some(PrometheusQuery {
        query: query?,
        threshold: threshold?,
        interval: interval?,
        hold_for: hold_for?,
    })
}
