//! The cluster as tests and the demo see it: [`Cluster`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::process::Command;

use crate::components::{Component, Extent};
use crate::control::Control;
use crate::layout::{self, Layout};
use crate::namespace::TestNamespace;
use crate::progress::Progress;
use crate::{apply, bring_up, containerd, exec, netns, parts, process, programs, tear_down};

/// For a command that brings an image into an existing cluster.
const LOADED: Duration = Duration::from_mins(5);

/// A Kubernetes cluster: our own in its network namespace, or an existing one.
#[derive(Clone, Debug)]
pub struct Cluster(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Own(Layout),
    Existing { kubeconfig: PathBuf },
}

impl Cluster {
    /// The running cluster, after it was built, started or repaired where that was needed, or grew to that extent.
    ///
    /// With `USE_EXISTING_CLUSTER=true` it is the one of `KUBECONFIG`, and nothing is started.
    pub async fn ensure(extent: Extent, progress: Progress) -> anyhow::Result<Self> {
        if let Some(existing) = Self::existing()? {
            return Ok(existing);
        }
        let layout = Layout::of_this_checkout()?;
        let _alone = lock(&layout, progress).await?;
        prepare(&layout, extent, progress).await?;

        let started = Started::read(&layout);
        if started.fits(&layout, extent) && netns::exists(&layout) {
            let extent = started.extent().map_or(extent, |runs| runs.max(extent));
            match repair(&layout, extent, progress).await {
                Ok(()) => {
                    started.and(&layout, extent).write(&layout)?;
                    return Ok(Self(Kind::Own(layout)));
                }
                Err(error) => {
                    progress.say(format_args!(
                        "  cannot be repaired: {error:#}; starting from the beginning"
                    ));
                }
            }
        } else if started.extent().is_some() {
            progress.say("  what runs was started in another way; starting from the beginning");
        } else if tear_down::is_needed(&layout) {
            progress.say("  cleaning up what is left of an earlier start");
        }
        take_away(&layout, progress).await?;
        bring_up::start(&layout, extent, progress).await?;
        Started::default().and(&layout, extent).write(&layout)?;
        Ok(Self(Kind::Own(layout)))
    }

    /// Builds everything that [`Cluster::ensure`] needs, and what some tests start themselves; starts nothing.
    pub async fn build(progress: Progress) -> anyhow::Result<()> {
        let layout = Layout::of_this_checkout()?;
        let _alone = lock(&layout, progress).await?;
        if Self::existing()?.is_none() {
            prepare(&layout, Extent::Full, progress).await?;
        }
        parts::ensure_for_tests(&layout, progress).await
    }

    /// The running cluster; an error if there is none.
    pub fn attach() -> anyhow::Result<Self> {
        if let Some(existing) = Self::existing()? {
            return Ok(existing);
        }
        let layout = Layout::of_this_checkout()?;
        ensure!(
            Started::read(&layout).extent().is_some() && netns::exists(&layout),
            "no cluster runs: start one with `make cluster`"
        );
        Ok(Self(Kind::Own(layout)))
    }

    /// Takes away our own cluster, or what is left of it. Answers whether there was anything.
    pub async fn down(progress: Progress) -> anyhow::Result<bool> {
        let layout = Layout::of_this_checkout()?;
        let _alone = lock(&layout, progress).await?;
        take_away(&layout, progress).await
    }

    fn existing() -> anyhow::Result<Option<Self>> {
        if std::env::var("USE_EXISTING_CLUSTER").as_deref() != Ok("true") {
            return Ok(None);
        }
        let kubeconfig = std::env::var_os("KUBECONFIG")
            .map(PathBuf::from)
            .context("USE_EXISTING_CLUSTER is true, and KUBECONFIG does not say which one")?;
        Ok(Some(Self(Kind::Existing { kubeconfig })))
    }

