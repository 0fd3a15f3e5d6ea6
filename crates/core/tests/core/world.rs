//! A small cluster to decide about: built by a few calls, changed as the writer would change it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use pod_quarantine_core::{
    decide::{Doubt, State, decide},
    judge::{BadThen, Finding, Findings, Verdict, WasUnreached},
    ledger::{Ledger, LedgerView, Note, Slot},
    lookup::{Lookup, NeedsQuery},
    needs::{Needs, NeedsAt},
    object::{
        BudgetStatus, Controller, ControllerKind, DisruptionBudget, Namespace, NetworkPolicy,
        ObjectKey, Pod, PodSelectingKind, PodSelectingObject, Reference, ResourceVersion, Service,
        Uid,
    },
    policy::{
        ClusterLimits, HttpProbe, Limits, MaxPods, MinPods, Mode, NamespaceLimits, PacingLimits,
        Policy, PolicyFile, Signal, StormLimits, WorkloadLimits,
    },
    record::Evidence,
    scope::Scope,
    selector::Selector,
    text::Fingerprint,
    time::{Moment, Now},
    view::{LeaseView, View},
    workload::WorkloadId,
    write::{Change, PodVersion, Quarantine, Write},
};
use test_objects::{changed, enforcing_policy, namespace, no_needs};

pub(crate) use test_objects::{at, labels, selector};

use crate::outcome::{Planned, everything, the_quarantine};

/// The namespace that everything lives in unless a test says otherwise.
pub(crate) const SHOP: &str = "shop";
/// When a world begins.
pub(crate) const START: &str = "2030-01-31T12:00:00Z";

pub(crate) fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(number)
}

pub(crate) fn reference(kind: &str, name: &str) -> Reference {
    Reference {
        kind: kind.into(),
        name: name.into(),
        uid: uid_of(kind, name),
    }
}

fn uid_of(kind: &str, name: &str) -> Uid {
    format!("uid-of-{kind}-{name}").into()
}

/// What the pods of a Deployment are counted by.
pub(crate) fn workload_id(deployment: &str) -> WorkloadId {
    WorkloadId::from(&*uid_of(ControllerKind::Deployment.as_str(), deployment))
}

/// A Ready pod without an owner.
pub(crate) fn pod(name: &str) -> Pod {
    let uid = Uid::from(format!("uid-of-{name}"));
    test_objects::pod(ObjectKey::new(SHOP, name), uid)
}

pub(crate) fn controller(
    kind: ControllerKind,
    name: &str,
    desired: u32,
    selector: Selector,
) -> Controller {
    let (key, uid) = (ObjectKey::new(SHOP, name), uid_of(kind.as_str(), name));
    test_objects::controller(kind, key, uid, desired, selector)
}

pub(crate) fn service(name: &str, selector: Selector) -> Service {
    test_objects::service(ObjectKey::new(SHOP, name), selector)
}

/// A budget that allows every disruption.
pub(crate) fn budget(name: &str, selector: Selector) -> DisruptionBudget {
    DisruptionBudget {
        key: ObjectKey::new(SHOP, name),
        selector: Some(selector),
        status: Some(BudgetStatus {
            disruptions_allowed: 100,
            desired_healthy: 0,
        }),
    }
}

pub(crate) fn selecting(
    kind: PodSelectingKind,
    name: &str,
    selector: Selector,
) -> PodSelectingObject {
    match kind {
        PodSelectingKind::Service => PodSelectingObject::Service(service(name, selector)),
        PodSelectingKind::PodDisruptionBudget => {
            PodSelectingObject::PodDisruptionBudget(budget(name, selector))
        }
        PodSelectingKind::NetworkPolicy => PodSelectingObject::NetworkPolicy(NetworkPolicy {
            key: ObjectKey::new(SHOP, name),
            selector,
        }),
    }
}

/// The probe of the first policy.
pub(crate) fn probe_of(policies: &mut [Arc<Policy>]) -> &mut HttpProbe {
    match &mut Arc::make_mut(&mut policies[0]).signal {
        Signal::Probe(probe) => probe,
        Signal::Prometheus(_) => panic!("it is a query"),
    }
}

/// A policy over every pod, in the mode `enforce`.
pub(crate) fn policy(name: &str) -> Policy {
    enforcing_policy(name, Selector::default())
}

