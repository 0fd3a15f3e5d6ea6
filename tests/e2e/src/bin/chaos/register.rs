//! What every version of every pod says, by the letter of the contract and by none of the agent's code: how many pods
//! are quarantined at once, and whether a pod that is not has the labels that it was made with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The label of a quarantined pod.
pub(crate) const STATE: &str = "pod-quarantine.io/state";
/// The annotation of a pod that was made to change.
const FENCE: &str = "pod-quarantine.io/fence";
/// The annotation that holds what it takes to put it back.
pub(crate) const RECORD: &str = "pod-quarantine.io/record";

type Uid = String;
type Labels = BTreeMap<String, String>;

/// How many pods may be quarantined at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cluster: usize,
    pub(crate) namespace: usize,
    pub(crate) workload: usize,
}

/// Something that must never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The quarantine began at or above these limits.
    OverTheCap(Vec<String>),
    /// Labels that differ from those that the pod was made with: the key, how it was, how it is.
    LabelsLost(Vec<(String, Option<String>, Option<String>)>),
    /// It was quarantined before it was seen otherwise, so that nothing can be said of its labels.
    Unknown,
}

/// Where and when something was wrong.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) pod: String,
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    pub(crate) wrong: Wrong,
    /// The pods that were quarantined then, each with the version in which that began.
    pub(crate) quarantined: Vec<String>,
}

/// How often what took place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    pub(crate) versions: usize,
    pub(crate) quarantines: usize,
    pub(crate) releases: usize,
    pub(crate) reaps: usize,
    pub(crate) deleted_by_people: usize,
    /// Made to change, so that no late write of an old slot succeeds.
    pub(crate) fenced: usize,
    /// The most that were quarantined at once.
    pub(crate) most_of_cluster: usize,
    pub(crate) most_of_namespace: usize,
    pub(crate) most_of_workload: usize,
}

/// A pod as it was last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) terminating: bool,
    /// As it was made with; `None` where it was quarantined when first seen.
    first: Option<Labels>,
    changed_by_hand: BTreeSet<String>,
    deleted_by_people: bool,
    quarantine: Option<Quarantine>,
}

#[derive(Clone, Debug)]
struct Quarantine {
    since: u64,
    /// What owned the pod when it began: the name of its controller.
    workload: Option<String>,
}

impl Seen {
    /// Whether it carries the state label or a record.
    pub(crate) fn is_marked(&self) -> bool {
        self.labels.contains_key(STATE) || self.annotations.contains_key(RECORD)
    }

    /// Whether it counts against the limits.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_marked() && !self.terminating
    }

    /// The labels in which it differs from how it was made, but for those that a person changed.
    fn lost(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let Some(first) = &self.first else {
            return Vec::new();
        };
        let keys: BTreeSet<&String> = first.keys().chain(self.labels.keys()).collect();
        let differs = |key: &&&String| {
            first.get(**key) != self.labels.get(**key) && !self.changed_by_hand.contains(**key)
        };
        let differing = keys.iter().filter(differs);
        differing
            .map(|key| {
                let (was, is) = (first.get(*key).cloned(), self.labels.get(*key).cloned());
                ((*key).clone(), was, is)
            })
            .collect()
    }
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
        let fence = now.annotations.remove(FENCE);
        let was_counted = now.quarantine.is_some();
        now.namespace = meta.namespace.clone().unwrap_or_default();
        now.name = meta.name.clone().unwrap_or_default();
        now.version = version(meta);
        now.labels = meta.labels.clone().unwrap_or_default();
        now.annotations = meta.annotations.clone().unwrap_or_default();
        now.terminating = meta.deletion_timestamp.is_some();
        if is_new {
            if now.is_marked() {
                self.find(&now, Wrong::Unknown);
            } else {
                now.first = Some(now.labels.clone());
            }
        }
        self.took.versions += 1;
        let fenced = now.annotations.get(FENCE);
        self.took.fenced += usize::from(fenced.is_some() && fenced != fence.as_ref());
        match (was_counted, now.is_counted()) {
            (false, true) => self.begins(&mut now, controller(meta)),
            (true, false) => self.ends(&mut now),
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

    /// A person is about to delete a pod.
    pub(crate) fn is_deleted_by_people(&mut self, uid: &str) {
        if let Some(seen) = self.pods.get_mut(uid) {
            seen.deleted_by_people = true;
        }
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
            Wrong::OverTheCap(_) | Wrong::Unknown => 0,
        });
        lost.sum()
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
        let counter = match (pod.terminating, pod.deleted_by_people) {
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

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pod, version, at, ..
        } = self;
        match &self.wrong {
            Wrong::OverTheCap(scopes) => write!(
                f,
                "{at} {pod}, version {version}: its quarantine began over the cap ({}); quarantined then: {}",
                scopes.join(", "),
                self.quarantined.join(", ")
            ),
            Wrong::LabelsLost(labels) => {
                write!(f, "{at} {pod}, version {version}: labels lost:")?;
                let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
                for (key, was, is) in labels {
                    write!(f, " {key} was {}, is {}", text(was), text(is))?;
                }
                Ok(())
            }
            Wrong::Unknown => write!(
                f,
                "{at} {pod}, version {version}: it was quarantined when it was first seen"
            ),
        }
    }
}

/// The number of a version.
pub(crate) fn version(meta: &ObjectMeta) -> u64 {
    let version = meta.resource_version.as_deref().unwrap_or_default();
    version.parse().unwrap_or_default()
}

fn controller(meta: &ObjectMeta) -> Option<String> {
    let mut owners = meta.owner_references.iter().flatten();
    let controller = owners.find(|owner| owner.controller == Some(true))?;
    Some(controller.name.clone())
}

#[cfg(test)]
mod tests;
