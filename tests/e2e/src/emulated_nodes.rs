//! Nodes without a kubelet. Their pods are objects like any other, are Ready, and have addresses at which the test itself
//! answers: two hundred of them cost nothing, and a node can be cut off.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    task::JoinHandle,
    time::sleep,
};

use crate::Stage;

/// The port at which the pods answer.
const PORT: u16 = 8080;

/// How often it is looked for pods that have no node yet.
const LOOK: Duration = Duration::from_millis(300);

/// How often the nodes say that they are Ready: they are believed for 50 s.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The second half of a network for each node of the tests, `10.200.N.0/24`.
static NETWORKS: AtomicU8 = AtomicU8::new(0);

/// Nodes that run the pods of one namespace with `schedulerName: emulated`, each as many as the others.
pub struct EmulatedNodes {
    client: Client,
    namespace: String,
    nodes: Vec<EmulatedNode>,
    pods: Arc<Mutex<BTreeMap<String, EmulatedPod>>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
struct EmulatedNode {
    name: String,
    /// `10.200.N.0/24`.
    network: u8,
}

struct EmulatedPod {
    bad: Arc<AtomicBool>,
    server: JoinHandle<()>,
}

impl EmulatedNode {
    fn addresses(&self) -> String {
        format!("10.200.{}.0/24", self.network)
    }
}

impl EmulatedNodes {
    /// Registers so many nodes, named after the namespace, and runs its pods from now on.
    pub async fn start(stage: &Stage, namespace: &str, count: usize) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for number in 0..count {
            let node = EmulatedNode {
                name: format!("{namespace}-{number}"),
                network: NETWORKS.fetch_add(1, Ordering::Relaxed),
            };
            register(&stage.client, &node).await?;
            run(&format!("ip route add local {} dev lo", node.addresses())).await?;
            nodes.push(node);
        }
        let mut emulated = Self {
            client: stage.client.clone(),
            namespace: namespace.to_owned(),
            nodes,
            pods: Arc::default(),
            tasks: Vec::new(),
        };
        emulated.tasks = vec![
            tokio::spawn(run_pods(
                Api::namespaced(emulated.client.clone(), namespace),
                emulated.nodes.clone(),
                emulated.pods.clone(),
            )),
            tokio::spawn(stay_ready(emulated.client.clone(), emulated.nodes.clone())),
        ];
        Ok(emulated)
    }

    /// Makes a pod answer with 500 from now on, or with 200 again.
    pub fn switch(&self, pod: &str, bad: bool) -> anyhow::Result<()> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let pod = pods.get(pod).context("no such pod")?;
        pod.bad.store(bad, Ordering::Relaxed);
        Ok(())
    }

    /// The name of the node with that number.
    #[must_use]
    pub fn name(&self, number: usize) -> &str {
        self.nodes.get(number).map_or("", |node| &node.name)
    }

    /// Drops every packet to the pods of that node, or none any more.
    pub async fn cut_off(&self, number: usize, cut: bool) -> anyhow::Result<()> {
        let node = self.nodes.get(number).context("no such node")?;
        let table = format!("inet cut-{}", node.network);
        if !cut {
            return run(&format!("nft delete table {table}")).await;
        }
        run(&format!("nft add table {table}")).await?;
        let hook = "{ type filter hook input priority 0 ; }";
        run(&format!("nft add chain {table} input {hook}")).await?;
        let addresses = node.addresses();
        run(&format!(
            "nft add rule {table} input ip daddr {addresses} drop"
        ))
        .await
    }

    /// Takes the pods and the nodes away.
    pub async fn end(mut self) -> anyhow::Result<()> {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete_collection(&at_once, &ListParams::default())
            .await?;
        let nodes: Api<Node> = Api::all(self.client.clone());
        for node in &self.nodes {
            nodes.delete(&node.name, &DeleteParams::default()).await?;
            run(&format!("ip route del local {} dev lo", node.addresses())).await?;
        }
        Ok(())
    }
}

