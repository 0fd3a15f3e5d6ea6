//! What every version of every pod says, by the letter of the contract and by none of the agent's code: how many pods
//! are quarantined at once, whether a pod that is not has the labels that it was made with, and whether anything befell a
//! pod that nobody had asked for.
//!
//! Pods of tenants count as quarantined where the API server says that somebody else wrote their record. What a tenant has
//! written is its own doing: the label that it wrote may be lost, every label of a pod whose record it wrote, and a pod
//! whose owner it wrote may be deleted. Everything else holds for them, too.

mod finding;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(crate) use self::seen::{Doing, Seen, version};
use self::{
    finding::{Finding, Wrong},
    seen::{Quarantine, controller, has_record, is_marked_by_tenant},
};

/// The label of a quarantined pod.
pub(crate) const STATE: &str = "pod-quarantine.io/state";
/// The start of the names of tenants' namespaces, and what the API server knows their writes by.
pub(crate) const TENANT: &str = "tenant";
const RELEASE: &str = "pod-quarantine.io/release";
const QUARANTINE: &str = "pod-quarantine.io/quarantine";
/// What nobody owns any more was let go by then: a controller that was about to delete it has done so.
const LET_GO: Duration = Duration::from_secs(3);
/// The annotation of a pod that was made to change.
const FENCE: &str = "pod-quarantine.io/fence";
/// The annotation that holds what it takes to put it back.
pub(crate) const RECORD: &str = "pod-quarantine.io/record";

type Uid = String;
/// How many pods may be quarantined at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cluster: usize,
    pub(crate) namespace: usize,
    pub(crate) workload: usize,
}

/// How often what took place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) versions: usize,
    pub(crate) quarantines: usize,
    pub(crate) releases: usize,
    /// Tenants made a pod count that the agent had not quarantined.
    pub(crate) forged: usize,
    pub(crate) reaps: usize,
    pub(crate) deleted_by_people: usize,
    /// Made to change, so that no late write of an old slot succeeds.
    pub(crate) fenced: usize,
    /// The most that were quarantined at once.
    pub(crate) most_of_cluster: usize,
    pub(crate) most_of_namespace: usize,
    pub(crate) most_of_workload: usize,
}

/// All pods, as their versions come in.
pub(crate) struct Register {
    limits: Limits,
    pods: BTreeMap<Uid, Seen>,
    findings: Vec<Finding>,
    took: Took,
}

