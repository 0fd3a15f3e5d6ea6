//! Mount namespaces: `cluster exec` gives its command one of its own, for the name server; components belong outside.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::process::Command;

use crate::layout::Layout;
use crate::process;
use crate::programs;

/// Names the mount namespace that a command of `cluster exec` was called from, and so where components belong.
pub(crate) const OUTSIDE: &str = "TEST_CLUSTER_MOUNTS";

/// The mount namespace of a process, or of this one.
fn of(pid: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/mnt")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The mount namespace that components belong into.
pub(crate) fn outside() -> Option<String> {
    std::env::var(OUTSIDE).ok().or_else(|| of("self"))
}

/// A command that runs among the machine's own mounts, also when this process has mounts of its own.
pub(crate) fn command_outside(program: &str) -> Command {
    // By its whole path: directories of administrators are not on everybody's.
    let program = programs::find(program).unwrap_or_else(|| program.into());
    match entrance() {
        None => Command::new(program),
        Some(entrance) => {
            let mut command = Command::new("nsenter");
            command
                .arg(format!("--mount={}", entrance.display()))
                .arg("--")
                .arg(program);
            command
        }
    }
}

/// A way out of the mounts of our own: some process that has the machine's.
fn entrance() -> Option<PathBuf> {
    let wanted = std::env::var(OUTSIDE).ok()?;
    if of("self").as_deref() == Some(&wanted) {
        return None;
    }
    process::all()
        .into_iter()
        .find(|pid| of(&pid.to_string()).as_deref() == Some(&wanted))
        .map(|pid| PathBuf::from(format!("/proc/{pid}/ns/mnt")))
}

/// What is mounted below the running cluster's directory, the innermost first.
pub(crate) async fn below_run(layout: &Layout) -> anyhow::Result<Vec<String>> {
    let mut command = command_outside("cat");
    let mounted = process::run(
        command.arg("/proc/self/mountinfo"),
        std::time::Duration::from_secs(10),
    )
    .await
    .context("list mounts")?;
    let run = layout.argument("");
    let mut points: Vec<String> = mounted
        .lines()
        .filter_map(|line| Some(unescape(line.split(' ').nth(4)?)))
        .filter(|point| point.starts_with(&run))
        .collect();
    // Mounted later, listed later; what lies on top must go first.
    points.reverse();
    Ok(points)
}

/// Mount points are written with blanks and backslashes in octal.
fn unescape(point: &str) -> String {
    point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}
