//! What the API server says in the headers of every answer: its time, and how long to wait before the next request.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use kube::{Client, Config, client::ClientBuilder};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

/// Clocks further apart than this cannot be trusted. `Date` has whole seconds, and answers take some time.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(60);

/// The longest wait that the API server can request.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The headers of the last answers.
#[derive(Clone, Debug, Default)]
pub struct Headers(Arc<Mutex<LastHeaders>>);

#[derive(Clone, Copy, Debug, Default)]
struct LastHeaders {
    /// How far the API server's clock is ahead of this one.
    ahead: Option<SignedDuration>,
    /// No request is sent before this.
    rest: Option<Instant>,
}

impl Headers {
    /// How far the API server's clock is ahead of the agent's; `None` before its first answer.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        self.last().ahead
    }

    /// Whether the clocks are more than a minute apart.
    #[must_use]
    pub fn clocks_are_apart(&self) -> bool {
        self.ahead().is_some_and(|ahead| ahead.abs() > CLOCKS_APART)
    }

    fn last(&self) -> MutexGuard<'_, LastHeaders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record<Body>(&self, answer: &Response<Body>) {
        let headers = answer.headers();
        let mut last = self.last();
        if let Some(date) = text(headers, header::DATE)
            && let Ok(date) = rfc2822::parse(date)
        {
            last.ahead = Some(date.timestamp().duration_since(Timestamp::now()));
        }
        // In seconds: the API server never sends a date here (`flowcontrol`, `apiserver/pkg/server/filters`).
        if answer.status() == StatusCode::TOO_MANY_REQUESTS
            && let Some(Ok(seconds)) = text(headers, header::RETRY_AFTER).map(str::parse)
        {
            let rest = Duration::from_secs(seconds).min(LONGEST_REST);
            last.rest = Some(Instant::now() + rest);
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A client that records the headers, and waits as long as they request.
pub fn client(config: Config) -> Result<(Client, Headers), kube::Error> {
    let headers = Headers::default();
    let client = ClientBuilder::try_from(config)?
        .with_layer(&ServerHeadersLayer(headers.clone()))
        .build();
    Ok((client, headers))
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
        let until = self.headers.last().rest.filter(|end| *end > Instant::now());
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
        let answered = self.inner.call(request);
        answered
            .inspect(move |answer| {
                if let Ok(answer) = answer {
                    headers.record(answer);
                }
            })
            .boxed()
    }
}