/// The cluster, the policy file, what is found of the pods, and the time.
pub(crate) struct World {
    pub(crate) view: View,
    pub(crate) file: PolicyFile,
    pub(crate) state: State,
    pub(crate) findings: Vec<Finding>,
    /// What is said of each finding.
    pub(crate) then: HashMap<Scope, BadThen>,
    pub(crate) then_is_known: bool,
    pub(crate) was_unreached: Vec<WasUnreached>,
    /// Since when the agent judges, and how many pods of the cluster it has never found good.
    pub(crate) judging_since: Option<Moment>,
    pub(crate) never_good: u32,
    /// How many pods of a workload have a verdict.
    pub(crate) with_verdict: BTreeMap<WorkloadId, u32>,
    /// How many pods of a node or a zone have a verdict.
    pub(crate) on_nodes: Vec<(Scope, u32)>,
    pub(crate) doubt: Option<Doubt>,
    /// How many pods the last decision left to the next.
    pub(crate) put_off: u32,
    pub(crate) now: Now,
    /// What a replacement of any pod needs.
    pub(crate) needs: Needs,
    last_version: u64,
}

impl World {
    /// A namespace, an empty ledger, one enforcing policy `answers` over all pods and room for ten.
    pub(crate) fn new() -> Self {
        let mut view = View::default();
        view.own_namespace = "pod-quarantine".into();
        view.ledger = LedgerView::Present(Ledger::read(version(1), []));
        view.lease = LeaseView::Names(Some("".into()));
        view.put_namespace(namespace(SHOP));
        let file = PolicyFile {
            limits: Limits {
                cluster: ClusterLimits {
                    max: 10,
                    per_hour: 10_000,
                },
                namespace: NamespaceLimits { max: 10 },
                workload: WorkloadLimits {
                    max: MaxPods::Percent(100),
                    min_ready: MinPods::Count(0),
                },
                storm: StormLimits {
                    workload: 100,
                    node: 100,
                    zone: 100,
                    cluster: 100,
                    ..StormLimits::default()
                },
                pacing: PacingLimits {
                    retries: 100,
                    during_rollout: true,
                    ..PacingLimits::default()
                },
                ..Limits::default()
            },
            mode: Mode::Enforce,
            keep_node: false,
            ..PolicyFile::new(vec![Arc::new(policy("answers"))])
        };
        Self {
            view,
            file,
            state: State::default(),
            findings: Vec::new(),
            then: HashMap::new(),
            then_is_known: true,
            was_unreached: Vec::new(),
            judging_since: None,
            never_good: 0,
            with_verdict: BTreeMap::new(),
            on_nodes: Vec::new(),
            put_off: 0,
            doubt: None,
            now: Now {
                wall: at(START),
                moment: Duration::from_hours(1),
            },
            needs: no_needs(),
            last_version: 100,
        }
    }

    /// A world with the Deployment `web` of four pods, `web-0` to `web-3`, behind the Service `web`.
    pub(crate) fn with_web() -> Self {
        let mut world = Self::new();
        world.deployment("web", 4);
        world.service("web", &[("app", "web")]);
        world
    }

    /// A Deployment, its ReplicaSet `{name}-rs`, and its pods `{name}-0` and so on.
    pub(crate) fn deployment(&mut self, name: &str, replicas: u32) {
        let of_set = selector(&[("app", name), ("pod-template-hash", "1")]);
        let mut deployment = controller(
            ControllerKind::Deployment,
            name,
            replicas,
            selector(&[("app", name)]),
        );
        deployment.revision = Some(Fingerprint::of("1"));
        let set_name = format!("{name}-rs");
        let mut set = controller(ControllerKind::ReplicaSet, &set_name, replicas, of_set);
        set.owner = Some(deployment.reference());
        set.revision = Some(Fingerprint::of("1"));
        let owner = set.reference();
        self.view.put_controller(deployment);
        self.view.put_controller(set);
        for index in 0..replicas {
            let mut pod = pod(&format!("{name}-{index}"));
            pod.labels = labels(&[("app", name), ("pod-template-hash", "1")]);
            pod.owner = Some(owner.clone());
            self.put(pod);
        }
    }

