//! containerd's own client: whether it answers, and images into it.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::layout::Layout;
use crate::process;

fn ctr(layout: &Layout) -> Command {
    let mut command = Command::new(layout.programs("node").join("ctr"));
    command
        .args(["--address", &layout.containerd_socket()])
        .args(["--namespace", "k8s.io"]);
    command
}

/// Whether it answers.
pub(crate) async fn ask(layout: &Layout) -> anyhow::Result<()> {
    process::run(ctr(layout).arg("version"), Duration::from_secs(5))
        .await
        .map(drop)
}

/// Brings an image archive in.
pub(crate) async fn import(layout: &Layout, archive: &Path) -> anyhow::Result<()> {
    process::run(
        ctr(layout).args(["images", "import"]).arg(archive),
        Duration::from_mins(2),
    )
    .await
    .map(drop)
}
