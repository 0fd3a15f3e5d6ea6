//! Requests about one pod: each with a bound on its time, each write with its preconditions.

use kube::{
    Api, Client, Error,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use pod_quarantine_writer::api_server::Failure;
use serde_json::{Value, json};

use super::{
    convert::Shared,
    request::{RequestError, within},
    wire::WirePod,
};
use crate::core::{action::Target, object::Pod, restore::Change};

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        match error {
            RequestError::Api(Error::Api(status)) => match status.code {
                404 | 409 => Self::Conflict,
                // A uid that does not match is Invalid.
                422 if status.message.contains("metadata.uid") => Self::Conflict,
                408 | 429 | 500.. => Self::Unknown(text),
                _ => Self::Denied(text),
            },
            _ => Self::Unknown(text),
        }
    }
}

/// The pods of the cluster, as the writer reaches them.
#[derive(Clone)]
pub(super) struct Pods {
    client: Client,
}

impl Pods {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn of(&self, pod: &Target) -> Api<WirePod> {
        Api::namespaced(self.client.clone(), &pod.key.namespace)
    }

    /// Without resourceVersion: the API server asks etcd, not its cache.
    pub(super) async fn get(&self, pod: &Target) -> Result<Option<Pod>, String> {
        let wire = within(self.of(pod).get_opt(&pod.key.name)).await;
        let wire = wire.map_err(|error| error.to_string())?;
        let read = |wire: &WirePod| {
            Shared::default()
                .pod(wire)
                .map_err(|error| error.to_string())
        };
        wire.as_ref().map(read).transpose()
    }

    /// A merge patch of labels and annotations, refused unless the pod is still that one at that version.
    pub(super) async fn patch(
        &self,
        pod: &Target,
        change: &Change,
        dry_run: bool,
    ) -> Result<Pod, Failure> {
        let patch = json!({
            "metadata": {
                "uid": pod.uid,
                "resourceVersion": pod.resource_version.to_string(),
                "labels": change.labels,
                "annotations": change.annotations,
            },
        });
        let params = PatchParams {
            dry_run,
            ..PatchParams::default()
        };
        let patch: Patch<&Value> = Patch::Merge(&patch);
        let pods = self.of(pod);
        let wire = within(pods.patch(&pod.key.name, &params, &patch)).await?;
        let read = Shared::default().pod(&wire);
        read.map_err(|error| Failure::Unknown(error.to_string()))
    }

    pub(super) async fn delete(&self, pod: &Target) -> Result<(), Failure> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(pod.uid.to_string()),
            resource_version: Some(pod.resource_version.to_string()),
        });
        let pods = self.of(pod);
        within(pods.delete(&pod.key.name, &params)).await?;
        Ok(())
    }
}
