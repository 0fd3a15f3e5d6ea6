//! The ledger object: a ConfigMap in the agent's namespace, one entry per slot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    convert::{BadObject, resource_version, uid},
    request::{RequestError, within},
    wire::WireLedger,
};
use crate::core::{
    ledger::{self, Ledger, Memory},
    update::Update,
};

/// Annotation: when a lost ledger was made anew.
const REBUILT: &str = "pod-quarantine.io/rebuilt";

/// The finalizer that keeps a ledger until its last slot is free.
const FINALIZER: &str = "pod-quarantine.io/ledger";

/// Reads the ledger object.
pub(super) fn from_wire(wire: &WireLedger) -> Result<Ledger, BadObject> {
    let entries = wire.data.iter().flatten();
    let entries = entries.map(|(key, text)| (key.as_str(), text.as_str()));
    let mut ledger = Ledger::read(resource_version(&wire.metadata)?, entries);
    ledger.uid = uid(&wire.metadata)?;
    let mut finalizers = wire.metadata.finalizers.iter().flatten();
    ledger.guarded = finalizers.any(|finalizer| finalizer == FINALIZER);
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
            name: ledger::name(agent),
        }
    }

    /// Makes the object. One that another agent made meanwhile is as good.
    pub(super) async fn create(
        &self,
        lost: Option<Timestamp>,
        memory: &Memory,
    ) -> Result<Update, RequestError> {
        let mut annotations = BTreeMap::new();
        annotations.extend(lost.map(|lost| (REBUILT.to_owned(), lost.to_string())));
        let object = serde_json::from_value(json!({
            "metadata": {
                "name": self.name,
                "annotations": annotations,
                "finalizers": [FINALIZER],
                "labels": { "app.kubernetes.io/managed-by": "pod-quarantine" },
            },
            "data": memory.entries(),
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
            Some(wire) => Ok(Update::Ledger(from_wire(&wire)?)),
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
        self.patch(&patch).await
    }

    /// Guards the object by a finalizer, the one there is meant to be, and says when it was rebuilt.
    pub(super) async fn mend(
        &self,
        before: &Ledger,
        rebuilt: Option<Timestamp>,
    ) -> Result<Option<Ledger>, RequestError> {
        let annotations = rebuilt.map(|rebuilt| json!({ REBUILT: rebuilt.to_string() }));
        self.patch(&json!({
            "metadata": {
                "resourceVersion": before.resource_version.to_string(),
                "finalizers": [FINALIZER],
                "annotations": annotations.unwrap_or_else(|| json!({})),
            },
        }))
        .await
    }

    /// Takes the finalizers off.
    pub(super) async fn let_go(&self, before: &Ledger) -> Result<Update, RequestError> {
        let patch = json!({
            "metadata": {
                "resourceVersion": before.resource_version.to_string(),
                "finalizers": null,
            },
        });
        self.patch(&patch).await?;
        self.read().await
    }

    /// A merge patch that asks for a version; `None` where the object is of another one.
    async fn patch(&self, patch: &Value) -> Result<Option<Ledger>, RequestError> {
        let patched = within(self.api.patch(
            &self.name,
            &PatchParams::default(),
            &Patch::Merge(patch),
        ))
        .await;
        match patched {
            Ok(wire) => Ok(Some(from_wire(&wire)?)),
            Err(RequestError::Api(Error::Api(status))) if [404, 409].contains(&status.code) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
