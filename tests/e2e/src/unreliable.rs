//! What becomes of requests on a way that cannot be relied on: some come late, get lost, or come twice. Chance decides,
//! from a seed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::ensure;
use axum::{body::Body, http::Method, response::Response};
use fastrand::Rng;
use futures::{StreamExt as _, stream};
use kube::Client;
use test_cluster::wait;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::gate::{Forward as _, Passing, bad_gateway};

/// Longer than the agent waits for any answer.
const IN_VAIN: Duration = Duration::from_secs(12);

/// What was done to requests so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbed {
    /// Held for less than half a second.
    pub delayed: usize,
    /// Writes held for 3 s to 40 s: most arrive when their sender has given them up.
    pub late: usize,
    /// Never sent to the API server.
    pub lost: usize,
    /// Sent; the answer was lost.
    pub unanswered: usize,
    /// Writes sent a second time, within half a second.
    pub repeated: usize,
    /// Writes sent a second time, 1 s to 40 s later.
    pub repeated_late: usize,
    /// Watches whose events came up to 3 s late, so that two agents see two clusters.
    pub lagging: usize,
    /// Watches that broke off.
    pub cut: usize,
}

/// A way that disturbs requests until [`Unreliable::calm`] is called.
pub(crate) struct Unreliable {
    chance: Mutex<(Rng, Disturbed)>,
    calm: watch::Sender<bool>,
    /// Held by each request that the API server may yet get.
    under_way: Arc<()>,
}

/// What becomes of one request.
#[derive(Default)]
struct Fate {
    delay: Duration,
    lost: Option<Lost>,
    again: Option<Duration>,
    lag: Option<Duration>,
    cut: Option<Duration>,
}

enum Lost {
    Request,
    /// Not even the loss of the connection reaches the sender.
    RequestInSilence,
    Answer,
}

impl Unreliable {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            chance: Mutex::new((Rng::with_seed(seed), Disturbed::default())),
            calm: watch::Sender::new(false),
            under_way: Arc::default(),
        }
    }

    pub(crate) fn disturbed(&self) -> Disturbed {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Disturbs nothing any more. What is late arrives now; waits until it has.
    pub(crate) async fn calm(&self) -> anyhow::Result<()> {
        self.calm.send_replace(true);
        wait::until("late requests arrive", IN_VAIN * 2, async || {
            let held = Arc::strong_count(&self.under_way) - 1;
            ensure!(held == 0, "{held} are under way");
            Ok(())
        })
        .await
    }

    /// Takes a request to the API server, more or less; gives what its sender gets.
    pub(crate) async fn carry(self: Arc<Self>, api_server: Client, request: Passing) -> Response {
        let fate = self.fate(&request);
        // A task of its own: what was sent arrives, whether or not its sender still lives.
        let sent = tokio::spawn(self.send(api_server, request, fate));
        sent.await.unwrap_or_else(|_| broken())
    }

    async fn send(self: Arc<Self>, api_server: Client, request: Passing, fate: Fate) -> Response {
        let under_way = self.under_way.clone();
        self.pause(fate.delay).await;
        match fate.lost {
            Some(Lost::Request) => return broken(),
            Some(Lost::RequestInSilence) => {
                self.pause(IN_VAIN).await;
                return broken();
            }
            Some(Lost::Answer) | None => {}
        }
        let answer = api_server.forward(&request).await;
        if let Some(later) = fate.again {
            let way = self.clone();
            tokio::spawn(async move {
                way.pause(later).await;
                let _ = api_server.forward(&request).await;
                drop(under_way);
            });
        }
        if matches!(fate.lost, Some(Lost::Answer)) {
            return broken();
        }
        let mut answer = answer.unwrap_or_else(bad_gateway);
        if let Some(lag) = fate.lag {
            answer = lagging(answer, lag);
        }
        // One that lags is cut, too, once all is calm: what lags is a fault.
        let after = fate.cut.or(fate.lag.and(Some(Duration::MAX)));
        match after {
            Some(after) => cut(answer, async move { self.pause(after).await }),
            None => answer,
        }
    }

    async fn pause(&self, time: Duration) {
        let mut calm = self.calm.subscribe();
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = calm.wait_for(|calm| *calm) => {}
        }
    }

    fn fate(&self, request: &Passing) -> Fate {
        if *self.calm.borrow() {
            return Fate::default();
        }
        let write = request.method != Method::GET;
        let watch = request
            .uri
            .query()
            .is_some_and(|query| query.contains("watch="));
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let (rng, disturbed) = &mut *chance;
        let mut fate = Fate::default();
        // Changes of pods are few, and what this is for.
        let (late, again_late) = if request.is_pod_patch() {
            (10, 25)
        } else {
            (3, 6)
        };
        match rng.u8(0..100) {
            rare if write && rare < late => {
                disturbed.late += 1;
                fate.delay = between(rng, 3_000, 40_000);
            }
            0..25 => {
                disturbed.delayed += 1;
                fate.delay = between(rng, 20, 400);
            }
            _ => {}
        }
        // An agent follows some twenty kinds, and begins nothing while one of the watches does not come about.
        let rarely = if write { 1 } else { 4 };
        match rng.u16(0..100 * rarely) {
            0..5 => {
                disturbed.lost += 1;
                fate.lost = Some(Lost::Request);
            }
            5..8 if write => {
                disturbed.lost += 1;
                fate.lost = Some(Lost::RequestInSilence);
            }
            8..14 => {
                disturbed.unanswered += 1;
                fate.lost = Some(Lost::Answer);
            }
            _ => {}
        }
        let arrives = !matches!(fate.lost, Some(Lost::Request | Lost::RequestInSilence));
        match rng.u8(0..100) {
            0..8 if write && arrives => {
                disturbed.repeated += 1;
                fate.again = Some(between(rng, 0, 400));
            }
            often if write && arrives && (8..8 + again_late).contains(&often) => {
                disturbed.repeated_late += 1;
                fate.again = Some(between(rng, 1_000, 40_000));
            }
            0..5 if watch => {
                disturbed.cut += 1;
                fate.cut = Some(between(rng, 500, 20_000));
            }
            _ => {}
        }
        if watch && rng.u8(0..3) > 0 {
            disturbed.lagging += 1;
            fate.lag = Some(between(rng, 50, 3_000));
        }
        fate
    }
}

fn between(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.u64(least..=most))
}

fn gone() -> io::Error {
    io::Error::other("the connection is lost")
}

/// An answer whose connection breaks before its end.
fn broken() -> Response {
    let nothing = stream::once(async { Err::<Vec<u8>, _>(gone()) });
    Response::new(Body::from_stream(nothing))
}

/// Events in a watch that lags, all but those of a very busy cluster.
const BEHIND: usize = 10_000;

/// The answer, each part as much later as the others.
fn lagging(answer: Response, lag: Duration) -> Response {
    let late = move |part| {
        let arrives = Instant::now() + lag;
        async move {
            sleep_until(arrives).await;
            part
        }
    };
    answer.map(|body| Body::from_stream(body.into_data_stream().map(late).buffered(BEHIND)))
}

/// The answer, until its connection breaks.
fn cut(answer: Response, end: impl Future<Output = ()> + Send + 'static) -> Response {
    answer.map(|body| {
        let body = body
            .into_data_stream()
            .map(|part| part.map_err(io::Error::other));
        let part = body.take_until(end);
        Body::from_stream(part.chain(stream::once(async { Err(gone()) })))
    })
}
