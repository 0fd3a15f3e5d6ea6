//! Numbers of the policy file: integers, percentages, durations, and kinds that are one of two.

use std::{num::NonZeroU32, time::Duration};

use serde_json::{Value as Json, json};

use super::{
    context::ReadContext,
    duration::{self, format_duration},
    kind::{Scalar, ValueKind},
    pattern::{self, Pattern},
    yaml::{YamlNode, YamlValue},
};
use crate::core::policy::{MaxPods, MinPods};

/// A whole number within bounds, which are included.
pub(super) struct Integer {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Integer {
    /// The number of a node, if it is within the bounds.
    fn get(&self, node: &YamlNode) -> Option<u32> {
        let YamlValue::Integer(number) = node.value else {
            return None;
        };
        let number = u32::try_from(number).ok()?;
        let fits = (self.min..=self.max).contains(&number);
        if fits { Some(number) } else { None }
    }

    fn meaning(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }
}

impl ValueKind for Integer {
    type Value = u32;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<u32> {
        let number = self.get(node);
        if number.is_none() {
            context.mismatch(node, &self.meaning());
        }
        number
    }

    fn schema(&self) -> Json {
        json!({ "type": "integer", "minimum": self.min, "maximum": self.max })
    }

    fn range(&self) -> Option<String> {
        Some(format!("{} to {}", self.min, self.max))
    }
}

impl Scalar for Integer {
    fn write(&self, value: &u32) -> Json {
        json!(value)
    }
}

/// A whole number of at least one.
pub(super) struct Count {
    pub(super) max: u32,
}

impl Count {
    fn integer(&self) -> Integer {
        Integer {
            min: 1,
            max: self.max,
        }
    }
}

impl ValueKind for Count {
    type Value = NonZeroU32;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<NonZeroU32> {
        NonZeroU32::new(self.integer().read(node, context)?)
    }

    fn schema(&self) -> Json {
        self.integer().schema()
    }

    fn range(&self) -> Option<String> {
        self.integer().range()
    }
}

impl Scalar for Count {
    fn write(&self, value: &NonZeroU32) -> Json {
        json!(value)
    }
}

/// A whole number of seconds, as in a Kubernetes probe.
pub(super) struct Seconds {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Seconds {
    fn integer(&self) -> Integer {
        Integer {
            min: self.min,
            max: self.max,
        }
    }
}

impl ValueKind for Seconds {
    type Value = Duration;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Duration> {
        if let YamlValue::Text(text) = &node.value
            && let Some(duration) = duration::parse(text)
        {
            let seconds = duration.as_secs();
            let message = format!("must be a number of seconds, is {text:?}; write {seconds}");
            context.error(node, &message);
            return None;
        }
        let seconds = self.integer().read(node, context)?;
        Some(Duration::from_secs(seconds.into()))
    }

    fn schema(&self) -> Json {
        self.integer().schema()
    }

    fn range(&self) -> Option<String> {
        self.integer().range()
    }
}

impl Scalar for Seconds {
    fn write(&self, value: &Duration) -> Json {
        json!(value.as_secs())
    }
}

pub(super) struct Number;

impl ValueKind for Number {
    type Value = f64;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<f64> {
        match node.value {
            YamlValue::Number(number) if number.is_finite() => return Some(number),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the nearest number is what is meant"
            )]
            YamlValue::Integer(number) => return Some(number as f64),
            _ => context.mismatch(node, "a finite number"),
        }
        None
    }

    fn schema(&self) -> Json {
        json!({ "type": "number" })
    }
}

/// A duration of at least a second.
pub(super) struct DurationKind {
    pub(super) max: Duration,
}

impl DurationKind {
    fn bounds(&self) -> String {
        format!("1s to {}", format_duration(self.max))
    }
}

impl ValueKind for DurationKind {
    type Value = Duration;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<Duration> {
        let hint = match &node.value {
            YamlValue::Text(text) => match duration::parse(text) {
                Some(time) if time >= Duration::from_secs(1) && time <= self.max => {
                    return Some(time);
                }
                Some(_) => {
                    context.mismatch(node, &format!("from {}", self.bounds()));
                    return None;
                }
                None if text.ends_with('M') => "; write a lower-case m for minutes".to_owned(),
                None => String::new(),
            },
            YamlValue::Integer(number) => format!("; write {number}s for seconds"),
            _ => String::new(),
        };
        let (form, found) = (duration::FORM.meaning, node.value.described());
        context.error(node, &format!("must be {form}, is {found}{hint}"));
        None
    }

