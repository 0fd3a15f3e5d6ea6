//! Starting the cluster from nothing, and repairing one that runs.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

use crate::build::{self, Profile};
use crate::cluster::client_inside;
use crate::components::{self, Component, Extent};
use crate::control::Control;
use crate::image::Image;
use crate::layout::{self, Layout, NODE_NAME};
use crate::progress::Progress;
use crate::{
    apply, certificates, cgroups, containerd, kernel, mounts, netns, parts, process, sign_in, wait,
};

/// For a component that runs to become healthy again by itself, its neighbour being back.
const RECOVERED: Duration = Duration::from_secs(20);
/// For the node to be Ready and the aggregated API to answer.
const USABLE: Duration = Duration::from_secs(90);

/// Builds the image of the container that holds each pod's namespaces. Registries may be asked: this is outside.
pub(crate) async fn pause_image(layout: &Layout, progress: Progress) -> anyhow::Result<()> {
    let archive = layout.images().join("pause.tar");
    if archive.exists() {
        return Ok(());
    }
    let step = progress.begin_long("pause image", "building");
    fs::create_dir_all(layout.images()).context("make the directory of images")?;
    // It only waits: nothing would be won by compiling its dependencies a second time, optimised.
    let program = build::static_binary("test-workload", Profile::Dev).await?;
    let fresh = archive.with_extension("new");
    Image::from_binary("localhost/pause", program)
        .arguments(&["pause"])
        .write(&fresh)?;
    fs::rename(&fresh, &archive).context("put the pause image into place")?;
    step.done("built");
    Ok(())
}

/// A fingerprint of everything that decides how a component is started: program, arguments, configuration, manifests.
pub(crate) fn fingerprint(layout: &Layout, component: Component) -> String {
    let text = parts::description(layout, component) + &component.description(layout);
    layout::hex(&Sha256::digest(text))
}

/// Starts everything of that extent. Nothing is there yet.
pub(crate) async fn start(
    layout: &Layout,
    extent: Extent,
    progress: Progress,
) -> anyhow::Result<()> {
    for directory in [
        layout.logs(),
        layout.run(),
        layout.in_run("processes"),
        layout.in_run("pod-logs"),
        layout.static_pods(),
    ] {
        fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
    }
    for component in Component::ALL {
        // Of an earlier cluster.
        let _ = fs::remove_file(layout.log(component.name()));
    }
    let mut module = mounts::command_outside("modprobe");
    // Not needed where it is built in, and done without where it is not to be had.
    let _ = process::run(module.args(["--quiet", "br_netfilter"]), USABLE).await;

    let step = progress.begin("network namespace", "making");
    netns::create(layout).await?;
    cgroups::create(layout)?;
    kernel::keep(layout)?;
    step.done("ready");
    let here = layout.clone();
    netns::inside(layout, move || async move {
        start_inside(&here, extent, progress).await
    })
    .await
}

async fn start_inside(layout: &Layout, extent: Extent, progress: Progress) -> anyhow::Result<()> {
    let step = progress.begin("certificates", "making");
    certificates::write(layout)?;
    sign_in::write(layout)?;
    components::configure(layout)?;
    step.done("ready");

    let start = |component| start_component(component, layout, progress);
    start(Component::Etcd).await?;
    start(Component::ApiServer).await?;
    let client = client_inside(layout).await?;
    let node = async {
        start(Component::Containerd).await?;
        containerd::import(layout, &layout.images().join("pause.tar")).await?;
        start(Component::Kubelet).await
    };
    let services = extent
        .components()
        .filter(|component| component.manifests().is_some())
        .map(async |component| {
            apply_manifests(&client, component, layout).await?;
            start(component).await
        });
    tokio::try_join!(
        start(Component::ControllerManager),
        start(Component::Scheduler),
        start(Component::KubeProxy),
        node,
        futures::future::try_join_all(services),
    )?;
    usable(&client, extent, progress).await
}

async fn apply_manifests(
    client: &Client,
    component: Component,
    layout: &Layout,
) -> anyhow::Result<()> {
    if let Some(manifests) = component.manifests() {
        apply::apply(client, &components::fill_in(manifests, layout)).await?;
    }
    Ok(())
}

/// Starts what does not run, and restarts what is not healthy. The calling thread is inside the namespace.
pub(crate) async fn repair(
    layout: &Layout,
    extent: Extent,
    progress: Progress,
) -> anyhow::Result<()> {
    let mut repaired = false;
    for component in extent.components() {
        let control = Control::new(component, layout.clone());
        if control.check().await.is_ok() {
            continue;
        }
        repaired = true;
        let (doing, done) = match control.running() {
            Some(_) => ("repairing", "repaired"),
            None => ("starting", "ready"),
        };
        let step = progress.begin(component, doing);
        // Those of one that was not wanted before are not there yet.
        apply_manifests(&client_inside(layout).await?, component, layout).await?;
        repair_component(&control, component).await?;
        step.done(done);
    }
    let client = client_inside(layout).await?;
    let quiet = if repaired {
        progress
    } else {
        Progress::silent()
    };
    usable(&client, extent, quiet).await
}

async fn repair_component(control: &Control, component: Component) -> anyhow::Result<()> {
    if control.running().is_some() {
        // It may have been paused, or wait for a neighbour that is only now back.
        control.resume()?;
        let recovered = wait::until(component, RECOVERED, async || control.check().await).await;
        if recovered.is_ok() {
            return Ok(());
        }
        control.kill().await?;
    }
    control.start().await
}

async fn start_component(
    component: Component,
    layout: &Layout,
    progress: Progress,
) -> anyhow::Result<()> {
    let step = progress.begin(component, "starting");
    Control::new(component, layout.clone()).start_here().await?;
    step.done("ready");
    Ok(())
}

/// Waits until pods can run.
async fn usable(client: &Client, extent: Extent, progress: Progress) -> anyhow::Result<()> {
    let step = progress.begin("node", "awaiting Ready");
    let nodes: Api<Node> = Api::all(client.clone());
    wait::until("the node is Ready", USABLE, async || {
        let node = nodes.get(NODE_NAME).await?;
        let conditions = node.status.and_then(|status| status.conditions);
        let ready = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready")
            .context("it has no condition Ready")?;
        ensure!(
            ready.status == "True",
            "{}",
            ready.message.unwrap_or_default()
        );
        Ok(())
    })
    .await?;
    step.done("Ready");

    if extent == Extent::Full {
        metrics(client, progress).await?;
    }
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    wait::until(
        "namespace default has its ServiceAccount",
        USABLE,
        async || Ok(accounts.get("default").await?),
    )
    .await?;
    Ok(())
}

/// Waits until autoscalers can ask for CPU figures.
async fn metrics(client: &Client, progress: Progress) -> anyhow::Result<()> {
    let step = progress.begin("metrics API", "awaiting");
    let services: Api<APIService> = Api::all(client.clone());
    wait::until("the metrics API is available", USABLE, async || {
        let service = services.get("v1beta1.metrics.k8s.io").await?;
        let conditions = service.status.and_then(|status| status.conditions);
        let available = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "Available")
            .context("it has no condition Available")?;
        ensure!(
            available.status == "True",
            "{}",
            available.message.unwrap_or_default()
        );
        Ok(())
    })
    .await?;
    step.done("available");
    Ok(())
}
