//! The pause as it is shown: which installations people have paused.

use jiff::Timestamp;
use serde::Serialize;

use super::{age::point, arguments::Output, failure::Failure, table::plain};
use crate::core::ledger::Pause;

/// What a pause means, besides that people's releases are carried out.
const MEANS: &str = "nothing is quarantined and nothing is deleted";

/// An installation that people have paused, in the form of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The installation, `namespace/name`.
    pub agent: String,
    /// Why, in people's words.
    pub reason: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

impl Paused {
    /// The installation `agent`, with what stands in its ledger.
    #[must_use]
    pub fn new(agent: String, pause: &Pause) -> Self {
        Self {
            agent,
            reason: pause.reason.to_string(),
            since: pause.since,
        }
    }

    /// Since when and why.
    #[must_use]
    pub fn why(&self) -> String {
        let since = self.since.map(|since| format!(" since {}", point(since)));
        let since = since.unwrap_or_default();
        match self.reason.trim() {
            "" => format!("paused{since}"),
            reason => format!("paused{since}: {}", plain(reason)),
        }
    }

    /// The same, and what it means.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}: {MEANS}", self.why())
    }
}

/// One line for each installation that is paused.
#[must_use]
pub fn pauses(paused: &[Paused]) -> Vec<String> {
    let line = |one: &Paused| format!("agent {}: {}", one.agent, one.text());
    paused.iter().map(line).collect()
}

/// What is paused, as far as that is known. Whoever may not look into the agent's namespace hears of it only where
/// details are asked for: it is so on every call.
pub(super) fn known(
    read: Result<Vec<Paused>, Failure>,
    output: Option<Output>,
    aside: &mut Vec<String>,
) -> Vec<Paused> {
    let details = matches!(output, Some(Output::Wide | Output::Json | Output::Yaml));
    read.unwrap_or_else(|failure| {
        if details || !failure.is_forbidden() {
            aside.push(format!("whether it is paused is not known: {failure}"));
        }
        Vec::new()
    })
}
