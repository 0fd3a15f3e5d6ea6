//! Thirty pods of three workloads turn unhealthy at once: the cause lies elsewhere.

use std::time::Duration;

use anyhow::ensure;
use futures::future::try_join_all;
use test_cluster::{TestNamespace, wait};
use test_e2e::{Labels, Most, Stage, Web, alerts};

const POLICY: &str = "
mode: observe
limits:
  cluster: { max: 5 }
  namespace: { max: 5 }
  workload: { max: 2 }
  storm: { cooldown: 8s }
policies:
  - name: web
    pods: { matchLabels: { team: shop } }
    namespaces: { matchExpressions: [{ key: kubernetes.io/metadata.name, operator: In, values: [$NAMESPACES] }] }
    mode: enforce
    probe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 1
      timeoutSeconds: 1
      failureThreshold: 3
";

/// Tests that run alone: they would disturb the others.
mod alone {
    use super::*;

    /// The behaviour of all pods at once.
    async fn switch(webs: &[(Web, Vec<String>)], behaviour: &str) -> anyhow::Result<()> {
        let all = webs
            .iter()
            .flat_map(|(web, pods)| pods.iter().map(move |pod| web.switch(pod, behaviour)));
        try_join_all(all).await.map(drop)
    }

    #[tokio::test]
    async fn no_pod_is_quarantined_during_a_storm_and_quarantines_resume_after_it()
    -> anyhow::Result<()> {
        let stage = Stage::open_alone().await?;
        let mut namespaces = Vec::new();
        let mut webs = Vec::new();
        let mut most = Vec::new();
        for hint in ["storm-a", "storm-b", "storm-c"] {
            let namespace = stage.namespace(hint).await?;
            let web = stage.web(namespace.name(), 10, Labels::NoToggle).await?;
            let pods = web.serving().await?;
            most.push(Most::watch(&stage, namespace.name()).await?);
            webs.push((web, pods));
            namespaces.push(namespace);
        }
        let names: Vec<&str> = namespaces.iter().map(TestNamespace::name).collect();
        let policy = POLICY.replace("$NAMESPACES", &names.join(", "));
        let agent = stage.agent("storm", &policy).await?;
        wait::until("all are seen good", Duration::from_mins(1), async || {
            let good = agent.sum("signal_samples_total", &[("result", "good")]);
            let good = good.await?;
            ensure!(good >= 90.0, "{good}");
            Ok(())
        })
        .await?;

        switch(&webs, "500").await?;
        let storms = async || -> anyhow::Result<[f64; 3]> {
            let of = async |scope| agent.sum("storm_active", &[("scope", scope)]).await;
            Ok([
                of("cluster").await?,
                of("node").await?,
                of("workload").await?,
            ])
        };
        wait::until(
            "a storm in each place",
            Duration::from_secs(30),
            async || {
                let active = storms().await?;
                ensure!(active == [1.0, 1.0, 3.0], "{active:?}");
                Ok(())
            },
        )
        .await?;
        for name in &names {
            let said = [
                "QuarantineStorm",
                "more than 50%",
                "nothing new is quarantined",
            ];
            stage.event(name, "web", &said).await?;
        }
        let ledger = test_e2e::LEDGER;
        for said in [
            ["QuarantineStorm", "more than 20%"],
            ["QuarantineStorm", "pods on node "],
        ] {
            stage.event(agent.namespace(), ledger, &said).await?;
        }
        wait::until("the alert fires", Duration::from_secs(20), async || {
            let firing = stage
                .query(&alerts::expression("PodQuarantineStorm")?)
                .await?;
            ensure!(firing.len() == 3, "{firing:?}");
            Ok(())
        })
        .await?;
        // Those that were past their thresholds before the others may have gone; from now on nobody does.
        let out = agent.slots().await?.len();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(agent.slots().await?.len(), out);
        assert!(out <= 3, "one of each at most: {out}");
        assert!(most.iter().all(|most| most.most() <= 1));
        let refusals = agent.sum("refusals_total", &[("reason", "Storm")]).await?;
        assert!(refusals >= 27.0, "{refusals}");

        switch(&webs, "ok").await?;
        wait::until("the storms are over", Duration::from_secs(40), async || {
            let active = storms().await?;
            ensure!(active == [0.0; 3], "{active:?}");
            Ok(())
        })
        .await?;
        let (web, pods) = &webs[0];
        let out = web.all_quarantined().await?;
        let bad = pods.iter().find(|pod| !out.contains(pod));
        let bad = bad.ok_or_else(|| anyhow::anyhow!("all are out"))?;
        web.switch(bad, "500").await?;
        web.quarantined(bad).await?;
        agent.uninstall().await?;
        for namespace in namespaces {
            namespace.delete().await?;
        }
        Ok(())
    }
}
