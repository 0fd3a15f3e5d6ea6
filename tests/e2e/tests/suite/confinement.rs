//! What the admission policies deny: to whoever holds the agent's token, and to tenants who forge its marks.

use anyhow::{Context as _, ensure};
use http::{Method, Request, header::CONTENT_TYPE};
use kube::{
    Client, Config,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use pod_quarantine::core::keys;
use serde::Deserialize;
use serde_json::{Value, json};
use test_e2e::{Labels, PROBE, Scene, Stage, manifest::container};

/// What is denied, by the text of the denial.
#[derive(Deserialize)]
struct Denials {
    denied: String,
    acts: Vec<Act>,
}

/// What somebody tries: of the four methods one, with the path below `/api/v1` or `/apis`.
#[derive(Deserialize)]
struct Act {
    to: String,
    get: Option<String>,
    post: Option<String>,
    patch: Option<String>,
    delete: Option<String>,
    #[serde(default)]
    with: Value,
}

impl Act {
    fn patch(path: &str, with: Value) -> Self {
        Self {
            to: with.to_string(),
            get: None,
            post: None,
            patch: Some(path.to_owned()),
            delete: None,
            with,
        }
    }

    /// Tries it, without a change. `Err`: why it is denied.
    async fn tried(&self, client: &Client) -> anyhow::Result<Result<(), String>> {
        let methods = [
            (Method::GET, &self.get),
            (Method::POST, &self.post),
            (Method::PATCH, &self.patch),
            (Method::DELETE, &self.delete),
        ];
        let mut methods = methods.into_iter();
        let one = methods.find_map(|(method, path)| Some((method, path.as_ref()?)));
        let (method, path) = one.context("an act without a method")?;
        let is_core = ["namespaces", "nodes", "secrets"]
            .iter()
            .any(|core| path.starts_with(core));
        let root = if is_core { "/api/v1" } else { "/apis" };
        let content = match (&method, &self.with) {
            (&Method::PATCH, Value::Array(_)) => "application/json-patch+json",
            (&Method::PATCH, _) => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = match &self.with {
            Value::Null => Vec::new(),
            with => with.to_string().into_bytes(),
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{root}/{path}?dryRun=All"))
            .header(CONTENT_TYPE, content)
            .body(body)?;
        match client.request_text(request).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Tries all acts of a file, in which names stand for others; each is denied. Gives how many there are.
async fn all_denied(client: &Client, file: &str, names: &[(&str, &str)]) -> anyhow::Result<usize> {
    let mut file = file.to_owned();
    for (name, stands_for) in names {
        file = file.replace(name, stands_for);
    }
    let denials: Vec<Denials> = serde_saphyr::from_str(&file)?;
    let mut count = 0;
    for Denials { denied, acts } in &denials {
        for act in acts {
            let tried = act.tried(client).await;
            let tried = tried.with_context(|| act.to.clone())?;
            let why = tried.err().with_context(|| format!("{}: done", act.to))?;
            println!("denied: {}: {why}", act.to);
            ensure!(why.contains(denied), "{}: {why}", act.to);
            count += 1;
        }
    }
    Ok(count)
}

/// A client that signs in as a `ServiceAccount`.
async fn client_of(stage: &Stage, namespace: &str, account: &str) -> anyhow::Result<Client> {
    let token = stage.token(namespace, account).await?;
    let mut kubeconfig = Kubeconfig::read_from(stage.cluster.kubeconfig())?;
    for user in &mut kubeconfig.auth_infos {
        user.auth_info = Some(serde_json::from_value(json!({ "token": token }))?);
    }
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Waits until that is denied: the API server takes a moment to know a new policy.
async fn denied(scene: &Scene, client: &Client, act: &Act) -> anyhow::Result<()> {
    scene
        .until("the policy is in force", async || {
            ensure!(act.tried(client).await?.is_err(), "{} is done", act.to);
            Ok(())
        })
        .await
}

async fn all_done(client: &Client, acts: &[Act]) -> anyhow::Result<()> {
    for act in acts {
        let tried = act.tried(client).await?;
        ensure!(tried.is_ok(), "{}: {tried:?}", act.to);
    }
    Ok(())
}

#[tokio::test]
async fn what_the_agent_has_no_business_with_is_denied_to_its_token() -> anyhow::Result<()> {
    let scene = Scene::set("stolen", 4, Labels::NoToggle, PROBE).await?;
    let [free, out, exempt, marked] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    let (namespace, own) = (scene.namespace(), scene.agent.namespace());
    scene.quarantine_manually(out).await?;
    scene.annotate(exempt, keys::EXEMPT, Some("true")).await?;
    let mark = json!({ "metadata": { "labels": { keys::STATE: keys::QUARANTINED } } });
    let pods = scene.stage.pods(namespace);
    pods.patch(marked, &PatchParams::default(), &Patch::Merge(&mark))
        .await?;
    let kube = scene.stage.namespace("kube-own").await?;
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "p", "namespace": kube.name(), "labels": { "k8s-app": "dns" } },
        "spec": { "nodeName": "nowhere", "containers": [container(json!({}))] },
    });
    scene.apply_all(&[pod]).await?;
    let agent = scene.agent.ready().await?.metadata.name.unwrap_or_default();

    let client = client_of(&scene.stage, own, "pod-quarantine").await?;
    let path = |pod: &str| format!("namespaces/{namespace}/pods/{pod}");
    denied(&scene, &client, &Act::patch(&path(free), mark)).await?;
    let names = [
        ("$NAMESPACE", namespace),
        ("$FREE", free),
        ("$OUT", out),
        ("$EXEMPT", exempt),
        ("$MARKED", marked),
        ("$KUBE", kube.name()),
        ("$OWN", own),
        ("$AGENT", &agent),
    ];
    let acts = include_str!("acts/of_a_stolen_token.yaml");
    let count = all_denied(&client, acts, &names).await?;
    ensure!(count >= 25, "{count}");
    // What it has business with, it may do.
    let annotate = |key: &str| json!({ "metadata": { "annotations": { key: "5" } } });
    all_done(
        &client,
        &[
            Act::patch(&path(free), annotate(keys::DELETION_COST)),
            Act::patch(&path(out), annotate(keys::FENCE)),
        ],
    )
    .await?;
    kube.delete().await?;
    scene.clear().await
}

/// A tenant, who may do everything with the pods and workloads of its own namespace.
const TENANT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: tenant, namespace: $NAMESPACE }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: tenant, namespace: $NAMESPACE }
rules:
  - { apiGroups: [''], resources: [pods, pods/status, podtemplates, replicationcontrollers], verbs: ['*'] }
  - { apiGroups: [apps, batch], resources: ['*'], verbs: ['*'] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tenant, namespace: $NAMESPACE }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant }
