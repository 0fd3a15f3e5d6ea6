//! Text of limited length.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many bytes of a SHA-256 are kept.
const BYTES: usize = 16;

/// The first bytes of a text, never half a character.
#[must_use]
pub fn truncate(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Stands for a text wherever the text itself is too long, or may contain anything: the first 128 bits of its SHA-256, in
/// hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hex = String::with_capacity(2 * BYTES);
        for byte in Sha256::digest(text.as_bytes()).iter().take(BYTES) {
            // Writing into a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex.into())
    }
}

impl From<Fingerprint> for Arc<str> {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
