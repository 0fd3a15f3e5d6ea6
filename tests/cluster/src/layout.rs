//! Where everything of the cluster is: directories, names and addresses, all derived from one directory.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// Address of the node and of everything that runs on it outside of pods.
pub(crate) const NODE_ADDRESS: &str = "192.168.77.1";
/// The same with its network.
pub(crate) const NODE_NETWORK: &str = "192.168.77.1/24";
/// Addresses of pods: a /16, so that a test may start thousands.
pub(crate) const POD_NETWORK: &str = "10.244.0.0/16";
/// Addresses of Services.
pub(crate) const SERVICE_NETWORK: &str = "10.96.0.0/16";
/// The API server's own Service, always the first of the network.
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// The name server's Service, as kubeadm has it.
pub(crate) const DNS_ADDRESS: &str = "10.96.0.10";
/// Name of the one node.
pub(crate) const NODE_NAME: &str = "node";
/// Who has read the slices of endpoints, and when.
pub(crate) const AUDIT_LOG: &str = "audit.log";
/// Where the API server is, inside the namespace.
pub(crate) const API_SERVER: &str = "https://192.168.77.1:6443";

/// Longest path of a Unix socket, less what kubelet adds to the directory for its own.
const ROOT_LIMIT: usize = 107 - "/run/kubelet/device-plugins/kubelet.sock".len();

/// The directories and names of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    name: String,
}

impl Layout {
    /// The cluster of this checkout: below `TEST_CLUSTER_DIR`, or else `cluster/` in cargo's target directory.
    pub(crate) fn of_this_checkout() -> anyhow::Result<Self> {
        let root = std::env::var_os("TEST_CLUSTER_DIR")
            .map_or_else(|| target_directory().join("cluster"), PathBuf::from);
        fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
        let root = root
            .canonicalize()
            .with_context(|| format!("resolve {}", root.display()))?;
        ensure!(
            root.as_os_str().len() <= ROOT_LIMIT,
            "{} is too long for the sockets below it, at most {ROOT_LIMIT} characters: set TEST_CLUSTER_DIR",
            root.display()
        );
        Ok(Self::at(root))
    }

    fn at(root: PathBuf) -> Self {
        let digest = hex(&Sha256::digest(root.as_os_str().as_encoded_bytes()));
        let name = format!("pod-quarantine-{}", digest.get(..8).unwrap_or_default());
        Self { root, name }
    }

    /// Name of the network namespace and of the pods' cgroup. It differs from checkout to checkout, so that two clusters
    /// can run side by side.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The directory of everything.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is built; stays when the cluster goes.
    pub(crate) fn programs(&self, set: &str) -> PathBuf {
        self.root.join("bin").join(set)
    }

    /// Image archives; stay when the cluster goes.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The log of a component or of a build; stays until the next start.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }

    /// All logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Everything that goes when the cluster goes.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// A file or directory of the running cluster.
    pub(crate) fn in_run(&self, name: &str) -> PathBuf {
        self.run().join(name)
    }

    /// The same, as an argument or a part of a configuration.
    pub(crate) fn argument(&self, name: &str) -> String {
        self.in_run(name).to_string_lossy().into_owned()
    }

    /// What the kubelet runs without asking the API server.
    pub(crate) fn static_pods(&self) -> PathBuf {
        self.in_run("static-pods")
    }

    /// The admin's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.in_run("kubeconfig")
    }

    /// The kubeconfig of a component.
    pub(crate) fn component_kubeconfig(&self, user: &str) -> String {
        self.argument(&format!("kubeconfigs/{user}"))
    }

    /// containerd's socket.
    pub(crate) fn containerd_socket(&self) -> String {
        self.argument("containerd.sock")
    }

    /// The handle that keeps the network namespace.
    pub(crate) fn namespace_handle(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Writes a file below `run/`, readable for its owner alone: some hold keys.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        write_private(&self.in_run(name), content)
    }
}

fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let written = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?
            .write_all(content.as_bytes())
    };
    written().with_context(|| format!("write {}", path.display()))
}

/// Root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// Cargo's target directory.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_two_checkouts_have_different_names() {
        let one = Layout::at("/one/target/cluster".into());
        let other = Layout::at("/other/target/cluster".into());
        assert_ne!(one.name(), other.name());
        assert_eq!(one.name(), Layout::at("/one/target/cluster".into()).name());
        assert_eq!(one.name().len(), "pod-quarantine-".len() + 8);
    }
}
