//! What a template's steps find in a value, and how it is printed.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{Filter, Slice, Step, TemplateError, wrong};

/// What a step finds: parts of the value, and constants.
type Matches<'a> = Vec<Cow<'a, Value>>;

/// Fills a template in.
pub(super) fn fill(steps: &[Step], value: &Value) -> Result<String, TemplateError> {
    let mut run = Run {
        steps,
        begun: 0,
        inside: 0,
        ended: 0,
        last_end: 0,
    };
    let mut text = String::new();
    for found in run.from(0, &Cow::Borrowed(value))? {
        let pieces: Vec<String> = found.iter().map(|value| printed(value)).collect();
        text += &pieces.join(" ");
    }
    Ok(text)
}

/// An evaluation: the ranges that have begun and ended so far.
struct Run<'a> {
    steps: &'a [Step],
    begun: usize,
    inside: usize,
    ended: usize,
    /// Where the last range ended.
    last_end: usize,
}

impl<'a> Run<'a> {
    /// What the steps from one on find, up to the end of the range that they are in.
    fn from(
        &mut self,
        start: usize,
        value: &Cow<'a, Value>,
    ) -> Result<Vec<Matches<'a>>, TemplateError> {
        let mut all = Vec::new();
        let mut at = start;
        while let Some(step) = self.steps.get(at) {
            let found = self.walk(vec![value.clone()], step)?;
            if self.ended > 0 && self.ended <= self.inside {
                self.ended -= 1;
                self.last_end = at;
                break;
            }
            if self.begun > 0 {
                self.begun -= 1;
                self.inside += 1;
                for each in &found {
                    all.extend(self.from(at + 1, each)?);
                }
                if found.is_empty() {
                    // Nothing is printed, but the end of the range is found.
                    self.from(at + 1, &Cow::Owned(Value::Null))?;
                }
                self.inside -= 1;
                at = self.last_end.max(at);
            } else {
                all.push(found);
            }
            at += 1;
        }
        Ok(all)
    }

    fn list(
        &mut self,
        input: Matches<'a>,
        steps: &'a [Step],
    ) -> Result<Matches<'a>, TemplateError> {
        steps
            .iter()
            .try_fold(input, |found, step| self.walk(found, step))
    }

    fn walk(&mut self, input: Matches<'a>, step: &'a Step) -> Result<Matches<'a>, TemplateError> {
        match step {
            Step::List(steps) => self.list(input, steps),
            Step::Constant(text @ Value::String(_)) => Ok(vec![Cow::Borrowed(text)]),
            Step::Constant(constant) => Ok(input.iter().map(|_| Cow::Borrowed(constant)).collect()),
            Step::Keyword(word) if word == "range" => {
                self.begun += 1;
                Ok(input)
            }
            Step::Keyword(word) if word == "end" && self.inside > 0 => {
                self.ended += 1;
                Ok(Vec::new())
            }
            Step::Keyword(word) if word == "end" => wrong("not in range, nothing to end"),
            Step::Keyword(word) => wrong(format!("unrecognized identifier {word}")),
            Step::Field(name) => {
                let mut found = Vec::new();
                for value in input {
                    found.extend(child(&value, |value| value.get(name.as_str())));
                }
                Ok(found)
            }
            Step::Wildcard => Ok(input.iter().flat_map(children).collect()),
            Step::Recursive => {
                let mut found = Vec::new();
                descend(input, &mut found);
                Ok(found)
            }
            Step::Slice(slice) => sliced(*slice, input),
            Step::Union(lists) => {
                let mut found = Vec::new();
                for steps in lists {
                    found.extend(self.list(input.clone(), steps)?);
                }
                Ok(found)
            }
            Step::Filter(filter) => {
                let mut found = Vec::new();
                for value in input {
                    if !value.is_array() {
                        return wrong(format!(
                            "{} is not array or slice and cannot be filtered",
                            kind(&value)
                        ));
                    }
                    for each in children(&value) {
                        if self.fits(filter, each.clone())? {
                            found.push(each);
                        }
                    }
                }
                Ok(found)
            }
        }
    }

    fn fits(&mut self, filter: &'a Filter, value: Cow<'a, Value>) -> Result<bool, TemplateError> {
        let input = vec![value];
        let left = self.list(input.clone(), &filter.left);
        let Some((operator, right)) = &filter.comparison else {
            // A step that fails has found something to fail on.
            return Ok(!left.is_ok_and(|found| found.is_empty()));
        };
        let left = left?;
        let right = match &left[..] {
            [] => return Ok(false),
            _ => self.list(input, right)?,
        };
        match (&left[..], &right[..]) {
            (_, []) => Ok(false),
            ([left], [right]) => compare(left, operator, right),
            _ => wrong("can only compare one element at a time"),
        }
    }
}

