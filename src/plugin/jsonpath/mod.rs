//! `-o jsonpath=TEMPLATE`, in kubectl's dialect (`k8s.io/client-go/util/jsonpath`).
//!
//! The crates for this language follow RFC 9535: paths without templates, `range`, text, and without kubectl's way to print
//! what was found. This is the same parser and the same evaluation as in client-go, oddities included, with keys that are
//! not there left out, as `kubectl get` does it.

mod evaluate;
mod parse;

use serde_json::Value;

/// A template: text, and actions in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    steps: Vec<Step>,
}

/// A template that cannot be read, or that does not fit the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// One step of a template.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// The steps in one pair of braces, one after the other.
    List(Vec<Step>),
    /// A text, a number, or a boolean.
    Constant(Value),
    Field(String),
    /// `range`, `end`, or a mistake.
    Keyword(String),
    Slice(Slice),
    Filter(Filter),
    Wildcard,
    Recursive,
    Union(Vec<Vec<Step>>),
}

/// `[from:to:step]`, or `[from]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
    /// Whether there is only `from`.
    is_index: bool,
}

/// `[?(left operator right)]`; without operator: whether there is such a thing.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    comparison: Option<(String, Vec<Step>)>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self {
            text: text.to_owned(),
            steps: parse::parse(text)?,
        })
    }

    /// Fills the template in.
    pub fn fill(&self, value: &Value) -> Result<String, TemplateError> {
        let filled = evaluate::fill(&self.steps, value);
        filled.map_err(|TemplateError(why)| {
            TemplateError(format!("executing jsonpath {:?}: {why}", self.text))
        })
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, TemplateError> {
    Err(TemplateError(why.into()))
}
