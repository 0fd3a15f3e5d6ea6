//! Time: what a decision is told of it, and how far clocks may be apart.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A point of the monotonic clock: the time since the agent began.
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

/// That much later; the end of time where that would be past it.
#[must_use]
pub fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The earliest `creationTimestamp` of an object that was created at that time or later.
#[must_use]
pub fn earliest_creation(at: Timestamp) -> Timestamp {
    at.saturating_sub(CLOCK_TOLERANCE).unwrap_or(at)
}

/// Without what is below a second, as people read it.
#[must_use]
pub fn to_the_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
