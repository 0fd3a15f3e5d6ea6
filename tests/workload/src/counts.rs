//! What came back: answers by pod and code, and failures by kind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a line in an answer begins with that says which pod gave it.
pub(crate) const POD_LINE: &str = "pod: ";

/// The pod of an answer that does not say which pod gave it.
pub const UNKNOWN_POD: &str = "unknown";

/// All that came back since a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Since when it is counted.
    pub since: Timestamp,
    /// Answers by pod and by code.
    pub by_pod: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Requests without an answer, by kind; every kind is there, most of them 0.
    pub errors: BTreeMap<ErrorKind, u64>,
}

impl Counts {
    /// Nothing, since `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            by_pod: BTreeMap::new(),
            errors: ErrorKind::ALL.map(|kind| (kind, 0)).into(),
        }
    }

    /// Counts an answer by the pod that its body names.
    pub fn answered(&mut self, code: u16, body: &[u8]) {
        let pod = pod_of(body).unwrap_or_else(|| UNKNOWN_POD.to_owned());
        *self.by_pod.entry(pod).or_default().entry(code).or_default() += 1;
    }

    /// Counts a request that got no answer.
    pub fn failed(&mut self, kind: ErrorKind) {
        *self.errors.entry(kind).or_default() += 1;
    }
}

fn pod_of(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let pod = text.lines().find_map(|line| line.strip_prefix(POD_LINE))?;
    Some(pod.to_owned())
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The name has no address.
    Resolve,
    /// Nothing listens, or the Service has no endpoint.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// No whole answer in time.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer was whole.
    Closed,
    /// The body is longer than is read.
    TooLong,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Resolve,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Reset,
        Self::Closed,
        Self::TooLong,
        Self::Other,
    ];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails")]

    use super::*;

    #[test]
    fn the_json_is_by_pod_and_code_with_every_kind_of_error() {
        let mut counts = Counts::new(Timestamp::UNIX_EPOCH);
        counts.answered(200, b"pod: web-1\n");
        counts.answered(200, b"hello\npod: web-1\nbye\n");
        counts.answered(500, b"pod: web-1\n");
        counts.answered(502, b"bad gateway\n");
        counts.failed(ErrorKind::Refused);
        let json = serde_json::to_value(&counts).unwrap();
        let expected = serde_json::json!({
            "since": "1970-01-01T00:00:00Z",
            "by_pod": {"web-1": {"200": 2, "500": 1}, "unknown": {"502": 1}},
            "errors": {
                "resolve": 0, "refused": 1, "unreachable": 0, "timeout": 0,
                "reset": 0, "closed": 0, "too_long": 0, "other": 0,
            },
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Counts>(json).unwrap(), counts);
    }
}
