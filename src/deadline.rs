//! A bound on how long an answer may take: nothing outside this process is waited for without one.

use std::time::Duration;

use futures::TryFutureExt;
use tokio::time::timeout;

/// The time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {}", humantime::format_duration(*.0))]
pub struct NoAnswer(pub Duration);

/// The answer, if it comes in time.
pub fn within<T>(
    limit: Duration,
    answer: impl Future<Output = T>,
) -> impl Future<Output = Result<T, NoAnswer>> {
    timeout(limit, answer).map_err(move |_| NoAnswer(limit))
}
