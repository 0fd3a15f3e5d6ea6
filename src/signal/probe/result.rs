//! What a probe saw, in words for people.

use std::sync::Arc;

use crate::{core::judge::Answer, signal::ErrorCause};

/// What came of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeResult {
    pub(super) answer: Answer,
    pub(super) saw: Arc<str>,
    /// Why there is no answer, where that is not the pod's doing.
    pub(super) cause: Option<ErrorCause>,
}

impl ProbeResult {
    pub(super) fn good(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::Good, saw)
    }

    pub(super) fn bad(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::Bad, saw)
    }

    /// There was nothing to ask.
    pub(super) fn nothing(saw: impl Into<Arc<str>>) -> Self {
        Self::of(Answer::None, saw)
    }

    /// It could not be asked.
    pub(super) fn fault(cause: ErrorCause, saw: impl Into<Arc<str>>) -> Self {
        Self {
            cause: Some(cause),
            ..Self::nothing(saw)
        }
    }

    fn of(answer: Answer, saw: impl Into<Arc<str>>) -> Self {
        Self {
            answer,
            saw: saw.into(),
            cause: None,
        }
    }
}