impl Drop for EmulatedPod {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Runs a command whose words have no spaces in them.
async fn run(command: &str) -> anyhow::Result<()> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .output()
        .await
        .with_context(|| command.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {said}");
    Ok(())
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// No scheduler gives it pods of other tests.
async fn register(client: &Client, node: &EmulatedNode) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let object = serde_json::from_value(json!({
        "metadata": { "name": node.name },
        "spec": {
            "unschedulable": true,
            "taints": [{ "key": "emulated", "value": "true", "effect": "NoSchedule" }],
        },
    }))?;
    nodes.create(&PostParams::default(), &object).await?;
    is_ready(&nodes, &node.name).await
}

async fn is_ready(nodes: &Api<Node>, name: &str) -> anyhow::Result<()> {
    let status = json!({ "status": { "conditions": [{
        "type": "Ready",
        "status": "True",
        "lastHeartbeatTime": now(),
        "reason": "Emulated",
        "message": "there is no kubelet",
    }] } });
    let status = Patch::Strategic(&status);
    nodes
        .patch_status(name, &PatchParams::default(), &status)
        .await?;
    Ok(())
}

async fn stay_ready(client: Client, nodes: Vec<EmulatedNode>) {
    let objects: Api<Node> = Api::all(client);
    loop {
        sleep(HEARTBEAT).await;
        for node in &nodes {
            if let Err(error) = is_ready(&objects, &node.name).await {
                eprintln!("{}: {error:#}", node.name);
            }
        }
    }
}

async fn run_pods(
    objects: Api<Pod>,
    nodes: Vec<EmulatedNode>,
    pods: Arc<Mutex<BTreeMap<String, EmulatedPod>>>,
) {
    let mut places = Vec::new();
    for host in 1..u8::MAX {
        places.extend(nodes.iter().map(|node| (node.clone(), host)));
    }
    let mut places = places.into_iter().cycle();
    loop {
        let ours = ListParams::default().fields("spec.schedulerName=emulated");
        let found = objects.list(&ours).await.map(|found| found.items);
        let found = found.unwrap_or_else(|error| {
            eprintln!("list the pods of emulated nodes: {error}");
            Vec::new()
        });
        for pod in found {
            let has_node = pod
                .spec
                .as_ref()
                .is_some_and(|spec| spec.node_name.is_some());
            if has_node || pod.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let name = pod.name_any();
            let Some((node, host)) = places.next() else {
                return;
            };
            match start_pod(&objects, &name, &node, host).await {
                Ok(running) => {
                    let mut known = pods.lock().unwrap_or_else(PoisonError::into_inner);
                    known.insert(name, running);
                }
                Err(error) => eprintln!("{name}: {error:#}"),
            }
        }
        sleep(LOOK).await;
    }
}

/// Does what scheduler and kubelet would do.
async fn start_pod(
    objects: &Api<Pod>,
    name: &str,
    node: &EmulatedNode,
    host: u8,
) -> anyhow::Result<EmulatedPod> {
    let address = IpAddr::from(Ipv4Addr::new(10, 200, node.network, host));
    let listener = TcpListener::bind((address, PORT)).await?;
    let bad = Arc::new(AtomicBool::new(false));
    let server = tokio::spawn(serve(listener, bad.clone()));
    let running = EmulatedPod { bad, server };
    let binding = json!({
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": { "name": name },
        "target": { "apiVersion": "v1", "kind": "Node", "name": node.name },
    });
    let bound: Result<Value, kube::Error> = objects
        .create_subresource("binding", name, &PostParams::default(), &binding)
        .await;
    bound.context("bind")?;
    let since = now();
    let status = json!({ "status": {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "startTime": since,
        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": since }],
        "containerStatuses": [{
            "name": "main",
            "image": "none",
            "imageID": "none",
            "ready": true,
            "started": true,
            "restartCount": 0,
            "state": { "running": { "startedAt": since } },
        }],
    } });
    let status = Patch::Strategic(&status);
    objects
        .patch_status(name, &PatchParams::default(), &status)
        .await?;
    Ok(running)
}

async fn serve(listener: TcpListener, bad: Arc<AtomicBool>) {
    loop {
        if let Ok((connection, _)) = listener.accept().await {
            let bad = bad.clone();
            tokio::spawn(async move { answer(connection, bad.load(Ordering::Relaxed)).await });
        }
    }
}

/// A client that leaves early is none of the test's business.
async fn answer(mut connection: TcpStream, bad: bool) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let status = if bad { "500 no" } else { "200 yes" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = connection.write_all(answer.as_bytes()).await;
}
