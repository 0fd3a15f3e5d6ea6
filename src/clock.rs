//! The time of a decision: the API server's, carried on by the monotonic clock of the process.
//!
//! The times of slots, records and pods, which decisions compare, are then all of one clock, and a step of the machine's
//! own wall clock changes none of them. The machine's clock is only compared with it: where the two are far apart, one of
//! them is wrong, and nobody knows which.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::core::{
    decide::Doubt,
    time::{Moment, Now},
};

/// Clocks further apart than this cannot be trusted.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(60);

/// How long the API server may be silent: the leader renews its Lease every two seconds.
const SILENCE: Duration = Duration::from_mins(1);

/// `Date` has whole seconds, answers take some time, and the clocks of several API servers differ a little. A larger
/// difference is a step: of the API server's clock, or of the time that this process did not run.
const JITTER: SignedDuration = SignedDuration::from_secs(2);

/// How long no time is trusted after a step.
const AFTER_STEP: Duration = Duration::from_mins(1);

/// The clock of the process. There is one: moments of two do not compare.
#[derive(Clone, Debug)]
pub struct Clock {
    begin: Instant,
    server: Arc<Mutex<ServerTime>>,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a second clock is a mistake; it should not come about by default"
    )]
    pub fn new() -> Self {
        Self {
            begin: Instant::now(),
            server: Arc::default(),
        }
    }

    /// The API server's time, or the machine's before the API server has said its own.
    #[must_use]
    pub fn now(&self) -> Now {
        let moment = self.begin.elapsed();
        let wall = self.server().at(moment);
        Now {
            wall: wall.unwrap_or_else(Timestamp::now),
            moment,
        }
    }

    /// An answer of the API server had that time.
    pub(crate) fn hear(&self, date: Timestamp) {
        let moment = self.begin.elapsed();
        self.server().hear(date, moment);
    }

    /// How far the API server's clock is ahead of the machine's; `None` before its first answer.
    #[must_use]
    pub fn ahead(&self) -> Option<SignedDuration> {
        let server = self.server().at(self.begin.elapsed())?;
        Some(server.duration_since(Timestamp::now()))
    }

    /// Why the time cannot be trusted now; `None` where it can.
    #[must_use]
    pub fn doubt(&self) -> Option<Doubt> {
        let moment = self.begin.elapsed();
        self.server().doubt(Timestamp::now(), moment)
    }

    fn server(&self) -> MutexGuard<'_, ServerTime> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the answers of the API server have said of its time.
#[derive(Clone, Copy, Debug, Default)]
struct ServerTime {
    /// Its time when this process started.
    at_begin: Option<Timestamp>,
    heard: Moment,
    stepped: Option<Moment>,
}

impl ServerTime {
    fn at(&self, moment: Moment) -> Option<Timestamp> {
        self.at_begin?.checked_add(moment).ok()
    }

    fn hear(&mut self, date: Timestamp, moment: Moment) {
        let Ok(at_begin) = date.checked_sub(moment) else {
            return;
        };
        self.heard = moment;
        let Some(known) = self.at_begin else {
            self.at_begin = Some(at_begin);
            return;
        };
        if at_begin.duration_since(known).abs() > JITTER {
            self.stepped = Some(moment);
            self.at_begin = Some(at_begin);
        } else {
            // `Date` is rounded down, and answers come late: of several times the latest is nearest.
            self.at_begin = Some(known.max(at_begin));
        }
    }

    fn doubt(&self, machine: Timestamp, moment: Moment) -> Option<Doubt> {
        let since = |at: Moment| moment.saturating_sub(at);
        let Some(server) = self.at(moment).filter(|_| since(self.heard) <= SILENCE) else {
            return Some(Doubt::TimeUnknown);
        };
        if server.duration_since(machine).abs() > CLOCKS_APART {
            return Some(Doubt::ClockIsOff);
        }
        let stepped = self.stepped.is_some_and(|at| since(at) < AFTER_STEP);
        stepped.then_some(Doubt::TimeStepped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + seconds).expect("a time")
    }

    fn moment(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_time_is_the_servers_carried_on_by_the_monotonic_clock() {
        let mut time = ServerTime::default();
        assert_eq!(time.at(moment(5)), None);
        time.hear(at(100), moment(10));
        assert_eq!(time.at(moment(10)), Some(at(100)));
        assert_eq!(time.at(moment(40)), Some(at(130)));
    }

    #[test]
    fn of_several_answers_the_latest_time_is_nearest() {
        let mut time = ServerTime::default();
        for (date, second) in [(100, 10), (101, 10), (99, 10), (120, 30)] {
            time.hear(at(date), moment(second));
        }
        assert_eq!(time.at(moment(30)), Some(at(121)));
        assert_eq!(time.doubt(at(121), moment(30)), None);
    }

    #[test]
    fn a_step_of_the_machines_clock_changes_no_time_and_is_noticed_at_once() {
        let mut time = ServerTime::default();
        time.hear(at(100), moment(10));
        let ten_years = 10 * 365 * 24 * 3600;
        for machine in [at(100 + ten_years), at(100 - ten_years), at(162), at(39)] {
            assert_eq!(
                time.doubt(machine, moment(11)),
                Some(Doubt::ClockIsOff),
                "{machine}"
            );
            assert_eq!(time.at(moment(11)), Some(at(101)));
        }
        for machine in [at(160), at(42)] {
            assert_eq!(
                time.doubt(machine, moment(11)),
                None,
                "half a minute is no harm"
            );
        }
    }

    #[test]
    fn a_server_that_says_no_time_is_no_clock() {
        let mut time = ServerTime::default();
        assert_eq!(time.doubt(at(0), moment(1)), Some(Doubt::TimeUnknown));
        time.hear(at(100), moment(10));
        assert_eq!(time.doubt(at(160), moment(70)), None);
        assert_eq!(time.doubt(at(161), moment(71)), Some(Doubt::TimeUnknown));
    }

    /// The machine was suspended, which its monotonic clock does not count, or the server's clock was set.
    #[test]
    fn after_a_step_of_the_servers_time_no_time_is_trusted_for_a_minute() {
        let mut time = ServerTime::default();
        time.hear(at(100), moment(10));
        time.hear(at(400), moment(12));
        assert_eq!(time.at(moment(12)), Some(at(400)));
        assert_eq!(time.doubt(at(400), moment(12)), Some(Doubt::TimeStepped));
        time.hear(at(459), moment(71));
        assert_eq!(time.doubt(at(459), moment(71)), Some(Doubt::TimeStepped));
        assert_eq!(time.doubt(at(460), moment(72)), None);
    }
}
