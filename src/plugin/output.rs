//! What a command says, and in which form.

use serde::Serialize;

use super::{arguments::Output, failure::Failure};

/// What a command has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For standard output.
    pub text: String,
    /// Line by line for standard error.
    pub aside: Vec<String>,
    /// Whether something was refused or failed.
    pub failed: bool,
}

/// A value as JSON or, where that is asked for, as YAML.
pub(super) fn structured(
    output: Option<Output>,
    value: &impl Serialize,
) -> Result<String, Failure> {
    let unwritten = |why: String| Failure::Request {
        what: "write the output".to_owned(),
        why,
    };
    if output == Some(Output::Yaml) {
        return serde_saphyr::to_string(value).map_err(|error| unwritten(error.to_string()));
    }
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| unwritten(error.to_string()))?;
    Ok(format!("{text}\n"))
}
