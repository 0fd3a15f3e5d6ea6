//! Judge and storms together, in clusters as there are many: two pods of two hundred turn bad, and a node is cut off.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use test_cluster::{TestNamespace, wait};
use test_e2e::{Agent, EmulatedNodes, LEDGER, Stage, manifest};

/// All limits and brakes are the defaults.
const POLICY: &str = "
mode: observe
limits: { storm: { cooldown: 8s } }
policies:
  - name: web
    pods: { matchLabels: { team: shop } }
    namespaces: { matchLabels: { kubernetes.io/metadata.name: $NAMESPACE } }
    mode: enforce
    probe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
";

/// Deployments on emulated nodes, and an agent that watches them.
struct OrdinaryCluster {
    stage: Stage,
    namespace: TestNamespace,
    nodes: EmulatedNodes,
    agent: Agent,
}

impl OrdinaryCluster {
    async fn new(
        hint: &str,
        nodes: usize,
        deployments: usize,
        replicas: usize,
    ) -> anyhow::Result<Self> {
        let stage = Stage::open().await?;
        let namespace = stage.namespace(hint).await?;
        let nodes = EmulatedNodes::start(&stage, namespace.name(), nodes).await?;
        let mut objects = Vec::new();
        for number in 0..deployments {
            let name = format!("web-{number}");
            let labels = json!({ "app": name });
            let spec = json!({
                "schedulerName": "emulated",
                "terminationGracePeriodSeconds": 0,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "main", "image": "none", "ports": [{ "name": "http", "containerPort": 8080 }] }],
            });
            let template = manifest::template(labels.clone(), spec);
            let more = json!({ "replicas": replicas });
            objects.push(manifest::controller(
                "Deployment",
                &name,
                labels.clone(),
                template,
                more,
            ));
            objects.push(manifest::service(&name, labels, json!({})));
        }
        let manifests: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let manifests = manifests
            .join("\n---\n")
            .replace("$NAMESPACE", namespace.name());
        stage.cluster.apply_yaml(&manifests).await?;
        let policy = POLICY.replace("$NAMESPACE", namespace.name());
        let agent = stage.agent(hint, &policy).await?;
        let cluster = Self {
            stage,
            namespace,
            nodes,
            agent,
        };
        let all = deployments * replicas;
        wait::until(
            "all pods were seen good",
            Duration::from_mins(3),
            async || {
                let good = cluster
                    .agent
                    .sum("signal_samples_total", &[("result", "good")]);
                let good = good.await?;
                let enough = f64::from(u32::try_from(all * 10)?);
                ensure!(good >= enough, "{good} of {enough}");
                Ok(())
            },
        )
        .await?;
        Ok(cluster)
    }

    /// The pods of a Deployment that are not quarantined, on that node or on any.
    async fn pods(&self, deployment: usize, node: Option<usize>) -> anyhow::Result<Vec<String>> {
        let labelled = kube::api::ListParams::default().labels(&format!("app=web-{deployment}"));
        let pods = self
            .stage
            .pods(self.namespace.name())
            .list(&labelled)
            .await?;
        let node = node.map(|number| self.nodes.name(number));
        let on_node = pods.items.into_iter().filter(|pod| {
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            node.is_none() || on == node
        });
        Ok(on_node
            .map(|pod| kube::ResourceExt::name_any(&pod))
            .collect())
    }

    async fn goes_out(&self, pod: &str) -> anyhow::Result<()> {
        self.nodes.switch(pod, true)?;
        wait::until(
            format_args!("{pod} is out"),
            Duration::from_secs(30),
            async || {
                let slots = self.agent.slots().await?;
                ensure!(slots.iter().any(|slot| &*slot.name == pod), "{slots:?}");
                Ok(())
            },
        )
        .await
    }

    async fn storms(&self) -> anyhow::Result<[f64; 3]> {
        let of = async |scope| self.agent.sum("storm_active", &[("scope", scope)]).await;
        Ok([
            of("cluster").await?,
            of("node").await?,
            of("workload").await?,
        ])
    }

    async fn end(self) -> anyhow::Result<()> {
        self.agent.uninstall().await?;
        self.nodes.end().await?;
        self.namespace.delete().await
    }
}

#[tokio::test]
async fn two_pods_of_two_hundred_that_turn_bad_ten_seconds_apart_are_both_quarantined()
-> anyhow::Result<()> {
    let cluster = OrdinaryCluster::new("two-of-200", 4, 20, 10).await?;
    let (first, second) = (cluster.pods(0, None).await?, cluster.pods(1, None).await?);
    let began = Instant::now();
    cluster.goes_out(&first[0]).await?;
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(began.elapsed())).await;
    cluster.goes_out(&second[0]).await?;
    assert_eq!(cluster.storms().await?, [0.0; 3]);
    // Where a busy machine answers late, other pods are suspect for a moment, which may hold one back; nothing else may.
    let refused = async |labels: &[(&str, &str)]| cluster.agent.sum("refusals_total", labels).await;
    let all = refused(&[("policy", "web")]).await?;
    let held_back = refused(&[("policy", "web"), ("reason", "Storm")]).await?;
    assert!(all - held_back < 1.0, "{all}, {held_back}");
    cluster.end().await
}

#[tokio::test]
async fn no_pod_of_a_node_that_is_cut_off_is_quarantined() -> anyhow::Result<()> {
    // Of each of two workloads three of eighteen pods are there: six of thirty-six, and one elsewhere, are no storm of the cluster.
    let cluster = OrdinaryCluster::new("node-cut", 6, 2, 18).await?;
    let cut = [
        cluster.pods(0, Some(0)).await?,
        cluster.pods(1, Some(0)).await?,
    ]
    .concat();
    assert!(cut.len() >= 3, "{cut:?}");
    cluster.nodes.cut_off(0, true).await?;
    wait::until("a storm of the node", Duration::from_secs(30), async || {
        let active = cluster.storms().await?;
        ensure!(active == [0.0, 1.0, 0.0], "{active:?}");
        Ok(())
    })
    .await?;
    let said = ["QuarantineStorm", "pods on node ", cluster.nodes.name(0)];
    cluster
        .stage
        .event(cluster.agent.namespace(), LEDGER, &said)
        .await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(cluster.agent.slots().await?.len(), 0);
    // Of the other nodes a bad pod goes all the same.
    let elsewhere = cluster.pods(0, Some(1)).await?;
    cluster.goes_out(&elsewhere[0]).await?;
    cluster.nodes.cut_off(0, false).await?;
    wait::until("the storm is over", Duration::from_secs(40), async || {
        let active = cluster.storms().await?;
        ensure!(active == [0.0; 3], "{active:?}");
        Ok(())
    })
    .await?;
    // One pod of the first workload is out already.
    cluster.goes_out(&cut[cut.len() - 1]).await?;
    cluster.end().await
}
