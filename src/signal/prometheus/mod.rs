//! One Prometheus query per policy and interval, for all its pods at once: [`run`].
//!
//! Every pod gets a sample per interval; without a pod nothing is asked. Whatever keeps the query from being result in full and in time is `none` for
//! all of them.

mod error;
mod join;
mod pods;
mod result;
mod server;

use std::convert::Infallible;

use tokio::time::{Instant, sleep_until, timeout};

use self::{
    error::QueryError,
    join::read,
    pods::WatchedPods,
    result::{Freshness, QueryResult},
    server::Server,
};
use super::{SignalContext, SignalError, output::SignalOutput, schedule::Schedule};
use crate::core::policy::{PrometheusQuery, PrometheusServer};

/// Asks about the pods of one policy for ever.
pub async fn run(
    context: SignalContext,
    query: PrometheusQuery,
    server: PrometheusServer,
) -> Result<Infallible, SignalError> {
    let policy = context.policy.name.clone();
    let limit = server.timeout.min(query.interval);
    let schedule = Schedule::new(Instant::now(), query.interval);
    let mut turn = schedule.first(&policy, Instant::now());
    let mut server = Server::new(&query.query, server, limit);
    let mut freshness = Freshness::default();
    let mut trouble = Trouble::default();
    let mut watched = WatchedPods::new(context);
    loop {
        watched.meanwhile(sleep_until(turn)).await?;
        let begun = Instant::now();
        // There is none, or the agent stands by.
        if watched.pods().next().is_none() {
            turn = schedule.next(&policy, begun, begun);
            continue;
        }
        let asked = watched.meanwhile(timeout(limit, server.ask())).await?;
        watched.output.queried(begun.elapsed());
        let result = asked
            .unwrap_or(Err(QueryError::Timeout(limit)))
            .and_then(|body| QueryResult::parse(&body))
            .and_then(|result| freshness.check(result));
        trouble.note(&watched.output, result.as_ref().err());
        let at = watched.output.now();
        for (pod, reading) in read(&result, query.threshold, watched.pods()) {
            watched.tell(pod, at, reading).await?;
        }
        turn = schedule.next(&policy, begun, Instant::now());
    }
}

/// Whether the last query failed, and of what: only a change is worth a line in the log.
#[derive(Default)]
struct Trouble(Option<&'static str>);

impl Trouble {
    fn note(&mut self, output: &SignalOutput, error: Option<&QueryError>) {
        let before = self.0;
        self.0 = error.map(|error| error.cause().as_str());
        let policy = &*output.policy;
        if let Some(error) = error {
            output.failed(error.cause());
            if self.0 != before {
                tracing::warn!(policy, cause = self.0, %error, "no answer from Prometheus");
            }
        } else {
            output.succeeded();
            if before.is_some() {
                tracing::warn!(policy, "Prometheus answers again");
            }
        }
    }
}
