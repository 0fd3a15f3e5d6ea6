//! The cluster that the model begins with: three pods, each of a ReplicaSet of its own and behind one Service, all of
//! them bad; an empty ledger; two agents that have seen nothing yet. The last pod has a namespace to itself, the others are
//! a tenant's.

use std::num::NonZeroU32;

use pod_quarantine_core::{
    judge::{Finding, Verdict},
    ledger::Ledger,
    object::{
        Controller, ControllerKind, ObjectKey, Pod, PodSelectingObject, Reference, ResourceVersion,
        Uid,
    },
    policy::{
        ClusterLimits, Limits, MaxPods, Mode, NamespaceLimits, PolicyFile, StormLimits,
        WorkloadLimits,
    },
    time::Now,
    view::View,
};
use test_objects::{at, controller, enforcing_policy, labels, namespace, selector, service};

/// How many pods there are.
pub(crate) const PODS: usize = 3;
/// When the model begins.
pub(crate) const START: &str = "2030-01-31T12:00:00Z";
/// The label that the pods' selectors ask for, and that a quarantine edits.
pub(crate) const APP: &str = "app";

const SHOP: &str = "shop";
const TENANT: &str = "tenant";
const OWN: &str = "pod-quarantine";
/// The installation, as records name it.
pub(crate) const AGENT: &str = "pod-quarantine/default";
pub(crate) const POLICY: &str = "answers";

/// The policy file: at most `limit` pods, of a namespace at most so many, and nothing else in the way.
pub(crate) fn policy_file(limit: u32, of_namespace: u32) -> PolicyFile {
    let policy = enforcing_policy(POLICY, selector(&[("tier", "web")]));
    PolicyFile {
        mode: Mode::Enforce,
        keep_node: false,
        limits: Limits {
            cluster: ClusterLimits {
                max: limit,
                per_hour: 10_000,
            },
            namespace: NamespaceLimits { max: of_namespace },
            workload: WorkloadLimits {
                max: MaxPods::Count(NonZeroU32::MIN),
                ..WorkloadLimits::default()
            },
            storm: StormLimits {
                workload: 100,
                cluster: 100,
                ..StormLimits::default()
            },
            ..Limits::default()
        },
        ..PolicyFile::new(vec![policy.into()])
    }
}

fn name(index: usize) -> String {
    format!("p{index}")
}

pub(crate) fn key(index: usize) -> ObjectKey {
    let namespace = if is_of_tenant(index) { TENANT } else { SHOP };
    ObjectKey::new(namespace, name(index))
}

/// The pod that hostile people write: the one that agents choose first.
pub(crate) const HOSTILE: usize = 0;
/// The pod of another namespace.
pub(crate) const FOREIGN: usize = PODS - 1;

/// Whether a pod is in the namespace of hostile people.
pub(crate) fn is_of_tenant(index: usize) -> bool {
    index != FOREIGN
}

/// Which pod has that name.
pub(crate) fn index_of(key: &ObjectKey) -> usize {
    let index = key
        .name
        .strip_prefix('p')
        .and_then(|text| text.parse().ok());
    index.expect("one of the pods")
}

pub(crate) fn owner(index: usize) -> Reference {
    Reference {
        kind: ControllerKind::ReplicaSet.as_str().into(),
        name: name(index).into(),
        uid: format!("uid-of-set-{}", name(index)).into(),
    }
}

/// A pod as it is at first. It is not Ready: so it costs nothing to take it out.
pub(crate) fn pod(index: usize) -> Pod {
    let app = name(index);
    Pod {
        labels: labels(&[(APP, &app), ("tier", "web")]),
        owner: Some(owner(index)),
        ready: false,
        ..test_objects::pod(key(index), format!("uid-of-{app}").into())
    }
}

/// The Lease's version: nobody sees anything of it that is older than what was seen before.
pub(crate) fn lease() -> ResourceVersion {
    ResourceVersion::new(1)
}

/// An empty ledger, made at that version.
pub(crate) fn ledger(version: u64) -> Ledger {
    let mut ledger = Ledger::read(ResourceVersion::new(version), []);
    ledger.uid = uid_of_ledger(version);
    ledger
}

/// The uid of the ledger that was made at that version.
pub(crate) fn uid_of_ledger(version: u64) -> Uid {
    format!("ledger-made-at-{version}").into()
}

/// At which version the ledger of that uid was made.
pub(crate) fn made_at(uid: &str) -> u64 {
    let version = uid.strip_prefix("ledger-made-at-");
    let version = version.and_then(|version| version.parse().ok());
    version.expect("a ledger of the model")
}

/// What every agent knows all the time: all but the pods and the ledger.
pub(crate) fn view() -> View {
    let mut view = View::new(OWN);
    view.put_namespace(namespace(SHOP));
    view.put_namespace(namespace(TENANT));
    for index in 0..PODS {
        let key = key(index);
        let service = service(key.clone(), selector(&[(APP, &name(index))]));
        view.put_controller(replica_set(key, index));
        view.put_selecting(PodSelectingObject::Service(service));
    }
    view
}

/// The ReplicaSet of a pod, at that key.
pub(crate) fn replica_set(key: ObjectKey, index: usize) -> Controller {
    let selector = selector(&[(APP, &name(index))]);
    controller(
        ControllerKind::ReplicaSet,
        key,
        owner(index).uid,
        1,
        selector,
    )
}

/// The finding about an unhealthy pod.
pub(crate) fn finding(file: &PolicyFile, view: &View, pod: &Pod) -> Finding {
    Finding {
        policy: file.policies[0].clone(),
        verdict: Verdict::Unhealthy,
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        scopes: view.scopes_of(pod),
        since: std::time::Duration::ZERO,
        asked: std::time::Duration::ZERO,
        contrast: true,
        counts_as_bad: true,
        unreached_since: None,
        reason: "HTTP 500".into(),
        evidence: [].into(),
        then: std::collections::HashMap::new(),
        then_is_known: true,
    }
}

/// So many seconds after the start, on both clocks.
pub(crate) fn now(seconds: u32) -> Now {
    let since = std::time::Duration::from_secs(seconds.into());
    Now {
        wall: at(START).checked_add(since).expect("no end of time"),
        moment: std::time::Duration::from_hours(1) + since,
    }
}
