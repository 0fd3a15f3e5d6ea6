//! Tenants: each has a namespace of its own, the rights of one there and nowhere else, and means ill. They act all the
//! time, beside whatever else happens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use fastrand::Rng;
use futures::future::try_join_all;
use http::{Method, Request, header};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use test_cluster::{TestNamespace, wait};
use test_e2e::Stage;
use tokio::task::JoinHandle;

use crate::{
    hostility::{self, HostileRequest, Surroundings, touches},
    register::{Doing, Seen, TENANT},
    watcher::Watcher,
};

/// Pods of each tenant's Deployment `quiet`.
const QUIET: usize = 6;

/// The longest time from one act of a tenant to its next, in milliseconds.
const PAUSE: u64 = 500;

/// Longer than a request of a tenant takes; while the API server is away, none is answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many versions of a pod a tenant remembers.
const REMEMBERED: usize = 8;

/// How the API server answered the tenants' requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) done: AtomicUsize,
    /// Not valid, or too late.
    pub(crate) refused: AtomicUsize,
    /// They have no right to that.
    pub(crate) denied: AtomicUsize,
    /// They had no right to that, and it was done.
    pub(crate) let_through: AtomicUsize,
}

impl Requests {
    fn answered(&self, status: u16, is_forbidden: bool) {
        let counter = match status {
            200..300 if is_forbidden => &self.let_through,
            200..300 => &self.done,
            403 if is_forbidden => &self.denied,
            _ => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// All tenants.
pub(crate) struct Tenants {
    stage: Stage,
    namespaces: Vec<TestNamespace>,
    clients: Vec<Client>,
    tasks: Vec<JoinHandle<()>>,
    pub(crate) requests: Arc<Requests>,
}

impl Tenants {
    /// So many, who do not act yet.
    pub(crate) async fn set(stage: &Stage, count: usize) -> anyhow::Result<Self> {
        let mut tenants = Self {
            stage: stage.clone(),
            namespaces: Vec::new(),
            clients: Vec::new(),
            tasks: Vec::new(),
            requests: Arc::default(),
        };
        for _ in 0..count {
            let namespace = stage.namespace(TENANT).await?;
            let name = namespace.name();
            stage.cluster.apply_yaml(&rights(name)).await?;
            let token = stage.token(name, TENANT).await?;
            tenants.clients.push(sign_in(stage, token).await?);
            stage.quiet(name, QUIET).await?;
            tenants.namespaces.push(namespace);
        }
        Ok(tenants)
    }

    pub(crate) fn are_none(&self) -> bool {
        self.namespaces.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let names = self
            .namespaces
            .iter()
            .map(|namespace| namespace.name().to_owned());
        names.collect()
    }

    /// From now on they act. `agent`: the namespace of the installation.
    pub(crate) fn begin(&mut self, watcher: &Arc<Watcher>, agent: &str, seed: u64) {
        for ((name, client), number) in self.names().into_iter().zip(&self.clients).zip(1..) {
            let tenant = Tenant {
                namespace: name,
                agent: format!("{agent}/default"),
                client: client.clone(),
                watcher: watcher.clone(),
                rng: Rng::with_seed(seed ^ number),
                before: BTreeMap::new(),
                requests: self.requests.clone(),
            };
            self.tasks.push(tokio::spawn(tenant.act()));
        }
    }

    /// From now on they do nothing more. What they have is deleted by an admin, as nobody else could be rid of some of it.
    pub(crate) async fn end(&mut self, watcher: &Watcher) -> anyhow::Result<()> {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        wait::until(
            "the tenants have no pod",
            Duration::from_mins(1),
            async || {
                for name in self.names() {
                    self.remove_pods(&name, watcher).await?;
                }
                let names = self.names();
                let left = watcher.register(|register| {
                    let pods = register.pods().values();
                    pods.filter(|pod| names.contains(&pod.namespace)).count()
                });
                anyhow::ensure!(left == 0, "{left} are left");
                Ok(())
            },
        )
        .await
    }

    async fn remove_pods(&self, namespace: &str, watcher: &Watcher) -> anyhow::Result<()> {
        // At once, and not when the garbage collector comes to it: hostile owners keep it busy.
        let (at_once, all) = (DeleteParams::background(), ListParams::default());
        let client = self.stage.client.clone();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        deployments.delete_collection(&at_once, &all).await?;
        let sets: Api<ReplicaSet> = Api::namespaced(client, namespace);
        sets.delete_collection(&at_once, &all).await?;
        let pods: Api<Pod> = self.stage.pods(namespace);
        let all = pods.list(&all).await?.items.into_iter();
        let remove = async |pod: Pod| {
            let uid = pod.metadata.uid.unwrap_or_default();
            watcher.register(|register| register.is_deleted_by_people(&uid));
            let name = pod.metadata.name.unwrap_or_default();
            let free = json!({ "metadata": { "finalizers": null } });
            let freed = pods
                .patch(&name, &PatchParams::default(), &Patch::Merge(&free))
                .await;
            let deleted = pods
                .delete(&name, &DeleteParams::default().grace_period(0))
                .await;
            match (freed, deleted.map(drop)) {
                (Err(kube::Error::Api(status)), _) | (_, Err(kube::Error::Api(status)))
                    if status.code == 404 =>
                {
                    Ok(())
                }
                (freed, deleted) => freed.map(drop).and(deleted),
            }
        };
        try_join_all(all.map(remove)).await?;
        Ok(())
    }

    pub(crate) async fn clear(self) -> anyhow::Result<()> {
        for namespace in self.namespaces {
            namespace.delete().await?;
        }
        Ok(())
    }
}

/// A ServiceAccount that may do anything to what runs in its namespace, and nothing elsewhere. What is on the pods of others
/// it knows all the same: that many may see.
fn rights(namespace: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: {TENANT}, namespace: {namespace} }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: {TENANT}, namespace: {namespace} }}
rules:
  - {{ apiGroups: [""], resources: [pods, services, configmaps], verbs: ["*"] }}
  - {{ apiGroups: [apps], resources: [deployments, replicasets], verbs: ["*"] }}
  - {{ apiGroups: [policy], resources: [poddisruptionbudgets], verbs: ["*"] }}
  - {{ apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: ["*"] }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: {TENANT}, namespace: {namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: {TENANT} }}
subjects: [{{ kind: ServiceAccount, name: {TENANT}, namespace: {namespace} }}]
"#
    )
}

