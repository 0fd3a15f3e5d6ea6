//! An API server that answers as a test says.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt, pending, ready},
    stream,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether a watch goes on after the body, for as long as was asked for.
    pub(crate) lasts: bool,
}

type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// What answers the request for a path, where anything does.
type Behaviour = Arc<dyn Fn(&str) -> Option<Answer> + Send + Sync>;

struct Server {
    behaviour: Behaviour,
    asked: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<AnswerBody>;
    type Error = http::Error;
    type Future = BoxFuture<'static, Result<Response<AnswerBody>, http::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), http::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let uri = request.uri().to_string();
        self.asked.lock().unwrap().push(uri.clone());
        match (self.behaviour)(&uri) {
            Some(answer) => {
                let body = if answer.lasts {
                    watch_body(answer.body, &uri)
                } else {
                    Full::from(answer.body).boxed_unsync()
                };
                ready(Response::builder().status(answer.status).body(body)).boxed()
            }
            None => pending().boxed(),
        }
    }
}

/// The events, and then silence until the time is over.
fn watch_body(events: String, uri: &str) -> AnswerBody {
    let seconds = uri.split("timeoutSeconds=").nth(1).unwrap();
    let seconds = seconds.split('&').next().unwrap().parse().unwrap();
    let ends = Instant::now() + Duration::from_secs(seconds);
    let events = stream::once(ready(Ok::<_, Infallible>(Frame::data(events.into()))));
    let silence = stream::once(sleep_until(ends)).filter_map(|()| ready(None));
    StreamBody::new(events.chain(silence)).boxed_unsync()
}

/// A client of a server that answers so, and what it will have been asked.
pub(crate) fn client(
    behaviour: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let server = Server {
        behaviour: Arc::new(behaviour),
        asked: asked.clone(),
    };
    (Client::new(server, "shop"), asked)
}

pub(crate) fn ok(body: &Value) -> Answer {
    Answer {
        status: 200,
        body: body.to_string(),
        lasts: false,
    }
}

pub(crate) fn refused(code: u16) -> Answer {
    let reason = if code == 404 { "NotFound" } else { "Refused" };
    let status = json!({ "kind": "Status", "code": code, "reason": reason, "message": "no" });
    Answer {
        status: code,
        ..ok(&status)
    }
}

pub(crate) fn list(items: &[Value], version: &str) -> Answer {
    ok(&json!({ "metadata": { "resourceVersion": version }, "items": items }))
}

/// The answer to a watch: these events.
pub(crate) fn events(lines: &[Value]) -> Answer {
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    Answer {
        status: 200,
        body: lines.concat(),
        lasts: true,
    }
}
