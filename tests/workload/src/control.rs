//! The control port of a pod: `GET` and `PUT /behaviour`, `GET /answers`. It is apart from the traffic port, so
//! that a pod which refuses or hangs can still be switched.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::answer::Site;
use crate::answered::Answered;
use crate::behaviour::Behaviour;

/// How long a switch may take. It is a matter of a `bind`; a port that is not to be had in this
/// time is another's.
const SWITCH: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Controls {
    site: Arc<Site>,
    applied: watch::Receiver<u64>,
}

pub(crate) fn router(site: Arc<Site>, applied: watch::Receiver<u64>) -> Router {
    Router::new()
        .route("/behaviour", get(read).put(switch))
        .route("/answers", get(answers))
        .with_state(Controls { site, applied })
}

async fn read(State(controls): State<Controls>) -> Json<Behaviour> {
    Json(controls.site.board.current().behaviour.clone())
}

async fn answers(State(controls): State<Controls>) -> Json<Vec<Answered>> {
    Json(controls.site.health.all())
}

/// Answers once the switch is in force: the next connection meets it.
async fn switch(State(mut controls): State<Controls>, body: String) -> Response {
    let behaviour: Behaviour = match body.parse() {
        Ok(behaviour) => behaviour,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match serde_json::to_string(&behaviour) {
        Ok(json) => println!("switched to {json}"),
        Err(error) => println!("switched, and cannot write to what: {error}"),
    }
    let switch = controls.site.board.switch(behaviour.clone());
    let in_force = controls.applied.wait_for(|applied| *applied >= switch);
    if matches!(timeout(SWITCH, in_force).await, Ok(Ok(_))) {
        Json(behaviour).into_response()
    } else {
        let reason = "the traffic port does not follow the switch\n";
        (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
    }
}
