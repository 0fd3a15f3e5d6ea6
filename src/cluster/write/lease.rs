//! The Lease: which agent leads, and which ledger is in use.
//!
//! It lives as long as the installation. The ledger that it names can be lost; if it names none, there was none yet.

use jiff::Timestamp;
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::client::{BadObject, ClientError, request},
    core::{keys, ledger::Ledger, object::Uid, view::Update},
};

/// Annotation: the uid of the ledger.
const LEDGER: &str = "pod-quarantine.io/ledger";

/// Name of the Lease of an installation.
#[must_use]
pub fn lease_name(agent: &str) -> String {
    format!("pod-quarantine-{agent}")
}

/// The Lease of an installation.
#[derive(Clone)]
pub(crate) struct LeaseObject {
    api: Api<Lease>,
    name: String,
}

/// The holder in the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Empty where nobody holds the Lease.
    pub(crate) identity: String,
    /// When the Lease was last renewed, by the holder's clock.
    pub(crate) renewed: Option<Timestamp>,
    /// How often the holder has changed.
    pub(crate) transitions: i32,
}

/// The uid of the ledger that the Lease names.
fn named(lease: &Lease) -> Option<Uid> {
    let annotations = lease.metadata.annotations.as_ref()?;
    annotations.get(LEDGER).map(|uid| uid.as_str().into())
}

fn version(lease: &Lease) -> Result<&str, BadObject> {
    let version = lease.metadata.resource_version.as_deref();
    version.ok_or(BadObject::Missing("resourceVersion"))
}

/// The update of the view.
pub(crate) fn lease_update(lease: &Lease) -> Result<Update, BadObject> {
    Ok(Update::Lease(named(lease), version(lease)?.parse()?))
}

impl Holder {
    pub(crate) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let identity = spec.and_then(|spec| spec.holder_identity.clone());
        Self {
            identity: identity.unwrap_or_default(),
            renewed: spec.and_then(|spec| Some(spec.renew_time.as_ref()?.0)),
            transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
        }
    }
}

impl LeaseObject {
    pub(crate) fn new(client: Client, namespace: &str, agent: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: lease_name(agent),
        }
    }

    /// Reads the Lease, never from a cache.
    pub(crate) async fn read(&self) -> Result<Option<Lease>, ClientError> {
        request(self.api.get_opt(&self.name)).await
    }

    /// Creates the Lease without a holder. `None` where another agent has just created it.
    pub(crate) async fn create(&self) -> Result<Option<Lease>, ClientError> {
        let lease = serde_json::from_value(json!({
            "metadata": {
                "name": self.name,
                "labels": { keys::MANAGED_BY: keys::MANAGER },
            },
        }));
        let lease: Lease = lease.map_err(Error::SerdeError)?;
        match request(self.api.create(&PostParams::default(), &lease)).await {
            Ok(created) => Ok(Some(created)),
            Err(error) if error.code() == Some(409) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the holder, if the Lease is still as it was read. `None` where it is not.
    pub(crate) async fn hold(
        &self,
        before: &Lease,
        holder: &str,
        seconds: u64,
    ) -> Result<Option<Lease>, ClientError> {
        let held_by = Holder::of(before);
        let now = json!(MicroTime(Timestamp::now()));
        let mut spec = json!({
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "renewTime": now,
        });
        if held_by.identity != holder
            && !holder.is_empty()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("acquireTime".to_owned(), now);
            let transitions = held_by.transitions.saturating_add(1);
            spec.insert("leaseTransitions".to_owned(), transitions.into());
        }
        self.patch(before, json!({}), spec).await
    }

    /// Names the ledger, unless the Lease names another one and this one does not replace a lost one.
    pub(crate) async fn name_ledger(&self, ledger: &Ledger) -> Result<Update, ClientError> {
        let before = self.read().await?.ok_or(ClientError::Changed)?;
        let known = named(&before);
        if known.is_some_and(|known| known == ledger.uid || ledger.rebuilt.is_none()) {
            return Ok(lease_update(&before)?);
        }
        let annotations = json!({ LEDGER: &*ledger.uid });
        let after = self.patch(&before, annotations, json!({})).await?;
        Ok(lease_update(after.as_ref().unwrap_or(&before))?)
    }

    /// Sends a merge patch, if the Lease is still as it was read. `None` where it is not.
    async fn patch(
        &self,
        before: &Lease,
        annotations: Value,
        spec: Value,
    ) -> Result<Option<Lease>, ClientError> {
        let patch = json!({
            "metadata": { "resourceVersion": version(before)?, "annotations": annotations },
            "spec": spec,
        });
        let params = PatchParams::default();
        match request(self.api.patch(&self.name, &params, &Patch::Merge(&patch))).await {
            Ok(after) => Ok(Some(after)),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
