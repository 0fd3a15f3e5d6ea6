//! The policy file as a whole: what holds for all of its policies.

use std::{sync::Arc, time::Duration};

use http::Uri;

use super::{
    collections::{Table, some},
    context::Context,
    limits,
    pattern::{DNS_LABEL, HEADER_NAME, HEADER_VALUE, HTTP_URL},
    policy::{self, Defaults},
    reader::{Fields, Kind, record},
    values::{Choice, FileName, Switch, Text, Time},
    yaml::Node,
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{Limits, Mode, PolicyFile, PrometheusServer},
};

pub(super) const DAY: Duration = Duration::from_hours(24);

/// The modes.
pub(super) const MODE: Choice<Mode> = Choice(&[
    ("off", Mode::Off),
    ("observe", Mode::Observe),
    ("enforce", Mode::Enforce),
]);

/// A whole policy file.
pub(super) fn policy_file() -> impl Kind<Value = PolicyFile> {
    record(|fields| {
        let mode = fields.or(
            "mode",
            "how far the policies go that do not say it themselves: observe (the default) decides, logs, counts and changes nothing; enforce acts; off touches nothing",
            MODE,
            Mode::Observe,
        );
        let prometheus = fields.optional(
            "prometheus",
            "the Prometheus that the policies with a query ask; only needed if there are any",
            record(server),
        );
        let agent = fields.or(
            "agent",
            "name of this installation (by default \"default\"): it acts on its own records and counts everybody's",
            Text(&DNS_LABEL),
            Arc::from("default"),
        );
        let limits = fields.or(
            "limits",
            "how many pods may be in quarantine at once, how soon after each other, and when it is not the pod",
            record(limits::limits),
            Limits::default(),
        );
        let ttl = fields.or(
            "ttl",
            "how long a quarantined pod is kept before it is deleted, where its policy does not say it: by default 24h, at most 90d",
            Time { most: LONGEST_TTL },
            DAY,
        );
        let keep_node = fields.or(
            "keepNode",
            "whether the autoscalers are asked to leave the node while a quarantined pod is on it: by default true",
            Switch,
            true,
        );
        let defaults = Defaults {
            mode: mode.unwrap_or(Mode::Observe),
            ttl: ttl.unwrap_or(DAY),
            has_prometheus: fields.has("prometheus"),
        };
        let policies = fields.required(
            "policies",
            "which pods are judged by which evidence; one at least",
            policy::Policies(some(record(move |fields| {
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
    let url = fields.required(
        "url",
        "its address, such as http://prometheus.monitoring:9090; a path is kept",
        Url,
    );
    let bearer_token_file = fields.optional(
        "bearerTokenFile",
        "a file with the token to sign in with; it is read anew for each query",
        FileName,
    );
    let ca_file = fields.optional(
        "caFile",
        "a file with the certificates to trust (PEM), instead of the compiled-in ones",
        FileName,
    );
    let headers = fields.or(
        "headers",
        "further headers of each query, such as X-Scope-OrgID",
        Table {
            keys: &HEADER_NAME,
            values: Text(&HEADER_VALUE),
        },
        Vec::new(),
    );
    let timeout = fields.or(
        "timeout",
        "how long an answer may take: by default 10s, at most 5m",
        Time {
            most: Duration::from_mins(5),
        },
        Duration::from_secs(10),
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

/// The address of a Prometheus.
struct Url;

impl Kind for Url {
    type Value = String;

    fn read(&self, node: &Node, context: &mut Context) -> Option<String> {
        let url = Text(&HTTP_URL).read(node, context)?;
        let uri = url.parse::<Uri>().unwrap_or_default();
        let Some(authority) = uri.authority() else {
            context.unlike(node, HTTP_URL.meaning);
            return None;
        };
        let wrong = if authority.as_str().contains('@') {
            "must not hold a password; put a token into bearerTokenFile"
        } else if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            "must have a number from 0 to 65535 as its port"
        } else if uri.query().is_some() || url.contains('#') {
            "must end with the path: the query is the agent's"
        } else {
            return Some(url.to_string());
        };
        context.wrong(node, wrong);
        None
    }

    fn schema(&self) -> serde_json::Value {
        HTTP_URL.schema()
    }
}