impl Register {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pods: BTreeMap::new(),
            findings: Vec::new(),
            took: Took::default(),
        }
    }

    /// A new version of a pod. Versions come in the order in which they were written.
    pub(crate) fn is(&mut self, meta: &ObjectMeta) {
        let uid = meta.uid.clone().unwrap_or_default();
        let before = self.pods.get(&uid).cloned();
        let is_new = before.is_none();
        let mut now = before.unwrap_or_default();
        let was = now.clone();
        now.namespace = meta.namespace.clone().unwrap_or_default();
        now.name = meta.name.clone().unwrap_or_default();
        now.version = version(meta);
        now.labels = meta.labels.clone().unwrap_or_default();
        now.annotations = meta.annotations.clone().unwrap_or_default();
        now.terminating = meta.deletion_timestamp.is_some();
        now.owner = controller(meta).map(|owner| owner.uid.clone());
        now.has_record = has_record(meta);
        if !is_marked_by_tenant(meta) {
            now.written = now.annotations.get(RECORD).cloned();
        }
        now.unowned = match (&now.owner, was.unowned) {
            (Some(_), _) => None,
            (None, since) => Some(since.unwrap_or_else(Instant::now)),
        };
        let is_tenants = now.is_of_tenant() && (is_new || is_marked_by_tenant(meta));
        if is_new {
            if now.is_marked() && !is_tenants {
                self.find(&now, Wrong::Unknown);
            } else {
                now.first = Some(now.labels.clone());
            }
        }
        self.took.versions += 1;
        let fenced = now.annotations.get(FENCE);
        let fence = was.annotations.get(FENCE);
        self.took.fenced += usize::from(fenced.is_some() && fenced != fence);
        if now.terminating && !was.terminating && !is_new {
            self.is_deleted(&was);
        }
        match (was.is_counted(), now.is_counted()) {
            (false, true) if is_tenants => self.took.forged += 1,
            (false, true) => {
                if !now.is_of_tenant() && !was.is_asked_for() {
                    self.find(&now, Wrong::Unasked("it was quarantined"));
                }
                let workload = controller(meta).map(|owner| owner.name.clone());
                self.begins(&mut now, workload);
            }
            (true, false) if now.quarantine.is_some() => {
                if !now.terminating && !now.is_of_tenant() && !was.is_to_be_released() {
                    self.find(&now, Wrong::Unasked("it was released"));
                }
                self.ends(&mut now);
            }
            _ => {}
        }
        if !now.is_marked() {
            self.compare(&now);
        }
        self.pods.insert(uid, now);
    }

    /// A pod is no more.
    pub(crate) fn is_gone(&mut self, meta: &ObjectMeta) {
        let gone = meta.uid.as_ref().and_then(|uid| self.pods.remove(uid));
        self.took.versions += 1;
        if let Some(gone) = gone.as_ref().filter(|gone| !gone.terminating) {
            self.is_deleted(gone);
        }
        if let Some(mut gone) = gone.filter(|gone| gone.quarantine.is_some()) {
            gone.terminating = true;
            self.ends(&mut gone);
        }
    }

    /// All pods of one version, where not every event was seen.
    pub(crate) fn are(&mut self, all: &[ObjectMeta]) {
        let there: BTreeSet<&String> = all.iter().filter_map(|meta| meta.uid.as_ref()).collect();
        let gone = self.pods.keys().filter(|uid| !there.contains(uid));
        let gone: Vec<Uid> = gone.cloned().collect();
        for uid in gone {
            self.is_gone(&ObjectMeta {
                uid: Some(uid),
                ..ObjectMeta::default()
            });
        }
        let known = |meta: &&ObjectMeta| {
            let seen = meta.uid.as_ref().and_then(|uid| self.pods.get(uid));
            seen.is_none_or(|seen| seen.version < version(meta))
        };
        let mut newer: Vec<&ObjectMeta> = all.iter().filter(known).collect();
        newer.sort_by_key(|meta| version(meta));
        for meta in newer {
            self.is(meta);
        }
    }

    /// A person is about to change a label of a pod: it may be as it likes from now on.
    pub(crate) fn label_is_changed_by_people(&mut self, uid: &str, key: &str) {
        if let Some(seen) = self.pods.get_mut(uid) {
            seen.changed_by_hand.insert(key.to_owned());
        }
    }

    /// A person, or a tenant with a pod of its own, is about to do that.
    pub(crate) fn is_own_doing(&mut self, uid: &str, doing: Doing) {
        if let Some(seen) = self.pods.get_mut(uid) {
            seen.done.insert(doing);
        }
    }

    /// No quarantine that was asked for in a namespace has begun in time.
    pub(crate) fn is_not_in_time(&mut self, namespace: &str, why: &str) {
        let none = Seen {
            namespace: namespace.to_owned(),
            ..Seen::default()
        };
        self.find(&none, Wrong::NotInTime(why.to_owned()));
    }

    /// A person is about to delete a pod.
    pub(crate) fn is_deleted_by_people(&mut self, uid: &str) {
        self.is_own_doing(uid, Doing::Deletion);
    }

    /// Compares all pods that are there now and are wanted; gives how many.
    pub(crate) fn compare_all(&mut self, wanted: impl Fn(&Seen) -> bool) -> usize {
        let mut pods: Vec<Seen> = self.pods.values().cloned().collect();
        pods.retain(|pod| wanted(pod));
        for pod in &pods {
            self.compare(pod);
        }
        pods.len()
    }

    pub(crate) fn pods(&self) -> &BTreeMap<Uid, Seen> {
        &self.pods
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn took(&self) -> Took {
        self.took
    }

    /// How many count against the limits now.
    pub(crate) fn quarantined(&self) -> usize {
        let quarantined = self.pods.values().filter(|pod| pod.quarantine.is_some());
        quarantined.count()
    }

    /// How many quarantines began at or above a limit.
    pub(crate) fn over_the_cap(&self) -> usize {
        let over = |one: &&Finding| matches!(one.wrong, Wrong::OverTheCap(_));
        self.findings.iter().filter(over).count()
    }

    /// How many labels were lost, each once.
    pub(crate) fn labels_lost(&self) -> usize {
        let lost = self.findings.iter().map(|one| match &one.wrong {
            Wrong::LabelsLost(labels) => labels.len(),
            Wrong::OverTheCap(_) | Wrong::Unknown | Wrong::Unasked(_) | Wrong::NotInTime(_) => 0,
        });
        lost.sum()
    }

    /// How many namespaces of others something befell that would not have without the tenants.
    pub(crate) fn foreign_touched(&self) -> usize {
        let touched = self.findings.iter().filter_map(|one| match one.wrong {
            Wrong::Unasked(_) | Wrong::NotInTime(_) => one.pod.split('/').next(),
            Wrong::OverTheCap(_) | Wrong::LabelsLost(_) | Wrong::Unknown => None,
        });
        let namespaces: BTreeSet<&str> = touched.collect();
        namespaces.len()
    }

    /// Nobody but the agent deletes what nobody owns and nobody asked to be deleted; and the agent, only what carries the
    /// record that it wrote itself, also if a tenant has taken all marks off and put them back meanwhile.
    fn is_deleted(&mut self, pod: &Seen) {
        let is_let_go = pod.unowned.is_some_and(|since| since.elapsed() > LET_GO);
        let is_explained = pod.done.iter().any(|done| *done != Doing::Record) || !is_let_go;
        let record = pod.annotations.get(RECORD);
        let is_the_agents = record.is_some() && record == pod.written.as_ref();
        if !is_explained && !is_the_agents {
            self.find(pod, Wrong::Unasked("it was deleted"));
        }
    }

    fn begins(&mut self, pod: &mut Seen, workload: Option<String>) {
        let mut used = [0; 3];
        for other in self.pods.values() {
            let Some(quarantine) = &other.quarantine else {
                continue;
            };
            let same_namespace = other.namespace == pod.namespace;
            let same_workload = workload.is_some() && quarantine.workload == workload;
            let counts = [true, same_namespace, same_namespace && same_workload];
            for (used, counts) in used.iter_mut().zip(counts) {
                *used += usize::from(counts);
            }
        }
        let [of_cluster, of_namespace, of_workload] = used;
        let scopes = [
            ("cluster", of_cluster, self.limits.cluster),
            ("namespace", of_namespace, self.limits.namespace),
            ("workload", of_workload, self.limits.workload),
        ];
        let over = scopes.into_iter().filter(|(_, used, max)| used >= max);
        let over: Vec<String> = over
            .map(|(scope, used, max)| format!("{scope}: {used} of at most {max}"))
            .collect();
        if !over.is_empty() {
            self.find(pod, Wrong::OverTheCap(over));
        }
        let took = &mut self.took;
        took.quarantines += 1;
        took.most_of_cluster = took.most_of_cluster.max(of_cluster + 1);
        took.most_of_namespace = took.most_of_namespace.max(of_namespace + 1);
        if workload.is_some() {
            took.most_of_workload = took.most_of_workload.max(of_workload + 1);
        }
        pod.quarantine = Some(Quarantine {
            since: pod.version,
            workload,
        });
    }

    fn ends(&mut self, pod: &mut Seen) {
        pod.quarantine = None;
        let took = &mut self.took;
        let counter = match (pod.terminating, pod.done.contains(&Doing::Deletion)) {
            (false, _) => &mut took.releases,
            (true, false) => &mut took.reaps,
            (true, true) => &mut took.deleted_by_people,
        };
        *counter += 1;
    }

    fn compare(&mut self, pod: &Seen) {
        let mut lost = pod.lost();
        let name = pod.to_string();
        // A label that stays away is lost once.
        for finding in self.findings.iter().filter(|finding| finding.pod == name) {
            if let Wrong::LabelsLost(known) = &finding.wrong {
                lost.retain(|(key, ..)| known.iter().all(|(known, ..)| known != key));
            }
        }
        if !lost.is_empty() {
            self.find(pod, Wrong::LabelsLost(lost));
        }
    }

    fn find(&mut self, pod: &Seen, wrong: Wrong) {
        let quarantined = self.pods.values().filter_map(|other| {
            let since = other.quarantine.as_ref()?.since;
            Some(format!("{other} since {since}"))
        });
        self.findings.push(Finding {
            pod: pod.to_string(),
            version: pod.version,
            at: Timestamp::now(),
            wrong,
            quarantined: quarantined.collect(),
        });
    }
}

#[cfg(test)]
mod tests;
