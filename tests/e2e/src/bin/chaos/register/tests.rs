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
        _ => None,
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
        asked(quarantined("a/web-1", 2), RELEASE),
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

/// A pod of a Deployment that no signal watches.
fn quiet(namespace: &str, version: u64) -> Value {
    pod(&format!("{namespace}/quiet-1"), version)
}

fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    *pod.pointer_mut(pointer).unwrap() = value;
    pod
}

fn asked(mut pod: Value, key: &str) -> Value {
    pod["annotations"][key] = "x".into();
    pod
}

/// As the agent, or a tenant, has written it.
fn quarantined_by(manager: &str, mut pod: Value) -> Value {
    pod["labels"][STATE] = "quarantined".into();
    pod["annotations"][RECORD] = json!({ "version": 1, "uid": pod["uid"] })
        .to_string()
        .into();
    let fields = json!({ "f:metadata": { "f:annotations": { format!("f:{RECORD}"): {} } } });
    pod["managedFields"] =
        json!([{ "manager": manager, "operation": "Update", "fieldsV1": fields }]);
    pod
}

#[test]
fn a_quarantine_that_nobody_asked_for_touches_its_namespace() {
    let asked_for = [
        asked(quiet("a", 1), QUARANTINE),
        quarantined_by("unknown", quiet("a", 2)),
    ];
    assert_eq!(register_of(asked_for).foreign_touched(), 0);
    let register = register_of([quiet("a", 1), quarantined_by("unknown", quiet("a", 2))]);
    assert_eq!(register.foreign_touched(), 1);
    // What a signal watches may be found by it.
    let register = register_of([pod("a/web-1", 1), quarantined("a/web-1", 2)]);
    assert_eq!(register.foreign_touched(), 0);
}

#[test]
fn a_release_that_nobody_asked_for_touches_its_namespace() {
    let out = quarantined("a/web-1", 2);
    let register = register_of([
        pod("a/web-1", 1),
        asked(out.clone(), RELEASE),
        pod("a/web-1", 3),
    ]);
    assert_eq!(register.foreign_touched(), 0);
    let register = register_of([pod("a/web-1", 1), out, pod("a/web-1", 3)]);
    assert_eq!(register.foreign_touched(), 1);
}

#[test]
fn the_deletion_of_a_pod_that_nobody_owns_and_that_is_not_quarantined_touches_its_namespace() {
    let deleted = |name: &str, explain: fn(&mut Register)| {
        let alone = with(pod(name, 1), "/ownerReferences", json!([]));
        let mut register = register_of([alone.clone()]);
        let seen = register.pods.get_mut(name).unwrap();
        seen.unowned = seen.unowned.and_then(|since| since.checked_sub(LET_GO * 2));
        explain(&mut register);
        register.is_gone(&meta(alone));
        register.findings().len()
    };
    assert_eq!(deleted("a/web-1", |_| {}), 1);
    assert_eq!(deleted("tenant-a/web-1", |_| {}), 1);
    assert_eq!(
        deleted("a/web-1", |register| register
            .is_deleted_by_people("a/web-1")),
        0
    );
    let name = "tenant-a/web-1";
    assert_eq!(
        deleted(name, |register| register
            .is_own_doing("tenant-a/web-1", Doing::Owner)),
        0
    );
    let its_controller = register_of([pod("a/web-1", 1)]);
    assert_eq!(its_controller.findings().len(), 0);
}

#[test]
fn the_deletion_of_a_tenants_pod_is_wrong_unless_it_carries_the_record_that_the_agent_wrote() {
    let name = "tenant-a/web-1";
    let out = with(
        quarantined_by("unknown", pod(name, 2)),
        "/ownerReferences",
        json!([]),
    );
    let mut taken_off = out.clone();
    taken_off["annotations"] = json!({});
    taken_off["managedFields"] = json!([]);
    let mut all_taken_off = taken_off.clone();
    all_taken_off["labels"] = pod(name, 2)["labels"].clone();
    let written_back = quarantined_by(TENANT, out.clone());
    let mut forged = written_back.clone();
    forged["annotations"][RECORD] = "{}".into();
    for (versions, findings) in [
        (vec![out.clone()], 0),
        (
            vec![out.clone(), taken_off.clone(), written_back.clone()],
            0,
        ),
        (
            vec![out.clone(), all_taken_off.clone(), written_back.clone()],
            0,
        ),
        (vec![out.clone(), forged], 1),
        (vec![out.clone(), all_taken_off], 1),
        (vec![out, taken_off], 1),
        (vec![written_back], 1),
    ] {
        let mut register = register_of([pod(name, 1)]);
        for version in &versions {
            register.is(&meta(version.clone()));
        }
        let seen = register.pods.get_mut(name).unwrap();
        seen.unowned = seen.unowned.and_then(|since| since.checked_sub(LET_GO * 2));
        register.is_gone(&meta(versions.last().unwrap().clone()));
        assert_eq!(register.findings().len(), findings, "{versions:#?}");
    }
}

#[test]
fn what_a_tenant_writes_onto_its_pods_is_no_quarantine_and_what_the_agent_writes_there_is() {
    let begun = |manager: &str| {
        let pods = [1, 2, 3, 4].map(|index| format!("tenant-a/web-{index}"));
        let mut register = register_of(pods.each_ref().map(|name| pod(name, 1)));
        for name in pods {
            register.is(&meta(quarantined_by(manager, pod(&name, 2))));
        }
        let took = register.took();
        (took.quarantines, took.forged, over(&register).len())
    };
    assert_eq!(begun(TENANT), (0, 4, 0));
    assert_eq!(begun("unknown"), (4, 0, 3));
}

#[test]
fn a_record_of_another_pod_is_none_and_one_that_cannot_be_read_is() {
    let counted = |record: &str| {
        let mut pod = pod("tenant-a/web-1", 1);
        pod["annotations"][RECORD] = record.into();
        register_of([pod]).pods()["tenant-a/web-1"].is_counted()
    };
    assert!(!counted(r#"{"version":1,"uid":"tenant-a/web-2"}"#));
    assert!(counted(r#"{"version":1,"uid":"tenant-a/web-1"}"#));
    assert!(counted(r#"{"version":1,"uid":7}"#));
    assert!(counted("{"));
}

#[test]
fn the_labels_of_a_pod_whose_record_a_tenant_wrote_are_its_own_doing() {
    for (changed, lost) in [(false, 1), (true, 0)] {
        let mut register = register_of([pod("tenant-a/web-1", 1)]);
        if changed {
            register.is_own_doing("tenant-a/web-1", Doing::Record);
        }
        register.is(&meta(with(
            pod("tenant-a/web-1", 2),
            "/labels/enabled",
            json!("false"),
        )));
        assert_eq!(register.labels_lost(), lost);
    }
}
