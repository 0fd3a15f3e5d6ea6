//! The network namespace that everything runs in: made, entered and taken away here.

use std::fs;
use std::future::Future;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::layout::{Layout, NODE_NETWORK, SERVICE_NETWORK};
use crate::mounts;
use crate::process;

/// One call of `ip` takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Makes the namespace. Its one device is a bridge without ports: the kubelet wants an address that is not loopback, and
/// a dummy device is not in every kernel. There is no default route: nothing leaves the namespace, and what tries to is
/// told so at once.
pub(crate) async fn create(layout: &Layout) -> anyhow::Result<()> {
    let name = layout.name();
    for arguments in [
        &["netns", "add", name] as &[_],
        &["-n", name, "link", "set", "lo", "up"],
        &["-n", name, "link", "add", "eth0", "type", "bridge"],
        &["-n", name, "address", "add", NODE_NETWORK, "dev", "eth0"],
        &["-n", name, "link", "set", "eth0", "up"],
        &["-n", name, "route", "add", SERVICE_NETWORK, "dev", "eth0"],
    ] {
        process::run(mounts::command_outside("ip").args(arguments), LIMIT).await?;
    }
    Ok(())
}

/// Takes the namespace away. Its devices, addresses and nftables tables go with it, once nothing runs in it any more.
pub(crate) async fn remove(layout: &Layout) -> anyhow::Result<()> {
    if !layout.namespace_handle().exists() {
        return Ok(());
    }
    process::run(
        mounts::command_outside("ip").args(["netns", "delete", layout.name()]),
        LIMIT,
    )
    .await?;
    // `ip` makes this directory a mount of its own, for all namespaces, and leaves it.
    let all = Path::new("/run/netns");
    if fs::read_dir(all).is_ok_and(|mut left| left.next().is_none()) {
        let mut unmount = mounts::command_outside("umount");
        if process::run(unmount.arg(all), LIMIT).await.is_ok() {
            let mut remove = mounts::command_outside("rmdir");
            // Another process may be making a namespace; then the directory is its.
            let _ = process::run(remove.arg(all), LIMIT).await;
        }
    }
    Ok(())
}

/// Whether the namespace is there.
pub(crate) fn exists(layout: &Layout) -> bool {
    identity(&layout.namespace_handle()).is_some()
}

/// Whether the calling thread is in it.
pub(crate) fn is_inside(layout: &Layout) -> bool {
    let here = identity(Path::new("/proc/thread-self/ns/net"));
    here.is_some() && here == identity(&layout.namespace_handle())
}

/// Numbers of the processes in it, this one and its ancestors left out.
pub(crate) fn processes(layout: &Layout) -> Vec<i32> {
    let Some(wanted) = identity(&layout.namespace_handle()) else {
        return Vec::new();
    };
    let own = process::own_ancestry();
    process::all()
        .into_iter()
        .filter(|pid| !own.contains(pid))
        .filter(|pid| identity(Path::new(&format!("/proc/{pid}/ns/net"))) == Some(wanted))
        .collect()
}

fn identity(handle: &Path) -> Option<(u64, u64)> {
    let handle = fs::metadata(handle).ok()?;
    Some((handle.dev(), handle.ino()))
}

/// Moves the calling thread into the namespace; threads and processes that it starts are there, too.
pub(crate) fn enter(layout: &Layout) -> anyhow::Result<()> {
    let path = layout.namespace_handle();
    let handle = fs::File::open(&path).with_context(|| format!("open {}", path.display()))?;
    move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("enter {}", path.display()))
}

/// Runs asynchronous work inside the namespace: here if this is inside, else on a thread that enters it.
pub(crate) async fn inside<T, F>(
    layout: &Layout,
    work: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    if is_inside(layout) {
        // On the heap: starting everything is a large future.
        return Box::pin(work()).await;
    }
    let layout = layout.clone();
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("cluster".into())
        .spawn(move || {
            let result = enter(&layout)
                .and_then(|()| {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .context("start a runtime")
                })
                .and_then(|runtime| runtime.block_on(work()));
            // Nobody listens where the caller was cancelled.
            let _ = answer.send(result);
        })
        .context("start a thread")?;
    answered
        .await
        .map_err(|_| anyhow!("the thread inside the network namespace ended without an answer"))?
}
