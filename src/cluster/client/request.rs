//! One request to the API server, with a bound on its time.

use std::time::Duration;

use kube::Error;

use super::ClientError;
use crate::deadline::within;

/// How long one request may take: ten times the second that Kubernetes promises for 99% of requests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer to a request, if it comes in time.
pub(crate) async fn request<T>(
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, ClientError> {
    Ok(within(REQUEST_TIMEOUT, request).await??)
}
