//! What tests may rely on, asked of the running cluster. One of them ends components, so that they run one by one:
//! `cluster exec -- cargo test -p test-cluster --test running -- --ignored --test-threads=1`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use test_cluster::build::{self, Profile};
use test_cluster::image::Image;
use test_cluster::{Cluster, Component, TestNamespace, wait};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(30);

/// A Deployment of two behind a Service, and a pod that puts traffic on the Service's name.
const WORKLOAD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: @NAMESPACE@ }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web }
      annotations: { prometheus.io/scrape: "true", prometheus.io/port: "8080" }
    spec:
      containers:
        - name: web
          image: localhost/cluster-test
          imagePullPolicy: Never
          args: [serve]
          readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }
          resources: { requests: { cpu: 10m } }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: @NAMESPACE@ }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: @NAMESPACE@ }
spec:
  containers:
    - name: client
      image: localhost/cluster-test
      imagePullPolicy: Never
      args: [client, --url, "http://web/"]
"#;

async fn workload(cluster: &Cluster, hint: &str) -> anyhow::Result<TestNamespace> {
    let program = build::static_binary("test-workload", Profile::Dev).await?;
    let archive = std::env::temp_dir().join(format!("{hint}-{}.tar", std::process::id()));
    Image::from_binary("localhost/cluster-test", program).write(&archive)?;
    cluster.load_image(&archive).await?;
    std::fs::remove_file(archive)?;

    let namespace = cluster.namespace(hint).await?;
    cluster
        .apply_yaml(&WORKLOAD.replace("@NAMESPACE@", namespace.name()))
        .await?;
    wait::until("three pods are Ready", SOON, async || {
        let ready = pods(cluster, &namespace).await?;
        let ready = ready.iter().filter(|pod| is_ready(pod)).count();
        ensure!(ready == 3, "{ready} are");
        Ok(())
    })
    .await?;
    Ok(namespace)
}

async fn pods(cluster: &Cluster, namespace: &TestNamespace) -> anyhow::Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace.name());
    Ok(pods.list(&ListParams::default()).await?.items)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// The body of a page, asked for from here and over a connection of its own.
async fn page(server: &str, path: &str) -> anyhow::Result<String> {
    let mut connection = TcpStream::connect(server)
        .await
        .with_context(|| format!("connect to {server}"))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.contains(" 200 "), "{head}");
    Ok(body.to_owned())
}

/// A page of the API server, or of a pod through it.
async fn api_page(cluster: &Cluster, path: &str) -> anyhow::Result<Value> {
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(cluster.client().await?.request(request).await?)
}

#[tokio::test]
#[ignore = "runs in the cluster"]
async fn a_service_is_reached_by_name_and_address_from_here_and_from_a_pod() -> anyhow::Result<()> {
    let cluster = Cluster::attach()?;
    let namespace = workload(&cluster, "service").await?;
    let name = namespace.name();

    wait::until("the Service answers by its name", SOON, async || {
        page(&format!("web.{name}:80"), "/").await
    })
    .await?;
    let services: Api<k8s_openapi::api::core::v1::Service> =
        Api::namespaced(cluster.client().await?, name);
    let service = services.get("web").await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip);
    let address = address.context("the Service has no address")?;
    page(&format!("{address}:80"), "/").await?;

    wait::until("the client got answers of both pods", SOON, async || {
        let path = format!("/api/v1/namespaces/{name}/pods/client:8081/proxy/counts");
        let counts = api_page(&cluster, &path).await?;
        let answered = counts["by_pod"].as_object().map_or(0, serde_json::Map::len);
        ensure!(answered == 2, "{counts}");
        Ok(())
    })
    .await?;
    namespace.delete().await
}

#[tokio::test]
#[ignore = "runs in the cluster"]
async fn cpu_figures_and_scrapes_of_a_new_pod_arrive() -> anyhow::Result<()> {
    let cluster = Cluster::attach()?;
    let namespace = workload(&cluster, "figures").await?;
    let name = namespace.name();

    wait::until("Prometheus has scraped both pods", SOON, async || {
        let query = format!("/api/v1/query?query=up%7Bnamespace%3D%22{name}%22%7D");
        let answer: Value =
            serde_json::from_str(&page("prometheus.monitoring:9090", &query).await?)?;
        let results = answer["data"]["result"].as_array().context("no result")?;
        let up = |result: &&Value| {
            result["value"][1] == "1"
                && result["metric"]["pod"]
                    .as_str()
                    .is_some_and(|pod| pod.starts_with("web-"))
        };
        ensure!(results.iter().filter(up).count() == 2, "{answer}");
        Ok(())
    })
    .await?;
    // The kubelet takes its figures every ten seconds or so, and two make the first rate.
    wait::until(
        "metrics-server has the pods' CPU",
        Duration::from_mins(1),
        async || {
            let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{name}/pods");
            let figures = api_page(&cluster, &path).await?;
            let pods = figures["items"].as_array().map_or(0, Vec::len);
            ensure!(pods == 3, "{figures}");
            Ok(())
        },
    )
    .await?;
    namespace.delete().await
}

#[tokio::test]
#[ignore = "runs in the cluster"]
async fn components_are_killed_paused_and_restarted_and_pods_live_on() -> anyhow::Result<()> {
    let cluster = Cluster::attach()?;
    let namespace = workload(&cluster, "components").await?;

    for component in [
        Component::ApiServer,
        Component::Containerd,
        Component::Kubelet,
    ] {
        let control = cluster.component(component)?;
        let before = control.pid();
        control.restart().await?;
        ensure!(control.pid() != before, "{component} is the same as before");
    }
    // What was killed has let go of its port when it counts as ended.
    let api_server = cluster.component(Component::ApiServer)?;
    for _ in 0..3 {
        api_server.kill().await?;
        api_server.start().await?;
    }
    cluster.restart_followers().await?;
    let proxy = cluster.component(Component::KubeProxy)?;
    proxy.kill().await?;
    ensure!(proxy.check().await.is_err(), "a killed one is not healthy");
    proxy.start().await?;
    proxy.check().await?;
    let scheduler = cluster.component(Component::Scheduler)?;
    scheduler.pause()?;
    let paused = scheduler.check().await;
    scheduler.resume()?;
    ensure!(paused.is_err(), "a paused one does not answer");

    let client = cluster.client().await?;
    let nodes: Api<Node> = Api::all(client);
    wait::until("the node is Ready", SOON, async || {
        let nodes = nodes.list(&ListParams::default()).await?;
        let conditions = nodes.items.into_iter().filter_map(|node| node.status);
        let ready = conditions
            .filter_map(|status| status.conditions)
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        ensure!(ready, "it is not");
        Ok(())
    })
    .await?;
    let pods = pods(&cluster, &namespace).await?;
    let restarts: i32 = pods
        .iter()
        .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
        .flatten()
        .map(|container| container.restart_count)
        .sum();
    ensure!(
        pods.len() == 3 && restarts == 0,
        "{} pods, {restarts} restarts",
        pods.len()
    );
    let seen = cluster.kubectl(&["get", "nodes", "--output=name"]).await?;
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), "node/node");
    namespace.delete().await
}