    /// Whether it is our own: components of another cluster cannot be touched.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self.0, Kind::Own(_))
    }

    /// How much of it runs; of another cluster everything is expected.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match &self.0 {
            Kind::Own(layout) => Started::read(layout).extent().unwrap_or(Extent::Full),
            Kind::Existing { .. } => Extent::Full,
        }
    }

    /// The folder of the node's static pods; that of another cluster is out of reach.
    #[must_use]
    pub fn static_pods(&self) -> Option<PathBuf> {
        match &self.0 {
            Kind::Own(layout) => Some(layout.static_pods()),
            Kind::Existing { .. } => None,
        }
    }

    /// The API server's log of who has read the slices of endpoints; that of another cluster is out of reach.
    #[must_use]
    pub fn audit_log(&self) -> Option<PathBuf> {
        match &self.0 {
            Kind::Own(layout) => Some(layout.in_run(layout::AUDIT_LOG)),
            Kind::Existing { .. } => None,
        }
    }

    /// An admin's client. For our own cluster it works inside the namespace alone, as under `cluster exec`.
    pub async fn client(&self) -> anyhow::Result<Client> {
        match &self.0 {
            Kind::Own(layout) => {
                ensure!(
                    netns::is_inside(layout),
                    "the cluster is reached from inside its network namespace alone: run this through `cluster exec -- …`"
                );
                client_inside(layout).await
            }
            Kind::Existing { kubeconfig } => {
                Client::try_from(config_of(kubeconfig).await?).context("make a Kubernetes client")
            }
        }
    }

    /// The admin's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        match &self.0 {
            Kind::Own(layout) => layout.kubeconfig(),
            Kind::Existing { kubeconfig } => kubeconfig.clone(),
        }
    }

    /// Where the API server is.
    pub async fn api_server_url(&self) -> anyhow::Result<String> {
        match &self.0 {
            Kind::Own(_) => Ok(layout::API_SERVER.into()),
            Kind::Existing { kubeconfig } => {
                let url = config_of(kubeconfig).await?.cluster_url.to_string();
                Ok(url.trim_end_matches('/').to_owned())
            }
        }
    }

    /// A hold on a component of our own cluster.
    pub fn component(&self, component: Component) -> anyhow::Result<Control> {
        match &self.0 {
            Kind::Own(layout) => Ok(Control::new(component, layout.clone())),
            Kind::Existing { .. } => {
                bail!("{component} belongs to an existing cluster, which is not touched")
            }
        }
    }

    /// Restarts everything that follows the API server, once that is back. Left alone, each of their watches waits
    /// longer after each failure, half a minute in the end, and two minutes must pass until it forgets that.
    pub async fn restart_followers(&self) -> anyhow::Result<()> {
        let follow = |component: &Component| {
            let others = [Component::Etcd, Component::ApiServer, Component::Containerd];
            !others.contains(component)
        };
        let followers = self.extent().components().filter(follow);
        let restarts = followers.map(async |follower| self.component(follower)?.restart().await);
        futures::future::try_join_all(restarts).await.map(drop)
    }

    /// Brings an image archive in. In an existing cluster, `LOAD_IMAGE_COMMAND` does it, such as
    /// `kind load image-archive`; the archive's path is put behind it.
    pub async fn load_image(&self, archive: &Path) -> anyhow::Result<()> {
        match &self.0 {
            Kind::Own(layout) => containerd::import(layout, archive).await,
            Kind::Existing { .. } => {
                let load = std::env::var("LOAD_IMAGE_COMMAND").context(
                    "LOAD_IMAGE_COMMAND does not say how an image archive is brought into the existing cluster",
                )?;
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{load} \"$0\"")]).arg(archive);
                process::run(&mut command, LOADED).await.map(drop)
            }
        }
        .with_context(|| format!("load the image {}", archive.display()))
    }

    /// Makes a namespace that nobody else uses, its name beginning with `hint`.
    pub async fn namespace(&self, hint: &str) -> anyhow::Result<TestNamespace> {
        TestNamespace::create(self.client().await?, hint).await
    }

    /// Applies all documents of `yaml` by server-side apply, overruling other managers. What names no namespace goes into
    /// `default`.
    pub async fn apply_yaml(&self, yaml: &str) -> anyhow::Result<Vec<DynamicObject>> {
        apply::apply(&self.client().await?, yaml).await
    }

    /// A command that runs inside the cluster's network namespace, with `KUBECONFIG` set and `kubectl` on its path.
    #[must_use]
    pub fn command(&self, program: impl Into<std::ffi::OsString>) -> std::process::Command {
        match &self.0 {
            Kind::Own(layout) => exec::command(layout, program),
            Kind::Existing { kubeconfig } => {
                let mut command = std::process::Command::new(program.into());
                command.env("KUBECONFIG", kubeconfig);
                command
            }
        }
    }

    /// Runs kubectl to its end, whatever that is.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::from(self.command("kubectl"));
        command.args(arguments).kill_on_drop(true);
        command
            .output()
            .await
            .with_context(|| format!("run kubectl {}", arguments.join(" ")))
    }
}

/// The admin's client of our own cluster.
pub(crate) async fn client_inside(layout: &Layout) -> anyhow::Result<Client> {
    let mut config = config_of(&layout.kubeconfig()).await?;
    // One that the environment names is outside, and cannot be reached from here.
    config.proxy_url = None;
    Client::try_from(config).context("make a Kubernetes client")
}

