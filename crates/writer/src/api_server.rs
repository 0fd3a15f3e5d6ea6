//! What the writer asks of the API server: requests about one pod each, and about the ledger.
//!
//! In core types only, so that the model check can be the API server, too.

use std::fmt;

use jiff::Timestamp;

use pod_quarantine_core::{
    ledger::{Ledger, Memory},
    object::Pod,
    view::Update,
    write::{Change, PodVersion},
};

/// A request that did not succeed, and its causes in words. What the writer does next depends on none of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl RequestError {
    /// What went wrong, with its causes, as the client says them.
    pub fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// A write of a pod that did not succeed, as far as the writer tells failures apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFailure {
    /// The pod has changed, or is gone.
    #[error("the pod has changed, or is gone")]
    Conflict,
    /// The API server, or an admission policy, says no.
    #[error(transparent)]
    Denied(RequestError),
    /// Whether it took place is unknown.
    #[error(transparent)]
    Unknown(RequestError),
}

/// The API server, as the writer reaches it. No request is repeated in here.
pub trait ApiServer: Sync {
    /// A merge patch of labels and annotations, refused unless the pod is still that one at that version.
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

    /// Deletes the pod, if it is still that one at that version.
    fn delete(&self, pod: &PodVersion) -> impl Future<Output = Result<(), WriteFailure>> + Send;

    /// Makes the ledger, with what the one before held besides slots. One that another agent made meanwhile is as good.
    /// Gives it as it is then.
    fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        memory: &Memory,
    ) -> impl Future<Output = Result<Update, RequestError>> + Send;

    /// The ledger as it is now, never from a cache.
    fn read_ledger(&self) -> impl Future<Output = Result<Update, RequestError>> + Send;

    /// Writes the entries in which `after` differs from `before`, if the ledger is still as `before` was read.
    /// `None` where it is not: then nothing was written.
    fn swap_ledger(
        &self,
        before: &Ledger,
        after: &Ledger,
    ) -> impl Future<Output = Result<Option<Ledger>, RequestError>> + Send;

    /// Guards the ledger by a finalizer, and says when it was rebuilt, if it is still as `before` was read. `None` where
    /// it is not.
    fn repair_ledger(
        &self,
        before: &Ledger,
        rebuilt: Option<Timestamp>,
    ) -> impl Future<Output = Result<Option<Ledger>, RequestError>> + Send;

    /// Has the Lease name the ledger, unless it names another one and this one does not stand for one that was lost.
    /// Gives the Lease as it is then.
    fn name_ledger(
        &self,
        ledger: &Ledger,
    ) -> impl Future<Output = Result<Update, RequestError>> + Send;

    /// Has the Lease name no ledger any more, then takes the finalizer off, if the ledger is still as it was read. Gives
    /// both as they are then.
    fn release_ledger(
        &self,
        ledger: &Ledger,
    ) -> impl Future<Output = Result<Vec<Update>, RequestError>> + Send;

    fn now(&self) -> Timestamp;
}
