//! How the story ends: what it all came to, how to look around, and how everything goes.

use std::collections::BTreeSet;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use pod_quarantine::core::keys;
use test_e2e::Stage;

use crate::{
    scene::{HINT, PROBE_POLICY, Scene},
    timeline::Timeline,
};

/// What the agent must have counted in the end: metric, the reason where it has one, and how often.
const COUNTED: [(&str, Option<&str>, f64); 5] = [
    ("quarantines_total", None, 3.0),
    ("releases_total", None, 1.0),
    ("reaps_total", None, 1.0),
    ("refusals_total", Some("NamespaceLimit"), 2.0),
    ("refusals_total", Some("Exempt"), 1.0),
];

/// The times of the story, and what the agent's own metrics say of it.
pub(crate) async fn summary(timeline: &Timeline, scene: &Scene) -> anyhow::Result<()> {
    timeline.summary();
    let mut rows = Vec::new();
    for (name, reason, wanted) in COUNTED {
        // Agents hear of people's wishes elsewhere, too.
        let mut labels = match reason {
            Some(_) => vec![("policy", PROBE_POLICY)],
            None => vec![("namespace", scene.namespace.name())],
        };
        labels.extend(reason.map(|reason| ("reason", reason)));
        let count = scene.agent.sum(name, &labels).await?;
        let reason = reason.map(|reason| format!("{{reason={reason:?}}}"));
        let name = format!("pod_quarantine_{name}{}", reason.unwrap_or_default());
        ensure!(
            (count - wanted).abs() < 0.5,
            "{name} is {count}, and should be {wanted}"
        );
        rows.push((name, format!("{count:>3}")));
    }
    let kept = scene
        .agent
        .sum("quarantined_pods", &[("namespace", scene.namespace.name())])
        .await?;
    rows.push((
        "pod_quarantine_quarantined_pods".into(),
        format!("{kept:>3}"),
    ));
    timeline.section("What the agent counted (/metrics)", &rows);
    Ok(())
}

/// Where everything is that still runs.
pub(crate) fn how_to_look_around(timeline: &Timeline, scene: &Scene) {
    let (shop, agent) = (scene.namespace.name(), scene.agent.namespace());
    timeline.say("\nEverything runs on. To look around:");
    if scene.stage.cluster.is_own() {
        timeline.say("  make cluster-shell                       # kubectl works in there");
    }
    timeline.say(&format!(
        "  kubectl get pods -A -l {}={}
  kubectl -n {shop} get pods,endpointslices
  kubectl -n {shop} events
  kubectl -n {shop} annotate pod POD {}='to be looked into'
  kubectl -n {shop} exec POD -- /test-workload switch 500
  kubectl -n {agent} logs deploy/pod-quarantine
  kubectl -n {agent} get configmap pod-quarantine -o yaml     # the policy file
  kubectl -n {agent} port-forward deploy/pod-quarantine 9090   # then http://localhost:9090/metrics",
        keys::STATE,
        keys::QUARANTINED,
        keys::QUARANTINE,
    ));
    timeline.say("To remove it:");
    remove(timeline, &scene.stage, &[shop.to_owned(), agent.to_owned()]);
}

/// Takes away what the story was played on.
pub(crate) async fn clean(timeline: &Timeline, scene: Scene) -> anyhow::Result<()> {
    let (shop, agent) = (scene.namespace.name(), scene.agent.namespace());
    let names = format!("{shop} and {agent}");
    let own = scene.stage.cluster.is_own();
    scene.agent.uninstall().await?;
    scene.namespace.delete().await?;
    let cluster = if own {
        " The cluster stays up: `make cluster-down` takes it away."
    } else {
        ""
    };
    timeline.say(&format!(
        "\nAll steps came true. The namespaces {names} are deleted; KEEP=1 leaves them.{cluster}"
    ));
    Ok(())
}

/// The namespaces that look as if they were of a demo.
pub(crate) async fn namespaces(stage: &Stage) -> anyhow::Result<BTreeSet<String>> {
    let all: Api<Namespace> = Api::all(stage.client.clone());
    let all = all.list(&ListParams::default()).await?;
    let names = all.iter().map(ResourceExt::name_any);
    let prefixes = [format!("{HINT}-"), format!("agent-{HINT}-")];
    let ours = |name: &String| prefixes.iter().any(|prefix| name.starts_with(prefix));
    Ok(names.filter(ours).collect())
}

/// How to remove what this run made and left.
pub(crate) async fn how_to_clean(
    timeline: &Timeline,
    stage: &Stage,
    before: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let now = namespaces(stage).await?;
    let left: Vec<String> = now.difference(before).cloned().collect();
    if !left.is_empty() {
        timeline.say("What it made is still there, to be looked into. To remove it:");
        remove(timeline, stage, &left);
    }
    Ok(())
}

fn remove(timeline: &Timeline, stage: &Stage, names: &[String]) {
    let bindings = names.iter().filter(|name| name.starts_with("agent-"));
    let bindings: Vec<&str> = bindings.map(String::as_str).collect();
    let bindings = bindings.join(" ");
    if stage.cluster.is_own() {
        timeline.say(
            "  make cluster-down                        # the whole cluster, or in its shell:",
        );
    }
    timeline.say(&format!("  kubectl delete namespace {}", names.join(" ")));
    if !bindings.is_empty() {
        timeline.say(&format!("  kubectl delete clusterrolebinding {bindings}"));
    }
}

/// What there is of the agent, after a step that did not come true.
pub(crate) async fn seen_of_agent(timeline: &Timeline, stage: &Stage, before: &BTreeSet<String>) {
    let Ok(now) = namespaces(stage).await else {
        return;
    };
    let agents = now.difference(before);
    for namespace in agents.filter(|name| name.starts_with("agent-")) {
        let pods: Api<Pod> = stage.pods(namespace);
        let list = pods.list(&ListParams::default()).await;
        let list = list.map(|list| list.items).unwrap_or_default();
        if list.is_empty() {
            timeline.quote(&format!("no pod of the agent runs in {namespace}"));
        }
        for pod in list {
            let name = pod.name_any();
            let phase = pod.status.and_then(|status| status.phase);
            timeline.quote(&format!("agent {name}: {}", phase.unwrap_or_default()));
            let tail = LogParams {
                tail_lines: Some(5),
                ..LogParams::default()
            };
            let log = pods.logs(&name, &tail).await;
            timeline.quote(&log.unwrap_or_else(|error| format!("no log: {error}")));
        }
    }
}
