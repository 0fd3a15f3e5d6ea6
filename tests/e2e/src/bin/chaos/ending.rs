//! How it ends: the faults stop, all pods are put back, no slot is left, and both agents are well.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use futures::future::try_join_all;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use test_cluster::wait;

use crate::{agents::Agents, register::Seen, scene::Scene, tenants::Tenants, watcher::Watcher};

/// From the request to the effect, for a few pods.
const PUT_BACK: Duration = Duration::from_mins(1);

/// A slot whose pod has not changed is fenced once it is 30 s old.
const NO_SLOT: Duration = Duration::from_secs(50);

/// From the request to the quarantine, where the slots of pods that were put back are still to be freed.
const IN_TIME: Duration = NO_SLOT;

/// All of people's annotations.
const PEOPLE: [&str; 5] = [
    "pod-quarantine.io/quarantine",
    "pod-quarantine.io/release",
    "pod-quarantine.io/hold",
    "pod-quarantine.io/exempt",
    "pod-quarantine.io/ttl",
];

/// An error says what has not come true.
pub(crate) async fn come_to_rest(
    scene: &Scene,
    watcher: &Watcher,
    agents: &mut Agents,
    tenants: &mut Tenants,
) -> anyhow::Result<()> {
    agents.recover(scene).await?;
    watcher.is_up_to_date().await?;
    for pod in pods(scene, watcher) {
        if pod.namespace == scene.web_namespace() {
            // Pods that no node runs answer nobody.
            let _ = scene.web.switch(&pod.name, "ok").await;
        }
    }
    nobody_asks(scene, watcher).await?;
    put_back(scene, watcher).await?;
    are_heard_beside_tenants(scene, watcher).await?;
    put_back(scene, watcher).await?;
    tenants.end(watcher).await?;
    wait::until("no slot is left", NO_SLOT, async || {
        let slots = scene.rights.agent.slots().await?.into_iter();
        let slots: Vec<String> = slots.map(|slot| slot.key().to_string()).collect();
        ensure!(slots.is_empty(), "{}", slots.join(", "));
        Ok(())
    })
    .await?;
    // No quarantine begins any more, and the watcher has seen everything.
    watcher.is_up_to_date().await?;
    ensure!(
        watcher.register(|register| register.quarantined()) == 0,
        "a pod is quarantined again"
    );
    agents.are_well().await
}

/// Whatever the tenants do, there is room for the others: each namespace has a quarantine that is asked for, one after the
/// other.
async fn are_heard_beside_tenants(scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
    for namespace in &scene.namespaces {
        let name = namespace.name();
        let began = Instant::now();
        let is_out = async || {
            let mut here = pods(scene, watcher);
            here.retain(|pod| pod.namespace == name);
            if let Some(out) = here.iter().find(|pod| pod.is_counted()) {
                return Ok(out.clone());
            }
            // One that was asked for before may be gone: its ReplicaSet has had one too many.
            let mut quiet = here.iter().filter(|pod| pod.is_quiet());
            let asked = quiet
                .clone()
                .find(|pod| pod.annotations.contains_key(PEOPLE[0]));
            let Some(pod) = asked.or_else(|| quiet.next()) else {
                bail!("no pod of {name} to ask for");
            };
            if asked.is_none() {
                let ask =
                    json!({ "metadata": { "annotations": { PEOPLE[0]: "beside the tenants" } } });
                patch(scene, pod, &ask).await?;
            }
            bail!("{pod} is where it was")
        };
        match wait::until("a quarantine begins in time", IN_TIME, is_out).await {
            Ok(pod) => println!("{pod} is out after {:.1} s", began.elapsed().as_secs_f64()),
            Err(error) => watcher.register(|register| {
                register.is_not_in_time(name, &format!("{error:#}"));
            }),
        }
        nobody_asks(scene, watcher).await?;
        put_back(scene, watcher).await?;
    }
    Ok(())
}

/// Puts all pods back, but for those of tenants.
async fn put_back(scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
    wait::until("all pods are put back", PUT_BACK, async || {
        let mut quarantined = pods(scene, watcher);
        quarantined.retain(Seen::is_counted);
        let unasked = quarantined.iter().filter(|pod| {
            pod.annotations
                .get("pod-quarantine.io/release")
                .is_none_or(|how| how != "force")
        });
        let release =
            json!({ "metadata": { "annotations": { "pod-quarantine.io/release": "force" } } });
        try_join_all(unasked.map(|pod| patch(scene, pod, &release))).await?;
        let names: Vec<String> = quarantined.iter().map(ToString::to_string).collect();
        ensure!(names.is_empty(), "{}", names.join(", "));
        Ok(())
    })
    .await
}

async fn nobody_asks(scene: &Scene, watcher: &Watcher) -> anyhow::Result<()> {
    let nothing: serde_json::Map<_, _> = PEOPLE
        .into_iter()
        .map(|key| (key.to_owned(), json!(null)))
        .collect();
    let nothing = json!({ "metadata": { "annotations": nothing } });
    let pods = pods(scene, watcher);
    let asked = pods
        .iter()
        .filter(|pod| PEOPLE.iter().any(|key| pod.annotations.contains_key(*key)));
    try_join_all(asked.map(|pod| patch(scene, pod, &nothing)))
        .await
        .map(drop)
}

/// The pods of the scene.
fn pods(scene: &Scene, watcher: &Watcher) -> Vec<Seen> {
    watcher.register(|register| {
        let ours = register.pods().values().filter(|pod| scene.has(pod));
        ours.cloned().collect()
    })
}

/// A pod that has gone meanwhile needs nothing.
async fn patch(scene: &Scene, pod: &Seen, patch: &serde_json::Value) -> anyhow::Result<()> {
    let pods = scene.stage.pods(&pod.namespace);
    let patched = pods
        .patch(&pod.name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    match patched {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        patched => Ok(patched.map(drop)?),
    }
}