/// A part of a value. Constants have no parts.
fn child<'a>(
    value: &Cow<'a, Value>,
    part: impl FnOnce(&'a Value) -> Option<&'a Value>,
) -> Option<Cow<'a, Value>> {
    match value {
        Cow::Borrowed(value) => part(value).map(Cow::Borrowed),
        Cow::Owned(_) => None,
    }
}

/// All parts of a value; of a text its bytes.
fn children<'a>(value: &Cow<'a, Value>) -> Matches<'a> {
    match value {
        Cow::Borrowed(Value::Object(fields)) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields
                .into_iter()
                .map(|(_, value)| Cow::Borrowed(value))
                .collect()
        }
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::String(text)) => {
            let bytes = text.bytes();
            bytes.map(|byte| Cow::Owned(Value::from(byte))).collect()
        }
        _ => Vec::new(),
    }
}

/// The values that have parts, and the parts that have parts.
fn descend<'a>(input: Matches<'a>, found: &mut Matches<'a>) {
    for value in input {
        let parts = children(&value);
        if !parts.is_empty() {
            found.push(value);
            descend(parts, found);
        }
    }
}

fn sliced(slice: Slice, input: Matches<'_>) -> Result<Matches<'_>, TemplateError> {
    let mut found = Vec::new();
    for value in input {
        if value.is_null() {
            continue;
        }
        if !value.is_array() {
            return wrong(format!("{} is not array or slice", kind(&value)));
        }
        let items = children(&value);
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let from = slice.from.unwrap_or(0);
        let mut to = match slice.to {
            Some(to) => to,
            None if slice.is_index => from.saturating_add(1),
            None => length,
        };
        if to < 0 || (to == 0 && slice.is_index) {
            to = to.saturating_add(length);
        }
        let from = if from < 0 {
            from.saturating_add(length)
        } else {
            from
        };
        if from == to {
            return Ok(found);
        }
        let out_of_bounds = |index: i64| {
            wrong(format!(
                "array index out of bounds: index {index}, length {length}"
            ))
        };
        if from >= length || from < 0 {
            return out_of_bounds(from);
        }
        if to > length || to < 0 {
            return out_of_bounds(to.saturating_sub(1));
        }
        if from > to {
            return wrong(format!(
                "starting index {from} is greater than ending index {to}"
            ));
        }
        let step = slice.step.unwrap_or(1);
        if step <= 0 {
            return wrong("step must be > 0");
        }
        let as_size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let part = items.into_iter().skip(as_size(from));
        found.extend(part.take(as_size(to - from)).step_by(as_size(step)));
    }
    Ok(found)
}

/// A comparison of two texts, whole numbers, other numbers, or booleans; two of different kinds are not compared.
fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, TemplateError> {
    let invalid = || wrong("invalid type for comparison");
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            (None, None) => left.as_f64().partial_cmp(&right.as_f64()),
            _ => return wrong("incompatible types for comparison"),
        },
        (Value::Bool(left), Value::Bool(right)) => {
            if !matches!(operator, "==" | "!=") {
                return invalid();
            }
            Some(left.cmp(right))
        }
        (Value::String(_) | Value::Number(_) | Value::Bool(_), other)
        | (other, Value::String(_) | Value::Number(_) | Value::Bool(_))
            if !(other.is_null() || other.is_array() || other.is_object()) =>
        {
            return wrong("incompatible types for comparison");
        }
        _ => return invalid(),
    };
    let (less, equal) = (
        order == Some(Ordering::Less),
        order == Some(Ordering::Equal),
    );
    match operator {
        "<" => Ok(less),
        ">" => Ok(!less && !equal),
        "==" => Ok(equal),
        "!=" => Ok(!equal),
        "<=" => Ok(less || equal),
        ">=" => Ok(!less),
        _ => wrong(format!("unrecognized filter operator {operator}")),
    }
}

/// Go's name for the kind of a value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Objects and lists as JSON, everything else as text.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) | Value::Array(_) => {
            // Go escapes what would be HTML.
            let json = sorted(value).to_string();
            json.replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026")
        }
        other => other.to_string(),
    }
}

/// The same with its keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields = fields.into_iter();
            Value::Object(
                fields
                    .map(|(name, value)| (name.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
