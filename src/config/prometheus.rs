//! The section `prometheus` of the file: the server that queries go to.

use std::{sync::Arc, time::Duration};

use http::Uri;
use serde_json::{Value as Json, json};
use url::form_urlencoded;

use super::{
    collections::MapOf,
    context::ReadContext,
    kind::{Collection, ValueKind},
    numbers::DurationKind,
    pattern::{HEADER_NAME, HEADER_VALUE, HTTP_URL, METRIC_LABEL, PARAMETER_NAME, PARAMETER_VALUE},
    reader::Fields,
    values::{FileName, Matching},
    yaml::{YamlNode, YamlValue},
};
use crate::core::policy::{PodLabels, PrometheusServer};

pub(super) fn server(fields: &mut Fields) -> Option<PrometheusServer> {
    let default = PrometheusServer::new(String::new());
    let url = fields.require(
        "url",
        "its address, such as http://prometheus.monitoring:9090; a path is kept, and /api/v1/query is added",
        Url,
    );
    let bearer_token_file = fields.optional(
        "bearerTokenFile",
        "a file with the bearer token; it is read again for each query",
        FileName,
    );
    let ca_file = fields.optional(
        "caFile",
        "a file with the CA certificates to trust (PEM), instead of the built-in ones",
        FileName,
    );
    let headers = fields.or_empty(
        "headers",
        "further headers of each query, such as X-Scope-OrgID",
        MapOf {
            keys: &HEADER_NAME,
            values: Matching(&HEADER_VALUE),
        },
    );
    let parameters = fields.or_empty(
        "parameters",
        "further parameters of the query string of each query, such as namespace of a port for tenants, or partial_response",
        Parameters(MapOf {
            keys: &PARAMETER_NAME,
            values: Matching(&PARAMETER_VALUE),
        }),
    );
    let labels = pod_labels(fields);
    let timeout = fields.or(
        "timeout",
        "how long an answer may take",
        DurationKind {
            max: Duration::from_mins(5),
        },
        default.timeout,
    );
    let owned = |(name, value): (Arc<str>, Arc<str>)| (name.to_string(), value.to_string());
    Some(PrometheusServer {
        url: url?,
        bearer_token_file,
        ca_file,
        headers: headers?.into_iter().map(owned).collect(),
        parameters: parameters?.into_iter().map(owned).collect(),
        labels: labels?,
        timeout: timeout?,
    })
}

fn pod_labels(fields: &mut Fields) -> Option<PodLabels> {
    let default = PodLabels::default();
    let namespace = fields.or(
        "namespaceLabel",
        "the label of a series that names the namespace of its pod",
        Matching(&METRIC_LABEL),
        default.namespace.into(),
    );
    let pod = fields.or(
        "podLabel",
        "the label of a series that names its pod",
        Matching(&METRIC_LABEL),
        default.pod.into(),
    );
    let (namespace, pod) = (namespace?.to_string(), pod?.to_string());
    if namespace == pod {
        let message = "is the label of the namespace; one label cannot name both";
        fields.error("podLabel", message);
        fields.error(
            "namespaceLabel",
            "is the label of the pod; one label cannot name both",
        );
    }
    Some(PodLabels { namespace, pod })
}

/// Parameters of the query string.
struct Parameters(MapOf<Matching>);

/// What the agent sends itself.
const OWN: [&str; 3] = ["query", "time", "timeout"];

/// How long all parameters may be together: encoded, with the longest query, they still fit an address of 64 KiB.
const MOST_BYTES: usize = 4 * 1024;

impl ValueKind for Parameters {
    type Value = Vec<(Arc<str>, Arc<str>)>;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        if let YamlValue::Map(entries) = &node.value {
            for entry in entries.iter().filter(|entry| OWN.contains(&&*entry.key)) {
                let instead = match &*entry.key {
                    "query" => "the query stands in each policy",
                    "timeout" => "write `timeout` beside `parameters`",
                    _ => "a query is about now",
                };
                let message = format!("{:?} is sent by the agent itself; {instead}", entry.key);
                let message = context.with_path(&message);
                context.error_at(&entry.key_span, message);
            }
        }
        let parameters = self.0.read(node, context)?;
        let lengths = parameters
            .iter()
            .map(|(name, value)| name.len() + value.len());
        if lengths.sum::<usize>() > MOST_BYTES {
            let message = format!("must be at most {MOST_BYTES} bytes long in all");
            context.error(node, &message);
        }
        Some(parameters)
    }

    fn schema(&self) -> Json {
        let mut schema = self.0.schema();
        if let Some(names) = schema
            .pointer_mut("/propertyNames")
            .and_then(Json::as_object_mut)
        {
            names.insert("not".to_owned(), json!({ "enum": OWN }));
        }
        schema
    }
}

impl Collection for Parameters {
    fn empty() -> Json {
        MapOf::<Matching>::empty()
    }
}

/// A valid address of a Prometheus server.
struct Url;

/// Where the path of an address that was copied from a browser or from a request ends, without the server's own prefix.
const PAGES: [&str; 12] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/write",
    "/api/v1",
    "/api",
    "/graph",
    "/query",
    "/targets",
    "/alerts",
    "/metrics",
    "/vmui",
    "/-/ready",
];

impl ValueKind for Url {
    type Value = String;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<String> {
        let url = Matching(&HTTP_URL).read(node, context)?;
        let uri = url.parse::<Uri>().unwrap_or_default();
        let Some(authority) = uri.authority() else {
            context.mismatch(node, HTTP_URL.meaning);
            return None;
        };
        let wrong = if authority.as_str().contains('@') {
            "must not contain a password; use bearerTokenFile for a token".to_owned()
        } else if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            "must have a port from 0 to 65535".to_owned()
        } else if let Some(query) = uri.query() {
            format!(
                "must end with its path; what follows the `?` belongs into `parameters`{}",
                as_parameters(query)
            )
        } else if url.contains('#') {
            "must end with its path; the agent adds the query".to_owned()
        } else {
            if let Some(base) = without_page(&url, uri.path()) {
                let message = format!("the agent adds /api/v1/query itself; write {base}");
                context.warn(node, &message);
            }
            return Some(url.to_string());
        };
        context.error(node, &wrong);
        None
    }

    fn schema(&self) -> Json {
        HTTP_URL.schema()
    }
}

/// A query string as the file writes it, such as `: { namespace: "shop" }`; empty if it cannot be written so.
fn as_parameters(query: &str) -> String {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    let is_plain = |char: char| char.is_ascii_graphic() || char == ' ';
    let text = format!(": {{ {} }}", pairs.join(", "));
    if pairs.is_empty() || text.len() > 256 || !text.chars().all(is_plain) {
        return String::new();
    }
    text
}

/// An address without the page that its path ends with, if there is one.
fn without_page(url: &str, path: &str) -> Option<String> {
    let trimmed = path.trim_end_matches('/');
    let page = PAGES.into_iter().find(|page| trimmed.ends_with(page))?;
    let base = url.trim_end_matches('/').strip_suffix(page)?;
    Some(base.to_owned())
}
