//! What the traffic on the Service met, in short windows one after the other.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use jiff::Timestamp;
use test_e2e::Traffic;
use test_workload::counts::Counts;
use tokio::{sync::watch, task::JoinSet, time::timeout};

/// How exactly the last bad answer can be placed. Each window costs a request through the API server.
const WINDOW: Duration = Duration::from_millis(250);

/// How long all answers must have been good.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// How long they may take to become so.
const LIMIT: Duration = Duration::from_secs(30);

/// What came back between two looks.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    count: Count,
}

/// Answers, and requests that got none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    /// All requests.
    pub(crate) all: u64,
    /// Answered with a 5xx.
    pub(crate) errors: u64,
    /// Not answered, or with anything else that is not 200.
    pub(crate) others: u64,
}

impl Count {
    fn of(counts: &Counts) -> Self {
        let answers = counts.by_pod.values().flatten();
        let mut count = Self::default();
        for (code, times) in answers {
            count.all += times;
            match code {
                200 => {}
                500..600 => count.errors += times,
                _ => count.others += times,
            }
        }
        let failed: u64 = counts.errors.values().sum();
        count.all += failed;
        count.others += failed;
        count
    }

    fn add(&mut self, more: Self) {
        self.all += more.all;
        self.errors += more.errors;
        self.others += more.others;
    }

    /// Whether not one request failed.
    pub(crate) fn is_good(self) -> bool {
        self.errors + self.others == 0
    }
}

/// That requests are all good again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// When the last window with a bad answer ended, if there was one.
    pub(crate) last_bad: Option<Timestamp>,
    /// When they had been good for long enough.
    pub(crate) at: Timestamp,
    /// Until `last_bad`.
    pub(crate) before: Count,
    /// After it.
    pub(crate) after: Count,
}

#[derive(Debug, Default)]
struct State {
    windows: Vec<Window>,
    broken: Option<String>,
}

/// Follows the traffic until it is dropped.
pub(crate) struct Pulse {
    state: watch::Sender<State>,
    _task: JoinSet<()>,
}

impl Pulse {
    /// Begins to look at it.
    pub(crate) fn begin(traffic: Arc<Traffic>) -> Self {
        let state = watch::Sender::new(State::default());
        let mut task = JoinSet::new();
        task.spawn(follow(traffic, state.clone()));
        Self { state, _task: task }
    }

    /// Waits until all requests have been good for two seconds.
    pub(crate) async fn recovered(&self, since: Timestamp) -> anyhow::Result<Recovery> {
        let mut state = self.state.subscribe();
        let recovered = |state: &State| recovery(&state.windows, since);
        let found = timeout(LIMIT, state.wait_for(|state| recovered(state).is_some())).await;
        if let Ok(Ok(state)) = found
            && let Some(recovery) = recovered(&state)
        {
            return Ok(recovery);
        }
        let state = self.state.borrow();
        let Count {
            all,
            errors,
            others,
        } = sum(&state.windows, since);
        let broken = state.broken.iter().map(|why| format!("; {why}"));
        bail!(
            "two seconds of good answers: not within {} s; {all} requests, {errors} with a 5xx, {others} that failed otherwise{}",
            LIMIT.as_secs(),
            broken.collect::<String>()
        )
    }

    /// What came back since then.
    pub(crate) fn since(&self, since: Timestamp) -> Count {
        sum(&self.state.borrow().windows, since)
    }
}

async fn follow(traffic: Arc<Traffic>, state: watch::Sender<State>) {
    let mut from = Timestamp::now();
    loop {
        tokio::time::sleep(WINDOW).await;
        let counted = traffic.reset().await;
        let to = Timestamp::now();
        state.send_modify(|state| match counted {
            Ok(counts) => {
                let count = Count::of(&counts);
                state.windows.push(Window { from, to, count });
                state.broken = None;
                from = to;
            }
            Err(error) => state.broken = Some(format!("{error:#}")),
        });
    }
}

fn recovery(windows: &[Window], since: Timestamp) -> Option<Recovery> {
    let windows = || windows.iter().filter(|window| window.to > since);
    let last_bad = windows().rfind(|window| !window.count.is_good());
    let last_bad = last_bad.map(|window| window.to);
    let good_from = last_bad.unwrap_or(since);
    let good = windows().filter(|window| window.from >= good_from);
    let at = good.map(|window| window.to).next_back()?;
    let mut split = [Count::default(), Count::default()];
    for window in windows() {
        let [before, after] = &mut split;
        let side = if window.from >= good_from {
            after
        } else {
            before
        };
        side.add(window.count);
    }
    let [before, after] = split;
    let long_enough = at.duration_since(good_from) >= GOOD_FOR.try_into().ok()?;
    (long_enough && after.all > 0).then_some(Recovery {
        last_bad,
        at,
        before,
        after,
    })
}

fn sum(windows: &[Window], since: Timestamp) -> Count {
    let mut sum = Count::default();
    for window in windows.iter().filter(|window| window.to > since) {
        sum.add(window.count);
    }
    sum
}
