//! Whether the agent has exactly the rights that it uses: what its accounts have asked of the API server while all tests ran,
//! by the audit log, beside `deploy/base/rbac.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use test_cluster::Cluster;

/// The agent's rights.
const RBAC: &str = include_str!("../../../../deploy/base/rbac.yaml");

/// What the admission policy knows the agent by; nobody asks for it.
const BE: Right = ("pod-quarantine.io", "agents", "be");

/// A group, a resource with its subresource, and a verb.
type Right<'a> = (&'a str, &'a str, &'a str);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

/// Every request of an agent, and how often there was one like it: a group, a resource and a verb.
fn used(log: &str) -> BTreeMap<(String, String, String), usize> {
    let mut used = BTreeMap::new();
    for line in log.lines() {
        // The last line may be half written.
        let Ok(event) = serde_json::from_str::<Event>(line) else {
            continue;
        };
        let is_agent = event.user.username.ends_with(":pod-quarantine")
            && event.user_agent.starts_with("pod-quarantine/");
        if let Some(object) = event.object_ref.filter(|_| is_agent) {
            let mut resource = object.resource;
            if !object.subresource.is_empty() {
                resource = format!("{resource}/{}", object.subresource);
            }
            *used
                .entry((object.api_group, resource, event.verb))
                .or_default() += 1;
        }
    }
    used
}

fn main() -> anyhow::Result<()> {
    let cluster = Cluster::attach()?;
    let Some(log) = cluster.audit_log() else {
        println!("this cluster shows no audit log: the rights are not compared");
        return Ok(());
    };
    let log = std::fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
    let used = used(&log);
    let objects: Vec<Object> = serde_saphyr::from_multiple(RBAC)?;
    let mut granted = BTreeSet::new();
    for rule in objects.iter().flat_map(|object| &object.rules) {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                granted.extend(
                    rule.verbs
                        .iter()
                        .map(|verb| (&**group, &**resource, &**verb)),
                );
            }
        }
    }
    granted.remove(&BE);
    for ((group, resource, verb), count) in &used {
        println!("{count:>8} {verb} {resource} {group}");
    }
    let used: BTreeSet<Right<'_>> = used
        .keys()
        .map(|(group, resource, verb)| (&**group, &**resource, &**verb))
        .collect();
    let unused: Vec<_> = granted.difference(&used).collect();
    let lacking: Vec<_> = used.difference(&granted).collect();
    ensure!(unused.is_empty(), "granted, and never used: {unused:?}");
    ensure!(lacking.is_empty(), "used, and not granted: {lacking:?}");
    println!(
        "{} rights, each of them used, and no other one",
        granted.len()
    );
    Ok(())
}
