//! Static builds of this workspace's programs, which run in an image that holds nothing else.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::layout;

/// How cargo is told to optimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// What users get.
    Release,
}

/// Builds the program `bin` of `package` without a dependency on a single shared library, and answers with its path.
///
/// It has a target directory of its own, so that the ordinary build is left as it is. Registries may be asked: call it
/// outside the cluster's namespace. cargo's own output goes to standard error.
pub async fn static_binary(package: &str, bin: &str, profile: Profile) -> anyhow::Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target_directory = layout::target_directory().join("static");
    let (flag, directory): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ended = Command::new(cargo)
        .current_dir(layout::workspace())
        .args(["build", "--quiet", "--package", package, "--bin", bin])
        // Said aloud, so that build scripts and macros are left alone.
        .args(["--target", &triple])
        .args(flag)
        .env("CARGO_TARGET_DIR", &target_directory)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .context("run cargo")?;
    if !ended.success() {
        bail!("the static build of {bin} ended with {ended}");
    }
    Ok(target_directory.join(triple).join(directory).join(bin))
}
