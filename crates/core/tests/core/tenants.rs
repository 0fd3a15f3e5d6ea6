//! What a tenant, who may write anything onto the pods of its own namespace, can do to the others: nothing.

use std::time::Duration;

use pod_quarantine_core::{
    judge::{Answer, Judge, Sample},
    keys,
    object::{ControllerKind, ObjectKey, Pod},
    policy::{MaxPods, MinPods, Mode},
    reason::Reason,
    text::Fingerprint,
    workload::WorkloadId,
};
use serde_json::json;
use test_objects::namespace;

use crate::{
    outcome::{quarantines, refusals, the_quarantine},
    world::{SHOP, START, World, labels, pod, reference, workload_id},
};

/// The tenant's namespace.
const EVIL: &str = "evil";

fn with_tenant() -> World {
    let mut world = World::with_web();
    world.view.put_namespace(namespace(EVIL));
    world
}

/// A pod of the tenant.
fn of_tenant(name: &str) -> Pod {
    let mut pod = pod(name);
    pod.key = ObjectKey::new(EVIL, name);
    pod
}

/// A record as a tenant writes it onto its own pod.
fn forged(pod: &Pod, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut record = json!({
        "version": 1, "uid": &*pod.uid, "agent": "pod-quarantine/default", "policy": "answers", "reason": "x",
        "evidence": [], "at": START, "expires": "2030-02-28T00:00:00Z",
        "labels": {}, "edits": {}, "annotations": {},
        "owner": {"kind": "ReplicaSet", "name": "x", "uid": "x"},
        "workload": {"kind": "Deployment", "name": "x", "uid": "x"},
        "detach": "workload", "restarts": 0, "services": [],
    });
    change(&mut record);
    record.to_string()
}

pub(crate) fn forge(world: &mut World, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let mut pod = of_tenant(name);
    let text = forged(&pod, change);
    pod.annotations.insert(keys::RECORD.into(), text.into());
    assert!(
        pod.record().claimed().is_some() || text_is_long(&pod),
        "{:?}",
        pod.record()
    );
    world.put(pod);
}

fn text_is_long(pod: &Pod) -> bool {
    pod.annotation(keys::RECORD).unwrap().len() > 8192
}

