//! How the API server is reached: by a kubeconfig, else as the pod's `ServiceAccount`.

use std::path::{Path, PathBuf};

use kube::{
    Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// Nothing says how, or what says it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClientConfigError {
    /// The file that was named.
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: KubeconfigError,
    },
    /// The usual files, or a context in them.
    #[error("sign in by the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    /// Neither a kubeconfig nor a `ServiceAccount`.
    #[error("sign in to the cluster")]
    Infer(#[from] InferConfigError),
}

/// What the kubeconfig, or the `ServiceAccount`, says. Nothing is asked twice: what did not succeed is decided afresh.
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
    // Two providers are compiled in nowhere, but the default must be named once; a second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    config.default_retry = false;
    Ok(config)
}
