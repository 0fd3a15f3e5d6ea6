//! One request and what becomes of it under the behaviour in force.

use std::convert::Infallible;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use tokio::time::{Instant, sleep};

use crate::active::{Active, Board};
use crate::answered::LastAnswers;
use crate::behaviour::{Answer, Answers, Socket};
use crate::metrics::Metrics;

pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// Not an answer: the connection is closed as it is.
#[derive(Debug, thiserror::Error)]
#[error("cut the connection on purpose")]
pub(crate) struct Cut;

/// What every connection of a server shares.
pub(crate) struct Site {
    pub(crate) pod: String,
    pub(crate) board: Board,
    pub(crate) metrics: Metrics,
    pub(crate) health: LastAnswers,
}

impl Site {
    /// Answers a request to `path`, or cuts its connection.
    pub(crate) async fn answer(self: Arc<Self>, path: &str) -> Result<Response<Body>, Cut> {
        let active = self.board.current();
        if active.behaviour.socket == Socket::Hang {
            return self.hang(&active).await;
        }
        match path {
            "/metrics" => Ok(self.metrics()),
            "/readyz" if active.behaviour.ready => Ok(self.named(StatusCode::OK)),
            "/readyz" => Ok(self.named(StatusCode::SERVICE_UNAVAILABLE)),
            "/healthz" => {
                let response = self.behave(&active, active.next_health()).await?;
                self.health.add(response.status().as_u16());
                Ok(response)
            }
            _ => {
                let begun = Instant::now();
                let response = self.behave(&active, active.next_traffic()).await?;
                self.metrics.answered(response.status(), begun.elapsed());
                Ok(response)
            }
        }
    }

    async fn behave(
        self: &Arc<Self>,
        active: &Arc<Active>,
        answers: Option<&Answers>,
    ) -> Result<Response<Body>, Cut> {
        let Some(answers) = answers else {
            return Ok(self.named(StatusCode::OK));
        };
        sleep(Duration::from_millis(answers.delay_ms)).await;
        match &answers.answer {
            Answer::Ok => Ok(self.named(StatusCode::OK)),
            Answer::Status(status) => Ok(self.named(status.code())),
            Answer::Redirect(location) => {
                let mut response = self.named(StatusCode::FOUND);
                response.headers_mut().insert(LOCATION, location.header());
                Ok(response)
            }
            Answer::Hang => self.hang(active).await,
            Answer::Close => Err(Cut),
            Answer::Endless => Ok(Response::new(self.endless(active.switch))),
            Answer::DripMs(every) => Ok(Response::new(self.drip(active.switch, *every))),
        }
    }

    /// Holds a request until the next switch, which cuts it: what hung is never answered.
    async fn hang(&self, active: &Active) -> Result<Response<Body>, Cut> {
        self.board.switched_from(active.switch).await;
        Err(Cut)
    }

    /// An answer whose body says which pod gave it.
    fn named(&self, status: StatusCode) -> Response<Body> {
        let mut response = Response::new(whole(self.line()));
        *response.status_mut() = status;
        response
    }

    fn line(&self) -> String {
        format!("{}{}\n", crate::counts::POD_LINE, self.pod)
    }

    fn metrics(&self) -> Response<Body> {
        match self.metrics.text() {
            Ok(text) => {
                let mut response = Response::new(whole(text));
                let kind = HeaderValue::from_static(prometheus::TEXT_FORMAT);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                let mut response = Response::new(whole(format!("{error}\n")));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// The pod's line again and again until the next switch.
    fn endless(self: &Arc<Self>, switch: u64) -> Body {
        // A page and more at a time: a line at a time would spend the machine on system calls.
        let chunk = Bytes::from(self.line().repeat(256));
        let site = Arc::clone(self);
        let chunks = stream::unfold((), move |()| {
            let switched = site.board.current().switch != switch;
            let next = if switched {
                Err(Cut)
            } else {
                Ok(Frame::data(chunk.clone()))
            };
            async move { Some((next, ())) }
        });
        StreamBody::new(chunks).boxed_unsync()
    }

    /// A byte in every so many milliseconds until the next switch.
    fn drip(self: &Arc<Self>, switch: u64, every: NonZeroU64) -> Body {
        let site = Arc::clone(self);
        let every = Duration::from_millis(every.get());
        let drops = stream::unfold(site, move |site| async move {
            let next = tokio::select! {
                () = site.board.switched_from(switch) => Err(Cut),
                () = sleep(every) => Ok(Frame::data(Bytes::from_static(b"."))),
            };
            Some((next, site))
        });
        StreamBody::new(drops).boxed_unsync()
    }
}

fn whole(text: String) -> Body {
    let never = |error: Infallible| match error {};
    Full::from(text).map_err(never).boxed_unsync()
}