    /// A second ReplicaSet `{name}-rs-2` of a Deployment, and its pods `{name}-of-2-0` and so on.
    pub(crate) fn another_revision(&mut self, name: &str, replicas: u32) {
        let of_set = selector(&[("app", name), ("pod-template-hash", "2")]);
        let set_name = format!("{name}-rs-2");
        let mut set = controller(ControllerKind::ReplicaSet, &set_name, replicas, of_set);
        set.owner = Some(reference("Deployment", name));
        set.revision = Some(Fingerprint::of("2"));
        let owner = set.reference();
        self.view.put_controller(set);
        for index in 0..replicas {
            let mut pod = pod(&format!("{name}-of-2-{index}"));
            pod.labels = labels(&[("app", name), ("pod-template-hash", "2")]);
            pod.owner = Some(owner.clone());
            self.put(pod);
        }
    }

    pub(crate) fn service(&mut self, name: &str, pairs: &[(&str, &str)]) {
        self.view
            .put_selecting(selecting(PodSelectingKind::Service, name, selector(pairs)));
    }

    pub(crate) fn namespace_mode(&mut self, mode: &str) {
        self.view.put_namespace(Namespace {
            mode: Some(mode.into()),
            ..namespace(SHOP)
        });
    }

    /// Changes the one policy.
    pub(crate) fn policy(&mut self, change: impl FnOnce(&mut Policy)) {
        change(Arc::make_mut(&mut self.file.policies[0]));
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        match &mut self.view.ledger {
            LedgerView::Present(ledger) => ledger,
            other => panic!("the ledger is {other:?}"),
        }
    }

    pub(crate) fn slot(&mut self, name: &str) -> Option<Slot> {
        let uid = self.pod(name).uid.clone();
        self.ledger().slots.get(&uid).cloned()
    }

    pub(crate) fn pod(&self, name: &str) -> &Pod {
        let key = ObjectKey::new(SHOP, name);
        self.view.pod(&key).expect("the pod is in the view")
    }

    /// Puts a pod into the view at a new version, as a write does.
    pub(crate) fn put(&mut self, mut pod: Pod) {
        self.last_version += 1;
        pod.resource_version = version(self.last_version);
        assert!(self.view.put_pod(pod));
    }

