//! Which pods each signal watches: owns what every signal was last sent, and sends only what changes.
//!
//! [`Targets::update_pod`] is called for each pod that has changed in the view; it updates the judge, too, which keeps
//! streaks only of pods that a signal watches.

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
        time::Moment,
        view::View,
    },
    signal::{SignalTarget, TargetChange},
};

/// The channel to each policy's signal.
pub type Senders = BTreeMap<Arc<str>, UnboundedSender<TargetChange>>;

/// The pods that the signals watch.
#[derive(Default)]
pub struct Targets {
    senders: Senders,
    pods: HashMap<ObjectKey, TargetedPod>,
}

/// A pod that at least one signal watches, or that has spells: the judge is to be told when it is gone.
struct TargetedPod {
    uid: Uid,
    /// Whether it was released a short time ago and is still left alone.
    settling: bool,
    /// What the signal of each policy was last sent.
    sent: BTreeMap<Arc<str>, SignalTarget>,
}

impl TargetedPod {
    fn new(uid: Uid) -> Self {
        Self {
            uid,
            settling: false,
            sent: BTreeMap::new(),
        }
    }
}

impl Targets {
    /// Takes the signals of a new policy file. A restarted signal watches no pod yet.
    pub fn set_senders(&mut self, senders: Senders) {
        let before = std::mem::replace(&mut self.senders, senders);
        for pod in self.pods.values_mut() {
            pod.sent.retain(
                |policy, _| match (before.get(policy), self.senders.get(policy)) {
                    (Some(before), Some(now)) => before.same_channel(now),
                    _ => false,
                },
            );
        }
    }

    /// Updates the signals and the judge after a change of a pod in the view.
    pub fn update_pod(
        &mut self,
        key: &ObjectKey,
        view: &View,
        file: &PolicyFile,
        judge: &mut Judge,
        now: Moment,
    ) {
        let found = view.pod(key);
        let pod = found.filter(|pod| can_be_watched(pod));
        if let Some(known) = self.pods.get(key)
            && pod.is_none_or(|pod| pod.uid != known.uid)
        {
            self.forget(key, judge, now);
        }
        if let Some(pod) = found.filter(|pod| pod.counts_as_quarantined()) {
            judge.forget_spells(&pod.uid);
        }
        let Some(pod) = pod else {
            return;
        };
        let scopes = view.scopes_of(pod);
        let targeted = self
            .pods
            .entry(key.clone())
            .or_insert_with(|| TargetedPod::new(pod.uid.clone()));
        let settling = pod.annotations.contains_key(keys::RELEASED);
        let has_settled = targeted.settling && !settling;
        targeted.settling = settling;
        for policy in &file.policies {
            let Some(sender) = self.senders.get(&policy.name) else {
                continue;
            };
            // Sending fails only if the signal has ended, which ends the agent and is reported there.
            if view.selects(policy, pod) {
                judge.watch(&policy.name, &pod.uid, key, &scopes);
                if has_settled {
                    judge.restart(&policy.name, &pod.uid);
                }
                let target = target(policy, pod);
                judge.set_run(&policy.name, &pod.uid, target.run);
                if targeted.sent.get(&policy.name) != Some(&target) {
                    let _ = sender.send(TargetChange::Put(target.clone()));
                    targeted.sent.insert(policy.name.clone(), target);
                }
            } else {
                judge.forget(&policy.name, &pod.uid, now);
                if targeted.sent.remove(&policy.name).is_some() {
                    let _ = sender.send(TargetChange::Remove(pod.uid.clone()));
                }
            }
        }
        if targeted.sent.is_empty() && !judge.has_spells(&pod.uid) {
            self.pods.remove(key);
        }
    }

    /// Removes all pods from the signals, and from the judge.
    pub fn clear(&mut self, judge: &mut Judge, now: Moment) {
        let pods: Vec<ObjectKey> = self.pods.keys().cloned().collect();
        for pod in pods {
            self.forget(&pod, judge, now);
        }
    }

    fn forget(&mut self, key: &ObjectKey, judge: &mut Judge, now: Moment) {
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        judge.forget_pod(&pod.uid, now);
        for policy in pod.sent.keys() {
            if let Some(sender) = self.senders.get(policy) {
                let _ = sender.send(TargetChange::Remove(pod.uid.clone()));
            }
        }
    }
}

/// A pod that has not started has no answer; a terminating or quarantined pod is not watched.
fn can_be_watched(pod: &Pod) -> bool {
    pod.phase == Phase::Running && !pod.terminating && !pod.counts_as_quarantined()
}

fn target(policy: &Policy, pod: &Pod) -> SignalTarget {
    let asked = match &policy.signal {
        Signal::Probe(probe) => Some(&probe.port),
        Signal::Prometheus(_) => None,
    };
    SignalTarget {
        pod: pod.key.clone(),
        uid: pod.uid.clone(),
        address: pod.address,
        port: asked.and_then(|port| pod.port(port)),
        run: pod.run(asked),
    }
}
