//! The JSON Schema of each key and value.

use serde_json::{Map, Value as Json, json};

/// The schema of a key.
pub(super) struct Description {
    text: String,
    default: Option<Json>,
}

impl Description {
    /// The description of a key with its range and its default in words, and the default itself.
    pub(super) fn new(
        about: &str,
        range: Option<String>,
        default: Option<&str>,
        value: Option<Json>,
    ) -> Self {
        let default = default.map(|default| format!("by default {default}"));
        let notes: Vec<String> = range.into_iter().chain(default).collect();
        let text = if notes.is_empty() {
            about.to_owned()
        } else {
            format!("{about} ({})", notes.join(", "))
        };
        Self {
            text,
            default: value,
        }
    }
}

/// The schema of a mapping with known keys.
#[derive(Default)]
pub(super) struct ObjectSchema {
    pub(super) required: Vec<&'static str>,
    pub(super) one_of: Vec<Json>,
    properties: Map<String, Json>,
}

impl ObjectSchema {
    pub(super) fn property(&mut self, key: &str, description: Description, mut schema: Json) {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), description.text.into());
            if let Some(default) = description.default {
                schema.insert("default".to_owned(), default);
            }
        }
        self.properties.insert(key.to_owned(), schema);
    }

    pub(super) fn into_json(self) -> Json {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let Some(schema) = schema.as_object_mut() {
            if !self.required.is_empty() {
                schema.insert("required".to_owned(), self.required.into());
            }
            if !self.one_of.is_empty() {
                schema.insert("oneOf".to_owned(), self.one_of.into());
            }
        }
        schema
    }
}
