//! Taking the cluster away without a trace, whatever is left of it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use rustix::process::Signal;

use crate::components::Component;
use crate::control::Control;
use crate::layout::Layout;
use crate::process::{self, Identity};
use crate::{cgroups, kernel, mounts, netns, wait};

/// For killed processes to be gone, and for the kernel to free what they used.
const GONE: Duration = Duration::from_secs(20);

/// Whether anything is there.
pub(crate) fn is_needed(layout: &Layout) -> bool {
    layout.run().exists() || layout.namespace_handle().exists() || sockets(layout).exists()
}

/// Kills everything and removes everything. All data goes, so there is nothing that a process could end in good order.
pub(crate) async fn take_away(layout: &Layout) -> anyhow::Result<()> {
    wait::until("all processes are gone", GONE, async || kill(layout)).await?;
    wait::until("all mounts are gone", GONE, async || unmount(layout).await).await?;
    netns::remove(layout).await?;
    wait::until("the pods' cgroup is gone", GONE, async || {
        let left = cgroups::remove(layout);
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(())
    })
    .await?;
    kernel::restore(layout);
    for directory in [sockets(layout), layout.run()] {
        // Outside: mounts that a shell still holds a copy of would stand in the way here.
        let mut remove = mounts::command_outside("rm");
        remove
            .args(["--recursive", "--force", "--one-file-system", "--"])
            .arg(directory);
        process::run(&mut remove, GONE).await?;
    }
    remove_scattered(layout);
    Ok(())
}

/// The shims' sockets.
fn sockets(layout: &Layout) -> PathBuf {
    Path::new("/run").join(layout.name())
}

/// Kills what belongs to the cluster, and complains as long as there was something to kill. Those that start others go
/// with the rest: the next round finds what they still started.
fn kill(layout: &Layout) -> anyhow::Result<()> {
    let mut found: Vec<Identity> = [
        netns::processes(layout),
        cgroups::processes(layout),
        of_our_programs(layout),
    ]
    .concat()
    .into_iter()
    .filter_map(Identity::of)
    .collect();
    found.extend(
        Component::ALL
            .into_iter()
            .filter_map(|component| Control::new(component, layout.clone()).running()),
    );
    for process in &found {
        // It may have ended meanwhile; whether it did is seen in the next round.
        let _ = process.signal(Signal::KILL);
    }
    if let Some(first) = found.first() {
        bail!("{} left, process {} among them", found.len(), first.pid());
    }
    Ok(())
}

/// Processes whose program is one that was built for this cluster: also found where the namespace is gone already.
fn of_our_programs(layout: &Layout) -> Vec<i32> {
    let programs = layout.programs("");
    let own = process::own_ancestry();
    process::all()
        .into_iter()
        .filter(|pid| !own.contains(pid))
        .filter(|pid| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(&programs))
        })
        .collect()
}

async fn unmount(layout: &Layout) -> anyhow::Result<()> {
    let points = mounts::below_run(layout).await?;
    if points.is_empty() {
        return Ok(());
    }
    let mut command = mounts::command_outside("umount");
    process::run(command.arg("--lazy").args(&points), GONE).await?;
    bail!("{} were there", points.len())
}

/// Kubelet and CNI also write to places that cannot be chosen. What is there and is not ours, stays.
fn remove_scattered(layout: &Layout) {
    let pod_logs = layout.in_run("pod-logs");
    remove_where(Path::new("/var/log/containers"), |link| {
        fs::read_link(link).is_ok_and(|target| target.starts_with(&pod_logs))
    });
    remove_where(Path::new("/var/lib/cni/results"), |file| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(layout.name()))
    });
    let plugins = Path::new("/var/lib/kubelet/device-plugins");
    remove_where(plugins, |socket| {
        socket.ends_with("kubelet.sock") && UnixStream::connect(socket).is_err()
    });
    for directory in ["/var/lib/cni", "/var/lib/kubelet"] {
        // Only if it is empty.
        let _ = fs::remove_dir(directory);
    }
}

fn remove_where(directory: &Path, ours: impl Fn(&Path) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if ours(&path) {
            // A file that stays is small and harms nobody.
            let _ = fs::remove_file(path);
        }
    }
    // Only if it is empty.
    let _ = fs::remove_dir(directory);
}
