//! What the API server says in the headers of every answer: its time, and how long to wait before the next request.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, StatusCode, header};
use jiff::fmt::rfc2822;
use kube::{Client, Config};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

use super::connect;
use crate::{clock::Clock, core::time::Moment};

/// The longest wait that the API server can request.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The headers of the last answers.
#[derive(Clone, Debug)]
struct Headers {
    clock: Clock,
    /// No request is sent before this.
    rest: Arc<Mutex<Option<Instant>>>,
}

impl Headers {
    fn rest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the answer to a request that was sent at that moment.
    fn record<Body>(&self, answer: &Response<Body>, sent: Moment) {
        let headers = answer.headers();
        if let Some(date) = text(headers, header::DATE)
            && let Ok(date) = rfc2822::parse(date)
        {
            self.clock.hear(date.timestamp(), sent);
        }
        // In seconds: the API server never sends a date here (`flowcontrol`, `apiserver/pkg/server/filters`).
        if answer.status() == StatusCode::TOO_MANY_REQUESTS
            && let Some(Ok(seconds)) = text(headers, header::RETRY_AFTER).map(str::parse)
        {
            let rest = Duration::from_secs(seconds).min(LONGEST_REST);
            *self.rest() = Some(Instant::now() + rest);
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A client that passes the API server's time on to the clock, and waits as long as the headers request.
pub fn client(config: Config, clock: &Clock) -> Result<Client, kube::Error> {
    let headers = Headers {
        clock: clock.clone(),
        rest: Arc::default(),
    };
    let builder = connect(config)?;
    Ok(builder.with_layer(&ServerHeadersLayer(headers)).build())
}

struct ServerHeadersLayer(Headers);

impl<Inner> Layer<Inner> for ServerHeadersLayer {
    type Service = ServerHeaders<Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        ServerHeaders {
            inner,
            headers: self.0.clone(),
            rest: None,
        }
    }
}

struct ServerHeaders<Inner> {
    inner: Inner,
    headers: Headers,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<Inner, Sent, Body> Service<Request<Sent>> for ServerHeaders<Inner>
where
    Inner: Service<Request<Sent>, Response = Response<Body>>,
    Inner::Future: Send + 'static,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = BoxFuture<'static, Result<Inner::Response, Inner::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let until = self.headers.rest().filter(|end| *end > Instant::now());
        if let Some(until) = until
            && self.rest.is_none()
        {
            self.rest = Some(Box::pin(sleep_until(until)));
        }
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(context));
            self.rest = None;
        }
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let headers = self.headers.clone();
        let sent = headers.clock.moment();
        let answered = self.inner.call(request);
        answered
            .inspect(move |answer| {
                if let Ok(answer) = answer {
                    headers.record(answer, sent);
                }
            })
            .boxed()
    }
}
