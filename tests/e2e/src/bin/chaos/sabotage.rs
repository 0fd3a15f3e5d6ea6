//! What no agent may do, done on purpose in the middle of a run, which must then fail.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::future::try_join_all;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use test_cluster::wait;

use crate::{
    register::{RECORD, STATE, Seen, TENANT},
    scene::Scene,
    watcher::Watcher,
};

/// Longer than it takes until a controller that was about to delete a pod has done so.
const LET_GO: Duration = Duration::from_secs(5);

/// `SABOTAGE`, if anything is to be sabotaged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sabotage {
    /// More pods are labelled than may be.
    Cap,
    /// A pod loses a label.
    Label,
    /// A pod is quarantined that nobody asked about.
    Quarantine,
    /// A pod is put back that nobody wanted back.
    Release,
    /// A pod is deleted that was not quarantined.
    Reap,
    /// Forged pods of so many namespaces that their shares fill the cluster: those of others wait.
    Share,
}

impl Sabotage {
    pub(crate) fn asked() -> anyhow::Result<Option<Self>> {
        Ok(Some(match std::env::var("SABOTAGE").as_deref() {
            Err(_) | Ok("") => return Ok(None),
            Ok("cap") => Self::Cap,
            Ok("label") => Self::Label,
            Ok("quarantine") => Self::Quarantine,
            Ok("release") => Self::Release,
            Ok("reap") => Self::Reap,
            Ok("share") => Self::Share,
            Ok(other) => bail!(
                "SABOTAGE is {other:?}, and can be cap, label, quarantine, release, reap or share"
            ),
        }))
    }

    pub(crate) async fn commit(self, scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
        let pods: Vec<Seen> = watcher.register(|register| {
            let pods = register.pods().values();
            let here = pods.filter(|pod| scene.has(pod) && !pod.is_marked());
            here.cloned().collect()
        });
        let untouched = || {
            let mut untouched = pods.iter();
            let pod = untouched.find(|pod| pod.is_quiet() && !pod.is_asked_for());
            pod.context("no quiet pod is untouched at this moment: try another SEED")
        };
        match self {
            Self::Cap => {
                let too_many = of_one_namespace(&pods, scene.limits.namespace + 1)?;
                for pod in &too_many {
                    write(scene, pod, &json!({ "labels": { STATE: "quarantined" } })).await?;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
                // Nobody but who put it there takes such a label off.
                for pod in &too_many {
                    write(scene, pod, &json!({ "labels": { STATE: null } })).await?;
                }
                Ok(())
            }
            Self::Label => write(scene, untouched()?, &json!({ "labels": { "team": null } })).await,
            Self::Quarantine => {
                let pod = untouched()?;
                let record =
                    json!({ "labels": { STATE: "quarantined" }, "annotations": { RECORD: "{}" } });
                write(scene, pod, &record).await?;
                tokio::time::sleep(Duration::from_secs(2)).await;
                write(scene, pod, &unmarked()).await
            }
            Self::Release => release(scene, watcher).await,
            Self::Reap => {
                let name = "of-nobody";
                let namespace = scene.web_namespace();
                make_pod(scene, namespace, name, &json!({})).await?;
                tokio::time::sleep(LET_GO).await;
                let pods = scene.stage.pods(namespace);
                pods.delete(name, &DeleteParams::default().grace_period(0))
                    .await?;
                Ok(())
            }
            Self::Share => {
                for _ in 0..=scene.limits.cluster / scene.limits.namespace {
                    let namespace = scene.stage.namespace(TENANT).await?;
                    let forged = json!({ STATE: "quarantined" });
                    let names = (0..scene.limits.namespace).map(|index| format!("forged-{index}"));
                    let make = async |name: String| {
                        make_pod(scene, namespace.name(), &name, &forged).await
                    };
                    try_join_all(names.map(make)).await?;
                }
                Ok(())
            }
        }
    }
}

/// So many of these pods, all in one namespace.
fn of_one_namespace(pods: &[Seen], count: usize) -> anyhow::Result<Vec<&Seen>> {
    let mut namespaces = pods.iter().map(|pod| {
        let of_namespace = pods.iter().filter(|other| other.namespace == pod.namespace);
        of_namespace.take(count).collect::<Vec<_>>()
    });
    let enough = namespaces.find(|pods| pods.len() == count);
    enough.context("too few pods in each namespace")
}

fn unmarked() -> Value {
    json!({ "labels": { STATE: null }, "annotations": { RECORD: null } })
}

/// Takes the marks off a pod that an agent has quarantined.
async fn release(scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
    let pod = wait::until("a pod is quarantined", Duration::from_mins(1), async || {
        watcher.register(|register| {
            let mut pods = register.pods().values();
            let out =
                pods.find(|pod| scene.has(pod) && pod.is_counted() && !pod.is_to_be_released());
            out.cloned().context("none is")
        })
    });
    let pod = pod.await?;
    ensure!(pod.is_counted(), "{pod} is not quarantined");
    write(scene, &pod, &unmarked()).await
}

async fn make_pod(
    scene: &Scene,
    namespace: &str,
    name: &str,
    labels: &Value,
) -> anyhow::Result<()> {
    let pod = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "quiet", "image": "none" }],
        },
    });
    let pods = scene.stage.pods(namespace);
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    Ok(())
}

async fn write(scene: &Scene, pod: &Seen, metadata: &Value) -> anyhow::Result<()> {
    let patch = json!({ "metadata": metadata });
    let pods = scene.stage.pods(&pod.namespace);
    pods.patch(&pod.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}
