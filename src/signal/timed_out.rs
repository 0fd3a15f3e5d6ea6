//! The one error for what did not come in time.

use std::time::Duration;

/// What did not come within the time that was given to it: "no answer within 1s".
#[derive(Debug, thiserror::Error)]
#[error("{what} within {}", humantime::format_duration(*.limit))]
pub(super) struct TimedOut {
    /// What is missing, such as [`TimedOut::NO_ANSWER`].
    pub(super) what: &'static str,
    pub(super) limit: Duration,
}

impl TimedOut {
    pub(super) const NO_ANSWER: &str = "no answer";
    pub(super) const NO_COMPLETE_ANSWER: &str = "no complete answer";
    pub(super) const NO_CONNECTION: &str = "no connection";
    pub(super) const NO_TLS_HANDSHAKE: &str = "no TLS handshake";
}
