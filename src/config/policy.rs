//! One policy of the file: which pods, which evidence, what follows.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::Value as Json;

use super::{
    collections::{List, list},
    context::Context,
    file::{DAY, MODE},
    pattern::{DNS_LABEL, LABEL_KEY},
    reader::{Fields, Kind, record},
    selector::selector,
    signal,
    values::{Choice, Switch, Text, Time},
    yaml::{Node, Value},
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{
        Contrast, DEFAULT_SETTLE, Detach, Mode, NetworkPolicies, OnReplacementTimeout, Policy,
        Signal,
    },
    selector::Selector,
};

/// What the file says for all of its policies.
pub(super) struct Defaults {
    pub(super) mode: Mode,
    pub(super) ttl: Duration,
    pub(super) has_prometheus: bool,
}

/// The name that records carry where a person asked for the quarantine.
const BY_HAND: &str = "by-hand";

/// A policy.
pub(super) fn policy(fields: &mut Fields, defaults: &Defaults) -> Option<Policy> {
    let name = fields.required(
        "name",
        "a name that no other policy of the file has",
        Text(&DNS_LABEL),
    );
    let pods = fields.required(
        "pods",
        "which pods it is about: a label selector",
        selector(),
    );
    let namespaces = fields.optional(
        "namespaces",
        "in which namespaces: a label selector over namespaces: by default all but kube-* and the agent's own",
        selector(),
    );
    let signal = signal(fields);
    let ttl = fields.or(
        "ttl",
        "how long a quarantined pod is kept before it is deleted: by default the file's, at most 90d",
        Time { most: LONGEST_TTL },
        defaults.ttl,
    );
    let mode = fields.or(
        "mode",
        "how far it goes: by default the file's mode",
        MODE,
        defaults.mode,
    );
    let way = way_out(fields);
    let afterwards = afterwards(fields);
    let contrast = fields.or(
        "contrast",
        "required (the default): a pod is only unhealthy if the signal says good of another pod of its workload, or has said so of this one since it started",
        Choice(&[("required", Contrast::Required), ("none", Contrast::None)]),
        Contrast::Required,
    );

    if name.as_deref() == Some(BY_HAND) {
        fields.wrong(
            "name",
            "is kept for quarantines that a person asks for; choose another",
        );
    }
    if pods.as_ref().is_some_and(Selector::is_empty) && !fields.has("namespaces") {
        fields.wrong(
            "pods",
            "selects every pod; if that is meant, say in which namespaces (`namespaces: {}` for all)",
        );
    }
    if fields.has("prometheus") && !defaults.has_prometheus {
        fields.wrong(
            "prometheus",
            "which Prometheus? the file needs `prometheus: { url: … }` at its top",
        );
    }
    Some(Policy {
        name: name?,
        pods: pods?,
        namespaces,
        signal: signal?,
        ttl: ttl?,
        mode: mode?,
        detach: way.detach?,
        keep_labels: way.keep_labels?.into_iter().collect(),
        also_leave: way.also_leave?,
        network_policies: way.network_policies?,
        allow_exclusive: afterwards.allow_exclusive?,
        settle: afterwards.settle?,
        on_replacement_timeout: afterwards.on_replacement_timeout?,
        contrast: contrast?,
    })
}

/// Which labels are edited, and which selectors are left.
struct WayOut {
    detach: Option<Detach>,
    keep_labels: Option<Vec<Arc<str>>>,
    also_leave: Option<Vec<Selector>>,
    network_policies: Option<NetworkPolicies>,
}

