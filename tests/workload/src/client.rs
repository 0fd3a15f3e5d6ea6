//! The client: puts traffic on an address at a steady rate and counts what comes back.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout, timeout_at};

use crate::counts::{Counts, ErrorKind};
use crate::request::{Answer, Connection, Error, Target};
use crate::serve;

/// What a client starts with.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Address that gets the traffic, as in <http://web.shop:80/>
    #[arg(long)]
    pub url: Target,
    /// At most this many requests at a time; with --keep-alive also the connections kept
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Requests per second, over all connections
    // More than one in a millisecond is finer than the timer.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Keep connections, as most programs do
    #[arg(long, conflicts_with = "fresh")]
    pub keep_alive: bool,
    /// A fresh connection for every request, the name resolved again: the default
    #[arg(long)]
    pub fresh: bool,
    /// How long a request may take, connecting included
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub timeout: Duration,
    /// End after this time and print the counts
    #[arg(long = "for", value_parser = duration)]
    pub bounded: Option<Duration>,
    /// Address to listen on
    #[arg(long, env = "BIND", default_value = "0.0.0.0")]
    pub bind: IpAddr,
    /// Port on which the counts are read and reset; 0 takes a free one
    #[arg(long, env = "CONTROL_PORT", default_value_t = 8081)]
    pub control_port: u16,
}

/// Reads `2s`, `500ms`, `1m 30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    match Duration::try_from(signed) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("{text} is not a time above 0")),
    }
}

/// A running client; it ends when dropped.
pub struct Client {
    /// Where the counts are.
    pub control: SocketAddr,
    tally: Arc<Tally>,
    control_task: JoinSet<std::io::Result<()>>,
    workers: JoinSet<()>,
}

impl Client {
    /// Opens the control port and begins to send.
    pub async fn start(settings: Settings) -> Result<Self, serve::Error> {
        let (port, control) = serve::listen(settings.bind, settings.control_port).await?;
        let tally = Arc::new(Tally(Mutex::new(Counts::new(Timestamp::now()))));
        let router = Router::new()
            .route("/counts", get(read))
            .route("/counts/reset", post(reset))
            .with_state(Arc::clone(&tally));
        let mut control_task = JoinSet::new();
        control_task.spawn(async move { axum::serve(port, router).await });

        let end = settings.bounded.map(|time| Instant::now() + time);
        let pace = Arc::new(pace(settings.rate));
        let mut workers = JoinSet::new();
        for _ in 0..settings.connections {
            let (tally, pace) = (Arc::clone(&tally), Arc::clone(&pace));
            workers.spawn(work(settings.clone(), end, pace, tally));
        }
        Ok(Self {
            control,
            tally,
            control_task,
            workers,
        })
    }

    /// What came back so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.lock().clone()
    }

    /// Returns when all is sent and answered, which an unbounded client never is.
    pub async fn finished(&mut self) -> Result<Counts, serve::Error> {
        loop {
            tokio::select! {
                worker = self.workers.join_next() => match worker {
                    Some(Ok(())) => {}
                    None => return Ok(self.counts()),
                    died => return Err(serve::Error::Died(format!("{died:?}"))),
                },
                died = self.control_task.join_next() => {
                    return Err(serve::Error::Died(format!("{died:?}")));
                }
            }
        }
    }
}

struct Tally(Mutex<Counts>);

impl Tally {
    /// Counts are whole after every step, so a poisoned lock does no harm.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(State(tally): State<Arc<Tally>>) -> Json<Counts> {
    Json(tally.lock().clone())
}

/// Resets the counts and returns what was counted until then, so that nothing falls between.
async fn reset(State(tally): State<Arc<Tally>>) -> Json<Counts> {
    let fresh = Counts::new(Timestamp::now());
    Json(std::mem::replace(&mut *tally.lock(), fresh))
}

/// One clock for all: whichever worker is free takes the next beat, so that the rate holds while
/// some of them wait for a pod that hangs.
type Pace = tokio::sync::Mutex<Interval>;

fn pace(rate: u32) -> Pace {
    let mut interval = interval(Duration::from_secs(1) / rate);
    // Beats that all missed are lost: no burst after a stall.
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    Pace::new(interval)
}

async fn work(settings: Settings, end: Option<Instant>, pace: Arc<Pace>, tally: Arc<Tally>) {
    let beat = async || pace.lock().await.tick().await;
    let mut kept = None;
    loop {
        if let Some(end) = end {
            // A beat that was missed is due at once, which is before any timeout.
            if timeout_at(end, beat()).await.is_err() || Instant::now() >= end {
                return;
            }
        } else {
            beat().await;
        }
        let exchange = exchange(&settings, kept.take());
        match timeout(settings.timeout, exchange).await {
            Ok(Ok((answer, connection))) => {
                kept = connection;
                tally.lock().answered(answer.status.as_u16(), &answer.body);
            }
            Ok(Err(error)) => tally.lock().failed(error.kind()),
            Err(_) => tally.lock().failed(ErrorKind::Timeout),
        }
    }
}

/// One request, on the kept connection where it is still good. Returns the connection if it is to
/// be kept.
async fn exchange(
    settings: &Settings,
    kept: Option<Connection>,
) -> Result<(Answer, Option<Connection>), Error> {
    let mut usable = None;
    if let Some(mut connection) = kept
        && connection.usable().await
    {
        usable = Some(connection);
    }
    let mut connection = match usable {
        Some(connection) => connection,
        None => Connection::open(&settings.url).await?,
    };
    let keep = settings.keep_alive;
    let answer = connection
        .send(&settings.url, Method::GET, String::new(), keep)
        .await?;
    Ok((answer, keep.then_some(connection)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "2", "-2s", "0s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
