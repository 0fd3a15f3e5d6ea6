//! How to reach the API server: by a kubeconfig, else as the pod's `ServiceAccount`; through a proxy, or not.

use std::{env, path::Path};

use http::Uri;
use kube::{Config, config::ExecAuthCluster};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    config_error::ClientConfigError,
    kubeconfig::{Chosen, ConnectionFlags, choose, read},
    proxy::proxy_of,
};

/// The `ServiceAccount`'s token in a pod.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The client's configuration from the kubeconfig or the `ServiceAccount`. The client retries nothing: what failed is
/// decided again.
pub fn client_config(flags: &ConnectionFlags) -> Result<Config, ClientConfigError> {
    let listed = env::var_os("KUBECONFIG");
    let (kubeconfig, paths) = read(flags.kubeconfig.as_deref(), listed.as_deref())?;
    let (mut config, proxy) = match choose(kubeconfig, flags)? {
        Some(chosen) => of_kubeconfig(chosen)?,
        None if is_in_pod() => {
            let mut config = Config::incluster()?;
            flags.to_user.change(&mut config.auth_info)?;
            (config, None)
        }
        None => return Err(ClientConfigError::NotConfigured(paths)),
    };
    let variable = |name: &str| env::var(name).ok();
    config.proxy_url = proxy_of(&config.cluster_url, proxy.as_deref(), variable)?;
    // Only one provider is compiled in, but it must be installed once; a second time it is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(config)
}

/// As client-go decides it.
fn is_in_pod() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("KUBERNETES_SERVICE_HOST")
        && is_set("KUBERNETES_SERVICE_PORT")
        && Path::new(TOKEN).is_file()
}

/// The configuration, and the cluster's own proxy. kube would make the configuration, too, but it reads `HTTPS_PROXY` in
/// its own way while it does.
fn of_kubeconfig(chosen: Chosen) -> Result<(Config, Option<String>), ClientConfigError> {
    let Chosen {
        context,
        cluster,
        server,
        mut user,
    } = chosen;
    // The only way to the authority's bytes that kube has, be they in the kubeconfig or in a file.
    let for_exec = ExecAuthCluster::try_from(&cluster)?;
    let mut authority = None;
    if let Some(pem) = &for_exec.certificate_authority_data {
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate?.to_vec());
        }
        authority = Some(certificates);
    }
    let is_insecure = cluster.insecure_skip_tls_verify.unwrap_or(false);
    let has_tls = authority.is_some()
        || is_insecure
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some();
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        exec.cluster = Some(for_exec);
    }
    let mut config = Config::new(server_uri(&server, has_tls)?);
    if let Some(namespace) = context.namespace.filter(|name| !name.is_empty()) {
        config.default_namespace = namespace;
    }
    config.root_cert = authority;
    config.accept_invalid_certs = is_insecure;
    config.tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    config.auth_info = user;
    Ok((config, cluster.proxy_url))
}

/// The address of the API server. Without a scheme it is https where anything about TLS is configured, as in client-go.
fn server_uri(server: &str, has_tls: bool) -> Result<Uri, ClientConfigError> {
    let whole = match (server.contains("://"), has_tls) {
        (true, _) => server.to_owned(),
        (false, true) => format!("https://{server}"),
        (false, false) => format!("http://{server}"),
    };
    whole.parse().map_err(|source| ClientConfigError::Server {
        server: server.to_owned(),
        source,
    })
}
