//! The cluster as the plugin reaches it: one namespace of it, or all.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, ObjectList, Patch, PatchParams},
};
use serde_json::json;

use super::{
    arguments::Global,
    failure::{Failure, request},
    paused::Paused,
    told::Told,
};
use crate::{
    cluster::{self, ListPages},
    core::{
        keys,
        ledger::{self, PAUSE, Pause},
        policy::Mode,
    },
};

/// Whoever calls the plugin, signed in.
#[derive(Clone)]
pub struct Session {
    /// For what is not in here.
    pub client: Client,
    /// The namespace that is meant.
    pub namespace: String,
    everywhere: bool,
}

/// A namespace that lowers the mode, and to what.
pub type Lowered = (String, Mode);

impl Session {
    /// Signs in.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        let config =
            cluster::client_config(global.kubeconfig.as_deref(), global.context.as_deref());
        let config = config.await?;
        let namespace = global.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| Failure::of("build the client", &error))?;
        Ok(Self {
            client,
            namespace,
            everywhere: global.all_namespaces,
        })
    }

    /// Pods of the namespace.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One pod.
    pub async fn pod(&self, name: &str) -> Result<Pod, Failure> {
        request("get the pod", self.pods().get(name)).await
    }

    /// Writes an annotation on this very pod, or takes it off.
    pub async fn annotate(
        &self,
        pod: &Pod,
        key: &str,
        value: Option<&str>,
    ) -> Result<Pod, Failure> {
        let patch = json!({ "metadata": { "uid": pod.uid(), "annotations": { key: value } } });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let (pods, name) = (self.pods(), pod.name_any());
        request("annotate the pod", pods.patch(&name, &params, &patch)).await
    }

    /// The Events about a pod, oldest first.
    pub async fn events(&self, uid: &str) -> Result<Vec<Told>, Failure> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let events = request("list the Events", events.list(&about)).await?;
        let mut told: Vec<Told> = events.items.iter().map(Told::from).collect();
        told.sort_by(|a, b| (a.at, &a.reason).cmp(&(b.at, &b.reason)));
        Ok(told)
    }

    /// Every pod that counts as quarantined, or may: by its state label, and by a record where the label was taken
    /// off. For the latter all pods are looked at, by their metadata alone and page by page.
    pub async fn marked(&self) -> Result<Vec<Pod>, Failure> {
        let pods: Api<Pod> = if self.everywhere {
            Api::all(self.client.clone())
        } else {
            self.pods()
        };
        let mut marked = Vec::new();
        let list = async |page: &ListParams| pods.list(page).await;
        each(keys::STATE, list, |pod| marked.push(pod)).await?;
        let mut recorded = Vec::new();
        let list = async |page: &ListParams| pods.list_metadata(page).await;
        each(&format!("!{}", keys::STATE), list, |pod| {
            if pod.annotations().contains_key(keys::RECORD) {
                recorded.push(pod);
            }
        })
        .await?;
        for pod in recorded {
            let namespace = pod.namespace().unwrap_or_default();
            let of_pod: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
            marked.extend(request("get the pod", of_pod.get_opt(&pod.name_any())).await?);
        }
        Ok(marked)
    }

    /// The ledgers of a namespace, or of all, by the name of their agents.
    pub(super) async fn ledgers(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<(String, ConfigMap)>, Failure> {
        let objects: Api<ConfigMap> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let of_agents = format!("{}={}", keys::MANAGED_BY, keys::MANAGER);
        let of_agents = ListParams::default().labels(&of_agents);
        let found = request("list the ledgers", objects.list(&of_agents)).await?;
        let begin = ledger::name("");
        let ledgers = found.items.into_iter().filter_map(|object| {
            let name = object.name_any();
            let agent = name.strip_prefix(&begin)?;
            Some((agent.to_owned(), object))
        });
        Ok(ledgers.collect())
    }

    /// The installations of a namespace that people have paused, in the order of their names.
    pub(super) async fn paused(&self, namespace: &str) -> Result<Vec<Paused>, Failure> {
        let ledgers = self.ledgers(Some(namespace)).await?;
        let paused = ledgers.into_iter().filter_map(|(agent, object)| {
            let pause = Pause::read(object.data?.get(PAUSE)?);
            Some(Paused::new(format!("{namespace}/{agent}"), &pause))
        });
        Ok(paused.collect())
    }

    /// The namespaces that lower the mode, in the order of their names.
    pub async fn lowered(&self) -> Result<Vec<Lowered>, Failure> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = if self.everywhere {
            let all = ListParams::default();
            let found = request("list the namespaces", namespaces.list_metadata(&all)).await?;
            found.items
        } else {
            let found = namespaces.get_metadata_opt(&self.namespace);
            let found = request("get the namespace", found).await?;
            found.into_iter().collect()
        };
        let lowered = |namespace: &kube::core::PartialObjectMeta<Namespace>| {
            let mode = namespace.annotations().get(keys::MODE)?;
            // What cannot be read counts as `off`.
            let mode = Mode::parse(mode).unwrap_or(Mode::Off);
            (mode < Mode::Enforce).then(|| (namespace.name_any(), mode))
        };
        let mut lowered: Vec<Lowered> = found.iter().filter_map(lowered).collect();
        lowered.sort();
        Ok(lowered)
    }
}

/// Lists the pods that a selector of labels selects, page by page.
async fn each<P: Clone>(
    labels: &str,
    list: impl AsyncFn(&ListParams) -> kube::Result<ObjectList<P>>,
    mut take: impl FnMut(P),
) -> Result<(), Failure> {
    let mut pages = ListPages::of(ListParams::default().labels(labels));
    while let Some(params) = pages.next() {
        let page = request("list the pods", list(params)).await?;
        pages.turn(&page.metadata);
        page.items.into_iter().for_each(&mut take);
    }
    Ok(())
}
