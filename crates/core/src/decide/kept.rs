//! What becomes of pods that are quarantined, or were just released.

use std::{collections::BTreeSet, time::Duration};

use super::Decision;
use crate::{
    action::{Action, Follow, Topic},
    keys,
    object::{Pod, Uid},
    overrides::{self, Overrides, ReleaseCommand},
    policy::{Detach, Mode},
    record::{self, Reading, Record},
};

/// How long a controller may take to let a pod go: it takes milliseconds.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

impl Decision<'_> {
    pub(super) fn kept_pods(&mut self) {
        let view = self.view;
        self.forget_reaps();
        let marked: BTreeSet<&Uid> = view.marked().map(|pod| &pod.uid).collect();
        self.state.ttls.retain(|uid, _| marked.contains(uid));
        self.state.followed.retain(|uid, _| marked.contains(uid));
        self.state.undrained.retain(|uid, _| marked.contains(uid));
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
        if pod.annotations.contains_key(keys::RELEASED) {
            self.settle(pod);
        }
    }

    /// How far anything goes on a pod that is out: the mode of the policy that asked for it, or of the file where
    /// that is gone, within the namespace's. A pause only observes.
    fn mode(&self, pod: &Pod, record: Option<&Record>) -> Mode {
        let policy = record.and_then(|record| self.file.policy(&record.policy));
        let mode = policy.map_or(self.file.mode, |policy| policy.mode);
        let paused = self.view.pause().map_or(Mode::Enforce, |_| Mode::Observe);
        mode.min(self.view.namespace_mode(&pod.key.namespace))
            .min(paused)
    }

    fn quarantined(&mut self, pod: &Pod, overrides: &Overrides) {
        let reading = record::read(pod);
        let record = reading.record();
        if record.is_some_and(|record| record.agent != self.agent) {
            return;
        }
        let mode = self.mode(pod, record);
        if mode == Mode::Off {
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
        self.check_effect(pod, &record);
        let asked = overrides.release;
        let command = asked.filter(|_| !self.comes_from_template(pod, keys::RELEASE));
        if command.is_some_and(|command| self.release(pod, &record, command)) {
            return;
        }
        let is_late = self.replacement_is_late(pod, &record);
        if mode != Mode::Enforce {
            return;
        }
        let goes = is_late && self.not_replaced(pod, &record, overrides)
            || self.time_is_up(pod, &record, overrides);
        if !goes && pod.has_state_label() {
            self.taken_in_again(pod, &record);
        }
    }

    /// Whether the pod is out of its Services, and its controller has let it go.
    fn check_effect(&mut self, pod: &Pod, record: &Record) {
        let fingerprint = pod.annotation(keys::RECORD).map(record::fingerprint);
        let fingerprint = fingerprint.unwrap_or_default();
        if !record.services.is_empty() && self.state.followed.get(&pod.uid) != Some(&fingerprint) {
            self.state.followed.insert(pod.uid.clone(), fingerprint);
            self.actions.push(Action::Follow(Follow {
                pod: pod.key.clone(),
                uid: pod.uid.clone(),
                policy: record.policy.clone(),
                services: record.services.clone(),
                at: record.at,
            }));
        }
        if let Some(still_in) = self.state.undrained.get(&pod.uid) {
            let services = still_in.join(", ");
            let message = format!("it is still in the EndpointSlices of {services}");
            self.tell(pod, Topic::NotDrained, message);
        }
        let owned = pod
            .owner
            .as_ref()
            .is_some_and(|owner| owner.uid == record.owner.uid);
        let late = self.now.wall.duration_since(record.at).unsigned_abs() > LET_GO_WITHIN;
        if record.detach == Detach::Workload && owned && late {
            let message = format!("{} has not let it go", record.owner);
            self.tell(pod, Topic::NotDrained, message);
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
}
