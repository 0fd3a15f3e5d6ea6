//! What the writer asks of the API server: requests about one pod each, and about the ledger.
//!
//! In core types only, so that the model check can be the API server, too.

use jiff::Timestamp;

use pod_quarantine_core::{
    action::Target,
    ledger::{Ledger, Memory},
    object::Pod,
    restore::Change,
    update::Update,
};

/// A request that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The object has changed, or is gone.
    Conflict,
    /// The API server, or an admission policy, says no.
    Denied(String),
    /// Whether it took place is unknown.
    Unknown(String),
}

/// The API server, as the writer reaches it. No request is repeated in here.
pub trait ApiServer: Sync {
    /// A merge patch of labels and annotations, refused unless the pod is still that one at that version.
    fn patch(
        &self,
        pod: &Target,
        change: &Change,
        dry_run: bool,
    ) -> impl Future<Output = Result<Pod, Failure>> + Send;

    /// The pod of that name as it is now, never from a cache; `None` where there is none.
    fn get(&self, pod: &Target) -> impl Future<Output = Result<Option<Pod>, String>> + Send;

    /// Deletes the pod, if it is still that one at that version.
    fn delete(&self, pod: &Target) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Makes the ledger, with what the one before held besides slots. One that another agent made meanwhile is as good.
    /// Gives it as it is then.
    fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        memory: &Memory,
    ) -> impl Future<Output = Result<Update, String>> + Send;

    /// The ledger as it is now, never from a cache.
    fn read_ledger(&self) -> impl Future<Output = Result<Update, String>> + Send;

    /// Writes the entries in which `after` differs from `before`, if the ledger is still as `before` was read.
    /// `None` where it is not: then nothing was written.
    fn swap_ledger(
        &self,
        before: &Ledger,
        after: &Ledger,
    ) -> impl Future<Output = Result<Option<Ledger>, String>> + Send;

    /// Guards the ledger by a finalizer, and says when it was rebuilt, if it is still as `before` was read. `None` where
    /// it is not.
    fn mend_ledger(
        &self,
        before: &Ledger,
        rebuilt: Option<Timestamp>,
    ) -> impl Future<Output = Result<Option<Ledger>, String>> + Send;

    /// Has the Lease name the ledger, unless it names another one and this one does not stand for one that was lost.
    /// Gives the Lease as it is then.
    fn name_ledger(&self, ledger: &Ledger) -> impl Future<Output = Result<Update, String>> + Send;

    /// Has the Lease name no ledger any more, then takes the finalizer off, if the ledger is still as it was read. Gives
    /// both as they are then.
    fn let_ledger_go(
        &self,
        ledger: &Ledger,
    ) -> impl Future<Output = Result<Vec<Update>, String>> + Send;

    /// The time.
    fn now(&self) -> Timestamp;
}
