//! The plain values of the policy file: text, numbers, durations, choices.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};

use super::{
    context::{Context, Strictness},
    duration,
    pattern::{self, Pattern},
    reader::{Kind, nearest},
    yaml::{Node, Value},
};
use crate::core::policy::{MaxPods, MinPods, Port};

/// Text of one form.
pub(super) struct Text(pub(super) &'static Pattern);

impl Kind for Text {
    type Value = Arc<str>;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Arc<str>> {
        let text = text(node, self.0.meaning, context)?;
        if self.0.matches(text) {
            return Some(Arc::from(text));
        }
        context.unlike(node, self.0.meaning);
        None
    }

    fn schema(&self) -> Json {
        self.0.schema()
    }
}

/// The text of a node, or a mistake with what was expected or that quotes are missing.
fn text<'n>(node: &'n Node, expected: &str, context: &mut Context) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => return Some(text),
        Value::Bool(_) | Value::Whole(_) | Value::Number(_) => {
            let found = node.value.described();
            context.wrong(node, &format!("must be text, is {found}; put it in quotes"));
        }
        _ => context.unlike(node, expected),
    }
    None
}

/// Any text with something in it, of at most so many bytes.
pub(super) struct Prose {
    pub(super) longest: usize,
}

impl Kind for Prose {
    type Value = String;

    fn read(&self, node: &Node, context: &mut Context) -> Option<String> {
        let text = text(node, "text", context)?;
        if text.trim().is_empty() {
            context.wrong(node, "must not be empty");
            return None;
        }
        if text.len() > self.longest {
            context.wrong(
                node,
                &format!("must be at most {} bytes long", self.longest),
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "maxLength": self.longest, "pattern": r"\S" })
    }
}

/// A file beside the agent, named by its path.
pub(super) struct FileName;

impl Kind for FileName {
    type Value = String;

    fn read(&self, node: &Node, context: &mut Context) -> Option<String> {
        let path = Prose { longest: 4096 }.read(node, context)?;
        if context.strictness() == Strictness::Check && !Path::new(&path).exists() {
            context.warn(
                node,
                "there is no such file here; it must be there where the agent runs",
            );
        }
        Some(path)
    }

    fn schema(&self) -> Json {
        Prose { longest: 4096 }.schema()
    }
}

/// A whole number within bounds, both included.
pub(super) struct Whole {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Kind for Whole {
    type Value = u32;

    fn read(&self, node: &Node, context: &mut Context) -> Option<u32> {
        let Self { least, most } = *self;
        if let Value::Whole(number) = node.value
            && let Ok(number) = u32::try_from(number)
            && (least..=most).contains(&number)
        {
            return Some(number);
        }
        context.unlike(node, &format!("a whole number from {least} to {most}"));
        None
    }

    fn schema(&self) -> Json {
        json!({ "type": "integer", "minimum": self.least, "maximum": self.most })
    }
}

/// A whole number that cannot be zero, from one.
pub(super) struct Count {
    pub(super) most: u32,
}

impl Kind for Count {
    type Value = NonZeroU32;

    fn read(&self, node: &Node, context: &mut Context) -> Option<NonZeroU32> {
        NonZeroU32::new(
            Whole {
                least: 1,
                most: self.most,
            }
            .read(node, context)?,
        )
    }

    fn schema(&self) -> Json {
        Whole {
            least: 1,
            most: self.most,
        }
        .schema()
    }
}

/// A whole number of seconds, as in a Kubernetes probe.
pub(super) struct Seconds {
    pub(super) least: u32,
    pub(super) most: u32,
}

impl Kind for Seconds {
    type Value = Duration;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Duration> {
        if let Value::Text(text) = &node.value
            && let Some(duration) = duration::parse(text)
        {
            let seconds = duration.as_secs();
            let message = format!("must be a number of seconds, is {text:?}; write {seconds}");
            context.wrong(node, &message);
            return None;
        }
        let seconds = Whole {
            least: self.least,
            most: self.most,
        }
        .read(node, context)?;
        Some(Duration::from_secs(seconds.into()))
    }

    fn schema(&self) -> Json {
        Whole {
            least: self.least,
            most: self.most,
        }
        .schema()
    }
}

/// A finite number.
pub(super) struct Number;

impl Kind for Number {
    type Value = f64;

    fn read(&self, node: &Node, context: &mut Context) -> Option<f64> {
        match node.value {
            Value::Number(number) if number.is_finite() => return Some(number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest number is what is meant"
            )]
            Value::Whole(number) => return Some(number as f64),
            _ => context.unlike(node, "a finite number"),
        }
        None
    }

    fn schema(&self) -> Json {
        json!({ "type": "number" })
    }
}

/// A duration of at least a second.
pub(super) struct Time {
    pub(super) most: Duration,
}

impl Kind for Time {
    type Value = Duration;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Duration> {
        let hint = match &node.value {
            Value::Text(text) => match duration::parse(text) {
                Some(time) if time >= Duration::from_secs(1) && time <= self.most => {
                    return Some(time);
                }
                Some(_) => {
                    let most = duration::written(self.most);
                    context.unlike(node, &format!("from 1s to {most}"));
                    return None;
                }
                None if text.ends_with('M') => "; a minute is a small m".to_owned(),
                None => String::new(),
            },
            Value::Whole(number) => format!("; write {number}s if seconds are meant"),
            _ => String::new(),
        };
        let (form, found) = (duration::FORM.meaning, node.value.described());
        context.wrong(node, &format!("must be {form}, is {found}{hint}"));
        None
    }