#[test]
fn a_forged_record_does_not_fill_the_limit_of_another_workload() {
    let mut world = with_tenant();
    world.file.limits.workload.max = MaxPods::Percent(10);
    forge(&mut world, "e0", |record| {
        record["workload"]["uid"] = json!(workload_id("web").as_str());
    });
    world.unhealthy("web-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn forged_records_make_no_storm() {
    let mut world = with_tenant();
    world.with_verdict.insert(workload_id("web"), 4);
    world.file.limits.storm.workload = 50;
    for name in ["e0", "e1", "e2"] {
        forge(&mut world, name, |record| {
            record["at"] = json!("2099-01-01T00:00:00Z");
            record["workload"]["uid"] = json!(workload_id("web").as_str());
        });
    }
    world.pass(Duration::from_hours(24 * 365));
    world.unhealthy("web-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn forged_records_write_nothing_into_the_ledger() {
    let mut world = with_tenant();
    for index in 0..5 {
        forge(&mut world, &format!("e{index}"), |record| {
            record["policy"] = json!("p".repeat(5000));
        });
        forge(&mut world, &format!("long{index}"), |record| {
            record["policy"] = json!("p".repeat(250_000));
        });
    }
    assert_eq!(crate::outcome::writes(&world.tick()), []);
}

#[test]
fn a_forged_record_gives_no_right_to_a_slot() {
    let mut world = with_tenant();
    world.file.limits.cluster.max = 1;
    world.file.limits.cluster.per_hour = 1;
    world.quarantine("web-0");
    world.change("web-1", |pod| {
        let text = forged(pod, |_| {});
        pod.annotations.insert(keys::RECORD.into(), text.into());
    });
    world.tick();
    // The record goes and the command comes, in one patch.
    world.change("web-1", |pod| {
        pod.annotations.remove(keys::RECORD);
        pod.annotations.insert(keys::QUARANTINE.into(), "x".into());
    });
    assert_eq!(
        refusals(&world.planned()),
        [("web-1", Reason::ClusterLimit)]
    );
}

#[test]
fn pods_of_another_namespace_do_not_count_as_ready_ones() {
    let mut world = with_tenant();
    world.file.limits.workload.min_ready = MinPods::Count(4);
    world.unhealthy("web-0");
    assert_eq!(refusals(&world.planned()), [("web-0", Reason::MinReady)]);
    let owner = world.pod("web-0").owner.clone();
    for index in 0..2 {
        let mut pod = of_tenant(&format!("e{index}"));
        pod.owner = owner.clone();
        world.put(pod);
    }
    assert_eq!(quarantines(&world.planned()).len(), 0);
}

#[test]
fn a_pod_that_claims_the_workload_of_another_namespace_is_not_of_it() {
    let mut world = with_tenant();
    let mut pod = of_tenant("e0");
    for (kind, name) in [
        ("Deployment", "web"),
        ("Foo", "web"),
        ("ReplicaSet", "web-rs"),
    ] {
        let owner = reference(kind, name);
        pod.owner = Some(owner.clone());
        world.put(pod.clone());
        let of_tenant = world.view.workload_id(world.view.pod(&pod.key).unwrap());
        let of_web = world.view.workload_id(world.pod("web-0"));
        assert_eq!(of_web, workload_id("web"));
        assert_ne!(of_tenant, of_web);
        assert_eq!(of_tenant, WorkloadId::named(EVIL, &owner));
    }
}

/// A wrong port: every pod of `web` is bad from the first sample, and the pod of the tenant is good.
#[test]
fn a_pod_of_another_namespace_lends_no_contrast() {
    let mut world = with_tenant();
    let mut pod = of_tenant("e0");
    pod.owner = Some(reference("Deployment", "web"));
    world.put(pod);
    let mut judge = Judge::default();
    judge.set_policies(&world.file, Duration::ZERO);
    let pods: Vec<Pod> = world.view.pods().cloned().collect();
    for pod in &pods {
        judge.watch("answers", &pod.uid, &pod.key, &world.view.scopes_of(pod));
    }
    for _ in 0..4 {
        world.pass(Duration::from_secs(10));
        for pod in &pods {
            let answer = if &*pod.key.namespace == SHOP {
                Answer::Bad
            } else {
                Answer::Good
            };
            judge.record(&Sample {
                policy: "answers".into(),
                pod: pod.uid.clone(),
                run: None,
                at: world.now,
                asked: world.now.moment,
                answer,
                unreached: false,
                saw: "x".into(),
            });
        }
    }
    let findings = judge.findings(world.now.moment).pods;
    assert_eq!(findings.len(), 4);
    assert!(findings.iter().all(|finding| !finding.contrast));
}

#[test]
fn one_namespace_does_not_use_up_the_limit_of_the_cluster_by_a_label_in_a_template() {
    let mut world = with_tenant();
    world.file.limits.namespace.max = 5;
    for index in 0..10 {
        let mut pod = of_tenant(&format!("e{index}"));
        pod.labels = labels(&[(keys::STATE, "x")]);
        world.put(pod);
    }
    world.unhealthy("web-0");
    assert_eq!(quarantines(&world.planned()).len(), 1);
}

#[test]
fn every_entry_of_the_ledger_has_a_key_that_a_config_map_takes() {
    let is_key = |key: &String| {
        key.len() <= 253
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    for uid in ["a b", "", "cluster", "pause", "ü", &"x".repeat(1000)] {
        let mut world = World::with_web();
        world.file.limits.storm.workload = 20;
        world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
            let mut owner = reference("Rollout", "x");
            owner.uid = uid.into();
            set.owner = Some(owner);
        });
        world.unhealthy("web-0");
        let quarantine = the_quarantine(&world.planned()).clone();
        world.carry_out(&quarantine);
        world.unhealthy("web-1");
        for write in crate::outcome::writes(&world.tick()) {
            if let pod_quarantine_core::write::Write::Note(note) = write {
                assert!(world.ledger().note(&note));
            }
        }
        let entries = world.ledger().entries();
        assert!(
            entries.len() >= 4,
            "slot, pacing, hour and storm: {entries:?}"
        );
        assert!(entries.keys().all(is_key), "{:?}", entries.keys());
    }
}

#[test]
fn a_reset_annotation_of_any_length_takes_little_room_in_the_ledger() {
    let mut world = World::with_web();
    world.set_controller(ControllerKind::Deployment, "web", |web| {
        web.reset = Some(Fingerprint::of(&"r".repeat(250_000)));
    });
    world.quarantine("web-0");
    let entries = world.ledger().entries();
    let bytes: usize = entries
        .iter()
        .map(|(key, text)| key.len() + text.len())
        .sum();
    assert!(bytes < 2000, "{bytes}");
}

#[test]
fn a_forged_record_makes_the_agent_ask_for_nothing() {
    for mode in [Mode::Observe, Mode::Enforce] {
        let mut world = with_tenant();
        world.file.mode = mode;
        world.policy(|policy| policy.mode = mode);
        forge(&mut world, "e0", |record| {
            record["services"] = json!(vec!["$"; 1000]);
        });
        forge(&mut world, "long", |record| {
            record["services"] = json!(vec!["$"; 60_000]);
        });
        assert_eq!(crate::outcome::lookups(&world.tick()), []);
    }
}

/// A control character takes six bytes of JSON.
#[test]
fn the_text_of_a_custom_parent_does_not_reach_the_ledger() {
    let mut world = World::with_web();
    let text = "\u{1}".repeat(253);
    world.set_controller(ControllerKind::ReplicaSet, "web-rs", |set| {
        set.owner = Some(reference(&text, &text));
    });
    world.unhealthy("web-0");
    let quarantine = the_quarantine(&world.planned()).clone();
    world.carry_out(&quarantine);
    let pacing: Vec<_> = world.ledger().memory.pacing.values().collect();
    assert_eq!(&*pacing[0].workload, "shop/ReplicaSet web-rs");
}
