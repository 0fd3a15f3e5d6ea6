//! The plain values of the policy file except numbers: text, choices, ports.

use std::{marker::PhantomData, path::Path, sync::Arc};

use serde_json::{Value as Json, json};
use strum::VariantArray;

use super::{
    context::{ReadContext, Strictness},
    kind::{Scalar, ValueKind},
    numbers::Integer,
    pattern::{self, Pattern},
    reader::nearest,
    yaml::{YamlNode, YamlValue},
};
use crate::core::policy::Port;

/// The text of a node, or an error that says what was expected or that quotes are missing.
fn text<'n>(node: &'n YamlNode, expected: &str, context: &mut ReadContext) -> Option<&'n str> {
    match &node.value {
        YamlValue::Text(text) => return Some(text),
        YamlValue::Bool(_) | YamlValue::Integer(_) | YamlValue::Number(_) => {
            let found = node.value.described();
            context.error(node, &format!("must be text, is {found}; put it in quotes"));
        }
        _ => context.mismatch(node, expected),
    }
    None
}

pub(super) struct Matching(pub(super) &'static Pattern);

impl ValueKind for Matching {
    type Value = Arc<str>;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Arc<str>> {
        let text = text(node, self.0.meaning, context)?;
        if self.0.matches(text) {
            return Some(Arc::from(text));
        }
        context.mismatch(node, self.0.meaning);
        None
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

impl Scalar for Matching {
    fn write(&self, value: &Arc<str>) -> Json {
        json!(value)
    }

    fn show(&self, value: &Arc<str>) -> String {
        format!("{value:?}")
    }
}

/// Any text that is not empty, with at most this many bytes.
pub(super) struct Text {
    pub(super) max_bytes: usize,
}

impl ValueKind for Text {
    type Value = String;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<String> {
        let text = text(node, "text", context)?;
        if text.trim().is_empty() {
            context.error(node, "must not be empty");
            return None;
        }
        if text.len() > self.max_bytes {
            let message = format!("must be at most {} bytes long", self.max_bytes);
            context.error(node, &message);
            return None;
        }
        Some(text.to_owned())
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "maxLength": self.max_bytes, "pattern": r"\S" })
    }
}

/// The path of a file on the agent's file system.
pub(super) struct FileName;

const FILE_NAME: Text = Text { max_bytes: 4096 };

impl ValueKind for FileName {
    type Value = String;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<String> {
        let path = FILE_NAME.read(node, context)?;
        if context.strictness() == Strictness::Check && !Path::new(&path).exists() {
            context.warn(
                node,
                "this file does not exist here; it must exist where the agent runs",
            );
        }
        Some(path)
    }

    fn schema(&self) -> Json {
        FILE_NAME.schema()
    }
}

/// One word of a closed set.
pub(super) struct Choice<T>(PhantomData<T>);

/// The kind of a closed set.
pub(super) fn choice<T: Word>() -> Choice<T> {
    Choice(PhantomData)
}

/// A closed set with a word for each variant.
pub(super) trait Word: Copy + VariantArray + Into<&'static str> {}

impl<T: Copy + VariantArray + Into<&'static str>> Word for T {}

impl<T: Word> Choice<T> {
    fn words() -> Vec<&'static str> {
        T::VARIANTS
            .iter()
            .map(|variant| (*variant).into())
            .collect()
    }
}

impl<T: Word> ValueKind for Choice<T> {
    type Value = T;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<T> {
        let words = Self::words();
        let quoted = |words: &[&str]| format!("\"{}\"", words.join("\", \""));
        let expected = match words.split_last() {
            Some((last, [])) => quoted(&[last]),
            Some((last, before)) => format!("{} or {}", quoted(before), quoted(&[last])),
            None => String::new(),
        };
        let text = text(node, &expected, context)?;
        for variant in T::VARIANTS {
            let word: &str = (*variant).into();
            if word == text {
                return Some(*variant);
            }
        }
        let advice = nearest(text, &words).map(|near| format!("; did you mean {near:?}?"));
        let found = node.value.described();
        let advice = advice.unwrap_or_default();
        context.error(node, &format!("must be {expected}, is {found}{advice}"));
        None
    }

    fn schema(&self) -> Json {
        json!({ "enum": Self::words() })
    }
}

impl<T: Word> Scalar for Choice<T> {
    fn write(&self, value: &T) -> Json {
        let word: &str = (*value).into();
        json!(word)
    }
}

/// `true` or `false`.
pub(super) struct Boolean;

impl ValueKind for Boolean {
    type Value = bool;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<bool> {
        if let YamlValue::Bool(value) = node.value {
            return Some(value);
        }
        context.mismatch(node, "true or false");
        None
    }

    fn schema(&self) -> Json {
        json!({ "type": "boolean" })
    }
}

impl Scalar for Boolean {
    fn write(&self, value: &bool) -> Json {
        json!(value)
    }
}

/// A port, by number or by name.
pub(super) struct PodPort;

impl ValueKind for PodPort {
    type Value = Port;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Port> {
        let name = &pattern::PORT_NAME;
        match &node.value {
            YamlValue::Integer(number) => match u16::try_from(*number) {
                Ok(number) if number > 0 => return Some(Port::Number(number)),
                _ => {}
            },
            YamlValue::Text(text) if name.matches(text) => {
                return Some(Port::Name(Arc::from(text.as_str())));
            }
            _ => {}
        }
        context.mismatch(
            node,
            &format!("a number from 1 to 65535, or {}", name.meaning),
        );
        None
    }

    fn schema(&self) -> Json {
        let number = Integer {
            min: 1,
            max: u16::MAX.into(),
        };
        json!({ "anyOf": [number.schema(), pattern::PORT_NAME.schema()] })
    }
}
