//! Why there is no way to the API server that could be tried.

use std::path::PathBuf;

use kube::config::{InClusterError, KubeconfigError};
use rustls::pki_types::pem;

use super::proxy::BadProxy;

/// There is no configuration, or it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// A file that is there, or that the command line names.
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: KubeconfigError,
    },
    /// The command line or the kubeconfig names what the kubeconfig does not have.
    #[error("{kind} {name:?} does not exist")]
    Missing { kind: &'static str, name: String },
    /// Its authority, or what its user signs in with.
    #[error("sign in by the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("read the certificate authority of the cluster")]
    Authority(#[from] pem::Error),
    #[error("read the address of the API server, {server:?}")]
    Server {
        server: String,
        source: http::uri::InvalidUri,
    },
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    #[error("requesting uid, groups or user-extra without impersonating a user: use --as, too")]
    NobodyImpersonated,
    /// Neither a kubeconfig nor a `ServiceAccount`.
    #[error("no kubeconfig names a cluster: {}", looked_at(.0))]
    NotConfigured(Vec<PathBuf>),
    #[error("sign in as the pod's ServiceAccount")]
    InCluster(#[from] InClusterError),
}

fn looked_at(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "there is none".to_owned();
    }
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!("none is in {}", paths.join(", "))
}
