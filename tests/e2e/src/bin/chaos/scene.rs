//! What there is when the first round begins: pods that no node runs, pods that serve and are probed, and the limits.

use std::time::Duration;

use test_cluster::TestNamespace;
use test_e2e::{Labels, Quiet, Rights, Stage, Web};

use crate::register::{Limits, Seen};

/// They stand in the way again and again: of three workloads six could be out, and of two namespaces five. Each tenant can
/// take as many places more as the limit of its namespace.
pub(crate) fn limits(tenants: usize) -> Limits {
    let namespace = 3;
    Limits {
        cluster: 4 + tenants * namespace,
        namespace,
        workload: 2,
    }
}

/// How long a pod is kept: some are released, and some are reaped.
const TTL: Duration = Duration::from_secs(12);

/// Pods of each Deployment `quiet`.
const QUIET: usize = 6;

/// Pods of the Deployment `web`.
const WEB: u32 = 4;

/// The name of namespaces begins so; the agents' with `agent-` before it.
const HINT: &str = "chaos";

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) web: Web,
    pub(crate) rights: Rights,
    pub(crate) limits: Limits,
    /// As while a new file is rolled out: one has all the pods, the others those of one namespace and of the tenants.
    /// Agents that know the same choose the same, and would rarely be in each other's way.
    pub(crate) policies: [String; 3],
    /// In each of them is `quiet`, in the first one `web`, too.
    pub(crate) namespaces: [TestNamespace; 2],
}

impl Scene {
    /// `tenants`: their namespaces, which the policies select, too.
    pub(crate) async fn set(stage: Stage, tenants: &[String]) -> anyhow::Result<Self> {
        let namespace = async || stage.namespace(HINT).await;
        let namespaces = [namespace().await?, namespace().await?];
        let [first, second] = namespaces.each_ref().map(TestNamespace::name);
        // `quiet` looks at all pods of its namespace, so it comes before `web`.
        let quiet = async |namespace| stage.quiet(namespace, QUIET).await.map(drop::<Quiet>);
        tokio::try_join!(quiet(first), quiet(second))?;
        let web = stage.web(first, WEB, Labels::ToggleInBoth).await?;
        let limits = limits(tenants.len());
        let with_tenants = |ours: &[&str]| {
            let tenants = tenants.iter().map(String::as_str);
            let namespaces: Vec<&str> = ours.iter().copied().chain(tenants).collect();
            policy(&namespaces, limits)
        };
        let rights = stage.rights(HINT).await?;
        rights.agent.let_others_write_its_marks().await?;
        Ok(Self {
            limits,
            policies: [&[first, second][..], &[first], &[second]].map(with_tenants),
            web,
            rights,
            namespaces,
            stage,
        })
    }

    /// The namespace of the pods that serve.
    pub(crate) fn web_namespace(&self) -> &str {
        let [first, ..] = &self.namespaces;
        first.name()
    }

    /// Whether it is a pod of these namespaces that stays; no tenant's.
    pub(crate) fn has(&self, pod: &Seen) -> bool {
        let mut namespaces = self.namespaces.iter();
        namespaces.any(|ours| ours.name() == pod.namespace) && !pod.terminating
    }

    pub(crate) async fn clear(self) -> anyhow::Result<()> {
        self.rights.agent.uninstall().await?;
        for namespace in self.namespaces {
            namespace.delete().await?;
        }
        Ok(())
    }
}

fn policy(namespaces: &[&str], limits: Limits) -> String {
    let Limits {
        cluster,
        namespace,
        workload,
    } = limits;
    let namespaces = namespaces.join(", ");
    let ttl = TTL.as_secs();
    format!(
        r"
mode: observe
limits:
  cluster: {{ max: {cluster}, perHour: 10000 }}
  namespace: {{ max: {namespace} }}
  workload: {{ max: {workload}, minReady: 0% }}
  storm: {{ workload: 100%, node: 100%, zone: 100%, cluster: 100% }}
  pacing: {{ retries: 100 }}
  reap: {{ perMinute: 60 }}
ttl: {ttl}s
policies:
  - name: chaos
    pods: {{ matchLabels: {{ team: shop }} }}
    namespaces: {{ matchExpressions: [{{ key: kubernetes.io/metadata.name, operator: In, values: [{namespaces}] }}] }}
    mode: enforce
    settle: 1s
    probe:
      httpGet: {{ path: /healthz, port: http }}
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 2
"
    )
}
