//! One policy of the file: its pods, its signal, and what happens to unhealthy pods.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::Value as Json;

use super::{
    collections::{ListOf, list},
    context::ReadContext,
    kind::ValueKind,
    numbers::DurationKind,
    pattern::{DNS_LABEL, LABEL_KEY},
    reader::{Fields, object},
    selector::selector,
    signal,
    values::{Boolean, Matching, choice},
    yaml::{YamlNode, YamlValue},
};
use crate::core::{
    overrides::LONGEST_TTL,
    policy::{Detach, HttpProbe, MANUAL, Mode, NetworkPolicies, PodLabels, Policy, Port, Signal},
    selector::Selector,
};

const DAY: Duration = Duration::from_hours(24);

/// The values that a policy inherits from the file.
pub(super) struct FileDefaults {
    pub(super) mode: Mode,
    pub(super) ttl: Duration,
    pub(super) has_prometheus: bool,
    pub(super) pod_labels: PodLabels,
}

pub(super) fn policy(fields: &mut Fields, file: &FileDefaults) -> Option<Policy> {
    // Only the defaults of this policy are read; its required fields have no meaning.
    let default = Policy::new(
        "",
        Selector::default(),
        Signal::Probe(HttpProbe::new(Port::Number(0))),
    );
    let name = fields.require(
        "name",
        "a name that no other policy of the file has",
        Matching(&DNS_LABEL),
    );
    let pods = fields.require("pods", "label selector of the watched pods", selector());
    let namespaces = fields.optional(
        "namespaces",
        "label selector of the namespaces with watched pods (by default all except kube-* and the agent's own)",
        selector(),
    );
    let signal = signal(fields, &file.pod_labels);
    let ttl = fields.or_inherited(
        "ttl",
        "how long a quarantined pod is kept before it is deleted",
        DurationKind { max: LONGEST_TTL },
        ("the file's ttl", file.ttl),
    );
    let mode = fields.or_inherited(
        "mode",
        "how far this policy goes",
        choice(),
        ("the file's mode", file.mode),
    );
    let labels = label_rules(fields, &default);
    let allow_exclusive = fields.or(
        "allowExclusive",
        "whether a pod is quarantined even if its replacement would share a volume or a port of the node with it, or the strategy of its Deployment is Recreate",
        Boolean,
        default.allow_exclusive,
    );
    let settle = fields.or(
        "settle",
        "how long a released pod is left alone",
        DurationKind { max: DAY },
        default.settle,
    );
    let on_replacement_timeout = fields.or(
        "onReplacementTimeout",
        "what happens to the quarantined pod if its replacement is not Ready within limits.pacing.replacementTimeout: keep leaves it in quarantine and publishes an Event, release puts it back, reap deletes it",
        choice(),
        default.on_replacement_timeout,
    );
    let contrast = fields.or(
        "contrast",
        "required: a pod counts as unhealthy only if the signal also says good of another pod of its workload, or has said so of this pod since it started; none: without that",
        choice(),
        default.contrast,
    );

    if name.as_deref() == Some(MANUAL) {
        fields.error(
            "name",
            "is reserved for manual quarantines; choose another name",
        );
    }
    if pods.as_ref().is_some_and(Selector::is_empty) && !fields.has("namespaces") {
        fields.error(
            "pods",
            "selects every pod; if that is intended, set namespaces as well (`namespaces: {}` for all)",
        );
    }
    if fields.has("prometheus") && !file.has_prometheus {
        fields.error(
            "prometheus",
            "needs a Prometheus server; add `prometheus: { url: … }` at the top level of the file",
        );
    }
    Some(Policy {
        name: name?,
        pods: pods?,
        namespaces,
        signal: signal?,
        ttl: ttl?,
        mode: mode?,
        detach: labels.detach?,
        keep_labels: labels.keep_labels?.into_iter().collect(),
        also_leave: labels.also_leave?,
        network_policies: labels.network_policies?,
        allow_exclusive: allow_exclusive?,
        settle: settle?,
        on_replacement_timeout: on_replacement_timeout?,
        contrast: contrast?,
    })
}

/// Which labels are edited, and which selectors are left.
struct LabelRules {
    detach: Option<Detach>,
    keep_labels: Option<Vec<Arc<str>>>,
    also_leave: Option<Vec<Selector>>,
    network_policies: Option<NetworkPolicies>,
}

fn label_rules(fields: &mut Fields, default: &Policy) -> LabelRules {
    let detach = fields.or(
        "detach",
        "what a pod leaves: workload is its Services and its workload, so that a replacement starts; service is its Services alone, the only way for StatefulSets and DaemonSets",
        choice(),
        default.detach,
    );
    let keep_labels = fields.or_empty(
        "keepLabels",
        "keys of labels that are never edited",
        list(Matching(&LABEL_KEY)),
    );
    let also_leave = fields.or_empty(
        "alsoLeave",
        "label selectors of kinds that the agent does not read (InferencePool, Istio, Cilium), which the pod leaves too",
        list(NotEmpty(selector())),
    );
    let network_policies = fields.or(
        "networkPolicies",
        "what happens if a NetworkPolicy would no longer select the quarantined pod: leave quarantines it all the same and publishes an Event, keep refuses the quarantine",
        choice(),
        default.network_policies,
    );
    LabelRules {
        detach,
        keep_labels,
        also_leave,
        network_policies,
    }
}

fn signal(fields: &mut Fields, labels: &PodLabels) -> Option<Signal> {
    let probe = fields.optional(
        "probe",
        "an HTTP probe, with the fields of a Kubernetes probe",
        object(signal::probe),
    );
    let query = fields.optional(
        "prometheus",
        "one query for all pods, with the terms of a Prometheus alerting rule",
        object(|fields| signal::query(fields, labels)),
    );
    fields.exactly_one(["probe", "prometheus"]);
    probe.map(Signal::Probe).or(query.map(Signal::Prometheus))
}

/// The policies of a file, with unique names.
pub(super) struct Policies<K>(pub(super) ListOf<K>);

impl<K: ValueKind<Value = Policy>> ValueKind for Policies<K> {
    type Value = Vec<Arc<Policy>>;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value> {
        let policies = self.0.read(node, context);
        let mut names = HashSet::new();
        if let YamlValue::List(items) = &node.value {
            for name in items.iter().filter_map(|item| name(item)) {
                if let YamlValue::Text(text) = &name.value
                    && !names.insert(text)
                {
                    let message = format!(
                        "duplicate policy name {text:?}; an earlier policy of the file has it"
                    );
                    context.error_at(&name.span, message);
                }
            }
        }
        Some(policies?.into_iter().map(Arc::new).collect())
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

/// The name of a policy that may have errors in other fields.
fn name(policy: &YamlNode) -> Option<&YamlNode> {
    let YamlValue::Map(entries) = &policy.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == "name")?;
    Some(&*entry.node)
}

/// A selector that does not select every object.
struct NotEmpty<K>(K);

impl<K: ValueKind<Value = Selector>> ValueKind for NotEmpty<K> {
    type Value = Selector;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Selector> {
        let selector = self.0.read(node, context)?;
        if selector.is_empty() {
            context.error(node, "selects every pod, so no pod can leave it");
            return None;
        }
        Some(selector)
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}
