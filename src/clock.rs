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
    time::{CLOCKS_APART, Moment, Now},
};

/// How long the API server may be silent: the leader renews its Lease every two seconds.
const SILENCE: Duration = Duration::from_mins(1);

/// `Date` is rounded down to whole seconds.
const ROUNDED: SignedDuration = SignedDuration::from_secs(1);

/// The clocks of several API servers differ a little. A time that was not possible by more than this is a step: of the
/// API server's clock, or of the time that this process did not run.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

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

    /// The time since this process started.
    pub(crate) fn moment(&self) -> Moment {
        self.begin.elapsed()
    }

    /// The answer to a request that was sent at that moment has come, with that time in it.
    pub(crate) fn hear(&self, date: Timestamp, sent: Moment) {
        let received = self.begin.elapsed();
        self.server().hear(date, sent, received);
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

    /// The API server wrote the date at some moment between these two. However late an answer is read, it is no step.
    fn hear(&mut self, date: Timestamp, sent: Moment, received: Moment) {
        let earliest = date.checked_sub(received);
        let latest = date
            .checked_add(ROUNDED)
            .and_then(|date| date.checked_sub(sent));
        let (Ok(earliest), Ok(latest)) = (earliest, latest) else {
            return;
        };
        self.heard = received;
        let Some(known) = self.at_begin else {
            self.at_begin = Some(earliest);
            return;
        };
        let before = earliest.duration_since(known);
        let after = known.duration_since(latest);
        if before > TOLERANCE || after > TOLERANCE {
            self.stepped = Some(received);
            self.at_begin = Some(earliest);
        } else {
            self.at_begin = Some(known.max(earliest).min(latest.max(earliest)));
        }
    }

    fn doubt(&self, machine: Timestamp, moment: Moment) -> Option<Doubt> {
        let since = |at: Moment| moment.saturating_sub(at);
        let Some(server) = self.at(moment).filter(|_| since(self.heard) <= SILENCE) else {
            return Some(Doubt::TimeUnknown);
        };
        if server.duration_since(machine).unsigned_abs() > CLOCKS_APART {
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

    /// An answer at once.
    fn hear(time: &mut ServerTime, date: i64, second: u64) {
        time.hear(at(date), moment(second), moment(second));
    }

    #[test]
    fn the_time_is_the_servers_carried_on_by_the_monotonic_clock() {
        let mut time = ServerTime::default();
        assert_eq!(time.at(moment(5)), None);
        hear(&mut time, 100, 10);
        assert_eq!(time.at(moment(10)), Some(at(100)));
        assert_eq!(time.at(moment(40)), Some(at(130)));
    }

    #[test]
    fn the_time_is_one_that_all_answers_allow() {
        let mut time = ServerTime::default();
        for (date, second) in [(100, 10), (101, 10), (100, 10), (121, 30)] {
            hear(&mut time, date, second);
        }
        assert_eq!(time.at(moment(30)), Some(at(121)));
        assert_eq!(time.doubt(at(121), moment(31)), None);
    }

    /// The process had no processor for ten seconds, or the list was long.
    #[test]
    fn an_answer_that_is_read_late_is_no_step() {
        let mut time = ServerTime::default();
        hear(&mut time, 100, 10);
        time.hear(at(105), moment(15), moment(25));
        assert_eq!(time.at(moment(25)), Some(at(115)));
        time.hear(at(125), moment(15), moment(35));
        assert_eq!(time.at(moment(35)), Some(at(125)));
        assert_eq!(time.doubt(at(125), moment(35)), None);
    }

    #[test]
    fn a_step_of_the_machines_clock_changes_no_time_and_is_noticed_at_once() {
        let mut time = ServerTime::default();
        hear(&mut time, 100, 10);
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
        hear(&mut time, 100, 10);
        assert_eq!(time.doubt(at(160), moment(70)), None);
        assert_eq!(time.doubt(at(161), moment(71)), Some(Doubt::TimeUnknown));
    }

    /// The machine was suspended, which its monotonic clock does not count, or the server's clock was set.
    #[test]
    fn after_a_step_of_the_servers_time_no_time_is_trusted_for_a_minute() {
        for (first, stepped) in [(100, 400), (400, 100)] {
            let mut time = ServerTime::default();
            hear(&mut time, first, 10);
            hear(&mut time, stepped, 12);
            assert_eq!(time.at(moment(12)), Some(at(stepped)));
            assert_eq!(
                time.doubt(at(stepped), moment(12)),
                Some(Doubt::TimeStepped)
            );
            hear(&mut time, stepped + 59, 71);
            assert_eq!(
                time.doubt(at(stepped + 59), moment(71)),
                Some(Doubt::TimeStepped)
            );
            assert_eq!(time.doubt(at(stepped + 60), moment(72)), None);
        }
    }
}
