//! Reads what a pod's replacement would need, when the pod is about to leave its workload and at no other time.

use std::fmt::Debug;

use futures::future::{join3, try_join_all};
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use super::{
    convert::Shared,
    request::{RequestError, within},
    wire_needs::{WireClaim, WireNeedy},
    wire_node::WireNode,
    wire_quota::WireQuota,
};
use crate::core::{
    action::Inquiry,
    object::ObjectKey,
    placement::Node,
    quota::Quota,
    replacement::{Claim, Needs},
};

/// Objects in one page of a list, as client-go asks for them.
const PAGE: u32 = 500;

/// Reads all that a replacement would need. What cannot be read is said in its place.
pub(super) async fn needs(client: &Client, inquiry: &Inquiry) -> Needs {
    let pods: Api<WireNeedy> = Api::namespaced(client.clone(), &inquiry.pod.namespace);
    let pod = match within(pods.get_opt(&inquiry.pod.name)).await {
        Ok(Some(pod)) => pod,
        Ok(None) => return unread("the pod is gone"),
        Err(error) => return unread(&could_not("the pod", &error)),
    };
    let (claims, quotas, nodes) = join3(
        claims(client, &inquiry.pod, &pod),
        quotas(client, &inquiry.pod),
        nodes(client, inquiry.with_nodes),
    )
    .await;
    Needs {
        claims: claims.map_err(|error| could_not("its PersistentVolumeClaims", &error)),
        quotas: quotas
            .and_then(|quotas| Ok((pod.taken()?, quotas)))
            .map_err(|error| could_not("the ResourceQuotas of its namespace", &error)),
        nodes: nodes
            .and_then(|nodes| Ok((Shared::default().placement(&pod)?, nodes)))
            .map_err(|error| could_not("the nodes", &error)),
    }
}

fn could_not(what: &str, error: &RequestError) -> String {
    format!("{what} could not be read: {error}")
}

fn unread(why: &str) -> Needs {
    Needs {
        claims: Err(why.to_owned()),
        quotas: Err(why.to_owned()),
        nodes: Err(why.to_owned()),
    }
}

async fn claims(
    client: &Client,
    pod: &ObjectKey,
    needy: &WireNeedy,
) -> Result<Vec<Claim>, RequestError> {
    let api: Api<WireClaim> = Api::namespaced(client.clone(), &pod.namespace);
    let claim = |name: String| {
        let api = api.clone();
        async move {
            let claim = within(api.get_opt(&name)).await?;
            Ok(Claim {
                modes: claim.map(WireClaim::modes).unwrap_or_default(),
                name: name.into(),
            })
        }
    };
    try_join_all(needy.claims().map(claim)).await
}

async fn quotas(client: &Client, pod: &ObjectKey) -> Result<Vec<Quota>, RequestError> {
    let api: Api<WireQuota> = Api::namespaced(client.clone(), &pod.namespace);
    let quotas = all(&api).await?;
    Ok(quotas
        .iter()
        .map(WireQuota::quota)
        .collect::<Result<_, _>>()?)
}

async fn nodes(client: &Client, wanted: bool) -> Result<Vec<Node>, RequestError> {
    if !wanted {
        return Ok(Vec::new());
    }
    let nodes = all(&Api::<WireNode>::all(client.clone())).await?;
    let mut shared = Shared::default();
    Ok(nodes
        .iter()
        .map(|node| shared.node(node))
        .collect::<Result<_, _>>()?)
}

/// Everything there is, page by page.
async fn all<K>(api: &Api<K>) -> Result<Vec<K>, RequestError>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut params = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = within(api.list(&params)).await?;
        found.extend(page.items);
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(found);
        }
    }
}