async fn sign_in(stage: &Stage, token: String) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(stage.cluster.kubeconfig())?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info = AuthInfo {
        token: Some(token.into()),
        ..AuthInfo::default()
    };
    config.proxy_url = None;
    config.default_retry = false;
    Client::try_from(config).context("sign in as a tenant")
}

struct Tenant {
    namespace: String,
    agent: String,
    client: Client,
    watcher: Arc<Watcher>,
    rng: Rng,
    /// What was on its pods, by uid: the last versions on which anything of the agent's was.
    before: BTreeMap<String, Vec<Seen>>,
    requests: Arc<Requests>,
}

impl Tenant {
    async fn act(mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(self.rng.u64(50..PAUSE))).await;
            let Some(act) = self.choose() else {
                continue;
            };
            self.announce(&act);
            let sent = tokio::time::timeout(PATIENCE, self.send(&act)).await;
            let Ok(Ok(status)) = sent else {
                // The API server is away.
                continue;
            };
            self.requests.answered(status, act.is_forbidden);
        }
    }

    fn choose(&mut self) -> Option<HostileRequest> {
        let namespace = &self.namespace;
        let pods = self.watcher.register(|register| register.pods().clone());
        let (own, others) = pods
            .into_iter()
            .partition(|(_, pod)| pod.namespace == *namespace);
        let known = Surroundings {
            namespace,
            agent: &self.agent,
            own,
            others,
            before: &self.before,
        };
        let act = hostility::next(&known, &mut self.rng);
        for (uid, seen) in known.own.into_iter().filter(|(_, pod)| pod.is_marked()) {
            let before = self.before.entry(uid).or_default();
            if before.last().is_none_or(|last| last.version < seen.version) {
                before.push(seen);
            }
            if before.len() > REMEMBERED {
                before.remove(0);
            }
        }
        act
    }

    /// What it is about to do is its own doing, whatever comes of it.
    fn announce(&self, act: &HostileRequest) {
        let Some(uid) = &act.pod else {
            return;
        };
        let (labels, record, owners) = touches(&act.body);
        self.watcher.register(|register| {
            for key in labels {
                register.label_is_changed_by_people(uid, &key);
            }
            if record {
                register.is_own_doing(uid, Doing::Record);
            }
            if owners {
                register.is_own_doing(uid, Doing::Owner);
            }
            if act.method == Method::DELETE {
                register.is_deleted_by_people(uid);
            }
        });
    }

    /// The status of the answer.
    async fn send(&self, act: &HostileRequest) -> anyhow::Result<u16> {
        let content = if act.method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let body = match &act.body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body)?,
        };
        let manager = if act.method == Method::DELETE {
            String::new()
        } else {
            format!("?fieldManager={TENANT}")
        };
        let request = Request::builder()
            .method(act.method.clone())
            .uri(format!("{}{manager}", act.path))
            .header(header::CONTENT_TYPE, content)
            .body(kube::client::Body::from(body))?;
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|error| anyhow::anyhow!(error))?;
        Ok(answer.status().as_u16())
    }
}
