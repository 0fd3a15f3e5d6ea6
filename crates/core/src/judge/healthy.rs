//! How many pods the signals find healthy, in each scope: kept up to date with every answer, so that no decision walks
//! over all pods.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::scope_counts::ScopeCounts;
use crate::{
    object::Uid,
    scope::{PodScopes, Scope},
    time::Moment,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Healthy {
    pods: HashMap<Uid, HealthyPod>,
    /// Until when each policy's last answer counts; then the pod's uid.
    expiring: BTreeSet<(Moment, Arc<str>, Uid)>,
    counts: ScopeCounts,
}

/// A pod that at least one policy's signal finds healthy.
#[derive(Clone, Debug)]
struct HealthyPod {
    scopes: PodScopes,
    /// The policies that do, and until when.
    found_by: Vec<(Arc<str>, Moment)>,
}

impl Healthy {
    /// A policy's signal finds a pod healthy until that moment, if it does.
    pub(super) fn set(
        &mut self,
        policy: &Arc<str>,
        uid: &Uid,
        scopes: &PodScopes,
        until: Option<Moment>,
    ) {
        if self.pods.get(uid).is_some_and(|pod| pod.scopes != *scopes) {
            self.forget(uid);
        }
        self.remove(policy, uid);
        let Some(until) = until else {
            return;
        };
        self.expiring.insert((until, policy.clone(), uid.clone()));
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.found_by.push((policy.clone(), until));
            return;
        }
        self.counts.add(scopes);
        let pod = HealthyPod {
            scopes: scopes.clone(),
            found_by: vec![(policy.clone(), until)],
        };
        self.pods.insert(uid.clone(), pod);
    }

    /// A policy's signal no longer finds a pod healthy.
    pub(super) fn remove(&mut self, policy: &str, uid: &Uid) {
        let Some(pod) = self.pods.get_mut(uid) else {
            return;
        };
        let mut found_by = pod.found_by.iter();
        let Some(index) = found_by.position(|(by, _)| **by == *policy) else {
            return;
        };
        let (policy, until) = pod.found_by.swap_remove(index);
        self.expiring.remove(&(until, policy, uid.clone()));
        if pod.found_by.is_empty() {
            self.forget(uid);
        }
    }

    fn forget(&mut self, uid: &Uid) {
        let Some(pod) = self.pods.remove(uid) else {
            return;
        };
        for (policy, until) in pod.found_by {
            self.expiring.remove(&(until, policy, uid.clone()));
        }
        self.counts.remove(&pod.scopes);
    }

    /// Drops the answers that no longer count. Returns about which pods.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<Uid> {
        let mut uids = Vec::new();
        while let Some((until, policy, uid)) = self.expiring.first()
            && *until < now
        {
            let (policy, uid) = (policy.clone(), uid.clone());
            self.remove(&policy, &uid);
            uids.push(uid);
        }
        uids
    }

    /// Drops the answers of a policy. Returns about which pods.
    pub(super) fn forget_policy(&mut self, policy: &str) -> Vec<Uid> {
        let of_policy = self.expiring.iter().filter(|(_, of, _)| **of == *policy);
        let uids: Vec<Uid> = of_policy.map(|(.., uid)| uid.clone()).collect();
        for uid in &uids {
            self.remove(policy, uid);
        }
        uids
    }

    pub(super) fn contains(&self, uid: &Uid) -> bool {
        self.pods.contains_key(uid)
    }

    pub(super) fn count(&self, scope: &Scope) -> u32 {
        self.counts.get(scope)
    }
}
