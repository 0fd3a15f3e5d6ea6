//! What the tests of faults share: a policy, and an agent that runs as a process of the test behind a gate.

use std::collections::BTreeMap;

use test_cluster::TestNamespace;
use test_e2e::{Caught, Gate, Marks, Most, Process, Quiet, Rights, Stage};

/// A policy that probes the pods of one namespace every second, of which so many may be out. The mode of the file itself
/// is `observe`: what people ask for on the pods of other tests is left to those tests' own agents.
pub(crate) fn policy(namespace: &str, max: usize) -> String {
    format!(
        r"
limits:
  cluster: {{ max: 1000, perHour: 10000 }}
  namespace: {{ max: {max} }}
  workload: {{ max: {max}, minReady: 0% }}
  storm: {{ workload: 100%, cluster: 100% }}
ttl: 1h
policies:
  - name: web-does-not-answer
    pods: {{ matchLabels: {{ team: shop }} }}
    settle: 1s
    mode: enforce
    namespaces: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }}
    probe:
      httpGet: {{ path: /healthz, port: http }}
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
"
    )
}

/// Pods that cost nothing, the agent's rights, a gate for it, and a watch on how many are out.
pub(crate) struct Faults {
    pub(crate) stage: Stage,
    pub(crate) namespace: TestNamespace,
    pub(crate) quiet: Quiet,
    pub(crate) rights: Rights,
    pub(crate) gate: Gate,
    pub(crate) most: Most,
    pub(crate) policy: String,
    pub(crate) before: BTreeMap<String, Marks>,
}

impl Faults {
    pub(crate) async fn new(hint: &str, pods: usize, max: usize) -> anyhow::Result<Self> {
        let stage = Stage::open().await?;
        let namespace = stage.namespace(hint).await?;
        let quiet = stage.quiet(namespace.name(), pods).await?;
        Ok(Self {
            rights: stage.rights(hint).await?,
            gate: Gate::open(&stage).await?,
            most: Most::watch(&stage, namespace.name()).await?,
            policy: policy(namespace.name(), max),
            before: quiet.marks().await?,
            stage,
            namespace,
            quiet,
        })
    }

    /// Starts an agent; waits until it knows the cluster.
    pub(crate) async fn run(&self) -> anyhow::Result<Process> {
        self.rights.run(&self.gate, &self.policy).await
    }

    /// The names of the pods that there were at the start.
    pub(crate) fn names(&self) -> Vec<String> {
        self.before.keys().cloned().collect()
    }

    /// Labels and annotations of a pod that nothing was done to.
    pub(crate) fn new_marks(&self) -> &Marks {
        &self.before[&self.names()[0]]
    }

    /// Catches the next change of a pod of this namespace.
    pub(crate) fn catch_pod_patch(&self) -> Caught {
        let ours = format!("/namespaces/{}/", self.namespace.name());
        self.gate
            .catch(move |request| request.is_pod_patch() && request.uri.path().contains(&ours))
    }

    /// The names of the pods of this namespace that have a slot.
    pub(crate) async fn slots(&self) -> anyhow::Result<Vec<String>> {
        let slots = self.rights.agent.slots().await?.into_iter();
        let ours = slots.filter(|slot| &*slot.namespace == self.namespace.name());
        Ok(ours.map(|slot| slot.name.to_string()).collect())
    }

    /// Nobody asks for anything any more, and all that is out is put back as it was; no slot is left.
    pub(crate) async fn put_all_back(&self) -> anyhow::Result<()> {
        self.quiet.ask(&self.quiet.names().await?, false).await?;
        let out = self.quiet.quarantined().await?;
        self.quiet.release(&out).await?;
        self.quiet.are_back(&out, self.new_marks()).await?;
        test_cluster::wait::until("no slot", std::time::Duration::from_secs(50), async || {
            let slots = self.slots().await?;
            anyhow::ensure!(slots.is_empty(), "{slots:?}");
            Ok(())
        })
        .await
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.rights.agent.uninstall().await?;
        self.namespace.delete().await
    }
}
