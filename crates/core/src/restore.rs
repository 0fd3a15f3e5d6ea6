//! Releasing a pod: its labels and annotations become what the record says.
//!
//! Keys that someone else changed in between are left as they are, and named. A released pod is the newest of its
//! ReplicaSet, which now has one too many. So that the ReplicaSet does not delete it, it carries the highest deletion cost
//! until the ReplicaSet has settled.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{keys, object::Pod, record::Record, write::Change};

/// The deletion cost of a pod that was just released: the highest possible.
pub const HIGHEST_COST: &str = "2147483647";

/// The content of the annotation [`keys::RELEASED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// When it was released.
    pub at: Timestamp,
    /// Until when it is left alone.
    pub until: Timestamp,
    /// The deletion cost to restore.
    pub deletion_cost: Option<Arc<str>>,
}

/// The release of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    pub change: Change,
    /// The keys that someone else changed since, which are left as they are.
    pub left: Vec<Arc<str>>,
}

/// The value that the agent writes into an annotation that protects a quarantined pod, by the value before.
#[must_use]
pub fn preserving(key: &str, before: Option<&str>) -> Arc<str> {
    match (key, before) {
        (keys::SAFE_TO_EVICT, _) => "false".into(),
        (keys::ARGO_SYNC_OPTIONS, None | Some("")) => "Prune=false".into(),
        (keys::ARGO_SYNC_OPTIONS, Some(options)) => {
            let others = options
                .split(',')
                .map(str::trim)
                .filter(|option| !option.starts_with("Prune="));
            others
                .chain(["Prune=false"])
                .collect::<Vec<_>>()
                .join(",")
                .into()
        }
        _ => "true".into(),
    }
}

/// The change that releases a pod. If a ReplicaSet will own it again, the change includes the highest deletion cost.
#[must_use]
pub fn restore(pod: &Pod, record: &Record, released: &Released, joins_again: bool) -> Restoration {
    let mut restoration = Restoration {
        change: Change::default(),
        left: Vec::new(),
    };
    let labels = &mut restoration.change.labels;
    for (key, value) in &record.edits {
        let now = pod.labels.get(key);
        if now == value.as_ref() {
            labels.insert(key.clone(), record.labels.get(key).cloned());
        } else if now != record.labels.get(key) {
            restoration.left.push(key.clone());
        }
    }
    for key in [keys::STATE, keys::WORKLOAD] {
        labels.insert(key.into(), record.labels.get(key).cloned());
    }
    let annotations = &mut restoration.change.annotations;
    for (key, before) in &record.annotations {
        let now = pod.annotations.get(key);
        if now == Some(&preserving(key, before.as_deref())) {
            annotations.insert(key.clone(), before.clone());
        } else if now != before.as_ref() {
            restoration.left.push(key.clone());
        }
    }
    // A command to quarantine a pod that was already quarantined is done: it must not quarantine the pod again.
    for key in [keys::RECORD, keys::RELEASE, keys::QUARANTINE, keys::FENCE] {
        annotations.insert(key.into(), None);
    }
    let cost = if joins_again {
        Some(HIGHEST_COST.into())
    } else {
        released.deletion_cost.clone()
    };
    if pod.annotations.get(keys::DELETION_COST) != cost.as_ref() {
        annotations.insert(keys::DELETION_COST.into(), cost);
    }
    // Times and a string: serialising them cannot fail.
    let text = serde_json::to_string(released).unwrap_or_default();
    annotations.insert(keys::RELEASED.into(), Some(text.into()));
    restoration
}

/// The deletion cost that is not the agent's. A pod may be quarantined and released again before it has settled: then
/// the annotation of the first release has it. If that cannot be read, the agent's own cost is removed.
#[must_use]
pub fn own_cost(pod: &Pod) -> Option<Arc<str>> {
    let now = pod.annotations.get(keys::DELETION_COST).cloned();
    if pod.annotations.contains_key(keys::RELEASED) && now.as_deref() == Some(HIGHEST_COST) {
        released(pod).and_then(|released| released.deletion_cost)
    } else {
        now
    }
}

fn released(pod: &Pod) -> Option<Released> {
    serde_json::from_str(pod.annotation(keys::RELEASED)?).ok()
}

/// Until when a released pod is left alone; `None` where its annotation cannot be read.
#[must_use]
pub fn left_alone_until(pod: &Pod) -> Option<Timestamp> {
    released(pod).map(|released| released.until)
}

/// The change that makes a released pod an ordinary pod again: once its ReplicaSet has settled, its own deletion cost is
/// restored; once it was left alone for long enough, the annotation is removed. A cost that someone else wrote since
/// stays.
#[must_use]
pub fn settle(pod: &Pod, has_settled: impl FnOnce() -> bool, now: Timestamp) -> Change {
    let mut change = Change::default();
    let own = own_cost(pod);
    if pod.annotations.get(keys::DELETION_COST) != own.as_ref() {
        if !has_settled() {
            return change;
        }
        change.annotations.insert(keys::DELETION_COST.into(), own);
    }
    let is_over = left_alone_until(pod).is_none_or(|until| now >= until);
    if is_over {
        change.annotations.insert(keys::RELEASED.into(), None);
    }
    change
}
