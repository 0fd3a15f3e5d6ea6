//! The writer's requests to a real API server.

use jiff::Timestamp;
use kube::Client;
use pod_quarantine_writer::api_server::{ApiServer, RequestError, WriteFailure};

use super::{lease::LeaseObject, ledger::LedgerObject, pods::PodsApi};
use crate::{
    clock::Clock,
    core::{
        ledger::Ledger,
        object::Pod,
        view::Update,
        write::{Change, PodVersion},
    },
};

/// The pods, the ledger and the Lease behind one client.
#[derive(Clone)]
pub struct Kubernetes {
    pods: PodsApi,
    ledger: LedgerObject,
    lease: LeaseObject,
    clock: Clock,
}

impl Kubernetes {
    /// The ledger is that of the installation `agent` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, agent: &str, clock: Clock) -> Self {
        Self {
            ledger: LedgerObject::new(client.clone(), namespace, agent),
            lease: LeaseObject::new(client.clone(), namespace, agent),
            pods: PodsApi::new(client),
            clock,
        }
    }
}

impl ApiServer for Kubernetes {
    async fn patch(
        &self,
        pod: &PodVersion,
        change: &Change,
        dry_run: bool,
    ) -> Result<Pod, WriteFailure> {
        Ok(self.pods.patch(pod, change, dry_run).await?)
    }

    async fn get(&self, pod: &PodVersion) -> Result<Option<Pod>, RequestError> {
        Ok(self.pods.get(pod).await?)
    }

    async fn delete(&self, pod: &PodVersion) -> Result<(), WriteFailure> {
        Ok(self.pods.delete(pod).await?)
    }

    async fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        before: Option<&Ledger>,
    ) -> Result<Update, RequestError> {
        Ok(self.ledger.create(lost, before).await?)
    }

    async fn read_ledger(&self) -> Result<Update, RequestError> {
        Ok(self.ledger.read().await?)
    }

    async fn swap_ledger(&self, before: &Ledger, after: &Ledger) -> Result<Ledger, WriteFailure> {
        let swapped = self.ledger.swap(before, after).await?;
        swapped.ok_or(WriteFailure::Conflict)
    }

    async fn repair_ledger(
        &self,
        before: &Ledger,
        rebuilt: Timestamp,
    ) -> Result<Option<Ledger>, RequestError> {
        Ok(self.ledger.repair(before, rebuilt).await?)
    }

    async fn name_ledger(&self, ledger: &Ledger) -> Result<Update, RequestError> {
        Ok(self.lease.name_ledger(ledger).await?)
    }

    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}
