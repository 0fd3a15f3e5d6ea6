//! A pod as its last version says, and who wrote what of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{QUARANTINE, RECORD, RELEASE, STATE, TENANT, Uid};

type Labels = BTreeMap<String, String>;

/// What people, or a tenant, do to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doing {
    /// They delete it.
    Deletion,
    /// They write its record: what becomes of its labels follows from that.
    Record,
    /// They write its owner: any controller may delete it then.
    Owner,
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
    /// The uid of its controller.
    pub(crate) owner: Option<String>,
    /// Whether it carries a record that is its own by its uid, or cannot be read.
    pub(super) has_record: bool,
    /// The last record on it that no tenant wrote.
    pub(super) written: Option<String>,
    /// Since when nobody owns it.
    pub(super) unowned: Option<Instant>,
    /// What people and tenants have done to it: what follows from that is their own doing.
    pub(super) done: BTreeSet<Doing>,
    /// As it was made with; `None` where it was quarantined when first seen.
    pub(super) first: Option<Labels>,
    pub(super) changed_by_hand: BTreeSet<String>,
    pub(super) quarantine: Option<Quarantine>,
}

#[derive(Clone, Debug)]
pub(super) struct Quarantine {
    pub(super) since: u64,
    /// What owned the pod when it began: the name of its controller.
    pub(super) workload: Option<String>,
}

impl Seen {
    /// Whether it is in the namespace of a tenant.
    pub(crate) fn is_of_tenant(&self) -> bool {
        self.namespace.starts_with(TENANT)
    }

    /// Whether it carries the state label or a record.
    pub(crate) fn is_marked(&self) -> bool {
        self.labels.contains_key(STATE) || self.has_record
    }

    /// Whether it counts against the limits.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_marked() && !self.terminating
    }

    /// Whether it is no quarantined pod, and of a Deployment that no signal watches.
    pub(crate) fn is_quiet(&self) -> bool {
        let is_of_quiet = self.labels.get("app").is_some_and(|app| app == "quiet");
        !self.is_marked() && is_of_quiet && self.owner.is_some()
    }

    /// Whether people want it back.
    pub(crate) fn is_to_be_released(&self) -> bool {
        self.annotations.contains_key(RELEASE)
    }

    /// Whether people, or the signal of its policy, may have asked for its quarantine.
    pub(crate) fn is_asked_for(&self) -> bool {
        let is_probed = self.labels.get("app").is_some_and(|app| app == "web");
        is_probed || self.annotations.contains_key(QUARANTINE)
    }

    /// The labels in which it differs from how it was made, but for those that a person changed.
    pub(super) fn lost(&self) -> Vec<(String, Option<String>, Option<String>)> {
        let Some(first) = self
            .first
            .as_ref()
            .filter(|_| !self.done.contains(&Doing::Record))
        else {
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

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The number of a version.
pub(crate) fn version(meta: &ObjectMeta) -> u64 {
    let version = meta.resource_version.as_deref().unwrap_or_default();
    version.parse().unwrap_or_default()
}

pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// What every record has.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(rename = "version")]
    _version: u32,
    uid: Uid,
}

/// With the uid of another pod a record is none; one that cannot be read, is.
pub(super) fn has_record(meta: &ObjectMeta) -> bool {
    let annotations = meta.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(RECORD)) else {
        return false;
    };
    let is_read = text.len() <= 8 * 1024;
    let head: Option<Head> = serde_json::from_str(text).ok();
    let head = head.filter(|_| is_read);
    head.is_none_or(|head| meta.uid == Some(head.uid))
}

/// Whether a tenant has written what makes a pod count, by what the API server says of who wrote what.
pub(super) fn is_marked_by_tenant(meta: &ObjectMeta) -> bool {
    let of_tenant = |pointer: &str| {
        let entries = meta.managed_fields.iter().flatten();
        let mut entries = entries.filter(|entry| entry.manager.as_deref() == Some(TENANT));
        entries.any(|entry| {
            let fields = entry.fields_v1.as_ref();
            fields.is_some_and(|fields| fields.0.pointer(pointer).is_some())
        })
    };
    // The agent writes no label without a record.
    !has_record(meta) || of_tenant("/f:metadata/f:annotations/f:pod-quarantine.io~1record")
}
