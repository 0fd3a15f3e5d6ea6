//! The annotations that people write on a pod.
//!
//! An annotation that cannot be read never counts as absent: the safe reading is taken, and an Event says so.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{keys, text::truncate, time::parse_duration};

/// The longest time that a pod can be kept by annotation.
pub const LONGEST_TTL: Duration = Duration::from_hours(2160);

/// How much of an unreadable annotation is shown.
const SHOWN_BYTES: usize = 64;

/// How much of the reason for a manual quarantine is kept: more than fits into an Event's note.
const REASON_BYTES: usize = 1024;

/// The annotations of people on one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Never quarantine it; also true if the annotation is unreadable.
    pub exempt: bool,
    /// Quarantine it now, for this reason.
    pub quarantine: Option<Arc<str>>,
    pub release: Option<ReleaseCommand>,
    /// Do not reap it; [`Hold::Open`] if the annotation is unreadable.
    pub hold: Hold,
    /// How long it is kept, counted from the quarantine.
    pub ttl: Option<Duration>,
    /// What could not be read.
    pub mistakes: Vec<AnnotationMistake>,
}

/// How a pod is to be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseCommand {
    /// Only if that does no harm.
    Safely,
    /// Even if that does harm.
    Force,
}

/// Whether a pod is kept past its TTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    #[default]
    No,
    /// Until the annotation is removed.
    Open,
    Until(Timestamp),
}

impl Hold {
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::No => false,
            Self::Open => true,
            Self::Until(end) => now < end,
        }
    }
}

/// An annotation that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationMistake {
    pub key: &'static str,
    /// What is wrong, what would be right, and what the agent does meanwhile.
    pub message: String,
}

impl Overrides {
    /// Nothing was written.
    pub const NONE: Self = Self {
        exempt: false,
        quarantine: None,
        release: None,
        hold: Hold::No,
        ttl: None,
        mistakes: Vec::new(),
    };

    /// Reads the annotations of people on a pod.
    pub(crate) fn read<'a>(text_of: impl Fn(&str) -> Option<&'a str>) -> Self {
        let mut overrides = Self::NONE;
        let mut mistake = |key: &'static str, text: &str, right: &str, meanwhile: &str| {
            let text = truncate(text, SHOWN_BYTES);
            let message = format!("{key} is {text:?}: expected {right}; {meanwhile}");
            overrides.mistakes.push(AnnotationMistake { key, message });
        };
        let exempt = match text_of(keys::EXEMPT) {
            None | Some("false") => false,
            Some("true") => true,
            Some(text) => {
                mistake(
                    keys::EXEMPT,
                    text,
                    "\"true\" or \"false\"",
                    "until then the pod is exempt",
                );
                true
            }
        };
        let release = match text_of(keys::RELEASE) {
            None | Some("false") => None,
            Some("true") => Some(ReleaseCommand::Safely),
            Some("force") => Some(ReleaseCommand::Force),
            Some(text) => {
                mistake(
                    keys::RELEASE,
                    text,
                    "\"true\" or \"force\"",
                    "until then the pod is not released",
                );
                None
            }
        };
        let hold = match text_of(keys::HOLD) {
            None | Some("false") => Hold::No,
            Some("true") => Hold::Open,
            Some(text) => text.parse().map_or_else(
                |_| {
                    let right = "\"true\" or an RFC 3339 time such as 2030-01-31T12:00:00Z";
                    mistake(keys::HOLD, text, right, "until then the pod is held");
                    Hold::Open
                },
                Hold::Until,
            ),
        };
        let ttl = text_of(keys::TTL).and_then(|text| {
            let ttl = parse_ttl(text);
            if ttl.is_none() {
                let right = "a duration from 1s to 90d such as 4h";
                mistake(keys::TTL, text, right, "until then it is ignored");
            }
            ttl
        });
        let reason = |text: &str| {
            let text = truncate(text.trim(), REASON_BYTES);
            if text.is_empty() {
                "by hand".into()
            } else {
                text.into()
            }
        };
        overrides.exempt = exempt;
        overrides.release = release;
        overrides.hold = hold;
        overrides.ttl = ttl;
        overrides.quarantine = text_of(keys::QUARANTINE).map(reason);
        overrides
    }
}

/// `1M` is a month to the parser and a minute to most people: it is refused.
fn parse_ttl(text: &str) -> Option<Duration> {
    let ttl = parse_duration(text).filter(|_| !text.contains('M'))?;
    (Duration::from_secs(1)..=LONGEST_TTL)
        .contains(&ttl)
        .then_some(ttl)
}
