//! A namespace for one test.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};

use crate::wait;

/// A namespace that nobody else uses. It stays until [`TestNamespace::delete`], so that a failed test can be looked into.
#[derive(Clone, Debug)]
pub struct TestNamespace {
    name: String,
    namespaces: Api<Namespace>,
    pods: Api<Pod>,
}

impl TestNamespace {
    /// Makes one, called `hint` and something that makes it unique.
    pub(crate) async fn create(client: Client, hint: &str) -> anyhow::Result<Self> {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let wanted = Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{hint}-")),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let name = namespaces
            .create(&PostParams::default(), &wanted)
            .await
            .with_context(|| format!("create a namespace for {hint}"))?
            .metadata
            .name
            .context("a namespace without a name")?;
        // Without it the first pods are refused.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        wait::until(
            format_args!("namespace {name} has its ServiceAccount"),
            Duration::from_secs(30),
            async || Ok(accounts.get("default").await?),
        )
        .await?;
        Ok(Self {
            pods: Api::namespaced(client, &name),
            namespaces,
            name,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes it and, without a time of grace, its pods. Does not wait until all is gone.
    pub async fn delete(self) -> anyhow::Result<()> {
        let Self {
            name,
            namespaces,
            pods,
        } = self;
        namespaces
            .delete(&name, &DeleteParams::default())
            .await
            .with_context(|| format!("delete namespace {name}"))?;
        pods.delete_collection(
            &DeleteParams::default().grace_period(0),
            &ListParams::default(),
        )
        .await
        .with_context(|| format!("delete the pods of namespace {name}"))?;
        Ok(())
    }
}
