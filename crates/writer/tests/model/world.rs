//! The cluster that the model begins with: three pods, each of a ReplicaSet of its own and behind one Service, all of
//! them bad; an empty ledger; two agents that have seen nothing yet.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use jiff::Timestamp;
use pod_quarantine_core::{
    judge::{Finding, Verdict},
    ledger::Ledger,
    needs::Needs,
    object::{
        Controller, ControllerKind, Namespace, ObjectKey, Phase, Pod, PodSelectingObject,
        Reference, ResourceVersion, Service, Uid,
    },
    placement::Placement,
    policy::{
        ClusterLimits, HttpProbe, Limits, MaxPods, Mode, NamespaceLimits, Policy, PolicyFile, Port,
        Signal, StormLimits, WorkloadLimits,
    },
    quota::Taken,
    selector::{Labels, Selector},
    time::Now,
    view::View,
};

/// How many pods there are.
pub(crate) const PODS: usize = 3;
/// When the model begins.
pub(crate) const START: &str = "2030-01-31T12:00:00Z";
/// The label that the pods' selectors ask for, and that a quarantine edits.
pub(crate) const APP: &str = "app";

const SHOP: &str = "shop";
const OWN: &str = "pod-quarantine";

/// The policy file: at most `limit` pods, and nothing else in the way.
pub(crate) fn policy_file(limit: u32) -> PolicyFile {
    let web = Selector::from_labels(&labels(&[("tier", "web")]));
    let probe = Signal::Probe(HttpProbe::new(Port::Number(80)));
    let policy = Policy {
        mode: Mode::Enforce,
        ttl: Duration::from_hours(4),
        ..Policy::new("answers", web, probe)
    };
    PolicyFile {
        mode: Mode::Enforce,
        keep_node: false,
        limits: Limits {
            cluster: ClusterLimits {
                max: limit,
                per_hour: 10_000,
            },
            namespace: NamespaceLimits { max: 5 },
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

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pair = |(key, value): &(&str, &str)| (Arc::from(*key), Arc::from(*value));
    pairs.iter().map(pair).collect()
}

fn name(index: usize) -> String {
    format!("p{index}")
}

pub(crate) fn key(index: usize) -> ObjectKey {
    ObjectKey::new(SHOP, name(index))
}

/// Which pod has that name.
pub(crate) fn index_of(key: &ObjectKey) -> usize {
    let index = key
        .name
        .strip_prefix('p')
        .and_then(|text| text.parse().ok());
    index.expect("one of the pods")
}

fn owner(index: usize) -> Reference {
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
        key: key(index),
        uid: format!("uid-of-{app}").into(),
        resource_version: ResourceVersion::new(1),
        labels: labels(&[(APP, &app), ("tier", "web")]),
        annotations: BTreeMap::new(),
        owner: Some(owner(index)),
        created: None,
        started: None,
        restarts: 0,
        node: None,
        host_ports: Vec::new(),
        host_network: false,
        phase: Phase::Running,
        ready: false,
        terminating: false,
        address: None,
        ports: Vec::new(),
        spread_over: Vec::new(),
        repels: Vec::new(),
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
    view.put_namespace(Namespace {
        name: SHOP.into(),
        labels: Labels::new(),
        mode: None,
        terminating: false,
    });
    for index in 0..PODS {
        let app = name(index);
        let selector = Selector::from_labels(&labels(&[(APP, &app)]));
        view.put_controller(Controller {
            kind: ControllerKind::ReplicaSet,
            key: key(index),
            uid: owner(index).uid,
            selector: selector.clone(),
            owner: None,
            desired: 1,
            revision: None,
            terminating: false,
            recreate: false,
            rolling: false,
            reset: None,
            template_commands: Vec::new(),
        });
        view.put_selecting(PodSelectingObject::Service(Service {
            key: key(index),
            selector: Some(selector),
            local: false,
        }));
    }
    view
}

/// What is found of a bad pod.
pub(crate) fn finding(file: &PolicyFile, pod: &Pod) -> Finding {
    Finding {
        policy: file.policies[0].clone(),
        verdict: Verdict::Unhealthy,
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        workload: pod.uid.clone(),
        since: std::time::Duration::ZERO,
        contrast: true,
        reason: "HTTP 500".into(),
        evidence: Vec::new(),
    }
}

/// No replacement lacks anything.
pub(crate) fn needs() -> Needs {
    Needs {
        claims: Ok(Vec::new()),
        quotas: Ok((Taken::default(), Vec::new())),
        nodes: Ok((Placement::default(), Vec::new())),
    }
}

/// So many seconds after the start, on both clocks.
pub(crate) fn now(seconds: u32) -> Now {
    let since = std::time::Duration::from_secs(seconds.into());
    let start: Timestamp = START.parse().expect("a time");
    Now {
        wall: start.checked_add(since).expect("no end of time"),
        moment: std::time::Duration::from_hours(1) + since,
    }
}
