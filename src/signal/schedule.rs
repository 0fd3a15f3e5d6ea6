//! The turns of many pods or queries, spread over a period.
//!
//! Every key has its own offset in the period, from a hash of the key; its turns are multiples of the period later, so they
//! do not drift. A turn that is missed by less than half a period is taken late, otherwise it is skipped.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// The longest wait of a new key for its first turn. If the period is longer, there is an extra turn before.
const SOON: Duration = Duration::from_secs(10);

/// The turns of many keys over one period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    begin: Instant,
    period: Duration,
}

impl Schedule {
    pub(super) fn new(begin: Instant, period: Duration) -> Self {
        let period = period.max(Duration::from_millis(1));
        Self { begin, period }
    }

    /// The first turn of a key that exists from `from` on.
    pub(super) fn first(&self, key: &str, from: Instant) -> Instant {
        if self.period <= SOON {
            self.turn_after(key, from)
        } else {
            from + offset(key, SOON)
        }
    }

    /// The turn after the one that was taken at `last`, at least half a period after it, and not before `now`.
    pub(super) fn next(&self, key: &str, last: Instant, now: Instant) -> Instant {
        let half = self.period / 2;
        let due = self.turn_after(key, last + half);
        let upcoming = self.turn_after(key, now);
        if due >= upcoming {
            due
        } else if upcoming - now > half {
            now
        } else {
            upcoming
        }
    }

    fn turn_after(&self, key: &str, time: Instant) -> Instant {
        let first = self.begin + offset(key, self.period);
        let Some(since) = time.checked_duration_since(first) else {
            return first;
        };
        let into = since.as_nanos() % self.period.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX));
        time + self.period.saturating_sub(into)
    }
}

/// A time below `within`, always the same for a key, and spread evenly over keys.
fn offset(key: &str, within: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let nanos = (u128::from(hasher.finish()) * within.as_nanos()) >> u64::BITS;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> impl Iterator<Item = String> {
        (0..1000).map(|number| format!("uid-{number}"))
    }

    #[tokio::test(start_paused = true)]
    async fn turns_of_many_keys_fill_the_period_evenly() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, Duration::from_secs(10));
        let mut tenths = [0; 10];
        for key in keys() {
            let wait = schedule.first(&key, begin) - begin;
            assert!(wait <= Duration::from_secs(10), "{wait:?}");
            tenths[usize::try_from(wait.as_millis() / 1000).unwrap().min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|tenth| (60..=140).contains(tenth)),
            "{tenths:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_exactly_a_period_apart_for_ever() {
        let begin = Instant::now();
        let period = Duration::from_millis(1300);
        let schedule = Schedule::new(begin, period);
        let first = schedule.first("uid", begin);
        let mut last = first;
        for turn in 1..10_000 {
            let late = Duration::from_millis(u64::from(turn % 7) * 50);
            let taken = last + late;
            last = schedule.next("uid", taken, taken + late);
            assert_eq!(last, first + period * turn);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missed_turn_is_taken_a_little_late_or_not_at_all() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, Duration::from_secs(1));
        let first = schedule.first("uid", begin);
        let little = first + Duration::from_millis(5400);
        assert_eq!(schedule.next("uid", first, little), little);
        let much = first + Duration::from_millis(5600);
        assert_eq!(
            schedule.next("uid", first, much),
            first + Duration::from_secs(6)
        );
        let after_late = schedule.next("uid", little, little);
        assert_eq!(after_late, first + Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_period_has_an_early_first_turn_and_no_hasty_second() {
        let begin = Instant::now();
        let period = Duration::from_hours(1);
        let schedule = Schedule::new(begin, period);
        for key in keys() {
            let first = schedule.first(&key, begin);
            let second = schedule.next(&key, first, first);
            assert!(first - begin <= SOON, "{key}");
            assert!(second - first >= period / 2, "{key}");
            assert!(second - first <= period * 3 / 2, "{key}");
            assert_eq!(
                schedule.next(&key, second, second),
                second + period,
                "{key}"
            );
        }
    }
}
