//! Putting pods back, and what follows until they are pods like any other.

use super::{Decision, plan::after};
use crate::{
    action::{Action, Release, Target, Topic},
    keys,
    object::{Controller, Pod},
    overrides::{self, ReleaseCommand},
    policy::{DEFAULT_SETTLE, Detach, Mode},
    record::{self, Reading, Record},
    restore::{self, Released, restore},
};

/// Why a pod is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Annotation,
    Force,
    ReplacementTimeout,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "annotation",
            Self::Force => "force",
            Self::ReplacementTimeout => "replacement-timeout",
        }
    }
}

/// Why a pod should not be put back.
struct Hindrance {
    why: String,
    /// What follows where it is put back all the same.
    then: &'static str,
}

fn hindrance<T>(why: impl Into<String>, then: &'static str) -> Result<T, Hindrance> {
    Err(Hindrance {
        why: why.into(),
        then,
    })
}

impl Decision<'_> {
    /// Puts a pod back, unless that would hurt: then it says why, and the pod's time runs on.
    pub(super) fn release(&mut self, pod: &Pod, record: &Record, command: ReleaseCommand) -> bool {
        let owner = self.view.controller(&pod.key.namespace, &record.owner);
        let checked = ready(pod, record).and_then(|()| self.can_go_back(pod, record, owner));
        match (checked, command) {
            (Ok(()), ReleaseCommand::Safely) => self.put_back(pod, record, Cause::Annotation, None),
            (Ok(()), ReleaseCommand::Force) => self.put_back(pod, record, Cause::Force, None),
            (Err(hindrance), ReleaseCommand::Force) => {
                let follows = format!("{}; {}", hindrance.why, hindrance.then);
                self.put_back(pod, record, Cause::Force, Some(follows));
            }
            (Err(hindrance), ReleaseCommand::Safely) => {
                self.tell(pod, Topic::ReleaseRefused, hindrance.why);
                return false;
            }
        }
        true
    }

    /// Puts a pod back that has no replacement, Ready or not: a replacement that waits for a node goes before it.
    pub(super) fn release_unreplaced(&mut self, pod: &Pod, record: &Record) -> bool {
        let owner = self.view.controller(&pod.key.namespace, &record.owner);
        match self.can_go_back(pod, record, owner) {
            Ok(()) => {
                self.put_back(pod, record, Cause::ReplacementTimeout, None);
                true
            }
            Err(hindrance) => {
                self.tell(pod, Topic::ReleaseRefused, hindrance.why);
                false
            }
        }
    }

    fn put_back(&mut self, pod: &Pod, record: &Record, cause: Cause, follows: Option<String>) {
        let owner = self.view.controller(&pod.key.namespace, &record.owner);
        let joins_again =
            record.detach == Detach::Workload && owner.is_some_and(|owner| !owner.terminating);
        let policy = self.file.policy(&record.policy);
        let settle = policy.map_or(DEFAULT_SETTLE, |policy| policy.settle);
        let released = Released {
            at: self.now.wall,
            until: Some(after(self.now.wall, settle)),
            deletion_cost: restore::own_cost(pod),
        };
        let restoration = restore(pod, record, &released, joins_again);
        self.actions.push(Action::Release(Box::new(Release {
            pod: Target::from(pod),
            change: restoration.change,
            policy: record.policy.clone(),
            cause: cause.as_str(),
            left: restoration.left,
            follows,
            workload: record.workload.clone(),
            detach: record.detach,
            services: record.services.clone(),
        })));
    }

    /// A pod that its ReplicaSet would not keep is not put back.
    fn can_go_back(
        &self,
        pod: &Pod,
        record: &Record,
        owner: Option<&Controller>,
    ) -> Result<(), Hindrance> {
        if let Some(why) = &self.view.stale {
            return hindrance(
                format!("what is known of the cluster may be out of date: {why}"),
                "what follows is not known",
            );
        }
        let Some(owner) = owner.filter(|owner| !owner.terminating) else {
            return hindrance(
                format!("{} is gone: nobody would own it", record.owner),
                "it serves on, and nothing updates or replaces it",
            );
        };
        if owner.desired == 0 {
            return hindrance(
                format!("{} wants no pods: it would delete it", record.owner),
                "it is adopted and deleted",
            );
        }
        let above = owner.owner.as_ref();
        let deployment = above.and_then(|above| self.view.controller(&pod.key.namespace, above));
        if above.is_some_and(|above| &*above.kind == "Deployment") && deployment.is_none() {
            return hindrance(
                format!("{} was not seen yet", record.workload),
                "what follows is not known",
            );
        }
        if deployment.is_some_and(|deployment| deployment.revision != owner.revision) {
            return hindrance(
                format!(
                    "{} is of an older revision of {}",
                    record.owner, record.workload
                ),
                "it is adopted, and deleted unless that becomes the current revision again",
            );
        }
        Ok(())
    }

    /// Gives a released pod its own deletion cost back once its ReplicaSet has settled, and lets it be a pod like any
    /// other once it was left alone for long enough.
    pub(super) fn settle(&mut self, pod: &Pod) {
        if !self.anything_is_touched(pod) {
            return;
        }
        let change = restore::settle(pod, self.has_settled(pod), self.now.wall);
        if !change.is_empty() {
            self.actions.push(Action::Settle {
                pod: Target::from(pod),
                change,
            });
        }
    }

    /// Nothing tells any more which policy had asked for a pod that was released.
    fn anything_is_touched(&self, pod: &Pod) -> bool {
        let modes = self.file.policies.iter().map(|policy| policy.mode);
        let on = modes.chain([self.file.mode]).any(|mode| mode != Mode::Off);
        on && self.view.namespace_mode(&pod.key.namespace) != Mode::Off
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
                        ready(pod, &record).is_ok()
                            && self.can_go_back(pod, &record, Some(owner)).is_ok()
                    }
                    None => false,
                };
        }
        let released = pod.annotations.contains_key(keys::RELEASED);
        released && pod.owner.is_none() && owner.selector.matches(&pod.labels)
    }
}

/// A pod that would serve nobody is not put back.
fn ready(pod: &Pod, record: &Record) -> Result<(), Hindrance> {
    match record.detach {
        _ if pod.ready => Ok(()),
        Detach::Workload => hindrance(
            "it is not Ready: its ReplicaSet would delete it first",
            "it is adopted, and deleted where there is one too many",
        ),
        Detach::Service => hindrance(
            "it is not Ready: its Services would send it nothing",
            "they do once it is Ready",
        ),
    }
}
