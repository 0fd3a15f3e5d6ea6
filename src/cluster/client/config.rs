//! How to reach the API server: by a kubeconfig, else as the pod's `ServiceAccount`.

use std::path::{Path, PathBuf};

use kube::{
    Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// There is no configuration, or it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// The kubeconfig of the command line.
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: KubeconfigError,
    },
    /// The usual kubeconfig, or a context in it.
    #[error("sign in by the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig nor a `ServiceAccount`.
    #[error("sign in to the cluster")]
    Infer(#[from] InferConfigError),
}

/// The client's configuration from the kubeconfig or the `ServiceAccount`. The client retries nothing: what failed is
/// decided again.
pub async fn client_config(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Config, ClientConfigError> {
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig =
                Kubeconfig::read_from(path).map_err(|source| ClientConfigError::Read {
                    path: path.to_owned(),
                    source,
                })?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await?
        }
        None if context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    };
    // Only one provider is compiled in, but it must be installed once; a second time it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.default_retry = false;
    Ok(config)
}
