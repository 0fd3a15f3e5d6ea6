//! What becomes of pods that are quarantined, or were just released.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Decision, Reaped, plan::after};
use crate::core::{
    action::{Action, Reap, Release, Target, Topic},
    keys,
    ledger::LedgerView,
    object::{Controller, Pod, Selecting, Uid},
    overrides::{self, Overrides, ReleaseCommand},
    policy::{Detach, Mode},
    record::{self, Reading, Record},
    restore::{restore, settle},
};

/// The window of `limits.reap.perMinute`.
const MINUTE: Duration = Duration::from_mins(1);

impl Decision<'_> {
    pub(super) fn kept_pods(&mut self) {
        let view = self.view;
        let moment = self.now.moment;
        self.state
            .reaps
            .retain(|reap| moment.saturating_sub(reap.at) < MINUTE);
        let marked: BTreeSet<&Uid> = view.marked().map(|pod| &pod.uid).collect();
        self.state.ttls.retain(|uid, _| marked.contains(uid));
        for pod in view.marked().filter(|pod| !pod.terminating) {
            let overrides = overrides::read(pod);
            for mistake in &overrides.mistakes {
                self.tell(pod, Topic::BadAnnotation, mistake.message.clone());
            }
            if pod.is_counted() {
                self.quarantined(pod, &overrides);
            } else {
                self.in_service(pod, &overrides);
            }
        }
    }

    fn in_service(&mut self, pod: &Pod, overrides: &Overrides) {
        if overrides.release.is_some() && !self.comes_from_template(pod, keys::RELEASE) {
            let message = format!("{} is ignored: the pod is not quarantined", keys::RELEASE);
            self.tell(pod, Topic::BadAnnotation, message);
        }
        if pod.annotations.contains_key(keys::RELEASED)
            && self.anything_is_touched(pod)
            && self.has_settled(pod)
        {
            let pod_as_it_is = Target::from(pod);
            let change = settle(pod);
            self.actions.push(Action::Settle {
                pod: pod_as_it_is,
                change,
            });
        }
    }

    /// Whether the ReplicaSet has taken the pod back and has no more pods than it wants: the watch tells of the pods
    /// in order, so none is about to go. As long as others are on their way back, one will be.
    fn has_settled(&self, pod: &Pod) -> bool {
        let owner = pod.owner.as_ref();
        let owner = owner.and_then(|owner| self.view.controller(&pod.key.namespace, owner));
        owner.is_some_and(|owner| {
            let staying = self.view.owned(&owner.uid).filter(|pod| !pod.terminating);
            let enough = u32::try_from(staying.count()).is_ok_and(|count| count <= owner.desired);
            enough
                && !self
                    .view
                    .marked()
                    .any(|other| self.comes_back(other, owner))
        })
    }

    /// Whether a pod is about to be owned by that controller again: it was released and not taken back yet, or people
    /// ask for its release and nothing speaks against it.
    fn comes_back(&self, pod: &Pod, owner: &Controller) -> bool {
        if pod.terminating || pod.key.namespace != owner.key.namespace {
            return false;
        }
        if let Reading::Readable(record) = record::read(pod) {
            return record.detach == Detach::Workload
                && record.owner.uid == owner.uid
                && match overrides::read(pod).release {
                    Some(ReleaseCommand::Force) => true,
                    Some(ReleaseCommand::Safely) => {
                        self.can_go_back(pod, &record, Some(owner)).is_ok()
                    }
                    None => false,
                };
        }
        let released = pod.annotations.contains_key(keys::RELEASED);
        released && pod.owner.is_none() && owner.selector.matches(&pod.labels)
    }

    /// How far anything goes on a pod that is out: the mode of the policy that asked for it, or of the file where
    /// that is gone, within the namespace's.
    fn mode(&self, pod: &Pod, record: Option<&Record>) -> Mode {
        let policy = record.and_then(|record| self.file.policy(&record.policy));
        let mode = policy.map_or(self.file.mode, |policy| policy.mode);
        mode.min(self.view.namespace_mode(&pod.key.namespace))
    }

    /// Nothing tells any more which policy had asked for a pod that was released.
    fn anything_is_touched(&self, pod: &Pod) -> bool {
        let modes = self.file.policies.iter().map(|policy| policy.mode);
        let on = modes.chain([self.file.mode]).any(|mode| mode != Mode::Off);
        on && self.view.namespace_mode(&pod.key.namespace) != Mode::Off
    }

    fn quarantined(&mut self, pod: &Pod, overrides: &Overrides) {
        let reading = record::read(pod);
        let record = match &reading {
            Reading::Readable(record) | Reading::Newer(_, Some(record)) => Some(&**record),
            _ => None,
        };
        if record.is_some_and(|record| record.agent != self.agent) {
            return;
        }
        if self.mode(pod, record) == Mode::Off {
            if overrides.release.is_some() && !self.comes_from_template(pod, keys::RELEASE) {
                let message = "the mode is off: nothing is touched".to_owned();
                self.tell(pod, Topic::ReleaseRefused, message);
            }
            return;
        }
        let record = match reading {
            Reading::Readable(record) => record,
            Reading::Newer(version, record) => {
                return self.newer(pod, overrides, version, record.as_deref());
            }
            Reading::Absent => {
                return self.lost(pod, overrides, "it carries the state label and no record");
            }
            Reading::Damaged(why) => {
                return self.lost(pod, overrides, &format!("its record cannot be read: {why}"));
            }
        };
        if !pod.has_state_label() {
            let message = format!(
                "{} was taken off; the pod counts until it is released",
                keys::STATE
            );
            self.tell(pod, Topic::BadAnnotation, message);
        }
        let asked = overrides.release;
        let command = asked.filter(|_| !self.comes_from_template(pod, keys::RELEASE));
        let goes_back = command.is_some_and(|command| self.release(pod, &record, command));
        if !goes_back && self.mode(pod, Some(&record)) == Mode::Enforce {
            let goes = self.reap(pod, &record, overrides);
            if !goes && pod.has_state_label() {
                self.taken_in_again(pod, &record);
            }
        }
    }

    /// Nothing tells how the pod was: it counts, and is neither released nor reaped.
    fn lost(&mut self, pod: &Pod, overrides: &Overrides, why: &str) {
        self.tell(
            pod,
            Topic::BadAnnotation,
            format!("{why}; it counts, and is never reaped"),
        );
        if overrides.release.is_some() {
            let message = format!("{why}: its labels cannot be put back");
            self.tell(pod, Topic::ReleaseRefused, message);
        }
    }

    fn newer(&mut self, pod: &Pod, overrides: &Overrides, version: u32, record: Option<&Record>) {
        let message = format!(
            "its record is of version {version}, newer than this agent; it is never reaped"
        );
        self.tell(pod, Topic::BadAnnotation, message);
        match (overrides.release, record) {
            (Some(ReleaseCommand::Force), Some(record)) => {
                let _ = self.release(pod, record, ReleaseCommand::Force);
            }
            (Some(_), _) => {
                let message = format!(
                    "its record is of version {version}: only \"force\" releases it, as far as it can be read"
                );
                self.tell(pod, Topic::ReleaseRefused, message);
            }
            (None, _) => {}
        }
    }

    /// Puts a pod back, unless that would hurt: then it says why, and the pod's time runs on.
    fn release(&mut self, pod: &Pod, record: &Record, command: ReleaseCommand) -> bool {
        let owner = self.view.controller(&pod.key.namespace, &record.owner);
        let cause = match command {
            ReleaseCommand::Force => "force",
            ReleaseCommand::Safely => "annotation",
        };
        if command == ReleaseCommand::Safely
            && let Err(why) = self.can_go_back(pod, record, owner)
        {
            self.tell(pod, Topic::ReleaseRefused, why);
            return false;
        }
        let left = record.detach == Detach::Workload;
        let joins_again = owner
            .is_some_and(|owner| left && !owner.terminating)
            .then_some(self.now.wall);
        let restoration = restore(pod, record, joins_again);
        self.actions.push(Action::Release(Box::new(Release {
            pod: Target::from(pod),
            change: restoration.change,
            policy: record.policy.clone(),
            cause,
            left: restoration.left,
            workload: record.workload.clone(),
            detach: record.detach,
            services: record.services.clone(),
        })));
        true
    }

    /// A pod that its ReplicaSet would not keep, or that would serve nobody, is not put back.
    fn can_go_back(
        &self,
        pod: &Pod,
        record: &Record,
        owner: Option<&Controller>,
    ) -> Result<(), String> {
        if let Some(why) = &self.view.stale {
            return Err(format!(
                "what is known of the cluster may be out of date: {why}"
            ));
        }
        if !pod.ready {
            return Err(match record.detach {
                Detach::Workload => "it is not Ready: its ReplicaSet would delete it first",
                Detach::Service => "it is not Ready: its Services would send it nothing",
            }
            .to_owned());
        }
        let Some(owner) = owner.filter(|owner| !owner.terminating) else {
            return Err(format!("{} is gone: nobody would own it", record.owner));
        };
        if owner.desired == 0 {
            return Err(format!(
                "{} wants no pods: it would delete it",
                record.owner
            ));
        }
        let above = owner.owner.as_ref();
        let deployment = above.and_then(|above| self.view.controller(&pod.key.namespace, above));
        if above.is_some_and(|above| &*above.kind == "Deployment") && deployment.is_none() {
            return Err(format!("{} was not seen yet", record.workload));
        }
        if deployment.is_some_and(|deployment| deployment.revision != owner.revision) {
            return Err(format!(
                "{} is of an older revision of {}",
                record.owner, record.workload
            ));
        }
        Ok(())
    }

    /// Whether its time is up and nothing keeps it.
    fn reap(&mut self, pod: &Pod, record: &Record, overrides: &Overrides) -> bool {
        let expires = self.expires(pod, record, overrides);
        if self.now.wall < expires {
            return false;
        }
        if let Some(why) = self.kept_past_its_time(pod, overrides) {
            let message = format!("its time was up at {expires}; {why}");
            self.tell(pod, Topic::HeldPastTtl, message);
            return false;
        }
        // Until a watch tells that it goes, or where it cannot be deleted, it takes no other pod's turn.
        if self.state.reaps.iter().any(|reap| reap.pod == pod.uid) {
            return true;
        }
        let reaped_lately = u32::try_from(self.state.reaps.len()).unwrap_or(u32::MAX);
        if reaped_lately < self.file.limits.reaps_per_minute {
            let budgets = self.view.budgets_of(pod).filter(|_| costs_a_budget(pod));
            self.state.reaps.push_back(Reaped {
                at: self.now.moment,
                pod: pod.uid.clone(),
                budgets: budgets.map(|budget| budget.key.clone()).collect(),
            });
            self.actions.push(Action::Reap(Box::new(Reap {
                pod: Target::from(pod),
                policy: record.policy.clone(),
                expired: expires,
            })));
        }
        true
    }

    /// Why a pod is not reaped though its time is up, if so.
    fn kept_past_its_time(&self, pod: &Pod, overrides: &Overrides) -> Option<String> {
        if overrides.hold.holds(self.now.wall) {
            return Some("it is held".to_owned());
        }
        if !pod.has_state_label() || !self.is_known(pod) {
            return Some("its record is not the one that the ledger knows".to_owned());
        }
        let budget = self.spent_budget(pod)?;
        Some(format!("PodDisruptionBudget {budget} lets no pod go now"))
    }

    /// The disruption budget that would have to bear the end of a pod which is still its controller's, and cannot: the
    /// API server asks it about evictions alone. A pod that is not Ready costs nothing. A budget that has borne one
    /// bears the next after a minute, when its status has long moved.
    fn spent_budget(&self, pod: &Pod) -> Option<Arc<str>> {
        if !costs_a_budget(pod) {
            return None;
        }
        let borne = |budget: &Selecting| {
            let mut reaped = self.state.reaps.iter();
            reaped.any(|reap| reap.budgets.contains(&budget.key))
        };
        let spent = self.view.budgets_of(pod).find(|budget| {
            budget
                .disruptions_allowed
                .is_none_or(|allowed| allowed == 0)
                || borne(budget)
        });
        spent.map(|budget| budget.key.name.clone())
    }

    /// When its time is up. An unreadable annotation counts as not there, but shortens nothing.
    fn expires(&mut self, pod: &Pod, record: &Record, overrides: &Overrides) -> Timestamp {
        let remembered = &mut self.state.ttls;
        match overrides.ttl {
            Some(ttl) => {
                remembered.insert(pod.uid.clone(), ttl);
                after(record.at, ttl)
            }
            None if pod.annotations.contains_key(keys::TTL) => {
                let before = remembered.get(&pod.uid).map(|ttl| after(record.at, *ttl));
                before.map_or(record.expires, |before| before.max(record.expires))
            }
            None => {
                remembered.remove(&pod.uid);
                record.expires
            }
        }
    }

    /// Whether the ledger has a slot with this very record: whoever else writes one gets no pod deleted.
    pub(super) fn is_known(&self, pod: &Pod) -> bool {
        let LedgerView::Present(ledger) = &self.view.ledger else {
            return false;
        };
        let text = pod.annotation(keys::RECORD).map(record::fingerprint);
        let slot = ledger.slots.get(&pod.uid);
        slot.zip(text).is_some_and(|(slot, text)| slot.knows(&text))
    }
}

/// Whether the end of a pod is a disruption: nobody misses one that its controller has let go, or that is not Ready.
fn costs_a_budget(pod: &Pod) -> bool {
    pod.owner.is_some() && pod.ready
}
