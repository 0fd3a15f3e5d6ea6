//! The cgroup that all pods are in, one directory in each hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::layout::Layout;

/// Makes it. The kubelet wants the root that it is given to be there.
pub(crate) fn create(layout: &Layout) -> anyhow::Result<()> {
    for directory in directories(layout) {
        fs::create_dir_all(&directory)
            .with_context(|| format!("make the cgroup {}", directory.display()))?;
    }
    Ok(())
}

/// Numbers of all processes in it.
pub(crate) fn processes(layout: &Layout) -> Vec<i32> {
    let mut found = Vec::new();
    for directory in directories(layout) {
        visit(&directory, &mut |group| {
            let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(listed.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Takes it away; answers with what could not go.
pub(crate) fn remove(layout: &Layout) -> Vec<PathBuf> {
    for directory in directories(layout) {
        visit(&directory, &mut |group| {
            // Judged by what is left, below.
            let _ = fs::remove_dir(group);
        });
    }
    directories(layout)
        .into_iter()
        .filter(|directory| directory.exists())
        .collect()
}

/// Its directory in each hierarchy that is mounted, of version 1 or 2.
fn directories(layout: &Layout) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut directories: Vec<PathBuf> = mounts
        .lines()
        .filter_map(hierarchy)
        .map(|hierarchy| Path::new(hierarchy).join(layout.name()))
        .collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

fn hierarchy(mount: &str) -> Option<&str> {
    let (place, kind) = mount.split_once(" - ")?;
    let kind = kind.split(' ').next()?;
    matches!(kind, "cgroup" | "cgroup2").then(|| place.split(' ').nth(4))?
}

/// Children before their parents.
fn visit(group: &Path, act: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(group) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), act);
        }
    }
    act(group);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let one = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        let two = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw";
        let none = "22 27 0:21 / /proc rw,relatime - proc proc rw";
        assert_eq!(hierarchy(one), Some("/sys/fs/cgroup/memory"));
        assert_eq!(hierarchy(two), Some("/sys/fs/cgroup"));
        assert_eq!(hierarchy(none), None);
    }
}
