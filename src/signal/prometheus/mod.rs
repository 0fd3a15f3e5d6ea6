//! One Prometheus query per policy and interval, for all its pods at once: [`run`].
//!
//! Every pod gets a sample per interval; without a pod nothing is asked. Whatever keeps the query from being answered in full and in time is `none` for
//! all of them.

mod answer;
mod error;
mod join;
mod server;
mod watched;

use std::convert::Infallible;

use tokio::time::{Instant, sleep_until, timeout};

use self::{
    answer::{Answered, Freshness},
    error::QueryError,
    join::read,
    server::Server,
    watched::Watched,
};
use super::{SignalError, Wiring, outlet::Outlet, pace::Pace};
use crate::core::policy::{PrometheusQuery, PrometheusServer};

/// Asks about the pods of one policy for ever.
pub async fn run(
    wiring: Wiring,
    query: PrometheusQuery,
    server: PrometheusServer,
) -> Result<Infallible, SignalError> {
    let policy = wiring.policy.name.clone();
    let limit = server.timeout.min(query.interval);
    let pace = Pace::new(Instant::now(), query.interval);
    let mut turn = pace.first(&policy, Instant::now());
    let mut server = Server::new(&query.query, server, limit);
    let mut freshness = Freshness::default();
    let mut trouble = Trouble::default();
    let mut watched = Watched::new(wiring);
    loop {
        watched.meanwhile(sleep_until(turn)).await?;
        let begun = Instant::now();
        // There is none, or the agent stands by.
        if watched.pods().next().is_none() {
            turn = pace.next(&policy, begun, begun);
            continue;
        }
        let asked = watched.meanwhile(timeout(limit, server.ask())).await?;
        watched.outlet.queried(begun.elapsed());
        let answered = asked
            .unwrap_or(Err(QueryError::Timeout(limit)))
            .and_then(|body| Answered::parse(&body))
            .and_then(|answered| freshness.check(answered));
        trouble.note(&watched.outlet, answered.as_ref().err());
        let at = watched.outlet.now();
        for (pod, reading) in read(&answered, query.threshold, watched.pods()) {
            watched.tell(pod, at, reading).await?;
        }
        turn = pace.next(&policy, begun, Instant::now());
    }
}

/// Whether the last query failed, and of what: only a change is worth a line in the log.
#[derive(Default)]
struct Trouble(Option<&'static str>);

impl Trouble {
    fn note(&mut self, outlet: &Outlet, error: Option<&QueryError>) {
        let before = self.0;
        self.0 = error.map(|error| error.cause().as_str());
        let policy = &*outlet.policy;
        if let Some(error) = error {
            outlet.failed(error.cause());
            if self.0 != before {
                tracing::warn!(policy, cause = self.0, %error, "no answer from Prometheus");
            }
        } else {
            outlet.succeeded();
            if before.is_some() {
                tracing::warn!(policy, "Prometheus answers again");
            }
        }
    }
}
