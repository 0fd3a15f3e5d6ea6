//! The ledger object: a ConfigMap in the agent's namespace, one entry per slot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    convert::{BadObject, resource_version},
    request::{RequestError, within},
    wire::WireLedger,
};
use crate::core::{ledger::Ledger, update::Update};

/// Annotation: when a lost ledger was made anew.
const REBUILT: &str = "pod-quarantine.io/rebuilt";

/// Name of the ledger of an installation.
#[must_use]
pub fn name(agent: &str) -> String {
    format!("pod-quarantine-ledger-{agent}")
}

impl Ledger {
    /// Reads the ledger object.
    pub(super) fn from_wire(wire: &WireLedger) -> Result<Self, BadObject> {
        let entries = wire.data.iter().flatten();
        let entries = entries.map(|(key, text)| (key.as_str(), text.as_str()));
        let mut ledger = Self::read(resource_version(&wire.metadata)?, entries);
        ledger.terminating = wire.metadata.deletion_timestamp.is_some();
        let rebuilt = wire
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(REBUILT));
        // A time that cannot be read is taken for the latest: no slot is taken until a person mends it.
        ledger.rebuilt = rebuilt.map(|text| text.parse().unwrap_or(Timestamp::MAX));
        Ok(ledger)
    }
}

/// The one object that slots are written to.
#[derive(Clone)]
pub(super) struct LedgerObject {
    api: Api<WireLedger>,
    client: Client,
    namespace: String,
    name: String,
}

impl LedgerObject {
    pub(super) fn new(client: Client, namespace: &str, agent: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            name: name(agent),
        }
    }

    /// Makes the object. One that another agent made meanwhile is as good.
    pub(super) async fn create(&self, lost: Option<Timestamp>) -> Result<Update, RequestError> {
        let mut annotations = BTreeMap::new();
        annotations.extend(lost.map(|lost| (REBUILT.to_owned(), lost.to_string())));
        let object = serde_json::from_value(json!({
            "metadata": {
                "name": self.name,
                "annotations": annotations,
                "labels": { "app.kubernetes.io/managed-by": "pod-quarantine" },
            },
        }));
        let object: k8s_openapi::api::core::v1::ConfigMap = object.map_err(Error::SerdeError)?;
        let api: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(self.client.clone(), &self.namespace);
        match within(api.create(&PostParams::default(), &object)).await {
            Ok(_) => {}
            Err(RequestError::Api(Error::Api(status))) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        self.read().await
    }

    /// Reads the object, never from a cache.
    pub(super) async fn read(&self) -> Result<Update, RequestError> {
        match within(self.api.get_opt(&self.name)).await? {
            Some(wire) => Ok(Update::Ledger(Ledger::from_wire(&wire)?)),
            None => Ok(Update::LedgerGone(None)),
        }
    }

    /// Writes the entries in which `after` differs from `before`, if the object is still as `before` was read.
    /// `None` where it is not: then nothing was written.
    pub(super) async fn swap(
        &self,
        before: &Ledger,
        after: &Ledger,
    ) -> Result<Option<Ledger>, RequestError> {
        let (old, new) = (before.entries(), after.entries());
        let written = new
            .iter()
            .filter(|(key, text)| old.get(*key) != Some(*text));
        let written = written.map(|(key, text)| (key.clone(), Value::from(text.as_str())));
        let removed = old
            .keys()
            .filter(|key| !new.contains_key(*key))
            .map(|key| (key.clone(), Value::Null));
        let patch = json!({
            "metadata": { "resourceVersion": before.resource_version.to_string() },
            "data": written.chain(removed).collect::<serde_json::Map<_, _>>(),
        });
        let patched = within(self.api.patch(
            &self.name,
            &PatchParams::default(),
            &Patch::Merge(&patch),
        ))
        .await;
        match patched {
            Ok(wire) => Ok(Some(Ledger::from_wire(&wire)?)),
            Err(RequestError::Api(Error::Api(status))) if [404, 409].contains(&status.code) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
