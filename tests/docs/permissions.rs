//! `docs/permissions.md` has every permission of `deploy/base/rbac.yaml`, and no other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::page::{Page, file, page};

/// Group, resource and verb.
type Permission = (String, String, String);

fn granted(kind: &str) -> BTreeSet<Permission> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&file("deploy/base/rbac.yaml")).unwrap();
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    let role = of_kind.next().unwrap();
    assert!(of_kind.next().is_none(), "two of {kind}");
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut granted = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    granted.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    granted
}

fn listed(section: &Page) -> BTreeSet<Permission> {
    let mut listed = BTreeSet::new();
    for row in section.rows("group") {
        let group = row[0].replace("core", "");
        for resource in row[1].split(", ") {
            for verb in row[2].split(", ") {
                let new = (group.clone(), resource.to_owned(), verb.to_owned());
                assert!(listed.insert(new), "{row:?} is there twice");
            }
        }
        assert!(row[3].len() > 10, "{row:?} has no reason");
    }
    listed
}

#[test]
fn the_permissions_in_the_cluster_are_those_of_the_cluster_role() {
    let section = page("docs/permissions.md").section("## In the whole cluster");
    assert_eq!(listed(&section), granted("ClusterRole"));
}

#[test]
fn the_permissions_in_the_agents_namespace_are_those_of_the_role() {
    let section = page("docs/permissions.md").section("## In the agent's namespace");
    assert_eq!(listed(&section), granted("Role"));
}
