//! The kinds of values in the policy file.

use serde_json::Value as Json;

use super::{context::ReadContext, yaml::YamlNode};

/// A kind of value.
pub(super) trait ValueKind {
    /// The type that it is read into.
    type Value;

    /// Reads a node; `None` after an error.
    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Self::Value>;

    fn schema(&self) -> Json;

    /// The range in words, such as `1s to 24h`.
    fn range(&self) -> Option<String> {
        None
    }
}

/// A kind whose values can be written back, so that they can be defaults.
pub(super) trait Scalar: ValueKind {
    /// A value as the file writes it.
    fn write(&self, value: &Self::Value) -> Json;

    /// A value as prose shows it.
    fn show(&self, value: &Self::Value) -> String {
        match self.write(value) {
            Json::String(text) => text,
            other => other.to_string(),
        }
    }
}

/// A kind whose values may be empty, and are so by default.
pub(super) trait Collection: ValueKind {
    /// The empty value as the file writes it.
    fn empty() -> Json;
}
