//! Time: the two clocks that a decision is given, and how far clocks may differ.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A point on the monotonic clock: the time since the agent started.
pub type Moment = Duration;

/// A point in time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For what people read, and what must outlive the process.
    pub wall: Timestamp,
    /// For evidence: a wall clock that jumps makes no pod unhealthy.
    pub moment: Moment,
}

/// The API server writes whole seconds, and its clock is not the agent's.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// With clocks that are further apart the time is in doubt: nothing new is quarantined, nothing is deleted, and nothing is
/// released by itself.
pub const CLOCKS_APART: Duration = Duration::from_mins(1);

/// How far the clocks of two agents may be apart without a doubt: each is compared with an API server's, and those are never
/// compared with each other.
const AGENTS_APART: SignedDuration = SignedDuration::from_secs(2 * 60);

/// The time that much later, or the latest possible time if that would overflow.
#[must_use]
pub fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// How long ago that was; `None` of a time in the future, beyond what clocks may differ: no clock that is right wrote it.
#[must_use]
pub fn age(now: Timestamp, at: Timestamp) -> Option<Duration> {
    age_within(now, at, CLOCK_TOLERANCE)
}

/// How long ago any of the agents wrote that; `None` of a time that is further ahead than their clocks may be.
#[must_use]
pub fn age_by_agents(now: Timestamp, at: Timestamp) -> Option<Duration> {
    age_within(now, at, AGENTS_APART)
}

fn age_within(now: Timestamp, at: Timestamp, ahead: SignedDuration) -> Option<Duration> {
    let age = now.duration_since(at);
    (age >= -ahead).then(|| Duration::try_from(age).unwrap_or(Duration::ZERO))
}

/// The earliest `creationTimestamp` that an object created at that time or later can have.
#[must_use]
pub fn earliest_creation(at: Timestamp) -> Timestamp {
    at.saturating_sub(CLOCK_TOLERANCE).unwrap_or(at)
}

/// The longest run of digits in a duration: `humantime` panics on some sums near the end of its range.
const MAX_DIGITS: usize = 9;

/// Parses a duration as `humantime` does; `None` if the text is none, or a number in it has more than nine digits.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
    if numbers.any(|digits| digits.len() > MAX_DIGITS) {
        return None;
    }
    humantime::parse_duration(text).ok()
}

/// The time without its fraction of a second, for people.
#[must_use]
pub fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
