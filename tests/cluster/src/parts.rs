//! The cluster's programs, built from Go modules: one set for each folder in `modules/`.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::components::{Component, Extent};
use crate::layout::{self, Layout};
use crate::log;
use crate::programs;
use crate::progress::Progress;

/// A set of programs with one `go.mod`: sets are built apart where their dependencies differ.
#[derive(Clone, Copy, Debug)]
struct Set {
    name: &'static str,
    /// What is built into the programs by the linker.
    stamped: &'static str,
    /// Which parts of them are built.
    tags: &'static str,
    expected: &'static str,
}

const PROMETHEUS: Set = Set {
    name: "prometheus",
    stamped: "-X github.com/prometheus/common/version.Version=3.15.0",
    tags: "remove_all_sd,enable_kubernetes_sd",
    expected: "about 3 minutes",
};

/// No part of the cluster: the kubelet's prober, which a test compares with the agent's.
const PROBER: Set = Set {
    name: "prober",
    stamped: "",
    tags: "",
    expected: "about half a minute",
};

/// No part of the cluster either: what the chart is rendered and installed with.
const HELM: Set = Set {
    name: "helm",
    stamped: "",
    tags: "",
    expected: "about 3 minutes",
};

/// Nor this: Helm 3, and what checks the chart and the workflows.
const CHART_TOOLS: Set = Set {
    name: "chart-tools",
    stamped: "",
    tags: "",
    expected: "about 3 minutes",
};

const SETS: [Set; 8] = [
    Set {
        name: "kubernetes",
        // Without it the programs call themselves v0.0.0, which clients refuse.
        stamped: "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
            -X k8s.io/component-base/version.gitMajor=1 \
            -X k8s.io/component-base/version.gitMinor=36",
        tags: "",
        expected: "about 6 minutes",
    },
    Set {
        name: "node",
        stamped: "",
        tags: "",
        expected: "about a minute",
    },
    Set {
        name: "coredns",
        stamped: "",
        tags: "",
        expected: "about 2 minutes",
    },
    Set {
        name: "metrics-server",
        stamped: "",
        tags: "",
        expected: "about 2 minutes",
    },
    PROMETHEUS,
    PROBER,
    HELM,
    CHART_TOOLS,
];

/// What the compiler is told of every package. The linker would throw away what it writes for debuggers, which takes a tenth
/// of its time.
const COMPILER_FLAGS: &str = "all=-dwarf=false";

/// Builds what has changed since it was built last.
///
/// One set after the other, since they share what each of them would compile again beside another one. Modules are
/// downloaded meanwhile, which takes half a minute for each set, and no processor.
pub(crate) async fn ensure(
    layout: &Layout,
    extent: Extent,
    progress: Progress,
) -> anyhow::Result<()> {
    let wanted = |set: &Set| {
        extent
            .components()
            .any(|component| component.set() == set.name)
    };
    let mut missing = Vec::new();
    for set in SETS.into_iter().filter(wanted) {
        if !set.is_built(layout)? {
            missing.push(set);
        }
    }
    let built = async {
        for set in &missing {
            set.ensure(layout, progress).await?;
        }
        Ok(())
    };
    let fetched = async {
        for set in missing.iter().skip(1) {
            set.fetch().await;
        }
        std::future::pending().await
    };
    tokio::select! {
        built = built => built,
        never = fetched => never,
    }
}

/// What some tests start themselves, wherever the cluster is.
pub(crate) async fn ensure_for_tests(layout: &Layout, progress: Progress) -> anyhow::Result<()> {
    for set in [PROMETHEUS, PROBER, HELM, CHART_TOOLS] {
        set.ensure(layout, progress).await?;
    }
    Ok(())
}

/// What a component's program was built from.
pub(crate) fn description(layout: &Layout, component: Component) -> String {
    let set = SETS.into_iter().find(|set| set.name == component.set());
    set.and_then(|set| fs::read_to_string(set.stamp(layout)).ok())
        .unwrap_or_default()
}

impl Set {
    fn directory(self) -> PathBuf {
        layout::workspace()
            .join("tests/cluster/modules")
            .join(self.name)
    }

    fn stamp(self, layout: &Layout) -> PathBuf {
        layout.programs(self.name).join(".built-from")
    }

    fn linker_flags(self) -> String {
        format!("-s -w {}", self.stamped)
    }

