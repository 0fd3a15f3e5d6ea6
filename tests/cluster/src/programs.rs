//! Programs of the machine that the cluster needs, installed from Debian's archive where that is possible.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::process;
use crate::progress::Progress;

/// A program and the Debian package that it is in.
pub type Program = (&'static str, &'static str);

/// What the cluster itself needs.
pub const CLUSTER: &[Program] = &[
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("umount", "mount"),
];

/// What building the `Dockerfile` on this machine needs.
pub const DOCKERFILE: &[Program] = &[("buildah", "buildah"), ("debootstrap", "debootstrap")];

/// Sees to it that all of `programs` are there.
pub async fn ensure(programs: &[Program], progress: Progress) -> anyhow::Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let wanted = packages.join(" ");
    if !rustix::process::getuid().is_root() || find("apt-get").is_none() {
        let names: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        bail!(
            "missing: {}; install them (in Debian: apt-get install --no-install-recommends {wanted})",
            names.join(", ")
        );
    }
    let step = progress.begin_long("Debian packages", &format!("installing {wanted}"));
    apt_get(&["update"]).await?;
    apt_get(
        &[
            &["install", "--yes", "--no-install-recommends"],
            packages.as_slice(),
        ]
        .concat(),
    )
    .await?;
    step.done("installed");
    Ok(())
}

fn missing(programs: &[Program]) -> Vec<Program> {
    programs
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .copied()
        .collect()
}

/// Where a program is; the directories of administrators are not on everybody's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

async fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut command, Duration::from_mins(15))
        .await
        .map(drop)
        .context("install packages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for() {
        let programs = [("sh", "dash"), ("no-such-program", "no-such-package")];
        assert_eq!(missing(&programs), [("no-such-program", "no-such-package")]);
    }
}
