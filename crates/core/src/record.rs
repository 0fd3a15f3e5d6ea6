//! The record on a quarantined pod: everything needed to explain its quarantine and to release it.
//!
//! Compact JSON in the annotation [`RECORD`](crate::keys::RECORD), at most [`MAX_BYTES`]. An agent that restarts knows
//! nothing but the records and the ledger.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    object::{Reference, Uid},
    policy::Detach,
    selector::Labels,
    text::{Fingerprint, truncate},
};

/// The version that is written. A pod with a record of a newer version is left alone until people force its release.
pub const VERSION: u32 = 1;

/// The bound on the JSON text. The API server allows 256 KiB for all annotations of an object.
pub const MAX_BYTES: usize = 8 * 1024;

/// Values by key; `None` where there was, or will be, no such key.
pub type Values = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// What the quarantine changed on a pod, why, and how the pod was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// The pod's uid: on a pod with another uid this is no record.
    pub uid: Uid,
    /// The installation that quarantined the pod, `namespace/name`.
    pub agent: Arc<str>,
    /// The policy that requested the quarantine.
    pub policy: Arc<str>,
    /// Whether a person asked for it, not a signal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manual: bool,
    /// One line for people.
    pub reason: Arc<str>,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
    /// When the pod was quarantined.
    pub at: Timestamp,
    /// When the TTL expires, unless an annotation says otherwise.
    pub expires: Timestamp,
    /// All labels as they were before.
    pub labels: Labels,
    /// The edited labels with the value written; `None` where the key was removed.
    pub edits: Values,
    /// The annotations that the agent changed, as they were before.
    pub annotations: Values,
    pub owner: Reference,
    pub workload: Reference,
    /// Whether the pod left its workload, too.
    pub detach: Detach,
    /// How often its containers had been restarted before.
    pub restarts: u32,
    /// The names of the Services it left.
    pub services: Vec<Arc<str>>,
}

/// One sample, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub at: Timestamp,
    /// What was seen, such as `HTTP 500`.
    pub saw: Arc<str>,
}

/// What stands in a record, whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted(Record);

impl Untrusted {
    /// What it says, for what concerns its own pod alone: showing, and releasing it. All else asks the ledger first, by
    /// [`Ledger::known`](crate::ledger::Ledger::known).
    #[must_use]
    pub fn claimed(&self) -> &Record {
        &self.0
    }
}

impl From<Record> for Untrusted {
    fn from(record: Record) -> Self {
        Self(record)
    }
}

/// The content of a pod's record annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Nothing, or the record of another pod (copied along with its labels).
    Absent,
    /// A record of this pod.
    Readable(Box<Untrusted>),
    /// A record of this pod of a newer version, with the part that could be read, if any.
    Newer(u32, Option<Box<Untrusted>>),
    /// A text that cannot be read, and why.
    Damaged(String),
}

/// The fields that every version has.
#[derive(Deserialize)]
struct Head {
    version: u32,
    uid: Uid,
}

/// A record annotation, read once: whose record it is, what it says, and what the ledger recognises it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParsedRecord {
    /// The uid in it; `None` where it cannot be read.
    pod: Option<Uid>,
    state: RecordState,
    fingerprint: Fingerprint,
}

impl ParsedRecord {
    /// Reads the annotation's text. A longer text than the agent writes is not read at all.
    pub(crate) fn parse(text: &str) -> Self {
        let fingerprint = Fingerprint::of(text);
        let unread = |why| Self {
            pod: None,
            state: RecordState::Damaged(why),
            fingerprint: fingerprint.clone(),
        };
        if text.len() > MAX_BYTES {
            return unread(format!("it is longer than {MAX_BYTES} bytes"));
        }
        let head: Head = match serde_json::from_str(text) {
            Ok(head) => head,
            Err(error) => return unread(in_short(&error)),
        };
        let record = serde_json::from_str(text).map(|record| Box::new(Untrusted(record)));
        let version = head.version;
        let state = match (version.cmp(&VERSION), record) {
            (Ordering::Equal, Ok(record)) => RecordState::Readable(record),
            (Ordering::Equal, Err(error)) => RecordState::Damaged(in_short(&error)),
            (Ordering::Greater, record) => RecordState::Newer(version, record.ok()),
            (Ordering::Less, _) => {
                RecordState::Damaged(format!("no version {version} was ever written"))
            }
        };
        Self {
            pod: Some(head.uid),
            state,
            fingerprint,
        }
    }

    /// What it is on the pod of that uid.
    pub(crate) fn on(&self, pod: &Uid) -> &RecordState {
        match &self.pod {
            Some(uid) if uid != pod => &RecordState::Absent,
            _ => &self.state,
        }
    }

    /// The record on the pod of that uid, if its text is known to be the agent's.
    pub(crate) fn known(
        &self,
        pod: &Uid,
        is_known: impl FnOnce(&Fingerprint) -> bool,
    ) -> Option<&Record> {
        let record = self.on(pod).untrusted()?;
        is_known(&self.fingerprint).then_some(&record.0)
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl RecordState {
    /// What the record [says](Untrusted::claimed), as far as it can be read.
    #[must_use]
    pub fn claimed(&self) -> Option<&Record> {
        self.untrusted().map(Untrusted::claimed)
    }

    fn untrusted(&self) -> Option<&Untrusted> {
        match self {
            Self::Readable(record) | Self::Newer(_, Some(record)) => Some(record),
            Self::Newer(_, None) | Self::Absent | Self::Damaged(_) => None,
        }
    }
}

/// The labels alone are too long for a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the record: {bytes} bytes, at most {MAX_BYTES} fit")]
pub struct TooLong {
    bytes: usize,
}

impl Record {
    /// The annotation's text. If it is too long, the oldest evidence is left out first, then the end of the reason.
    pub fn to_text(&self) -> Result<String, TooLong> {
        let mut record = self.clone();
        loop {
            // Maps with string keys and plain values: serialising them cannot fail.
            let text = serde_json::to_string(&record).unwrap_or_default();
            if text.len() <= MAX_BYTES {
                return Ok(text);
            }
            if !record.evidence.is_empty() {
                record.evidence.remove(0);
            } else if record.reason.len() > REASON_BYTES {
                record.reason = truncate(&record.reason, REASON_BYTES).into();
            } else {
                return Err(TooLong { bytes: text.len() });
            }
        }
    }
}

/// What is wrong with a record. An error may repeat the whole text, which anyone may have written.
fn in_short(error: &serde_json::Error) -> String {
    truncate(&error.to_string(), REASON_BYTES).to_owned()
}

/// The bytes that are kept of a reason that does not fit, and of what is wrong with a record.
const REASON_BYTES: usize = 256;
