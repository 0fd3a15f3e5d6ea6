//! A bound on how long an answer may take: nothing outside this process is waited for without one.

use std::time::Duration;

use futures::TryFutureExt;
use tokio::time::timeout;

/// Nothing arrived in time: "no answer within 1s".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} within {}", humantime::format_duration(*.limit))]
pub struct TimedOut {
    /// What is missing, such as [`TimedOut::NO_ANSWER`].
    pub what: &'static str,
    pub limit: Duration,
}

impl TimedOut {
    pub const NO_ANSWER: &str = "no answer";
    pub const NO_COMPLETE_ANSWER: &str = "no complete answer";
    pub const NO_CONNECTION: &str = "no connection";
    pub const NO_TLS_HANDSHAKE: &str = "no TLS handshake";
}

/// The answer, if it arrives in time.
pub fn within<T>(
    limit: Duration,
    answer: impl Future<Output = T>,
) -> impl Future<Output = Result<T, TimedOut>> {
    let what = TimedOut::NO_ANSWER;
    timeout(limit, answer).map_err(move |_| TimedOut { what, limit })
}