    fn schema(&self) -> Json {
        duration::FORM.schema()
    }
}

/// One of a few words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Clone> Choice<T> {
    fn words(&self) -> Vec<&'static str> {
        self.0.iter().map(|(word, _)| *word).collect()
    }
}

impl<T: Clone> Kind for Choice<T> {
    type Value = T;

    fn read(&self, node: &Node, context: &mut Context) -> Option<T> {
        let words = self.words();
        let quoted = |words: &[&str]| format!("\"{}\"", words.join("\", \""));
        let expected = match words.split_last() {
            Some((last, [])) => quoted(&[last]),
            Some((last, before)) => format!("{} or {}", quoted(before), quoted(&[last])),
            None => String::new(),
        };
        let text = text(node, &expected, context)?;
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let advice = nearest(text, &words).map(|near| format!("; did you mean {near:?}?"));
        let found = node.value.described();
        let advice = advice.unwrap_or_default();
        context.wrong(node, &format!("must be {expected}, is {found}{advice}"));
        None
    }

    fn schema(&self) -> Json {
        json!({ "enum": self.words() })
    }
}

/// `true` or `false`.
pub(super) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, node: &Node, context: &mut Context) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        context.unlike(node, "true or false");
        None
    }

    fn schema(&self) -> Json {
        json!({ "type": "boolean" })
    }
}

/// A number of pods, or a share of a workload's.
pub(super) struct Portion {
    pub(super) most: u32,
}

impl Kind for Portion {
    type Value = MaxPods;

    fn read(&self, node: &Node, context: &mut Context) -> Option<MaxPods> {
        let most = self.most;
        match &node.value {
            Value::Text(text) if pattern::PERCENT.matches(text) => {
                return text.strip_suffix('%')?.parse().ok().map(MaxPods::Percent);
            }
            Value::Whole(number) if (1..=i64::from(most)).contains(number) => {
                return Count { most }.read(node, context).map(MaxPods::Count);
            }
            _ => {}
        }
        let meaning = pattern::PERCENT.meaning;
        context.unlike(
            node,
            &format!("a whole number from 1 to {most}, or {meaning}"),
        );
        None
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [Count { most: self.most }.schema(), pattern::PERCENT.schema()] })
    }
}

/// A share in per cent, 1 to 100.
pub(super) struct Percent;

impl Kind for Percent {
    type Value = u8;

    fn read(&self, node: &Node, context: &mut Context) -> Option<u8> {
        match &node.value {
            Value::Text(text) if pattern::PERCENT.matches(text) => {
                return text.strip_suffix('%')?.parse().ok();
            }
            _ => context.unlike(node, pattern::PERCENT.meaning),
        }
        None
    }

    fn schema(&self) -> Json {
        pattern::PERCENT.schema()
    }
}

/// A number of pods, or a share of the desired replicas; none is enough, too.
pub(super) struct AtLeast {
    pub(super) most: u32,
}

impl Kind for AtLeast {
    type Value = MinPods;

    fn read(&self, node: &Node, context: &mut Context) -> Option<MinPods> {
        let most = self.most;
        match &node.value {
            Value::Text(text) if pattern::PERCENT_OR_NONE.matches(text) => {
                return text.strip_suffix('%')?.parse().ok().map(MinPods::Percent);
            }
            Value::Whole(number) if (0..=i64::from(most)).contains(number) => {
                return Whole { least: 0, most }
                    .read(node, context)
                    .map(MinPods::Count);
            }
            _ => {}
        }
        let meaning = pattern::PERCENT_OR_NONE.meaning;
        context.unlike(
            node,
            &format!("a whole number from 0 to {most}, or {meaning}"),
        );
        None
    }

    fn schema(&self) -> Json {
        let number = Whole {
            least: 0,
            most: self.most,
        };
        json!({ "anyOf": [number.schema(), pattern::PERCENT_OR_NONE.schema()] })
    }
}

/// A port, by number or by name.
pub(super) struct PortOfPod;

impl Kind for PortOfPod {
    type Value = Port;

    fn read(&self, node: &Node, context: &mut Context) -> Option<Port> {
        let name = &pattern::PORT_NAME;
        match &node.value {
            Value::Whole(number) => match u16::try_from(*number) {
                Ok(number) if number > 0 => return Some(Port::Number(number)),
                _ => {}
            },
            Value::Text(text) if name.matches(text) => {
                return Some(Port::Name(Arc::from(text.as_str())));
            }
            _ => {}
        }
        context.unlike(
            node,
            &format!("a number from 1 to 65535, or {}", name.meaning),
        );
        None
    }

    fn schema(&self) -> Json {
        json!({
            "anyOf": [
                Whole { least: 1, most: u16::MAX.into() }.schema(),
                pattern::PORT_NAME.schema(),
            ]
        })
    }
}
