//! The wall clock and the monotonic clock of the process, read together.

use std::time::Instant;

use jiff::Timestamp;

use crate::core::time::Now;

/// The wall clock, and the monotonic one since the start. There is one per process: moments of two do not compare.
#[derive(Clone, Debug)]
pub struct Clock {
    begin: Instant,
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
        }
    }

    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            wall: Timestamp::now(),
            moment: self.begin.elapsed(),
        }
    }
}
