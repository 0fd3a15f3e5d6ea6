//! One Prometheus query per policy and interval, for all its pods at once: [`run`].
//!
//! Every pod gets a sample per interval; without pods there is no query. If the query is not answered completely and in
//! time, all samples are `none`.

mod error;
mod join;
mod pods;
mod result;
mod series_labels;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

pub use self::join::PodReading;
use self::{
    error::QueryError,
    join::read,
    pods::WatchedPods,
    result::{Freshness, QueryResult},
    server::Server,
};
use super::{
    ErrorCause, Remark, SignalContext, SignalError, SignalEvent, SignalTarget,
    output::SignalOutput, schedule::Schedule,
};
use crate::{
    core::{
        object::Uid,
        policy::{PodLabels, PrometheusQuery, PrometheusServer},
    },
    deadline::within,
};

/// Queries about the pods of one policy for ever.
pub async fn run(
    context: SignalContext,
    query: PrometheusQuery,
    server: PrometheusServer,
) -> Result<Infallible, SignalError> {
    let policy = context.policy.name.clone();
    let limit = server.timeout.min(query.interval);
    let labels = server.labels.clone();
    let schedule = Schedule::new(Instant::now(), query.interval);
    let mut turn = schedule.first(&policy, Instant::now());
    let mut server = Server::new(&query.query, server, limit);
    let mut freshness = Freshness::default();
    let mut last_error = LastError::default();
    let mut remarks = Remarks::default();
    let mut pods = WatchedPods::new(context);
    loop {
        pods.wait_for(sleep_until(turn)).await?;
        let begun = Instant::now();
        // There are no pods, or the agent is a standby.
        if pods.iter().next().is_none() {
            turn = schedule.next(&policy, begun, begun);
            continue;
        }
        // What the answer says is of this time, however long it takes.
        let asked = pods.output.now();
        let answer = pods.wait_for(within(limit, server.ask())).await?;
        pods.output.observe(SignalEvent::Query(begun.elapsed()));
        let at = pods.output.now();
        let result = answer
            .unwrap_or_else(|timed_out| Err(timed_out.into()))
            .and_then(|body| QueryResult::parse(&body, &labels))
            .and_then(|result| freshness.check(result, query.interval, at.wall));
        last_error.update(&pods.output, result.as_ref().err());
        if let Ok(result) = &result {
            remarks.report(&pods.output, &result.remarks);
        }
        for (pod, reading) in read(&result, &query, asked.wall, pods.iter()) {
            pods.send(pod, asked, reading).await?;
        }
        turn = schedule.next(&policy, begun, Instant::now());
    }
}

/// What the body of an answer, the first one to its query, says about each pod: the part of [`run`] without a server.
pub fn read_answer<'a>(
    body: &[u8],
    query: &PrometheusQuery,
    labels: &PodLabels,
    now: Timestamp,
    pods: impl Iterator<Item = &'a SignalTarget>,
) -> Vec<(Uid, PodReading)> {
    let result = QueryResult::parse(body, labels)
        .and_then(|result| Freshness::default().check(result, query.interval, now));
    read(&result, query, now, pods)
}

/// Why the last query failed, if it did: only a change is logged.
#[derive(Default)]
struct LastError(Option<ErrorCause>);

impl LastError {
    fn update(&mut self, output: &SignalOutput, error: Option<&QueryError>) {
        let before = self.0;
        self.0 = error.map(QueryError::cause);
        let policy = &*output.policy;
        if let Some(error) = error {
            let cause = error.cause();
            output.observe(SignalEvent::Error(cause));
            if before != Some(cause) {
                let cause = cause.as_str();
                tracing::warn!(policy, cause, %error, "no answer from Prometheus");
            }
        } else {
            output.observe(SignalEvent::Success);
            if before.is_some() {
                tracing::warn!(policy, "Prometheus answers again");
            }
        }
    }
}

/// The remarks that were logged: each once, since it is there in every answer until somebody mends the query or the
/// scraping.
#[derive(Default)]
struct Remarks(BTreeSet<Remark>);

impl Remarks {
    fn report(&mut self, output: &SignalOutput, remarks: &BTreeMap<Remark, String>) {
        let policy = &*output.policy;
        for (remark, about) in remarks {
            output.observe(SignalEvent::Remark(*remark));
            if !self.0.insert(*remark) {
                continue;
            }
            match remark {
                Remark::Engine => {
                    tracing::warn!(policy, remark = %about, "Prometheus remarks on the query; its answers count");
                }
                Remark::Exported => tracing::warn!(
                    policy,
                    exporter = %about,
                    "series of an exporter tell of other pods (exported_pod), and say nothing of the exporter: \
                     scrape it with honorLabels, or name their labels in prometheus.namespaceLabel and podLabel"
                ),
            }
        }
    }
}
