//! Requests to pods through the API server: they work from wherever the API server is reached.

use anyhow::Context as _;
use kube::Client;

/// What a pod answers on a port and path.
pub(crate) async fn get(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    path: &str,
) -> anyhow::Result<String> {
    send(client, "GET", namespace, pod, port, path, String::new()).await
}

/// Puts a text to a pod's port and path, or posts one.
pub(crate) async fn send(
    client: &Client,
    method: &str,
    namespace: &str,
    pod: &str,
    port: u16,
    path: &str,
    body: String,
) -> anyhow::Result<String> {
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
    let request = http::Request::builder()
        .method(method)
        .uri(&uri)
        .body(body.into_bytes())?;
    client
        .request_text(request)
        .await
        .with_context(|| format!("{method} {uri}"))
}
