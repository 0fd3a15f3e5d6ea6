//! The first check that fails is the refusal, in the order of the reasons.

use std::sync::Arc;

use pod_quarantine_core::{
    keys,
    ledger::{PacingRecord, Pause, Storm},
    object::{ControllerKind, DisruptionBudget, PodSelectingObject},
    policy::{MaxPods, MinPods, Mode},
    reason::{Reason, Refusal},
    scope::Scope,
    write::Act,
};

use crate::{
    outcome::{refusals, the_quarantine},
    world::{World, budget, reference, selector, workload_id},
};

/// A world with one unhealthy pod that nothing protects.
pub(crate) fn with_unhealthy_pod() -> World {
    let mut world = World::with_web();
    world.unhealthy("web-0");
    world
}

/// Makes a world refuse for that reason, unless an earlier check fails. Of reasons that exclude each other, one.
fn broken_for(reason: Reason, world: &mut World) {
    let workload = workload_id("web");
    match reason {
        Reason::Off => world.namespace_mode("off"),
        Reason::Paused => {
            world.ledger().memory.pause = Some(Pause {
                reason: "we move".into(),
                since: None,
            });
        }
        Reason::Exempt => world.annotate("web-0", keys::EXEMPT, "true"),
        Reason::Settling => world.annotate("web-0", keys::RELEASED, "{}"),
        Reason::NeverSeenGood => world.findings[0].contrast = false,
        Reason::StaleView => world.view.stale = Some("the pods were not read yet".into()),
        Reason::AdmissionDenied | Reason::Mutated => {
            let uid = world.pod("web-0").uid.clone();
            let moment = world.now.moment;
            world
                .state
                .record_denial(&uid, Act::Quarantine, Refusal::new(reason, ""), moment);
        }
        Reason::LedgerUnavailable => world.ledger().rebuilt = Some(world.now.wall),
        Reason::OwnerKind => world.annotate("web-0", keys::MIRROR, "hash"),
        Reason::Storm => {
            let storm = Storm {
                scope: Scope::Cluster,
                name: "cluster".into(),
                since: world.now.wall,
            };
            let storms = &mut world.ledger().memory.storms;
            storms.insert(Scope::Cluster, storm);
        }
        Reason::Rollout => {
            world.file.limits.pacing.during_rollout = false;
            let kind = ControllerKind::Deployment;
            world.set_controller(kind, "web", |deployment| deployment.rolling = true);
        }
        Reason::RetriesExhausted => {
            let record = PacingRecord {
                workload: "shop/Deployment web".into(),
                replica_set: reference("ReplicaSet", "web-rs").uid,
                since: world.now.wall,
                last: world.now.wall,
                retries: 100,
                reset: None,
            };
            world.ledger().memory.pacing.insert(workload, record);
        }
        Reason::Pacing => world.ledger().slots.values_mut().for_each(|slot| {
            slot.replaced = None;
        }),
        Reason::WorkloadLimit => {
            world.file.limits.workload.max = MaxPods::Percent(1);
            let mut other = the_quarantine(&with_unhealthy_pod().planned()).slot.clone();
            other.uid = "another".into();
            other.replaced = Some(world.now.wall);
            assert!(world.ledger().take(other));
        }
        Reason::NamespaceLimit => world.file.limits.namespace.max = 0,
        Reason::ClusterLimit => world.file.limits.cluster.max = 0,
        Reason::HourlyLimit => world.file.limits.cluster.per_hour = 0,
        Reason::NothingToLeave | Reason::NetworkPolicy | Reason::NoWayOut => {
            let keys = [Arc::from("app"), Arc::from("pod-template-hash")];
            world.policy(|policy| policy.keep_labels = keys.into());
            world.findings[0].policy = world.file.policies[0].clone();
        }
        Reason::MinReady => world.file.limits.workload.min_ready = MinPods::Count(4),
        Reason::DisruptionBudget => {
            let none = DisruptionBudget {
                status: None,
                ..budget("web", selector(&[("app", "web")]))
            };
            world
                .view
                .put_selecting(PodSelectingObject::PodDisruptionBudget(none));
        }
        Reason::LastEndpoint => {
            world.change("web-0", |pod| {
                pod.labels.insert("role".into(), "leader".into());
            });
            world.service("leader", &[("role", "leader")]);
        }
        Reason::ExclusiveResource => world.needs.claims = Err("not readable".into()),
        Reason::QuotaExhausted => world.needs.quotas = Err("not readable".into()),
        Reason::Observe => {
            world.policy(|policy| policy.mode = Mode::Observe);
            world.findings[0].policy = world.file.policies[0].clone();
        }
    }
}

#[test]
fn the_first_check_that_fails_in_the_order_of_the_reasons_is_the_refusal() {
    let mut world = with_unhealthy_pod();
    for reason in Reason::ALL.iter().rev().copied() {
        broken_for(reason, &mut world);
        let expected = match reason {
            Reason::NothingToLeave | Reason::NetworkPolicy => Reason::NoWayOut,
            other => other,
        };
        let before = world.state.clone();
        let planned = world.planned();
        assert_eq!(refusals(&planned), [("web-0", expected)], "{planned:#?}");
        world.state = before;
    }
}
