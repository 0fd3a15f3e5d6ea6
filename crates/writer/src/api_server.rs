//! The requests of the writer to the API server: about one pod each, and about the ledger.
//!
//! In core types only, so that the model check can stand in for the API server.

use std::fmt;

use jiff::Timestamp;

use pod_quarantine_core::{
    ledger::Ledger,
    object::Pod,
    view::Update,
    write::{Change, PodVersion},
};

/// A failed request with its causes in words. What the writer does next depends on none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl RequestError {
    /// The error of the client, with its causes.
    pub fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// A failed write of a pod or of the ledger, as far as the writer distinguishes failures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    /// The object has changed, or was deleted.
    #[error("it has changed, or is gone")]
    Conflict,
    /// The API server, or an admission policy, denied it.
    #[error(transparent)]
    Denied(RequestError),
    /// Whether the write took place is unknown.
    #[error(transparent)]
    Unknown(RequestError),
}

/// The API server, as the writer reaches it. No request is repeated in here.
pub trait ApiServer: Sync {
    /// A merge patch of labels and annotations, refused unless the pod still has that uid and version.
    fn patch(
        &self,
        pod: &PodVersion,
        change: &Change,
        dry_run: bool,
    ) -> impl Future<Output = Result<Pod, WriteFailure>> + Send;

    /// The pod of that name as it is now, never from a cache; `None` where there is none.
    fn get(
        &self,
        pod: &PodVersion,
    ) -> impl Future<Output = Result<Option<Pod>, RequestError>> + Send;

    /// Deletes the pod, if it still has that uid and version.
    fn delete(&self, pod: &PodVersion) -> impl Future<Output = Result<(), WriteFailure>> + Send;

    /// Creates the ledger, with the entries of the one before; one that another agent has just created is used instead.
    /// Returns the ledger.
    fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        before: Option<&Ledger>,
    ) -> impl Future<Output = Result<Update, RequestError>> + Send;

    /// The ledger as it is now, never from a cache.
    fn read_ledger(&self) -> impl Future<Output = Result<Update, RequestError>> + Send;

    /// Writes the entries in which `after` differs from `before`, if the ledger is still as `before` was read.
    fn swap_ledger(
        &self,
        before: &Ledger,
        after: &Ledger,
    ) -> impl Future<Output = Result<Ledger, WriteFailure>> + Send;

    /// Writes onto the ledger when it was found to replace a lost one, if it is still as `before` was read.
    /// `None` where it is not.
    fn repair_ledger(
        &self,
        before: &Ledger,
        rebuilt: Timestamp,
    ) -> impl Future<Output = Result<Option<Ledger>, RequestError>> + Send;

    /// Writes the ledger's uid into the Lease, unless that names another ledger and this one does not replace a lost one.
    /// Returns the Lease.
    fn name_ledger(
        &self,
        ledger: &Ledger,
    ) -> impl Future<Output = Result<Update, RequestError>> + Send;

    fn now(&self) -> Timestamp;
}
