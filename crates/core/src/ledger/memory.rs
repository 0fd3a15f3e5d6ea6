//! What must outlive a restart besides the slots: every entry is bounded, and can be read by people.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    object::Uid, scope::Scope, text::Fingerprint, time::age_by_agents, workload::WorkloadId,
};

/// The key of the entry with the times of quarantines.
const BEGUN: &str = "begun";

/// The key of the pause.
pub const PAUSE: &str = "pause";

/// The beginning of the key of a workload's pacing record; the workload's uid follows.
const PACE: &str = "pace.";

/// The beginning of the key of a storm.
const STORM: &str = "storm.";

/// Workloads with a pacing record. Beyond this a record of the namespace that has most is dropped.
pub const MAX_PACING_RECORDS: usize = 300;

/// Storms of workloads that outlive a restart, and as many of nodes and zones. That of the cluster always does.
pub const MAX_STORMS: usize = 50;

/// Storms of workloads of one namespace that do: who may create workloads there can have any number of them in a storm.
const MAX_STORMS_OF_A_NAMESPACE: usize = MAX_STORMS / 4;

/// Quarantines are counted by the minute and namespace, up to that many numbers for an hour, however many there are.
const MAX_BEGUN: usize = 400;

const MINUTE: Duration = Duration::from_mins(1);

/// The window of `limits.cluster.perHour`.
const HOUR: Duration = Duration::from_hours(1);

/// Everything in the ledger but its slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// How many quarantines began within each minute of the last hour, by namespace; beyond [`MAX_BEGUN`] by none.
    pub begun: BTreeMap<Timestamp, BTreeMap<Arc<str>, u32>>,
    /// The pacing records by workload.
    pub pacing: BTreeMap<WorkloadId, PacingRecord>,
    /// The storms in progress.
    pub storms: BTreeMap<Scope, Storm>,
    /// Set by people: nothing new is quarantined, and nothing is reaped.
    pub pause: Option<Pause>,
}

/// The quarantines of a workload and the success of their replacements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PacingRecord {
    /// The namespace, then the workload, for people: `shop/Deployment web`; of the controllers that the agent reads the top
    /// one.
    pub workload: Arc<str>,
    /// The uid of the ReplicaSet that owned its pods: after a rollout it is another one.
    pub replica_set: Uid,
    /// When the first of its pods was quarantined: a pod created since is a replacement.
    pub since: Timestamp,
    /// When the last of its pods was quarantined.
    pub last: Timestamp,
    /// How many replacements turned unhealthy soon, in a row.
    pub retries: u32,
    /// The workload's annotation [`RESET`](crate::keys::RESET) at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Fingerprint>,
}

impl PacingRecord {
    fn namespace(&self) -> &str {
        namespace_of(&self.workload)
    }
}

/// Too many pods are unhealthy at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storm {
    pub scope: Scope,
    /// The scope, for people: `node NAME`, `zone NAME`, `cluster`, or of a workload the namespace first,
    /// `shop/Deployment web`.
    #[serde(rename = "where")]
    pub name: Arc<str>,
    pub since: Timestamp,
}

impl Storm {
    /// Of a workload: its namespace.
    fn namespace(&self) -> &str {
        namespace_of(&self.name)
    }
}

/// A pause of the agent, set by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, in people's words.
    pub reason: Arc<str>,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Pause {
    /// Reads the entry: any text pauses.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            reason: text.trim().into(),
            since: None,
        })
    }
}

impl Memory {
    /// Reads an entry. False if it has another key, or cannot be read.
    pub(super) fn read(&mut self, key: &str, text: &str) -> bool {
        fn parsed<T: serde::de::DeserializeOwned>(text: &str, take: impl FnOnce(T)) -> bool {
            serde_json::from_str(text).map(take).is_ok()
        }
        if key == PAUSE {
            self.pause = Some(Pause::read(text));
            true
        } else if key == BEGUN {
            parsed(text, |begun| self.begun = begun)
        } else if let Some(workload) = key.strip_prefix(PACE) {
            parsed(text, |record| {
                self.pacing.insert(workload.into(), record);
            })
        } else if key.starts_with(STORM) {
            match serde_json::from_str::<Storm>(text) {
                Ok(storm) if storm_key(&storm.scope) == key => {
                    self.storms.insert(storm.scope.clone(), storm);
                    true
                }
                Ok(_) | Err(_) => false,
            }
        } else {
            false
        }
    }

    /// Whether an entry of that key belongs to the memory.
    pub(super) fn is_key(key: &str) -> bool {
        [PAUSE, BEGUN].contains(&key) || [PACE, STORM].iter().any(|begin| key.starts_with(begin))
    }

