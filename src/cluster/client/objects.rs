//! The objects of one kind, each read into a small type.
//!
//! kube's `Api` requires a `Resource`, which has a whole `ObjectMeta`: metadata would be copied only for its type. The
//! requests below `Api` require neither.

use std::marker::PhantomData;

use futures::Stream;
use kube::{
    Client, Error, Resource,
    api::{self, DeleteParams, GetParams, ListParams, ObjectList, Patch, PatchParams, WatchParams},
    core::Request,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ClientError, request};

/// The objects of one kind, in a namespace or everywhere, each read as a `Wire`.
pub(crate) struct Objects<Wire> {
    client: Client,
    path: Request,
    metadata_only: bool,
    wire: PhantomData<fn() -> Wire>,
}

impl<Wire> Clone for Objects<Wire> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            path: self.path.clone(),
            metadata_only: self.metadata_only,
            wire: PhantomData,
        }
    }
}

impl<Wire: Clone + DeserializeOwned> Objects<Wire> {
    /// The objects of that kind in a namespace, or everywhere.
    pub(crate) fn of<Kind: Resource<DynamicType = ()>>(
        client: &Client,
        namespace: Option<&str>,
    ) -> Self {
        Self {
            client: client.clone(),
            path: Request::new(Kind::url_path(&(), namespace)),
            metadata_only: false,
            wire: PhantomData,
        }
    }

    /// Lists and watches nothing but the metadata.
    pub(crate) fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// Lists one page. The caller bounds the time.
    pub(crate) async fn list(&self, params: &ListParams) -> Result<ObjectList<Wire>, Error> {
        let request = if self.metadata_only {
            self.path.list_metadata(params)
        } else {
            self.path.list(params)
        };
        let request = request.map_err(Error::BuildRequest)?;
        self.client.request(request).await
    }

    /// Watches from that version on. The caller bounds the time.
    pub(crate) async fn watch(
        &self,
        params: &WatchParams,
        version: &str,
    ) -> Result<impl Stream<Item = Result<api::WatchEvent<Wire>, Error>> + use<Wire>, Error> {
        let request = if self.metadata_only {
            self.path.watch_metadata(params, version)
        } else {
            self.path.watch(params, version)
        };
        let request = request.map_err(Error::BuildRequest)?;
        self.client.request_events(request).await
    }

    /// Reads one object as it is now: without resourceVersion, the API server reads it from etcd, not from its cache.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Wire>, ClientError> {
        let get = self.path.get(name, &GetParams::default());
        let get = get.map_err(Error::BuildRequest)?;
        match request(self.client.request(get)).await {
            Ok(found) => Ok(Some(found)),
            Err(ClientError::Api(Error::Api(status))) if status.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a merge patch. Returns the object as it is then.
    pub(crate) async fn patch(
        &self,
        name: &str,
        params: &PatchParams,
        patch: &Value,
    ) -> Result<Wire, ClientError> {
        let patch = self.path.patch(name, params, &Patch::Merge(patch));
        let patch = patch.map_err(Error::BuildRequest)?;
        request(self.client.request(patch)).await
    }

    pub(crate) async fn delete(
        &self,
        name: &str,
        params: &DeleteParams,
    ) -> Result<(), ClientError> {
        let delete = self.path.delete(name, params);
        let delete = delete.map_err(Error::BuildRequest)?;
        request(self.client.request_status::<Wire>(delete)).await?;
        Ok(())
    }
}
