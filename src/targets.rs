//! Which pods each signal asks about.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    core::{
        judge::Judge,
        keys,
        object::{ObjectKey, Phase, Pod, Uid},
        policy::{Policy, PolicyFile, Signal},
        view::View,
    },
    signal::{SignalTarget, TargetChange},
};

/// Where each policy's signal hears of its pods.
pub type Senders = BTreeMap<Arc<str>, UnboundedSender<TargetChange>>;

/// What the signals were told.
#[derive(Default)]
pub struct Targets {
    senders: Senders,
    told: HashMap<ObjectKey, Aimed>,
}

/// What was told of one pod.
struct Aimed {
    uid: Uid,
    /// Whether it was released lately, and is still left alone.
    left_alone: bool,
    by_policy: BTreeMap<Arc<str>, SignalTarget>,
}

impl Targets {
    /// Takes the signals of a new policy file. One that was started anew knows of no pod yet.
    pub fn set_senders(&mut self, senders: Senders) {
        let same = |policy: &Arc<str>| {
            let before = self.senders.get(policy);
            before
                .zip(senders.get(policy))
                .is_some_and(|(before, now)| before.same_channel(now))
        };
        for aimed in self.told.values_mut() {
            aimed.by_policy.retain(|policy, _| same(policy));
        }
        self.senders = senders;
    }

    /// Tells the signals, and the judge, what a pod is to them now.
    pub fn aim(&mut self, key: &ObjectKey, view: &View, file: &PolicyFile, judge: &mut Judge) {
        let pod = view.pod(key).filter(|pod| is_asked(pod));
        if self
            .told
            .get(key)
            .is_some_and(|aimed| pod.is_none_or(|pod| pod.uid != aimed.uid))
        {
            self.forget(key, judge);
        }
        let Some(pod) = pod else {
            return;
        };
        let workload = workload(view, pod);
        let aimed = self.told.entry(key.clone()).or_insert_with(|| Aimed {
            uid: pod.uid.clone(),
            left_alone: false,
            by_policy: BTreeMap::new(),
        });
        let left_alone = pod.annotations.contains_key(keys::RELEASED);
        let afresh = aimed.left_alone && !left_alone;
        aimed.left_alone = left_alone;
        for policy in &file.policies {
            let Some(sender) = self.senders.get(&policy.name) else {
                continue;
            };
            // A signal that ended ends the agent, which sees it elsewhere.
            if view.selects(policy, pod) {
                judge.watch(&policy.name, &pod.uid, key, &workload);
                if afresh {
                    judge.begin_afresh(&policy.name, &pod.uid);
                }
                let target = target(policy, pod);
                if aimed.by_policy.get(&policy.name) != Some(&target) {
                    let _ = sender.send(TargetChange::Put(target.clone()));
                    aimed.by_policy.insert(policy.name.clone(), target);
                }
            } else if aimed.by_policy.remove(&policy.name).is_some() {
                judge.forget(&policy.name, &pod.uid);
                let _ = sender.send(TargetChange::Remove(pod.uid.clone()));
            }
        }
        if aimed.by_policy.is_empty() {
            self.told.remove(key);
        }
    }

    /// Takes all pods from the signals, and from the judge.
    pub fn clear(&mut self, judge: &mut Judge) {
        let pods: Vec<ObjectKey> = self.told.keys().cloned().collect();
        for pod in pods {
            self.forget(&pod, judge);
        }
    }

    fn forget(&mut self, key: &ObjectKey, judge: &mut Judge) {
        let Some(aimed) = self.told.remove(key) else {
            return;
        };
        for policy in aimed.by_policy.keys() {
            judge.forget(policy, &aimed.uid);
            if let Some(sender) = self.senders.get(policy) {
                let _ = sender.send(TargetChange::Remove(aimed.uid.clone()));
            }
        }
    }
}

/// A pod that has not started has nothing to answer with, one that goes away or is out is no business of a signal.
fn is_asked(pod: &Pod) -> bool {
    pod.phase == Phase::Running && !pod.terminating && !pod.is_counted()
}

/// What a pod is compared within: its workload, else whatever owns it, else itself alone.
fn workload(view: &View, pod: &Pod) -> Uid {
    let known = view
        .workload(pod)
        .ok()
        .map(|workload| workload.uid().clone());
    known
        .or_else(|| pod.owner.as_ref().map(|owner| owner.uid.clone()))
        .unwrap_or_else(|| pod.uid.clone())
}

fn target(policy: &Policy, pod: &Pod) -> SignalTarget {
    let port = match &policy.signal {
        Signal::Probe(probe) => pod.port(&probe.port),
        Signal::Prometheus(_) => None,
    };
    SignalTarget {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        address: pod.address,
        port,
        started: pod.started,
    }
}
