//! Reads what a pod's replacement would need, only when the pod is about to leave its workload.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, future::join3, stream};
use k8s_openapi::api::core::v1::{self, PersistentVolumeClaim, Pod, PodSpec, ResourceQuota};
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::{node, quota};
use crate::{
    cluster::{
        client::{BadObject, ClientError, ListPages, request},
        watch::Interner,
    },
    core::{
        lookup::NeedsQuery,
        needs::{Claim, Needs},
        object::ObjectKey,
        placement::Node,
        quota::Quota,
    },
    deadline::within,
};

/// Claims of one pod that are read: whoever may create a pod can have it name twenty thousand.
const MOST_CLAIMS: usize = 100;

/// Of these, so many are read at once.
const CLAIMS_AT_ONCE: usize = 8;

/// How long the claims of one pod may take together: as long as one request.
const CLAIMS_WITHIN: Duration = Duration::from_secs(10);

/// Reads everything that a replacement would need, or why that cannot be read.
pub(super) async fn needs(client: &Client, query: &NeedsQuery) -> Needs {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &query.pod.namespace);
    let pod = match request(pods.get_opt(&query.pod.name)).await {
        Ok(Some(pod)) => pod,
        Ok(None) => return all_failed("the pod is gone"),
        Err(error) => return all_failed(&could_not("the pod", &error)),
    };
    let Some(spec) = &pod.spec else {
        return all_failed(&could_not("the pod", &BadObject::Missing("spec").into()));
    };
    let (claims, quotas, nodes) = join3(
        claims(client, &query.pod, spec),
        quotas(client, &query.pod),
        nodes(client, query.with_nodes),
    )
    .await;
    Needs {
        claims,
        quotas: quotas
            .and_then(|quotas| Ok((quota::taken(&pod, spec)?, quotas)))
            .map_err(|error| could_not("the ResourceQuotas of its namespace", &error)),
        nodes: nodes
            .and_then(|nodes| Ok((node::placement(spec)?, nodes)))
            .map_err(|error| could_not("the nodes", &error)),
    }
}

fn could_not(what: &str, error: &ClientError) -> String {
    format!("{what} could not be read: {error}")
}

fn all_failed(why: &str) -> Needs {
    Needs {
        claims: Err(why.to_owned()),
        quotas: Err(why.to_owned()),
        nodes: Err(why.to_owned()),
    }
}

/// The claims that the replacement would name, too, each once. The claims of ephemeral volumes are each pod's own.
async fn claims(client: &Client, pod: &ObjectKey, spec: &PodSpec) -> Result<Vec<Claim>, String> {
    let volumes = spec.volumes.iter().flatten();
    let sources = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    let names: BTreeSet<Arc<str>> = sources
        .map(|source| source.claim_name.as_str().into())
        .collect();
    if names.len() > MOST_CLAIMS {
        let count = names.len();
        return Err(format!(
            "it names {count} PersistentVolumeClaims, and at most {MOST_CLAIMS} are read"
        ));
    }
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &pod.namespace);
    let read = stream::iter(names).map(|name| claim(&api, name));
    let all = within(CLAIMS_WITHIN, read.buffered(CLAIMS_AT_ONCE).try_collect()).await;
    let all = all.map_err(ClientError::from).flatten();
    all.map_err(|error| could_not("its PersistentVolumeClaims", &error))
}

/// The access modes are those of the volume that the claim is bound to, else those it requests.
async fn claim(api: &Api<PersistentVolumeClaim>, name: Arc<str>) -> Result<Claim, ClientError> {
    let found = request(api.get_opt(&name)).await?;
    let found = found.unwrap_or_default();
    let bound = found.status.and_then(|status| status.access_modes);
    let asked = found.spec.and_then(|spec| spec.access_modes);
    let modes = match bound {
        Some(bound) if !bound.is_empty() => bound,
        _ => asked.unwrap_or_default(),
    };
    Ok(Claim {
        name,
        modes: modes.into_iter().map(Into::into).collect(),
    })
}

async fn quotas(client: &Client, pod: &ObjectKey) -> Result<Vec<Quota>, ClientError> {
    let api: Api<ResourceQuota> = Api::namespaced(client.clone(), &pod.namespace);
    all(&api, quota::quota).await
}

async fn nodes(client: &Client, wanted: bool) -> Result<Vec<Node>, ClientError> {
    if !wanted {
        return Ok(Vec::new());
    }
    let api: Api<v1::Node> = Api::all(client.clone());
    let mut interner = Interner::default();
    all(&api, |object| node::node(&mut interner, object)).await
}

/// Converts all objects of a kind, page by page: a page of whole objects is large.
async fn all<K, T>(
    api: &Api<K>,
    mut read: impl FnMut(&K) -> Result<T, BadObject>,
) -> Result<Vec<T>, ClientError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut pages = ListPages::of(ListParams::default());
    let mut found = Vec::new();
    while let Some(params) = pages.next() {
        let page = request(api.list(params)).await?;
        for object in &page.items {
            found.push(read(object)?);
        }
        pages.turn(&page.metadata);
    }
    Ok(found)
}
