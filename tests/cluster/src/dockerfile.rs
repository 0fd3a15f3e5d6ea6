//! The image that a user gets: the `Dockerfile`, built with buildah, without a registry of images.
//!
//! What it builds in is made here, by debootstrap; the Rust toolchain is the one at hand, and cargo's home the caller's:
//! nothing is downloaded twice. Both are mounted, and so is the target directory: the agent's dependencies are built there
//! as everything here is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use crate::build::Profile;
use crate::layout::{self, Layout};
use crate::programs;
use crate::progress::Progress;
use crate::{log, process};

/// What the agent's image is called in the archive.
const NAME: &str = "docker.io/library/pod-quarantine:test";

/// What it builds in: the Debian release of the official Rust image, with what cargo needs to link.
const BASE: &str = "localhost/rust-builder:bookworm-2";
const SUITE: &str = "bookworm";
const PACKAGES: &str = "gcc,libc6-dev";

/// Where in it the toolchain, cargo's home and the target directory are. Cargo's home is where root has it on the machine
/// itself: at another place, what is built already would not be known again.
const TOOLCHAIN: &str = "/usr/local/rust";
const CARGO_HOME: &str = "/root/.cargo";
const TARGET: &str = "/source/target";

/// A step of buildah that only copies.
const COPIED: Duration = Duration::from_mins(5);

/// Builds the `Dockerfile` and answers with the image's archive. Registries may be asked: call it outside the cluster's
/// namespace.
pub async fn build(profile: Profile, progress: Progress) -> anyhow::Result<PathBuf> {
    ensure!(
        rustix::process::getuid().is_root(),
        "building the Dockerfile without a container engine needs root"
    );
    programs::ensure(programs::DOCKERFILE, progress).await?;
    let builder = Builder::of_this_checkout()?;
    if !builder.has_base().await {
        let step = progress.begin_long("builder image", "making, about a minute");
        builder
            .make_base()
            .await
            .context("make the builder image")?;
        step.done("made");
    }
    let step = progress.begin_long("agent image", "building, up to 5 minutes");
    builder
        .build(profile)
        .await
        .context("build the Dockerfile")?;
    let archive = builder.push().await.context("write the agent's image")?;
    step.done("built");
    Ok(archive)
}

struct Builder {
    layout: Layout,
    /// Images and everything else of buildah's.
    root: PathBuf,
}

impl Builder {
    fn of_this_checkout() -> anyhow::Result<Self> {
        let layout = Layout::of_this_checkout()?;
        let root = layout.root().join("dockerfile");
        for directory in [&root, &layout.logs(), &layout.images()] {
            fs::create_dir_all(directory)
                .with_context(|| format!("make {}", directory.display()))?;
        }
        Ok(Self { layout, root })
    }

    /// With all that it keeps below our own directory.
    fn buildah(&self) -> Command {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(self.root.join("storage"))
            .arg("--runroot")
            .arg(self.root.join("run"))
            .args(["--storage-driver", "vfs"])
            .env("BUILDAH_ISOLATION", "chroot");
        command
    }

    async fn copy(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let said = process::run(self.buildah().args(arguments), COPIED).await?;
        Ok(said.trim().to_owned())
    }

    async fn has_base(&self) -> bool {
        self.copy(&["inspect", "--type", "image", BASE])
            .await
            .is_ok()
    }

    async fn make_base(&self) -> anyhow::Result<()> {
        let system = self.root.join("base");
        remove(&system)?;
        let mut command = Command::new(programs::find("debootstrap").context("no debootstrap")?);
        command
            .args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE])
            .arg(&system)
            .env("DEBIAN_FRONTEND", "noninteractive");
        self.logged(&mut command, "build-base").await?;
        // Packages that are installed already.
        remove(&system.join("var/cache/apt/archives"))?;

        let container = self.copy(&["from", "scratch"]).await?;
        let source = system.to_string_lossy();
        self.copy(&["add", "--quiet", &container, &source, "/"])
            .await?;
        let path = format!("PATH={TOOLCHAIN}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        // All that is needed has been fetched before.
        let offline = "CARGO_NET_OFFLINE=true";
        self.copy(&["config", "--env", &path, "--env", offline, &container])
            .await?;
        self.copy(&["commit", "--quiet", "--rm", &container, BASE])
            .await?;
        remove(&system)
    }

    async fn build(&self, profile: Profile) -> anyhow::Result<()> {
        let target = target_directory();
        fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
        let cargo_home = cargo_home()?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut fetch = Command::new(cargo);
        fetch
            .current_dir(layout::workspace())
            .args(["fetch", "--locked"]);
        self.logged(&mut fetch, "build-image").await?;

        let profile = match profile {
            Profile::Dev => "PROFILE=dev",
            Profile::Release => "PROFILE=release",
        };
        let mounted = |source: &Path, inside: &str| format!("{}:{inside}", source.display());
        let mut command = self.buildah();
        command
            .args(["build", "--pull-never", "--isolation", "chroot"])
            .args(["--build-arg", &format!("BUILDER={BASE}")])
            .args(["--build-arg", profile])
            .args(["--volume", &mounted(&sysroot().await?, TOOLCHAIN)])
            .args(["--volume", &mounted(&cargo_home, CARGO_HOME)])
            .args(["--volume", &mounted(&target, TARGET)])
            .args(["--tag", NAME])
            .arg(layout::workspace());
        self.logged(&mut command, "build-image").await
    }

    async fn push(&self) -> anyhow::Result<PathBuf> {
        let archive = self.layout.images().join("agent.tar");
        // It would be added to.
        let _ = fs::remove_file(&archive);
        let to = format!("oci-archive:{}:{NAME}", archive.display());
        self.copy(&["push", "--quiet", NAME, &to]).await?;
        // The image before this one has no name any more.
        self.copy(&["rmi", "--prune"]).await?;
        Ok(archive)
    }

    /// Runs a program that takes its time, its output in a log.
    async fn logged(&self, command: &mut Command, name: &str) -> anyhow::Result<()> {
        let path = self.layout.log(name);
        let open = || -> std::io::Result<(fs::File, fs::File)> {
            let log = fs::File::create(&path)?;
            Ok((log.try_clone()?, log))
        };
        let (output, errors) = open().with_context(|| format!("write {}", path.display()))?;
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        let ended = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("run {program}"))?;
        if !ended.success() {
            bail!("{program} ended with {ended}{}", log::last_lines(&path));
        }
        Ok(())
    }
}

/// Build scripts that were made on another Debian release may not run in this one: then it has a directory of its own.
fn target_directory() -> PathBuf {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let same = release.contains(&format!("VERSION_CODENAME={SUITE}"));
    let target = layout::target_directory();
    if same {
        target
    } else {
        target.join("dockerfile")
    }
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Where the toolchain at hand is.
async fn sysroot() -> anyhow::Result<PathBuf> {
    let mut command = Command::new("rustc");
    command
        .current_dir(layout::workspace())
        .args(["--print", "sysroot"]);
    let said = process::run(&mut command, Duration::from_mins(1)).await?;
    Ok(PathBuf::from(said.trim()))
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    let of_user = || std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(of_user)
        .context("neither CARGO_HOME nor a home directory is known")
}
