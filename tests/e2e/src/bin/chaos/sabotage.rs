//! What no agent may do, done on purpose in the middle of a run, which must then fail.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    register::{STATE, Seen},
    scene::{LIMITS, Scene},
    watcher::Watcher,
};

/// `SABOTAGE`, if anything is to be sabotaged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sabotage {
    /// `cap`: more pods are labelled than may be.
    Cap,
    /// `label`: a pod loses a label.
    Label,
}

impl Sabotage {
    pub(crate) fn asked() -> anyhow::Result<Option<Self>> {
        Ok(match std::env::var("SABOTAGE").as_deref() {
            Err(_) | Ok("") => None,
            Ok("cap") => Some(Self::Cap),
            Ok("label") => Some(Self::Label),
            Ok(other) => bail!("SABOTAGE is {other:?}, and can be cap or label"),
        })
    }

    pub(crate) async fn commit(self, scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
        let pods: Vec<Seen> = watcher.register(|register| {
            let pods = register.pods().values();
            let untouched = pods.filter(|pod| scene.has(pod) && !pod.is_marked());
            untouched.cloned().collect()
        });
        match self {
            Self::Cap => {
                let too_many = pods.get(..=LIMITS.cluster).context("too few pods")?;
                for pod in too_many {
                    label(scene, pod, &json!({ STATE: "quarantined" })).await?;
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
                // Nobody but who put it there takes such a label off.
                for pod in too_many {
                    label(scene, pod, &json!({ STATE: null })).await?;
                }
                Ok(())
            }
            Self::Label => {
                let pod = pods.first().context("no pod")?;
                label(scene, pod, &json!({ "team": null })).await
            }
        }
    }
}

async fn label(scene: &Scene, pod: &Seen, labels: &Value) -> anyhow::Result<()> {
    let patch = json!({ "metadata": { "labels": labels } });
    let pods = scene.stage.pods(&pod.namespace);
    pods.patch(&pod.name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}
