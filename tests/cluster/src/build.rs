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

/// Builds the program `bin` of this workspace without a dependency on a single shared library, and answers with its path.
///
/// Target, flags and the features of dependencies are those of every other build here that `make` starts: its
/// 400 crates are compiled once, and not again for images. Registries may be asked: call it outside the cluster's namespace.
/// cargo's own output goes to standard error.
pub async fn static_binary(bin: &str, profile: Profile) -> anyhow::Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let (flag, directory): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ended = Command::new(cargo)
        .current_dir(layout::workspace())
        // The features of dependencies are those that all packages together want.
        .args(["build", "--quiet", "--workspace", "--bin", bin])
        // Said aloud, so that build scripts and macros are left alone.
        .args(["--target", &triple])
        .args(flag)
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
    let built = layout::target_directory().join(triple).join(directory);
    Ok(built.join(bin))
}