    /// A Ready pod without an owner in all Services that select that pod.
    pub(crate) fn beside(&mut self, name: &str) {
        let mut beside = pod("beside");
        beside.labels = self.pod(name).labels.clone();
        beside.labels.remove("pod-template-hash");
        self.put(beside);
    }

    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut Pod)) {
        let mut pod = self.pod(name).clone();
        change(&mut pod);
        self.put(pod);
    }

    pub(crate) fn annotate(&mut self, name: &str, key: &str, text: &str) {
        self.change(name, |pod| {
            pod.annotations.insert(key.into(), text.into());
        });
    }

    pub(crate) fn set_controller(
        &mut self,
        kind: ControllerKind,
        name: &str,
        change: impl FnOnce(&mut Controller),
    ) {
        let known = self
            .view
            .controllers(SHOP)
            .find(|one| one.kind == kind && &*one.key.name == name);
        let mut controller = known.expect("the controller is in the view").clone();
        change(&mut controller);
        self.view.put_controller(controller);
    }

    /// The first policy finds a pod unhealthy.
    pub(crate) fn unhealthy(&mut self, name: &str) {
        let finding = self.finding(name);
        self.findings.push(finding);
    }

    pub(crate) fn finding(&self, name: &str) -> Finding {
        let pod = self.pod(name);
        Finding {
            policy: self.file.policies[0].clone(),
            verdict: Verdict::Unhealthy,
            pod: pod.key.clone(),
            uid: pod.uid.clone(),
            scopes: self.view.scopes_of(pod),
            since: Duration::ZERO,
            asked: self.now.moment,
            contrast: true,
            counts_as_bad: true,
            unreached_since: None,
            reason: "3 bad probes in a row: HTTP 500".into(),
            evidence: [Evidence {
                at: self.now.wall,
                saw: "HTTP 500".into(),
            }]
            .into(),
            then: HashMap::new(),
            then_is_known: true,
        }
    }

    /// Other pods of a Deployment were bad when all of the findings were asked.
    pub(crate) fn was_bad(&mut self, deployment: &str, then: BadThen) {
        let scope = Scope::Workload(workload_id(deployment));
        self.then.insert(scope, then);
    }

    /// The plan a second later, after the needs of all replacements were read.
    pub(crate) fn tick(&mut self) -> Vec<Planned> {
        self.pass(Duration::from_secs(1));
        let before = self.state.clone();
        let asked = self.decide();
        self.state = before;
        for planned in asked {
            if let Planned::Lookup(Lookup::Needs(query)) = planned {
                self.read(&query);
            }
        }
        self.decide()
    }

    /// Every pod of the findings has just been bad again.
    pub(crate) fn all_findings(&self) -> Findings {
        let again = |finding: &Finding| Finding {
            asked: self.now.moment,
            then: self.then.clone(),
            then_is_known: self.then_is_known,
            ..finding.clone()
        };
        let in_all = self.with_verdict.values().sum();
        let of_workloads = self.with_verdict.iter();
        let of_workloads = of_workloads.map(|(id, count)| (Scope::Workload(id.clone()), *count));
        Findings {
            was_unreached: self.was_unreached.clone(),
            judging_since: self.judging_since,
            never_good: HashMap::from([(Scope::Cluster, self.never_good)]),
            pods: self.findings.iter().map(again).collect(),
            with_verdict: of_workloads
                .chain([(Scope::Cluster, in_all)])
                .chain(self.on_nodes.clone())
                .collect(),
        }
    }

    pub(crate) fn decide(&mut self) -> Vec<Planned> {
        let findings = self.all_findings();
        let (file, view) = (&self.file, &self.view);
        let plan = decide(&mut self.state, file, view, &findings, self.doubt, self.now);
        self.put_off = plan.put_off;
        everything(plan)
    }

    pub(crate) fn read(&mut self, query: &NeedsQuery) {
        let needs = self.needs.clone();
        let at = query.at;
        let now = self.now.moment;
        self.state
            .record_needs(&query.uid, NeedsAt { at, needs }, now);
    }

    /// The plan a second later, except for checks of slots, look-ups of drains and notes of
    /// forgotten pods. Changed TTLs are written into the ledger.
    pub(crate) fn planned(&mut self) -> Vec<Planned> {
        let mut planned = self.tick();
        planned.retain(|one| match one {
            Planned::Write(Write::Note(note @ Note::Expires(_))) => !self.ledger().note(note),
            _ => true,
        });
        planned.retain(|one| {
            !matches!(
                one,
                Planned::Write(Write::CheckSlot(_) | Write::Note(Note::Forgotten(_)))
                    | Planned::Lookup(Lookup::Drain(_))
            )
        });
        planned
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.moment += time;
        self.now.wall = self.now.wall.checked_add(time).expect("no end of time");
    }

    /// The agent is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.state = State::default();
    }

    /// Carries out a quarantine as the writer does: the slot first.
    pub(crate) fn carry_out(&mut self, quarantine: &Quarantine) {
        let slot = quarantine.slot.clone();
        assert!(self.ledger().begin(slot, quarantine.pacing.as_ref()));
        self.patch(&quarantine.pod, &quarantine.change);
    }

    /// Carries out the planned quarantine; the ReplicaSet no longer owns the pod and replaces it.
    pub(crate) fn quarantine_waiting(&mut self, name: &str) -> Quarantine {
        let planned = self.planned();
        let quarantine = the_quarantine(&planned).clone();
        assert_eq!(&*quarantine.pod.key.name, name);
        self.carry_out(&quarantine);
        self.change(name, |pod| pod.owner = None);
        self.replaced(name);
        quarantine
    }

    /// Notes that the replacement of a pod is Ready.
    pub(crate) fn replaced(&mut self, name: &str) {
        let uid = self.pod(name).uid.clone();
        let now = self.now.wall;
        let slot = self
            .ledger()
            .slots
            .get_mut(&uid)
            .expect("the pod has a slot");
        slot.replaced = Some(now);
    }

    /// Finds a pod unhealthy and quarantines it; after that, nothing is found.
    pub(crate) fn quarantine(&mut self, name: &str) -> Quarantine {
        self.unhealthy(name);
        let quarantine = self.quarantine_waiting(name);
        self.findings.clear();
        quarantine
    }

    /// The API server's part of a patch: precondition, then the change.
    pub(crate) fn patch(&mut self, target: &PodVersion, change: &Change) {
        let pod = self.view.pod(&target.key).expect("the pod").clone();
        assert_eq!(PodVersion::from(&pod), *target, "a conflict");
        self.put(changed(&pod, change));
    }
}
