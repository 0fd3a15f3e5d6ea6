//! Commands inside the namespace, with `kubectl` and `helm` on their path and the cluster's names resolved.

use std::ffi::OsString;
use std::process::Command;

use crate::layout::Layout;
use crate::{components, mounts, netns};

/// A mount namespace of its own gives the command the cluster's name server, without a trace outside. Mounts made
/// outside later are seen in it.
const WITH_NAMES: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

/// In capital letters; programs look for both.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// A command to be run inside the namespace, called from anywhere. Every program on the way becomes the next: the
/// process that is started is the command's.
pub(crate) fn command(layout: &Layout, program: impl Into<OsString>) -> Command {
    let program = program.into();
    let mut command = if netns::is_inside(layout) {
        Command::new(program)
    } else {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", layout.namespace_handle().display()))
            .args(["--", "unshare", "--mount", "--propagation", "slave", "--"])
            .args(["sh", "-c", WITH_NAMES])
            .arg(layout.in_run("resolv.conf"))
            .arg(program);
        command
    };
    command
        .env("KUBECONFIG", layout.kubeconfig())
        .env("PATH", path(layout));
    for proxy in PROXIES {
        // There is none inside.
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    if let Some(outside) = mounts::outside() {
        command.env(mounts::OUTSIDE, outside);
    }
    command
}

fn path(layout: &Layout) -> OsString {
    let kubectl = components::kubernetes(layout, "kubectl");
    let kubectl = kubectl.parent().map(std::path::Path::to_path_buf);
    let own: Vec<_> = kubectl
        .into_iter()
        .chain([layout.programs("helm")])
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).filter(|directory| !own.contains(directory));
    // A directory with a colon in its name cannot be on a path.
    std::env::join_paths(own.iter().cloned().chain(others)).unwrap_or(path)
}
