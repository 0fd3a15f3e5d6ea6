//! The writes of pods, the ledger and the Lease, each with its preconditions.

mod kubernetes;
mod lease;
mod ledger;
mod pods;

pub(super) use self::lease::{Holder, LeaseObject, lease_update};
pub use self::{kubernetes::Kubernetes, lease::lease_name};

use kube::Error;
use pod_quarantine_writer::api_server::{RequestError, WriteFailure};

use super::client::ClientError;

impl From<ClientError> for RequestError {
    fn from(error: ClientError) -> Self {
        Self::new(&error)
    }
}

impl From<ClientError> for WriteFailure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Api(Error::Api(status)) => match status.code {
                404 | 409 => Self::Conflict,
                // The API server answers Invalid if the uid does not match.
                422 if status.message.contains("metadata.uid") => Self::Conflict,
                408 | 429 | 500.. => Self::Unknown(error.into()),
                _ => Self::Denied(error.into()),
            },
            _ => Self::Unknown(error.into()),
        }
    }
}
