//! The cluster as the plugin reaches it: one namespace of it, or all.

use std::time::Duration;

use k8s_openapi::api::core::v1::{self, ConfigMap, Event, Namespace};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, ObjectList, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde_json::json;

use super::{
    arguments::{AgentArgs, Global},
    events::PodEvent,
    failure::CommandFailure,
    paused::Paused,
};
use crate::{
    cluster::{self, ListPages, UnreadablePod, read_pod},
    core::{
        keys,
        ledger::{self, PAUSE, Pause},
        object::Pod,
        policy::Mode,
    },
    deadline::within,
};

/// How long one request may take, unless the command line says it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The label of the agents' pods in `deploy/base`.
pub(super) const AGENT_PODS: &str = "app.kubernetes.io/name=pod-quarantine";

/// The user's connection to a cluster.
#[derive(Clone)]
pub struct Session {
    /// The client, for requests without a method here.
    pub client: Client,
    /// The namespace of the pods.
    pub namespace: String,
    /// Whether the pods of all namespaces are meant.
    pub everywhere: bool,
    /// How long one request may take; zero is as long as it takes.
    timeout: Duration,
}

/// A pod as the API server sends it and as the core reads it: it is parsed once.
#[derive(Clone, Debug)]
pub struct FoundPod {
    pub object: v1::Pod,
    /// What the core reads of it.
    pub pod: Pod,
}

impl FoundPod {
    pub fn read(object: v1::Pod) -> Result<Self, UnreadablePod> {
        let pod = read_pod(&object)?;
        Ok(Self { object, pod })
    }
}

/// A namespace that lowers the mode, and to what.
pub type Lowered = (String, Mode);

impl Session {
    /// Connects to the cluster that the flags name.
    pub fn open(global: &Global) -> Result<Self, CommandFailure> {
        let config = cluster::client_config(&global.connection.flags())?;
        let namespace = global.namespace.clone().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let builder = cluster::connect(config);
        let builder = builder.map_err(|error| CommandFailure::of("build the client", &error))?;
        Ok(Self {
            client: builder.build(),
            namespace,
            everywhere: global.all_namespaces,
            timeout: global.request_timeout.unwrap_or(REQUEST_TIMEOUT),
        })
    }

