//! The objects of one kind, each read into a small type.
//!
//! kube's `Api` requires a `Resource`, which has a whole `ObjectMeta`: metadata would be copied only for its type. The
//! requests below `Api` require neither.

use std::{marker::PhantomData, pin::pin};

use futures::{AsyncReadExt, Stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{
    Client, Error, Resource,
    api::{self, DeleteParams, GetParams, ListParams, ObjectList, Patch, PatchParams, WatchParams},
    core::Request,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Value, value::RawValue};

use super::{ClientError, request};
use crate::core::object::ObjectKey;

/// The bytes of one page that are read at most: a pod may have more than a megabyte, a page 500 of them, and twelve pages
/// are read at once. 500 usual pods have 5 MB.
const MAX_PAGE_BYTES: u64 = 16 << 20;

/// One page of a list.
pub(crate) struct Page<Wire> {
    pub(crate) metadata: ListMeta,
    pub(crate) items: Vec<Wire>,
    /// The objects that cannot be read, and why.
    pub(crate) unreadable: Vec<(ObjectKey, String)>,
}

impl<Wire: Clone + DeserializeOwned> Page<Wire> {
    /// Only if the whole cannot be read, each object is read by itself.
    fn read(bytes: &[u8]) -> serde_json::Result<Self> {
        if let Ok(list) = serde_json::from_slice::<ObjectList<Wire>>(bytes) {
            return Ok(Self {
                metadata: list.metadata,
                items: list.items,
                unreadable: Vec::new(),
            });
        }
        let raw: RawList<'_> = serde_json::from_slice(bytes)?;
        let mut page = Self {
            metadata: raw.metadata,
            items: Vec::new(),
            unreadable: Vec::new(),
        };
        for item in raw.items {
            match serde_json::from_str(item.get()) {
                Ok(object) => page.items.push(object),
                Err(error) => {
                    page.unreadable.push((key_of(item)?, error.to_string()));
                }
            }
        }
        Ok(page)
    }
}

#[derive(Deserialize)]
struct RawList<'a> {
    metadata: ListMeta,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The key of an object that cannot be read otherwise: one field may be there twice.
fn key_of(object: &RawValue) -> serde_json::Result<ObjectKey> {
    let object: Value = serde_json::from_str(object.get())?;
    let text = |field| object.pointer(field).and_then(Value::as_str);
    let name = text("/metadata/name").ok_or(serde_json::Error::missing_field("metadata.name"))?;
    let namespace = text("/metadata/namespace").unwrap_or_default();
    Ok(ObjectKey::new(namespace, name))
}

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
    pub(crate) async fn list(&self, params: &ListParams) -> Result<Page<Wire>, ClientError> {
        let request = if self.metadata_only {
            self.path.list_metadata(params)
        } else {
            self.path.list(params)
        };
        let request = request.map_err(Error::BuildRequest)?;
        let body = self.client.request_stream(request).await?;
        let mut body = pin!(body.take(MAX_PAGE_BYTES + 1));
        let mut bytes = Vec::new();
        let read = body.read_to_end(&mut bytes).await;
        read.map_err(|error| Error::Service(error.into()))?;
        if bytes.len() as u64 > MAX_PAGE_BYTES {
            return Err(ClientError::PageTooLarge);
        }
        Page::read(&bytes).map_err(|error| Error::SerdeError(error).into())
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