fn way_out(fields: &mut Fields) -> WayOut {
    let detach = fields.or(
        "detach",
        "what a pod is taken out of: workload (the default) is its Services and its workload, so that a replacement starts; service is its Services alone, the only way for StatefulSets and DaemonSets",
        Choice(&[("workload", Detach::Workload), ("service", Detach::Service)]),
        Detach::Workload,
    );
    let keep_labels = fields.or(
        "keepLabels",
        "keys of labels that are never edited",
        list(Text(&LABEL_KEY)),
        Vec::new(),
    );
    let also_leave = fields.or(
        "alsoLeave",
        "label selectors of kinds that the agent does not read (InferencePool, Istio, Cilium), to be left too",
        list(NotEmpty(selector())),
        Vec::new(),
    );
    let network_policies = fields.or(
        "networkPolicies",
        "what becomes of NetworkPolicies that the pod cannot stay in: leave (the default) leaves them and says so, keep leaves the pod where it is",
        Choice(&[("leave", NetworkPolicies::Leave), ("keep", NetworkPolicies::Keep)]),
        NetworkPolicies::Leave,
    );
    WayOut {
        detach,
        keep_labels,
        also_leave,
        network_policies,
    }
}

/// What becomes of a pod beside its replacement, and once it is put back.
struct Afterwards {
    allow_exclusive: Option<bool>,
    settle: Option<Duration>,
    on_replacement_timeout: Option<OnReplacementTimeout>,
}

fn afterwards(fields: &mut Fields) -> Afterwards {
    let allow_exclusive = fields.or(
        "allowExclusive",
        "whether a pod is taken out, too, where its replacement would share a volume, a port of the node or an identity with it: by default false",
        Switch,
        false,
    );
    let settle = fields.or(
        "settle",
        "how long a released pod is left alone: by default 5m, at most 24h",
        Time { most: DAY },
        DEFAULT_SETTLE,
    );
    let on_replacement_timeout = fields.or(
        "onReplacementTimeout",
        "what follows where the replacement is not Ready within limits.pacing.replacementTimeout: keep (the default) keeps the pod and says so, release puts it back, reap deletes it",
        Choice(&[
            ("keep", OnReplacementTimeout::Keep),
            ("release", OnReplacementTimeout::Release),
            ("reap", OnReplacementTimeout::Reap),
        ]),
        OnReplacementTimeout::Keep,
    );
    Afterwards {
        allow_exclusive,
        settle,
        on_replacement_timeout,
    }
}

fn signal(fields: &mut Fields) -> Option<Signal> {
    let probe = fields.optional(
        "probe",
        "an HTTP probe, field for field a Kubernetes probe",
        record(signal::probe),
    );
    let query = fields.optional(
        "prometheus",
        "a query for all pods at once, in the words of an alerting rule",
        record(signal::query),
    );
    fields.exactly_one(["probe", "prometheus"]);
    probe.map(Signal::Probe).or(query.map(Signal::Prometheus))
}

/// The policies of a file, no two of one name.
pub(super) struct Policies<K>(pub(super) List<K>);

impl<K: Kind<Value = Policy>> Kind for Policies<K> {
    type Value = Vec<Arc<Policy>>;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Self::Value> {
        let policies = self.0.read(node, context);
        let mut names = HashSet::new();
        if let Value::List(items) = &node.value {
            for name in items.iter().filter_map(|item| name(item)) {
                if let Value::Text(text) = &name.value
                    && !names.insert(text)
                {
                    let message =
                        format!("a policy before this one is named {text:?} too; names are unique");
                    context.mistake(&name.span, message);
                }
            }
        }
        Some(policies?.into_iter().map(Arc::new).collect())
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

/// The name of a policy that may have mistakes elsewhere.
fn name(policy: &Node) -> Option<&Node> {
    let Value::Map(entries) = &policy.value else {
        return None;
    };
    entries
        .iter()
        .find(|entry| entry.key == "name")
        .map(|entry| &*entry.node)
}

/// A selector that does not select everything.
struct NotEmpty<K>(K);

impl<K: Kind<Value = Selector>> Kind for NotEmpty<K> {
    type Value = Selector;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Selector> {
        let selector = self.0.read(node, context)?;
        if selector.is_empty() {
            context.wrong(node, "selects everything; no pod can leave that");
            return None;
        }
        Some(selector)
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}
