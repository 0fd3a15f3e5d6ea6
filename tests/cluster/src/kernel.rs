//! Settings of the machine's kernel that the kubelet changes for good: put back when the cluster goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::layout::Layout;

/// Those that the kubelet raises to what it wants, whatever it is told. With two of them the machine restarts where it
/// would have gone on.
const SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

const KEPT: &str = "kernel-settings.json";

/// Writes down what they are, before the kubelet is first started.
pub(crate) fn keep(layout: &Layout) -> anyhow::Result<()> {
    let settings: BTreeMap<&str, String> = SETTINGS
        .into_iter()
        .filter_map(|setting| Some((setting, fs::read_to_string(path(setting)).ok()?)))
        .collect();
    let text = serde_json::to_string(&settings).context("write kernel settings down")?;
    layout.write(KEPT, &text)
}

/// Puts back what was written down.
pub(crate) fn restore(layout: &Layout) {
    let kept = fs::read_to_string(layout.in_run(KEPT)).unwrap_or_default();
    let settings: BTreeMap<String, String> = serde_json::from_str(&kept).unwrap_or_default();
    for (setting, value) in settings {
        // What cannot be written the kubelet could not write either.
        let _ = fs::write(path(&setting), value);
    }
}

fn path(setting: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(setting)
}
