//! The ledger object: a ConfigMap in the agent's namespace, one entry per slot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Error,
    api::{PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{
        client::{ClientError, Objects, request},
        watch::WireLedger,
    },
    core::{
        keys,
        ledger::{self, Ledger},
        view::Update,
    },
};

/// The object that slots are written to.
#[derive(Clone)]
pub(super) struct LedgerObject {
    objects: Objects<WireLedger>,
    /// For the creation, which writes the whole object.
    config_maps: Api<ConfigMap>,
    name: String,
}

impl LedgerObject {
    pub(super) fn new(client: Client, namespace: &str, agent: &str) -> Self {
        Self {
            objects: Objects::of::<ConfigMap>(&client, Some(namespace)),
            config_maps: Api::namespaced(client, namespace),
            name: ledger::name(agent),
        }
    }

    /// Creates the object. One that another agent has just created is used instead.
    pub(super) async fn create(
        &self,
        lost: Option<Timestamp>,
        before: Option<&Ledger>,
    ) -> Result<Update, ClientError> {
        let mut annotations = BTreeMap::new();
        annotations.extend(lost.map(|lost| (keys::REBUILT.to_owned(), lost.to_string())));
        let object = serde_json::from_value(json!({
            "metadata": {
                "name": self.name,
                "annotations": annotations,
                "labels": { keys::MANAGED_BY: keys::MANAGER },
            },
            "data": before.map(Ledger::entries),
        }));
        let object: ConfigMap = object.map_err(Error::SerdeError)?;
        let params = PostParams::default();
        match request(self.config_maps.create(&params, &object)).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error),
        }
        self.read().await
    }

    /// Reads the object, never from a cache.
    pub(super) async fn read(&self) -> Result<Update, ClientError> {
        match self.objects.get(&self.name).await? {
            Some(wire) => Ok(Update::Ledger(wire.ledger()?)),
            None => Ok(Update::LedgerGone(None)),
        }
    }

    /// Writes the entries in which `after` differs from `before`, if the object is still as `before` was read.
    /// `None` where it is not: then nothing was written.
    pub(super) async fn swap(
        &self,
        before: &Ledger,
        after: &Ledger,
    ) -> Result<Option<Ledger>, ClientError> {
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

    /// Writes onto the object when it was found to replace a lost one.
    pub(super) async fn repair(
        &self,
        before: &Ledger,
        rebuilt: Timestamp,
    ) -> Result<Option<Ledger>, ClientError> {
        self.patch(&json!({
            "metadata": {
                "resourceVersion": before.resource_version.to_string(),
                "annotations": { keys::REBUILT: rebuilt.to_string() },
            },
        }))
        .await
    }

    /// Sends a merge patch with a resourceVersion; `None` where the object has another one.
    async fn patch(&self, patch: &Value) -> Result<Option<Ledger>, ClientError> {
        let params = PatchParams::default();
        match self.objects.patch(&self.name, &params, patch).await {
            Ok(wire) => Ok(Some(wire.ledger()?)),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
