//! Requests about one pod: each with a bound on its time, each write with its preconditions.

use k8s_openapi::api::core::v1;
use kube::{
    Client,
    api::{DeleteParams, PatchParams, Preconditions},
};
use serde_json::json;

use crate::{
    cluster::{
        client::{ClientError, Objects},
        watch::{Converter, WirePod},
    },
    core::{
        object::Pod,
        write::{Change, PodVersion},
    },
};

/// The pods of the cluster, for the writer.
#[derive(Clone)]
pub(super) struct PodsApi {
    client: Client,
}

impl PodsApi {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    fn of(&self, pod: &PodVersion) -> Objects<WirePod> {
        Objects::of::<v1::Pod>(&self.client, Some(&pod.key.namespace))
    }

    /// Reads the pod, never from a cache.
    pub(super) async fn get(&self, pod: &PodVersion) -> Result<Option<Pod>, ClientError> {
        match self.of(pod).get(&pod.key.name).await? {
            Some(wire) => Ok(Some(Converter::default().pod(&wire)?)),
            None => Ok(None),
        }
    }

    /// Sends a merge patch of labels and annotations, refused unless the pod still has that uid and version.
    pub(super) async fn patch(
        &self,
        pod: &PodVersion,
        change: &Change,
        dry_run: bool,
    ) -> Result<Pod, ClientError> {
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
        let wire = self.of(pod).patch(&pod.key.name, &params, &patch).await?;
        Ok(Converter::default().pod(&wire)?)
    }

    pub(super) async fn delete(&self, pod: &PodVersion) -> Result<(), ClientError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(pod.uid.to_string()),
            resource_version: Some(pod.resource_version.to_string()),
        });
        self.of(pod).delete(&pod.key.name, &params).await
    }
}