    fn schema(&self) -> Json {
        duration::FORM.schema()
    }

    fn range(&self) -> Option<String> {
        Some(self.bounds())
    }
}

impl Scalar for DurationKind {
    fn write(&self, value: &Duration) -> Json {
        json!(format_duration(*value))
    }
}

/// The percentage of a node, if it has that form.
fn percentage(node: &YamlNode, form: &Pattern) -> Option<u8> {
    match &node.value {
        YamlValue::Text(text) if form.matches(text) => text.strip_suffix('%')?.parse().ok(),
        _ => None,
    }
}

fn percent(value: u8) -> Json {
    json!(format!("{value}%"))
}

/// A percentage, 1 to 100.
pub(super) struct Percent;

impl ValueKind for Percent {
    type Value = u8;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<u8> {
        let percentage = percentage(node, &pattern::PERCENT);
        if percentage.is_none() {
            context.mismatch(node, pattern::PERCENT.meaning);
        }
        percentage
    }

    fn schema(&self) -> Json {
        pattern::PERCENT.schema()
    }

    fn range(&self) -> Option<String> {
        Some("1% to 100%".to_owned())
    }
}

impl Scalar for Percent {
    fn write(&self, value: &u8) -> Json {
        percent(*value)
    }
}

/// A number of pods, or a percentage of the desired replicas.
pub(super) struct CountOrPercent {
    pub(super) max: u32,
}

impl CountOrPercent {
    fn count(&self) -> Count {
        Count { max: self.max }
    }
}

impl ValueKind for CountOrPercent {
    type Value = MaxPods;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<MaxPods> {
        if let Some(percentage) = percentage(node, &pattern::PERCENT) {
            return Some(MaxPods::Percent(percentage));
        }
        let integer = self.count().integer();
        if let Some(count) = integer.get(node).and_then(NonZeroU32::new) {
            return Some(MaxPods::Count(count));
        }
        let (number, share) = (integer.meaning(), pattern::PERCENT.meaning);
        context.mismatch(node, &format!("{number}, or {share}"));
        None
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [self.count().schema(), pattern::PERCENT.schema()] })
    }

    fn range(&self) -> Option<String> {
        Some(format!("1 to {}, or 1% to 100%", self.max))
    }
}

impl Scalar for CountOrPercent {
    fn write(&self, value: &MaxPods) -> Json {
        match value {
            MaxPods::Count(count) => json!(count),
            MaxPods::Percent(value) => percent(*value),
        }
    }
}

/// A minimum number of pods, or a minimum percentage of the desired replicas; either may be zero.
pub(super) struct MinCountOrPercent {
    pub(super) max: u32,
}

impl MinCountOrPercent {
    fn integer(&self) -> Integer {
        Integer {
            min: 0,
            max: self.max,
        }
    }
}

impl ValueKind for MinCountOrPercent {
    type Value = MinPods;

    fn read(&self, node: &YamlNode, context: &mut ReadContext) -> Option<MinPods> {
        if let Some(percentage) = percentage(node, &pattern::PERCENT_OR_ZERO) {
            return Some(MinPods::Percent(percentage));
        }
        let integer = self.integer();
        if let Some(count) = integer.get(node) {
            return Some(MinPods::Count(count));
        }
        let (number, share) = (integer.meaning(), pattern::PERCENT_OR_ZERO.meaning);
        context.mismatch(node, &format!("{number}, or {share}"));
        None
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [self.integer().schema(), pattern::PERCENT_OR_ZERO.schema()] })
    }

    fn range(&self) -> Option<String> {
        Some(format!("0 to {}, or 0% to 100%", self.max))
    }
}

impl Scalar for MinCountOrPercent {
    fn write(&self, value: &MinPods) -> Json {
        match value {
            MinPods::Count(count) => json!(count),
            MinPods::Percent(value) => percent(*value),
        }
    }
}
