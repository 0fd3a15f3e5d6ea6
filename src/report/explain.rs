//! `/pods/NAMESPACE/NAME`: what the decider knows of one pod, served on the loopback only.
//!
//! The API server's proxy would not pass on which user asks; a port-forward requires the right to reach the agent's pod.

use std::{io, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::{
    core::{explain::Explanation, object::ObjectKey},
    deadline::within,
};

/// How long the decider may take to answer; the health check allows it less.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A question to the decider.
#[derive(Debug)]
pub struct Question {
    pub pod: ObjectKey,
    pub answer: oneshot::Sender<Explanation>,
}

/// Serves the page for ever.
pub async fn serve(listener: TcpListener, decider: mpsc::Sender<Question>) -> io::Result<()> {
    let routes = Router::new()
        .route("/pods/{namespace}/{name}", get(explain))
        .with_state(decider);
    axum::serve(listener, routes).await
}

async fn explain(
    State(decider): State<mpsc::Sender<Question>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let (answer, answered) = oneshot::channel();
    let question = Question {
        pod: ObjectKey::new(namespace, name),
        answer,
    };
    let asked = async {
        decider.send(question).await.ok()?;
        answered.await.ok()
    };
    match within(TIMEOUT, asked).await {
        Ok(Some(explanation)) => Json(explanation).into_response(),
        // The agent is stopping.
        Ok(None) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(timed_out) => (StatusCode::GATEWAY_TIMEOUT, format!("{timed_out}\n")).into_response(),
    }
}