    /// The same connection, for the pods of that namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            everywhere: false,
            ..self.clone()
        }
    }

    /// The same connection, for the pods of all namespaces.
    pub(super) fn in_all_namespaces(&self) -> Self {
        Self {
            everywhere: true,
            ..self.clone()
        }
    }

    /// A request, with a bound on its time.
    pub async fn request<T>(
        &self,
        what: &str,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, CommandFailure> {
        let answered = if self.timeout.is_zero() {
            Ok(request.await)
        } else {
            within(self.timeout, request).await
        };
        let answered = answered.map_err(|timed_out| CommandFailure::Request {
            what: what.to_owned(),
            why: timed_out.to_string(),
        })?;
        answered.map_err(|error| CommandFailure::of(what, &error))
    }

    /// The objects of the namespace, or of all namespaces.
    pub(super) fn all<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        if self.everywhere {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), &self.namespace)
        }
    }

    /// The pods of the namespace.
    #[must_use]
    pub fn pods(&self) -> Api<v1::Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The pod of any namespace, if it is there.
    pub(super) async fn pod_of(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<FoundPod>, CommandFailure> {
        let pods: Api<v1::Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = self.request("get the pod", pods.get_opt(name)).await?;
        Ok(found.map(FoundPod::read).transpose()?)
    }

    pub async fn pod(&self, name: &str) -> Result<FoundPod, CommandFailure> {
        let object = self.request("get the pod", self.pods().get(name)).await?;
        Ok(FoundPod::read(object)?)
    }

    /// Writes an annotation on a pod, or removes it; not on another pod of the same name.
    pub async fn annotate(
        &self,
        pod: &Pod,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), CommandFailure> {
        let patch = json!({ "metadata": { "uid": &*pod.uid, "annotations": { key: value } } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let (pods, name) = (self.pods(), &pod.key.name);
        self.request("annotate the pod", pods.patch(name, &params, &patch))
            .await?;
        Ok(())
    }

    /// The Events about a pod, oldest first.
    pub async fn events(&self, uid: &str) -> Result<Vec<PodEvent>, CommandFailure> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let events = self.request("list the Events", events.list(&about)).await?;
        let mut events: Vec<PodEvent> = events.items.iter().map(PodEvent::from).collect();
        events.sort_by(|a, b| (a.at, &a.reason).cmp(&(b.at, &b.reason)));
        Ok(events)
    }

    /// Every pod with these labels that counts as quarantined, or may: by its state label, and by a record where the label
    /// was removed. For the latter the metadata of all pods is read, page by page.
    pub async fn tracked(&self, selector: &str) -> Result<Vec<FoundPod>, CommandFailure> {
        let and = |labels: String| match selector {
            "" => labels,
            selector => format!("{labels},{selector}"),
        };
        let pods: Api<v1::Pod> = self.all();
        let mut tracked = Vec::new();
        let list = async |page: &ListParams| pods.list(page).await;
        let labelled = and(keys::STATE.to_owned());
        let listed = each(self, &labelled, list, |pod| tracked.push(pod)).await;
        // Everything in the request but the selector is right.
        listed.map_err(|failure| failure.of_selector(selector))?;
        let mut recorded = Vec::new();
        let list = async |page: &ListParams| pods.list_metadata(page).await;
        each(self, &and(format!("!{}", keys::STATE)), list, |pod| {
            if pod.annotations().contains_key(keys::RECORD) {
                recorded.push(pod);
            }
        })
        .await?;
        let mut found = Vec::new();
        for object in tracked {
            found.push(FoundPod::read(object)?);
        }
        for pod in recorded {
            let namespace = pod.namespace().unwrap_or_default();
            found.extend(self.pod_of(&namespace, &pod.name_any()).await?);
        }
        Ok(found)
    }

    /// The ledgers of a namespace, or of all namespaces, by the names of their agents.
    pub(super) async fn ledgers(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<(String, ConfigMap)>, CommandFailure> {
        let objects: Api<ConfigMap> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let of_agents = format!("{}={}", keys::MANAGED_BY, keys::MANAGER);
        let of_agents = ListParams::default().labels(&of_agents);
        let found = self
            .request("list the ledgers", objects.list(&of_agents))
            .await?;
        let prefix = ledger::name("");
        let mut ledgers = Vec::new();
        for object in found.items {
            if let Some(agent) = object.name_any().strip_prefix(&prefix) {
                ledgers.push((agent.to_owned(), object));
            }
        }
        Ok(ledgers)
    }

    /// The pods of the agents in a namespace that are not being deleted, Ready ones first.
    pub(super) async fn agent_pods(&self, namespace: &str) -> Result<Vec<v1::Pod>, CommandFailure> {
        let pods: Api<v1::Pod> = Api::namespaced(self.client.clone(), namespace);
        let of_agents = ListParams::default().labels(AGENT_PODS);
        let found = self
            .request("list the agent's pods", pods.list(&of_agents))
            .await?;
        let mut found = found.items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        found.sort_by_key(|pod| (!is_ready(pod), pod.name_any()));
        Ok(found)
    }

    /// The agents that people have paused, in the order of their names.
    pub(super) async fn paused(&self, agent: &AgentArgs) -> Result<Vec<Paused>, CommandFailure> {
        let namespace = &agent.namespace;
        let mut paused = Vec::new();
        for (name, object) in self.ledgers(Some(namespace)).await? {
            let data = object.data.unwrap_or_default();
            if let Some(text) = data.get(PAUSE)
                && agent.includes(&name)
            {
                let agent = format!("{namespace}/{name}");
                paused.push(Paused::new(agent, &Pause::read(text)));
            }
        }
        Ok(paused)
    }

    /// The namespaces that lower the mode, in the order of their names.
    pub async fn lowered(&self) -> Result<Vec<Lowered>, CommandFailure> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = if self.everywhere {
            let all = ListParams::default();
            let found = self
                .request("list the namespaces", namespaces.list_metadata(&all))
                .await?;
            found.items
        } else {
            let found = namespaces.get_metadata_opt(&self.namespace);
            let found = self.request("get the namespace", found).await?;
            found.into_iter().collect()
        };
        let mut lowered: Vec<Lowered> = Vec::new();
        for namespace in &found {
            let Some(mode) = namespace.annotations().get(keys::MODE) else {
                continue;
            };
            // A mode that cannot be read counts as `off`.
            let mode = Mode::parse(mode).unwrap_or(Mode::Off);
            if mode < Mode::Enforce {
                lowered.push((namespace.name_any(), mode));
            }
        }
        lowered.sort();
        Ok(lowered)
    }
}

fn is_ready(pod: &v1::Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Lists the pods that a label selector selects, page by page.
async fn each<P: Clone>(
    session: &Session,
    labels: &str,
    list: impl AsyncFn(&ListParams) -> kube::Result<ObjectList<P>>,
    mut take: impl FnMut(P),
) -> Result<(), CommandFailure> {
    let mut pages = ListPages::of(ListParams::default().labels(labels));
    while let Some(params) = pages.next() {
        let page = session.request("list the pods", list(params)).await?;
        pages.turn(&page.metadata);
        page.items.into_iter().for_each(&mut take);
    }
    Ok(())
}
