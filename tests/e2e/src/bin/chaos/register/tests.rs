//! Events as a watch of the API server brought them, cut to what the contract is about.

use serde_json::{Value, json};

use super::*;

const LIMITS: Limits = Limits {
    cluster: 3,
    namespace: 2,
    workload: 1,
};

fn pod(name: &str, version: u64) -> Value {
    let (namespace, workload) = name.split_once('/').unwrap();
    let workload = workload.split_once('-').unwrap().0;
    json!({
        "namespace": namespace,
        "name": name,
        "uid": name,
        "resourceVersion": version.to_string(),
        "labels": { "app": workload, "enabled": "true" },
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": workload, "uid": workload, "controller": true,
        }],
    })
}

fn quarantined(name: &str, version: u64) -> Value {
    let mut pod = pod(name, version);
    pod["labels"]["enabled"] = "false".into();
    pod["labels"][STATE] = "quarantined".into();
    pod["annotations"][RECORD] = "{}".into();
    pod
}

fn meta(object: Value) -> ObjectMeta {
    serde_json::from_value(object).unwrap()
}

/// A register that was given these objects in this order.
fn register_of(objects: impl IntoIterator<Item = Value>) -> Register {
    let mut register = Register::new(LIMITS);
    for object in objects {
        register.is(&meta(object));
    }
    register
}

fn over(register: &Register) -> Vec<String> {
    let all = register.findings().iter();
    let over = all.filter_map(|finding| match &finding.wrong {
        Wrong::OverTheCap(scopes) => Some(format!("{} {}", finding.pod, scopes.join(", "))),
        Wrong::LabelsLost(_) | Wrong::Unknown => None,
    });
    over.collect()
}

#[test]
fn a_quarantine_that_begins_at_a_limit_is_over_the_cap() {
    let within = ["a/web-1", "a/api-1", "b/web-1"];
    let mut register = register_of(within.map(|name| quarantined(name, 1)));
    assert_eq!(over(&register), [""; 0]);
    register.is(&meta(quarantined("c/web-1", 2)));
    assert_eq!(over(&register), ["c/c/web-1 cluster: 3 of at most 3"]);
    assert_eq!(register.took().most_of_cluster, 4);
    assert_eq!(register.findings().last().unwrap().quarantined.len(), 3);

    let register = register_of(["a/web-1", "a/web-2"].map(|name| quarantined(name, 1)));
    assert_eq!(over(&register), ["a/a/web-2 workload: 1 of at most 1"]);
    let register = register_of(["a/web-1", "a/api-1", "a/db-1"].map(|name| quarantined(name, 1)));
    assert_eq!(over(&register), ["a/a/db-1 namespace: 2 of at most 2"]);
}

#[test]
fn a_workload_of_the_same_name_in_another_namespace_is_another_workload() {
    let register = register_of(["a/web-1", "b/web-1"].map(|name| quarantined(name, 1)));
    assert_eq!(over(&register), [""; 0]);
}

#[test]
fn a_pod_is_counted_once_and_until_both_marks_are_gone() {
    let mut register = register_of([quarantined("a/web-1", 1), quarantined("a/web-1", 2)]);
    assert_eq!(register.took().quarantines, 1);
    // Its controller no longer owns it, and someone removed the label.
    let mut record_alone = quarantined("a/web-1", 3);
    record_alone["ownerReferences"] = json!([]);
    record_alone["labels"] = json!({});
    register.is(&meta(record_alone));
    register.is(&meta(quarantined("a/web-2", 4)));
    assert_eq!(over(&register), ["a/a/web-2 workload: 1 of at most 1"]);
}

#[test]
fn released_deleted_and_terminating_pods_make_room() {
    let mut register = register_of([
        quarantined("a/web-1", 1),
        pod("a/web-1", 2),
        quarantined("a/web-2", 3),
    ]);
    let mut terminating = quarantined("a/web-2", 4);
    terminating["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    register.is(&meta(terminating.clone()));
    register.is(&meta(quarantined("a/web-3", 5)));
    register.is_gone(&meta(terminating));
    register.is_deleted_by_people("a/web-3");
    register.is_gone(&meta(quarantined("a/web-3", 6)));
    register.is(&meta(quarantined("a/web-4", 7)));
    assert_eq!(over(&register), [""; 0]);
    let took = register.took();
    let ends = (took.releases, took.reaps, took.deleted_by_people);
    assert_eq!((took.quarantines, ends), (4, (1, 1, 1)));
    assert_eq!(register.quarantined(), 1);
}

#[test]
fn a_label_that_does_not_come_back_is_lost_once() {
    let mut released = pod("a/web-1", 3);
    released["labels"] = json!({ "app": "web", "enabled": "false" });
    let mut later = released.clone();
    later["resourceVersion"] = "4".into();
    let register = register_of([
        pod("a/web-1", 1),
        quarantined("a/web-1", 2),
        released,
        later,
    ]);
    assert_eq!(register.labels_lost(), 1);
    let finding = &register.findings()[0];
    assert_eq!(finding.version, 3);
    assert!(
        finding
            .to_string()
            .ends_with("labels lost: enabled was true, is false"),
        "{finding}"
    );
}

#[test]
fn a_label_that_stays_on_a_released_pod_is_a_difference_too() {
    let mut released = pod("a/web-1", 3);
    released["labels"]["pod-quarantine.io/workload"] = "web".into();
    let register = register_of([pod("a/web-1", 1), quarantined("a/web-1", 2), released]);
    assert_eq!(register.labels_lost(), 1);
}

#[test]
fn a_label_that_a_person_changed_is_not_compared() {
    let mut register = register_of([pod("a/web-1", 1), quarantined("a/web-1", 2)]);
    register.label_is_changed_by_people("a/web-1", "enabled");
    let mut released = pod("a/web-1", 3);
    released["labels"]["enabled"] = "later".into();
    register.is(&meta(released));
    assert_eq!(register.labels_lost(), 0);
}

#[test]
fn a_list_stands_for_the_events_that_were_not_seen() {
    let mut register = register_of([quarantined("a/web-1", 1), quarantined("b/web-1", 2)]);
    // The first one is gone, and made room.
    register.are(
        &[
            quarantined("a/web-2", 5),
            quarantined("b/web-1", 2),
            quarantined("b/web-2", 4),
        ]
        .map(meta),
    );
    assert_eq!(over(&register), ["b/b/web-2 workload: 1 of at most 1"]);
    assert_eq!(register.took().reaps, 1);
    assert_eq!(register.quarantined(), 3);
}