async fn config_of(kubeconfig: &Path) -> anyhow::Result<Config> {
    let read = || format!("read {}", kubeconfig.display());
    let parsed = Kubeconfig::read_from(kubeconfig).with_context(read)?;
    Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .with_context(read)
}

/// What a running cluster was started with: a fingerprint for each component.
#[derive(Default)]
struct Started(BTreeMap<String, String>);

impl Started {
    fn path(layout: &Layout) -> PathBuf {
        layout.in_run("ready")
    }

    fn read(layout: &Layout) -> Self {
        let text = fs::read_to_string(Self::path(layout)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        Self(lines.map(|(name, how)| (name.into(), how.into())).collect())
    }

    /// With what was started besides; of the rest it is known already.
    fn and(mut self, layout: &Layout, extent: Extent) -> Self {
        for component in extent.components() {
            let name = component.name().to_owned();
            let how = || bring_up::fingerprint(layout, component);
            self.0.entry(name).or_insert_with(how);
        }
        self
    }

    fn write(&self, layout: &Layout) -> anyhow::Result<()> {
        let lines = self.0.iter().map(|(name, how)| format!("{name} {how}\n"));
        let path = Self::path(layout);
        fs::write(&path, lines.collect::<String>())
            .with_context(|| format!("write {}", path.display()))
    }

    /// How much runs; nothing where no cluster came up.
    fn extent(&self) -> Option<Extent> {
        let started = |extent: &Extent| {
            extent
                .components()
                .all(|component| self.0.contains_key(component.name()))
        };
        [Extent::Full, Extent::Demo].into_iter().find(started)
    }

    /// Whether what runs was started as it would be now. What is still to be started stands in nobody's way.
    fn fits(&self, layout: &Layout, extent: Extent) -> bool {
        let same = |component: Component| {
            let found = self.0.get(component.name());
            found.is_none_or(|found| *found == bring_up::fingerprint(layout, component))
        };
        self.extent().is_some() && extent.components().all(same)
    }
}

async fn prepare(layout: &Layout, extent: Extent, progress: Progress) -> anyhow::Result<()> {
    ensure!(
        rustix::process::getuid().is_root(),
        "network namespaces and containers need root"
    );
    // Side by side: the first waits for the network, the last for one processor at its end.
    tokio::try_join!(
        programs::ensure(programs::CLUSTER, progress),
        parts::ensure(layout, extent, progress),
        bring_up::pause_image(layout, progress),
    )
    .map(drop)
}

async fn repair(layout: &Layout, extent: Extent, progress: Progress) -> anyhow::Result<()> {
    let here = layout.clone();
    netns::inside(layout, move || async move {
        bring_up::repair(&here, extent, progress).await
    })
    .await
}

async fn take_away(layout: &Layout, progress: Progress) -> anyhow::Result<bool> {
    if !tear_down::is_needed(layout) {
        return Ok(false);
    }
    let step = progress.begin("cluster", "taking away");
    tear_down::take_away(layout).await?;
    step.done("gone");
    Ok(true)
}

/// One process at a time starts, repairs or takes away. The lock goes with the process that holds it.
async fn lock(layout: &Layout, progress: Progress) -> anyhow::Result<fs::File> {
    let path = layout.root().join("lock");
    let file = fs::File::create(&path).with_context(|| format!("open {}", path.display()))?;
    if file.try_lock().is_err() {
        progress.say("  waiting for another process that starts or ends the cluster");
    }
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await?
        .with_context(|| format!("lock {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_for_the_demo_grows_and_a_whole_one_serves_the_demo() {
        let layout = Layout::of_this_checkout().unwrap();
        let nothing = Started::default();
        assert_eq!(nothing.extent(), None);
        assert!(!nothing.fits(&layout, Extent::Demo));

        let small = nothing.and(&layout, Extent::Demo);
        assert_eq!(small.extent(), Some(Extent::Demo));
        assert!(small.fits(&layout, Extent::Full));

        let whole = small.and(&layout, Extent::Full);
        assert_eq!(whole.extent(), Some(Extent::Full));
        assert!(whole.fits(&layout, Extent::Demo));
    }

    #[test]
    fn what_was_started_in_another_way_does_not_fit_where_it_is_wanted() {
        let layout = Layout::of_this_checkout().unwrap();
        let mut started = Started::default().and(&layout, Extent::Full);
        let names = Component::CoreDns.name().to_owned();
        started.0.insert(names, "in another way".into());
        assert!(started.fits(&layout, Extent::Demo));
        assert!(!started.fits(&layout, Extent::Full));
        let again = started.and(&layout, Extent::Full);
        assert!(!again.fits(&layout, Extent::Full));
    }
}
