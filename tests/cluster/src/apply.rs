//! Manifests of any kind, sent to the API server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{self, Scope};
use serde_json::Value;

use crate::wait;

/// For the API server to serve a kind that was only just defined.
const DEFINED: Duration = Duration::from_secs(10);

/// Applies each document in turn, by server-side apply. What names no namespace goes into `default`.
pub(crate) async fn apply(client: &Client, yaml: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for document in documents(yaml)? {
        applied.push(apply_one(client, document).await?);
    }
    Ok(applied)
}

/// The documents of a file, without the empty ones; a `List` is taken apart.
fn documents(yaml: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let values: Vec<Value> = serde_saphyr::from_multiple(yaml).context("read manifests")?;
    let mut objects = Vec::new();
    for value in values {
        let items = match value.get("items").and_then(Value::as_array) {
            Some(items) if value.get("kind").is_some_and(|kind| kind == "List") => items.clone(),
            _ => vec![value],
        };
        for item in items.into_iter().filter(|item| !item.is_null()) {
            let object = serde_json::from_value(item.clone())
                .with_context(|| format!("this is no Kubernetes object: {item}"))?;
            objects.push(object);
        }
    }
    Ok(objects)
}

async fn apply_one(client: &Client, object: DynamicObject) -> anyhow::Result<DynamicObject> {
    let Some(types) = object.types.clone() else {
        bail!("a manifest has no apiVersion and kind");
    };
    let name = object.metadata.name.clone().unwrap_or_default();
    let what = format!("{} {name}", types.kind);
    if name.is_empty() {
        bail!("a {} has no name", types.kind);
    }
    let api = api(client, &types, object.metadata.namespace.as_deref()).await?;
    let parameters = PatchParams::apply("test-cluster").force();
    api.patch(&name, &parameters, &Patch::Apply(&object))
        .await
        .with_context(|| format!("apply {what}"))
}

async fn api(
    client: &Client,
    types: &TypeMeta,
    namespace: Option<&str>,
) -> anyhow::Result<Api<DynamicObject>> {
    let kind = GroupVersionKind::try_from(types).context("read apiVersion")?;
    let (resource, capabilities) = wait::until(
        format_args!("the API server serves {}", types.kind),
        DEFINED,
        async || Ok(discovery::pinned_kind(client, &kind).await?),
    )
    .await?;
    Ok(match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            Api::namespaced_with(client.clone(), namespace.unwrap_or("default"), &resource)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Component;

    fn names(yaml: &str) -> Vec<String> {
        let objects = documents(yaml).unwrap();
        objects
            .into_iter()
            .map(|object| object.metadata.name.unwrap())
            .collect()
    }

    #[test]
    fn documents_are_split_and_empty_ones_left_out() {
        let yaml = "---\n# nothing\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: two}\nstringData:\n  text: |\n    ---\n    not a new document\n---\n";
        assert_eq!(names(yaml), ["one", "two"]);
    }

    #[test]
    fn a_list_is_taken_apart() {
        let yaml = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n";
        assert_eq!(names(yaml), ["one", "two"]);
    }

    #[test]
    fn the_clusters_own_manifests_are_objects() {
        let manifests = Component::ALL.map(Component::manifests);
        let yaml: Vec<&str> = manifests.into_iter().flatten().collect();
        let yaml = yaml.join("\n---\n").replace('@', "");
        let names = names(&yaml);
        for service in ["kube-dns", "metrics-server", "prometheus"] {
            assert!(names.contains(&service.to_owned()), "{service}");
        }
    }
}
