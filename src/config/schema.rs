//! The policy file's JSON Schema, for editors.

use serde_json::{Value as Json, json};

use super::{file, reader::Kind};

/// The JSON Schema of the policy file: the reader, written down. It knows keys, types and forms; what one value
/// says about another (unique names, the timeout within the period) only the reader knows.
#[must_use]
pub fn schema() -> Json {
    let mut schema = file::policy_file().schema();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        schema.insert("title".to_owned(), json!("Policy file of pod-quarantine"));
    }
    schema
}
