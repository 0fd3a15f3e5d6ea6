//! The result of a probe, in words for people.

use std::sync::Arc;

use super::request::Hop;
use crate::{core::judge::Answer, signal::ErrorCause};

/// What a server said, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpAnswer<'a> {
    pub(super) status: u16,
    pub(super) location: Option<&'a [u8]>,
}

/// The meaning of the answer at one hop.
#[derive(Debug)]
pub(super) enum HopOutcome {
    Done(ProbeResult),
    Redirected(Box<Hop>),
}

impl HopOutcome {
    /// Whether the answer counts only if its body can be read, too.
    pub(super) fn needs_body(&self) -> bool {
        matches!(self, Self::Done(result) if result.answer == Answer::Good)
    }
}

/// The result of one turn of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeResult {
    pub(super) answer: Answer,
    /// Whether it is bad because there was no connection.
    pub(super) unreached: bool,
    pub(super) saw: Arc<str>,
    /// Why there is no answer, if the pod is not the cause.
    pub(super) cause: Option<ErrorCause>,
}

impl ProbeResult {
    pub(super) fn good(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::Good, saw)
    }

    pub(super) fn bad(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::Bad, saw)
    }

    /// There was no connection.
    pub(super) fn unreached(saw: impl Into<Arc<str>>) -> Self {
        Self {
            unreached: true,
            ..Self::bad(saw)
        }
    }

    /// There was no address or port to probe.
    pub(super) fn none(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::None, saw)
    }

    /// The pod could not be probed.
    pub(super) fn error(cause: ErrorCause, saw: impl Into<Arc<str>>) -> Self {
        Self {
            cause: Some(cause),
            ..Self::none(saw)
        }
    }

    fn of(answer: Answer, saw: impl Into<Arc<str>>) -> Self {
        Self {
            answer,
            unreached: false,
            saw: saw.into(),
            cause: None,
        }
    }
}
