//! The pauses in the output: which agents people have paused.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    failure::CommandFailure,
    output::OutputFormat,
    print::{format_time, sanitize, serialize_time},
};
use crate::core::ledger::Pause;

/// What a pause means, except that people's releases are carried out.
const MEANS: &str = "nothing is quarantined and nothing is deleted";

/// An agent that people have paused, in the form of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The agent, `namespace/name`.
    pub agent: String,
    /// The reason, in people's words.
    pub reason: String,
    /// When the pause began, where that is known.
    #[serde(serialize_with = "serialize_time")]
    pub since: Option<Timestamp>,
}

impl Paused {
    /// The agent `agent`, with the pause in its ledger.
    #[must_use]
    pub fn new(agent: String, pause: &Pause) -> Self {
        Self {
            agent,
            reason: pause.reason.to_string(),
            since: pause.since,
        }
    }

    /// When the pause began, and why.
    #[must_use]
    pub fn why(&self) -> String {
        let since = match self.since {
            Some(since) => format!(" since {}", format_time(since)),
            None => String::new(),
        };
        match self.reason.trim() {
            "" => format!("paused{since}"),
            reason => format!("paused{since}: {}", sanitize(reason)),
        }
    }

    /// The same, and what it means.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {MEANS}", self.why())
    }
}

/// One line for each agent that is paused.
#[must_use]
pub fn pauses(paused: &[Paused]) -> Vec<String> {
    let mut lines = Vec::new();
    for pause in paused {
        lines.push(format!("agent {}: {}", pause.agent, pause.text()));
    }
    lines
}

/// Takes the pauses as far as they can be read, and reports where they cannot. A user without rights in the agent's
/// namespace learns of it only where details are requested, as otherwise it would be printed on every call.
pub(super) fn report_unknown_pauses(
    read: Result<Vec<Paused>, CommandFailure>,
    output: Option<&OutputFormat>,
    stderr: &mut Vec<String>,
) -> Vec<Paused> {
    let details =
        output.is_some_and(|format| format.is_structured() || *format == OutputFormat::Wide);
    match read {
        Ok(paused) => paused,
        Err(failure) => {
            if details || !failure.is_forbidden() {
                stderr.push(format!("whether the agent is paused is unknown: {failure}"));
            }
            Vec::new()
        }
    }
}
