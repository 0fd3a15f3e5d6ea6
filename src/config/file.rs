//! The policy file as a whole: what holds for all of its policies.

use std::{sync::Arc, time::Duration};

use http::Uri;
use serde_json::{Value as Json, json};

use super::{
    collections::{MapOf, non_empty_list},
    context::ReadContext,
    kind::ValueKind,
    limits,
    numbers::DurationKind,
    pattern::{DNS_LABEL, HEADER_NAME, HEADER_VALUE, HTTP_URL},
    policy::{self, FileDefaults},
    reader::{Fields, object},
    values::{Boolean, FileName, Matching, choice},
    yaml::YamlNode,
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{PolicyFile, PrometheusServer},
};

/// The JSON Schema of the policy file: the reader, written down. It knows keys, types, forms and defaults; what one
/// value says about another (unique names, the timeout within the period) only the reader knows.
#[must_use]
pub fn schema() -> Json {
    let mut schema = policy_file().schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        schema.insert("title".to_owned(), json!("Policy file of pod-quarantine"));
    }
    schema
}

pub(super) fn policy_file() -> impl ValueKind<Value = PolicyFile> {
    object(|fields| {
        let default = PolicyFile::new(Vec::new());
        let mode = fields.or(
            "mode",
            "how far the policies go that have no mode of their own: observe decides, logs and counts, and changes nothing; enforce acts; off touches nothing",
            choice(),
            default.mode,
        );
        let prometheus = fields.optional(
            "prometheus",
            "the Prometheus server for the policies with a query; only needed if there are any",
            object(server),
        );
        let agent = fields.or(
            "agent",
            "name of this installation: it acts on its own records and counts those of all installations",
            Matching(&DNS_LABEL),
            default.agent,
        );
        let limits = fields.section(
            "limits",
            "how many pods may be in quarantine at once, and how fast they follow each other",
            limits::limits,
        );
        let ttl = fields.or(
            "ttl",
            "how long a quarantined pod is kept before it is deleted, if its policy has no ttl of its own",
            DurationKind { max: LONGEST_TTL },
            default.ttl,
        );
        let keep_node = fields.or(
            "keepNode",
            "whether the autoscalers are asked to keep a node while a quarantined pod runs on it",
            Boolean,
            default.keep_node,
        );
        let defaults = FileDefaults {
            mode: mode.unwrap_or(default.mode),
            ttl: ttl.unwrap_or(default.ttl),
            has_prometheus: fields.has("prometheus"),
        };
        let policies = fields.require(
            "policies",
            "at least one policy, each with its pods and its signal",
            policy::Policies(non_empty_list(object(move |fields| {
                policy::policy(fields, &defaults)
            }))),
        );
        Some(PolicyFile {
            agent: agent?,
            prometheus,
            limits: limits?,
            ttl: ttl?,
            mode: mode?,
            keep_node: keep_node?,
            policies: policies?,
        })
    })
}

fn server(fields: &mut Fields) -> Option<PrometheusServer> {
    let default = PrometheusServer::new(String::new());
    let url = fields.require(
        "url",
        "its address, such as http://prometheus.monitoring:9090; a path is kept",
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
        timeout: timeout?,
    })
}

/// The address of a Prometheus server.
struct Url;

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
            "must not contain a password; use bearerTokenFile for a token"
        } else if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            "must have a port from 0 to 65535"
        } else if uri.query().is_some() || url.contains('#') {
            "must end with its path; the agent adds the query"
        } else {
            return Some(url.to_string());
        };
        context.error(node, wrong);
        None
    }

    fn schema(&self) -> serde_json::Value {
        HTTP_URL.schema()
    }
}
