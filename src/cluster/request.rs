//! One request to the API server: with a bound on its time.

use std::time::Duration;

use kube::Error;
use tokio::time::timeout;

use super::{convert::BadObject, error::in_short};

/// How long one request may take: twice what the API server promises of itself, five times over.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that failed. Whether a write took place is unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("{}", in_short(.0))]
    Api(#[from] Error),
    #[error("no answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Object(#[from] BadObject),
    #[error("it has changed meanwhile")]
    Changed,
}

/// The answer to a request, if it comes in time.
pub(super) async fn within<T>(
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, RequestError> {
    Ok(timeout(REQUEST_TIMEOUT, request)
        .await
        .map_err(|_| RequestError::Timeout)??)
}
