//! The API server of a real cluster.

use jiff::Timestamp;
use kube::Client;
use pod_quarantine_writer::api_server::{ApiServer, Failure};

use super::{lease::LeaseObject, ledger::LedgerObject, pods::Pods, request::RequestError};
use crate::core::{
    action::Target,
    ledger::{Ledger, Memory},
    object::Pod,
    restore::Change,
    update::Update,
};

/// The pods, the ledger and the Lease, reached by one client.
#[derive(Clone)]
pub struct Kubernetes {
    pods: Pods,
    ledger: LedgerObject,
    lease: LeaseObject,
}

impl Kubernetes {
    /// Reached with that client; the ledger is that of the installation `agent` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, agent: &str) -> Self {
        Self {
            ledger: LedgerObject::new(client.clone(), namespace, agent),
            lease: LeaseObject::new(client.clone(), namespace, agent),
            pods: Pods::new(client),
        }
    }
}

impl ApiServer for Kubernetes {
    async fn patch(&self, pod: &Target, change: &Change, dry_run: bool) -> Result<Pod, Failure> {
        self.pods.patch(pod, change, dry_run).await
    }

    async fn get(&self, pod: &Target) -> Result<Option<Pod>, String> {
        self.pods.get(pod).await
    }

    async fn delete(&self, pod: &Target) -> Result<(), Failure> {
        self.pods.delete(pod).await
    }

    async fn create_ledger(
        &self,
        lost: Option<Timestamp>,
        memory: &Memory,
    ) -> Result<Update, String> {
        let created = self.ledger.create(lost, memory).await;
        created.map_err(|error| error.to_string())
    }

    async fn read_ledger(&self) -> Result<Update, String> {
        let read = self.ledger.read().await;
        read.map_err(|error| error.to_string())
    }

    async fn swap_ledger(&self, before: &Ledger, after: &Ledger) -> Result<Option<Ledger>, String> {
        let swapped = self.ledger.swap(before, after).await;
        swapped.map_err(|error| error.to_string())
    }

    async fn mend_ledger(
        &self,
        before: &Ledger,
        rebuilt: Option<Timestamp>,
    ) -> Result<Option<Ledger>, String> {
        let mended = self.ledger.mend(before, rebuilt).await;
        mended.map_err(|error| error.to_string())
    }

    async fn name_ledger(&self, ledger: &Ledger) -> Result<Update, String> {
        let named = self.lease.name_ledger(ledger).await;
        named.map_err(|error| error.to_string())
    }

    async fn let_ledger_go(&self, ledger: &Ledger) -> Result<Vec<Update>, String> {
        let gone = async {
            let lease = self.lease.name_none(&ledger.uid).await?;
            let ledger = self.ledger.let_go(ledger).await?;
            Ok::<_, RequestError>(vec![lease, ledger])
        };
        gone.await.map_err(|error| error.to_string())
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
