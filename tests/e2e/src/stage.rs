//! The running cluster, and what tests ask of it.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use test_cluster::{Cluster, Progress, TestNamespace, wait};
use test_workload::behaviour::Behaviour;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Agent, Labels, Traffic, Web, proxy, web::CONTROL};

/// Long enough for anything that should happen at once, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// The running cluster.
#[derive(Clone)]
pub struct Stage {
    /// The cluster itself.
    pub cluster: Cluster,
    /// An admin's client.
    pub client: Client,
    _turn: Arc<Turn>,
}

/// Tests run side by side, but for those that break what all of them stand on.
static TURNS: RwLock<()> = RwLock::const_new(());

enum Turn {
    Shared(#[allow(dead_code, reason = "held, not read")] RwLockReadGuard<'static, ()>),
    Alone(#[allow(dead_code, reason = "held, not read")] RwLockWriteGuard<'static, ()>),
}

/// Starts what an earlier test stopped and, as it failed, did not start again.
async fn restart_components(cluster: &Cluster) -> anyhow::Result<()> {
    if !cluster.is_own() {
        return Ok(());
    }
    let extent = cluster.extent();
    for component in extent.components() {
        if cluster.component(component)?.pid().is_none() {
            eprintln!("{component} does not run: an earlier test has left it so");
            Cluster::ensure(extent, Progress::shown()).await?;
        }
    }
    Ok(())
}

impl Stage {
    /// Finds the running cluster, to be shared with other tests; an error if there is none.
    pub async fn open() -> anyhow::Result<Self> {
        Self::take(Turn::Shared(TURNS.read().await)).await
    }

    /// The same for a test that runs alone, because it stops a component or counts the cluster's pods.
    pub async fn open_alone() -> anyhow::Result<Self> {
        Self::take(Turn::Alone(TURNS.write().await)).await
    }

    async fn take(turn: Turn) -> anyhow::Result<Self> {
        // A second test in the same process finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::attach()?;
        restart_components(&cluster).await?;
        let client = cluster.client().await?;
        Ok(Self {
            cluster,
            client,
            _turn: Arc::new(turn),
        })
    }

    /// A namespace of its own.
    pub async fn namespace(&self, hint: &str) -> anyhow::Result<TestNamespace> {
        self.cluster.namespace(hint).await
    }

    /// Installs an agent with that policy file into a namespace of its own, and waits until it is ready.
    pub async fn agent(&self, hint: &str, policy: &str) -> anyhow::Result<Agent> {
        Agent::install(self, hint, policy).await
    }

    /// A Deployment of so many pods behind the Service `web`, Ready.
    pub async fn web(&self, namespace: &str, replicas: u32, labels: Labels) -> anyhow::Result<Web> {
        Web::start(self, namespace, replicas, labels).await
    }

    /// Traffic on the Service `web` of a namespace.
    pub async fn traffic(&self, namespace: &str, keep_alive: bool) -> anyhow::Result<Traffic> {
        Traffic::start(self, namespace, keep_alive).await
    }

    /// The pods of a namespace.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Writes an annotation, as `kubectl annotate --overwrite` does; `None` takes it off.
    pub async fn annotate(
        &self,
        namespace: &str,
        pod: &str,
        key: &str,
        value: Option<&str>,
    ) -> anyhow::Result<Pod> {
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        let pods = self.pods(namespace);
        let patched = pods
            .patch(pod, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.with_context(|| format!("annotate {namespace}/{pod} with {key}"))
    }

    /// Switches the behaviour of a pod, see the workload: a word such as `500`, or JSON.
    pub async fn switch(&self, namespace: &str, pod: &str, behaviour: &str) -> anyhow::Result<()> {
        let behaviour: Behaviour = behaviour
            .parse()
            .map_err(|error| anyhow::anyhow!("{behaviour}: {error}"))?;
        let body = serde_json::to_string(&behaviour)?;
        let path = "/behaviour";
        proxy::send(&self.client, "PUT", namespace, pod, CONTROL, path, body)
            .await
            .map(drop)
    }

    /// The cluster address of a Service, which needs no name server.
    pub async fn address(&self, namespace: &str, service: &str) -> anyhow::Result<IpAddr> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let spec = services.get(service).await?.spec;
        let address = spec.and_then(|spec| spec.cluster_ip);
        let address = address.with_context(|| format!("{namespace}/{service} has no address"))?;
        Ok(address.parse()?)
    }

    /// What the Prometheus of the tests' own cluster answers to a query.
    pub async fn query(&self, query: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let address = self.address("monitoring", "prometheus").await?;
        let path = format!("/api/v1/query?query={}", url_encoded(query));
        let answer = crate::get((address, 9090).into(), &path).await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let series = answer
            .pointer("/data/result")
            .and_then(|result| result.as_array());
        series.cloned().with_context(|| answer.to_string())
    }

    /// The names of the pods in the slices of a Service; `ready_only`: those that get traffic.
    pub async fn endpoints(
        &self,
        namespace: &str,
        service: &str,
        ready_only: bool,
    ) -> anyhow::Result<BTreeSet<String>> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let of_service =
            ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = slices
            .list(&of_service)
            .await
            .context("list the EndpointSlices")?;
        let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints);
        let wanted = endpoints.filter(|endpoint| {
            let ready = endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready);
            !ready_only || ready == Some(true)
        });
        Ok(wanted
            .filter_map(|endpoint| endpoint.target_ref?.name)
            .collect())
    }

    /// Waits until a Service's slices have exactly so many Ready pods.
    pub async fn ready_endpoints(
        &self,
        namespace: &str,
        service: &str,
        count: usize,
    ) -> anyhow::Result<BTreeSet<String>> {
        wait::until(
            format_args!("{count} Ready endpoints of {service}"),
            SOON * 2,
            async || {
                let endpoints = self.endpoints(namespace, service, true).await?;
                ensure!(endpoints.len() == count, "{endpoints:?}");
                Ok(endpoints)
            },
        )
        .await
    }

    /// The Events of a namespace about one object, as `reason: note`.
    pub async fn events(&self, namespace: &str, about: &str) -> anyhow::Result<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let events = events
            .list(&ListParams::default())
            .await
            .context("list the Events")?;
        let about = events.items.into_iter().filter(|event| {
            event.reporting_controller.as_deref() == Some("pod-quarantine.io/agent")
                && event
                    .regarding
                    .as_ref()
                    .and_then(|object| object.name.as_deref())
                    == Some(about)
        });
        let line = |event: Event| {
            format!(
                "{}: {}",
                event.reason.unwrap_or_default(),
                event.note.unwrap_or_default()
            )
        };
        Ok(about.map(line).collect())
    }

    /// Waits until there is an Event about an object whose `reason: note` has all these texts in it.
    pub async fn event(
        &self,
        namespace: &str,
        about: &str,
        texts: &[&str],
    ) -> anyhow::Result<String> {
        wait::until(
            format_args!("an Event about {about} with {texts:?}"),
            SOON,
            async || {
                let events = self.events(namespace, about).await?;
                let found = events
                    .iter()
                    .find(|event| texts.iter().all(|text| event.contains(text)));
                found.cloned().with_context(|| format!("{events:#?}"))
            },
        )
        .await
    }
}

/// Every byte that is not a plain letter or digit as its number.
fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let encoded = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    encoded.collect()
}