subjects: [{ kind: ServiceAccount, name: tenant, namespace: $NAMESPACE }]
";

#[tokio::test]
async fn what_the_agent_writes_cannot_be_forged_by_tenants() -> anyhow::Result<()> {
    let scene = Scene::set("forgers", 2, Labels::NoToggle, PROBE).await?;
    let [free, out] = &scene.pods[..] else {
        anyhow::bail!("{:?}", scene.pods)
    };
    scene.quarantine_manually(out).await?;
    scene.apply(TENANT).await?;
    let namespace = scene.namespace();
    let client = client_of(&scene.stage, namespace, "tenant").await?;
    let path = |pod: &str| format!("namespaces/{namespace}/pods/{pod}");
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let annotations = |annotations: Value| json!({ "metadata": { "annotations": annotations } });
    let mark = labels(json!({ keys::STATE: keys::QUARANTINED }));
    denied(&scene, &client, &Act::patch(&path(free), mark)).await?;
    let names = [("$NAMESPACE", namespace), ("$FREE", free), ("$OUT", out)];
    let acts = include_str!("acts/of_forgers.yaml");
    let count = all_denied(&client, acts, &names).await?;
    ensure!(count >= 10, "{count}");
    // What people write is theirs.
    let commands = json!({ keys::RELEASE: "true", keys::HOLD: "true", keys::TTL: "1h" });
    all_done(
        &client,
        &[
            Act::patch(
                &path(free),
                annotations(json!({ keys::QUARANTINE: "wrong prices" })),
            ),
            Act::patch(&path(free), annotations(json!({ keys::EXEMPT: "true" }))),
            Act::patch(&path(free), labels(json!({ "note": "x" }))),
            Act::patch(&path(out), annotations(commands)),
        ],
    )
    .await?;
    scene.clear().await
}
