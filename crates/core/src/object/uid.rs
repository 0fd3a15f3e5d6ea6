//! What tells objects of the same name apart.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::text::Fingerprint;

/// The longest text that is a uid. Those of the API server have 36 characters.
const MAX_BYTES: usize = 63;

/// The unique id of an object: another object of the same name has another one.
///
/// It is always a text that can be a key of a ConfigMap. The API server gives an object its own uid, but takes any text
/// for that in an ownerReference: one that is no uid is replaced by its fingerprint, which is the uid of no object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub struct Uid(Arc<str>);

fn is_uid(text: &str) -> bool {
    let mut letters = text.bytes();
    (1..=MAX_BYTES).contains(&text.len())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter))
}

impl From<Arc<str>> for Uid {
    fn from(text: Arc<str>) -> Self {
        if is_uid(&text) {
            Self(text)
        } else {
            Self(Fingerprint::of(&text).into())
        }
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self::from(Arc::from(text))
    }
}

impl From<String> for Uid {
    fn from(text: String) -> Self {
        Self::from(Arc::from(text))
    }
}

impl From<Uid> for Arc<str> {
    fn from(uid: Uid) -> Self {
        uid.0
    }
}

/// The uid of no object.
impl Default for Uid {
    fn default() -> Self {
        Self::from("")
    }
}

impl Deref for Uid {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Uid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
