//! `/metrics`, `/healthz` and `/readyz`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use super::{health::Health, metrics::Metrics};

#[derive(Clone)]
pub struct Pages {
    pub metrics: Arc<Metrics>,
    pub health: Arc<Health>,
    /// For `/readyz`: all watches have synced and the policy file is loaded.
    pub ready: Arc<AtomicBool>,
}

/// Binds the address. A host without IPv6 has no `[::]`: there `0.0.0.0` means the same.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Err(_) if listen.ip().is_unspecified() && listen.is_ipv6() => {
            TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, listen.port())).await
        }
        bound => bound,
    }
}

/// Serves the pages for ever.
pub async fn serve(listener: TcpListener, pages: Pages) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(pages);
    axum::serve(listener, routes).await
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthz(State(pages): State<Pages>) -> Response {
    let silent = pages.health.silent();
    if silent.is_empty() {
        return "ok\n".into_response();
    }
    let lines = silent
        .iter()
        .map(|(task, time)| format!("{task} has sent no heartbeat for {} s\n", time.as_secs()));
    (StatusCode::INTERNAL_SERVER_ERROR, lines.collect::<String>()).into_response()
}

async fn readyz(State(pages): State<Pages>) -> Response {
    if pages.ready.load(Ordering::Acquire) {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "not all watches have synced yet\n",
    )
        .into_response()
}
