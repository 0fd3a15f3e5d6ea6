//! Medians and percentiles of times.

use std::time::Duration;

/// Times in ascending order.
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The shortest time that this percentage of times does not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

/// In milliseconds, for people.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_95th_percentile_are_times_that_were_measured() {
        let times = (1..=30).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(times);
        assert_eq!(figures.median(), Duration::from_millis(15));
        assert_eq!(figures.percentile(95), Duration::from_millis(29));
        let one = Figures::of(vec![Duration::from_millis(7)]);
        assert_eq!(one.median(), one.percentile(95));
    }
}