    /// The entries of the ledger object.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, String> {
        // Plain strings and numbers: serialising them cannot fail.
        fn text(value: &impl Serialize) -> String {
            serde_json::to_string(value).unwrap_or_default()
        }
        let mut entries = BTreeMap::new();
        if !self.begun.is_empty() {
            entries.insert(BEGUN.to_owned(), text(&self.begun));
        }
        if let Some(pause) = &self.pause {
            entries.insert(PAUSE.to_owned(), text(pause));
        }
        for (workload, record) in &self.pacing {
            entries.insert(format!("{PACE}{}", workload.as_str()), text(record));
        }
        for (scope, storm) in &self.storms {
            entries.insert(storm_key(scope), text(storm));
        }
        entries
    }

    /// How many quarantines began within the hour before `now`, or at most a minute more.
    #[must_use]
    pub fn begun_within_an_hour(&self, now: Timestamp) -> u32 {
        self.begun_within(now)
            .fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The same, by namespace.
    #[must_use]
    pub fn begun_by_namespace(&self, now: Timestamp) -> BTreeMap<Arc<str>, u32> {
        let mut counts = BTreeMap::new();
        for (namespace, count) in self.begun_within(now) {
            let sum: &mut u32 = counts.entry(namespace.clone()).or_default();
            *sum = sum.saturating_add(count);
        }
        counts
    }

    fn begun_within(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, u32)> {
        let minutes = self
            .begun
            .iter()
            .filter(move |(minute, _)| !is_past(**minute, now));
        minutes.flat_map(|(_, of)| of.iter().map(|(namespace, count)| (namespace, *count)))
    }

    /// Whether a storm may be added.
    pub(super) fn has_room_for(&self, storm: &Storm) -> bool {
        let is_of_workload = |known: &&Storm| matches!(known.scope, Scope::Workload(_));
        let is_of_place = |known: &&Storm| matches!(known.scope, Scope::Zone(_) | Scope::Node(_));
        let storms = self.storms.values();
        match storm.scope {
            Scope::Cluster => true,
            Scope::Zone(_) | Scope::Node(_) => storms.filter(is_of_place).count() < MAX_STORMS,
            Scope::Workload(_) => {
                let of_workloads = storms.filter(is_of_workload);
                let here = of_workloads.clone();
                let here = here.filter(|known| known.namespace() == storm.namespace());
                of_workloads.count() < MAX_STORMS && here.count() < MAX_STORMS_OF_A_NAMESPACE
            }
        }
    }

    pub(super) fn count(&mut self, at: Timestamp, namespace: &Arc<str>) {
        self.begun.retain(|minute, _| !is_past(*minute, at));
        let seconds = at.as_second();
        let minute = seconds - seconds.rem_euclid(MINUTE.as_secs().cast_signed());
        let minute = Timestamp::from_second(minute).unwrap_or(at);
        let known: usize = self.begun.values().map(BTreeMap::len).sum();
        let of_minute = self.begun.entry(minute).or_default();
        let namespace = if known < MAX_BEGUN || of_minute.contains_key(namespace) {
            namespace.clone()
        } else {
            Arc::default()
        };
        let count = of_minute.entry(namespace).or_default();
        *count = count.saturating_add(1);
    }

    /// Records the pacing of a workload. If there is no room, the namespace that has most records loses the one that would
    /// expire first: who may create workloads there can have any number of them.
    pub(super) fn put_pacing(&mut self, workload: &WorkloadId, record: PacingRecord) {
        if self.pacing.len() >= MAX_PACING_RECORDS && !self.pacing.contains_key(workload) {
            let mut of_namespaces: BTreeMap<&str, u32> = BTreeMap::new();
            for known in self.pacing.values() {
                *of_namespaces.entry(known.namespace()).or_default() += 1;
            }
            *of_namespaces.entry(record.namespace()).or_default() += 1;
            let least_needed = self.pacing.iter().max_by_key(|(_, known)| {
                let of_namespace = of_namespaces.get(known.namespace());
                (of_namespace, Reverse((known.retries, known.last)))
            });
            if let Some(least_needed) = least_needed.map(|(workload, _)| workload.clone()) {
                self.pacing.remove(&least_needed);
            }
        }
        self.pacing.insert(workload.clone(), record);
    }
}

/// The namespace of `shop/Deployment web`.
fn namespace_of(name: &str) -> &str {
    name.split('/').next().unwrap_or_default()
}

/// The key of a storm: `cluster` follows [`STORM`], or the kind and the name of the scope, or its fingerprint where that
/// could not be in a key.
pub(super) fn storm_key(scope: &Scope) -> String {
    let kind = scope.kind();
    match scope {
        Scope::Cluster => format!("{STORM}{kind}"),
        Scope::Zone(name) | Scope::Node(name) => {
            format!("{STORM}{kind}.{}", Uid::from(name.clone()))
        }
        Scope::Workload(workload) => format!("{STORM}{kind}.{}", workload.as_str()),
    }
}

/// Whether a minute ended more than an hour ago, or is further in the future than clocks of agents may be apart: a clock that was
/// wrong wrote it.
fn is_past(minute: Timestamp, now: Timestamp) -> bool {
    age_by_agents(now, minute).is_none_or(|age| age >= HOUR + MINUTE)
}