    /// Of everything that decides what comes out.
    fn fingerprint(self) -> anyhow::Result<String> {
        let mut digest = Sha256::new();
        for path in self.files()? {
            digest.update(fs::read(&path).with_context(|| format!("read {}", path.display()))?);
        }
        digest.update(self.linker_flags());
        digest.update(COMPILER_FLAGS);
        digest.update(self.tags);
        Ok(layout::hex(&digest.finalize()))
    }

    /// `go.mod`, `go.sum`, and what a set has of its own.
    fn files(self) -> anyhow::Result<Vec<PathBuf>> {
        let directory = self.directory();
        let read = || -> std::io::Result<Vec<PathBuf>> {
            let entries = fs::read_dir(&directory)?;
            entries.map(|entry| Ok(entry?.path())).collect()
        };
        let mut files = read().with_context(|| format!("read {}", directory.display()))?;
        files.sort();
        Ok(files)
    }

    fn is_built(self, layout: &Layout) -> anyhow::Result<bool> {
        let wanted = self.fingerprint()?;
        Ok(fs::read_to_string(self.stamp(layout)).is_ok_and(|built| built == wanted))
    }

    async fn ensure(self, layout: &Layout, progress: Progress) -> anyhow::Result<()> {
        if self.is_built(layout)? {
            return Ok(());
        }
        let wanted = self.fingerprint()?;
        let stamp = self.stamp(layout);
        let step = progress.begin_long(self.name, &format!("building, {}", self.expected));
        self.build(layout).await?;
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
        step.done("built");
        Ok(())
    }

    fn go(self, command: &str) -> Command {
        let mut go = Command::new("go");
        go.current_dir(self.directory())
            .env("CGO_ENABLED", "0")
            // What a user has set for other modules does not fit these.
            .env("GOWORK", "off")
            .env("GOFLAGS", "-mod=readonly")
            .args([command, "-tags", self.tags])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        go
    }

    /// Downloads the modules of what is built. Where that fails, the build says so.
    async fn fetch(self) {
        let _ = self.go("list").args(["-deps", "tool"]).status().await;
    }

    async fn build(self, layout: &Layout) -> anyhow::Result<()> {
        if programs::find("go").is_none() {
            bail!(
                "the cluster's programs are built with Go, and there is none: install Go 1.26 (https://go.dev/dl)"
            );
        }
        let output = layout.programs(self.name);
        // Beside the place, and put there at once: the old programs may be running.
        let fresh = output.with_extension("new");
        for directory in [&fresh, &layout.logs()] {
            fs::create_dir_all(directory)
                .with_context(|| format!("make {}", directory.display()))?;
        }
        let log = layout.log(&format!("build-{}", self.name));
        let written = fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
        let ended = self
            .go("build")
            .arg("-buildvcs=false")
            .args(["-gcflags", COMPILER_FLAGS])
            .args(["-ldflags", &self.linker_flags()])
            .arg("-o")
            .arg(format!("{}/", fresh.display()))
            .arg("tool")
            .stderr(written)
            .status()
            .await
            .context("run go")?;
        if !ended.success() {
            bail!(
                "building {} ended with {ended}{}",
                self.name,
                log::last_lines(&log)
            );
        }
        let put = || -> std::io::Result<()> {
            if output.exists() {
                fs::remove_dir_all(&output)?;
            }
            fs::rename(&fresh, &output)
        };
        put().with_context(|| format!("put the programs into {}", output.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_its_modules_and_a_fingerprint_of_its_own() {
        let mut fingerprints: Vec<String> =
            SETS.iter().map(|set| set.fingerprint().unwrap()).collect();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), SETS.len());
    }

    #[test]
    fn the_version_that_is_stamped_is_the_one_that_is_built() {
        let kubernetes = SETS[0];
        let modules = fs::read_to_string(kubernetes.directory().join("go.mod")).unwrap();
        let version = modules
            .lines()
            .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
            .and_then(|version| version.split(' ').next())
            .unwrap();
        let stamped = format!("gitVersion=v{version} ");
        assert!(kubernetes.stamped.contains(&stamped), "{version}");
    }

    #[test]
    fn the_prober_is_of_the_same_kubernetes_as_the_kubelet() {
        let version = |set: Set| {
            let modules = fs::read_to_string(set.directory().join("go.mod")).unwrap();
            let line = modules
                .lines()
                .find(|line| line.trim().starts_with("k8s.io/kubernetes v"));
            line.unwrap().trim().replace(" // indirect", "")
        };
        assert_eq!(version(PROBER), version(SETS[0]));
    }
}
