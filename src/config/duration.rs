//! Durations as Prometheus writes them: `15s`, `1h30m`, `7d`.
//!
//! Read by `humantime`, but only in these of its many forms: to it `1M` is a month and `1 year` a duration. Formatted
//! here, because it would print 90 days as `2months 29days 2h 52m 48s`.

use std::{fmt::Write as _, time::Duration};

use super::pattern::Pattern;
use crate::core::time::parse_duration;

/// The form of a duration: each unit at most once, the longest first.
pub(super) static FORM: Pattern = Pattern::new(
    "^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
    1..=64,
    "a duration such as 15s, 1h30m or 7d",
);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The units in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

/// Parses a duration; `None` if the text is none, or too long a time.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if !FORM.matches(text) {
        return None;
    }
    parse_duration(text)
}

/// Formats a duration as [`parse`] reads it, to the millisecond. From two days on it has days, as kubectl's ages do.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let largest = usize::from(rest < 2 * DAY);
    for (unit, milliseconds) in UNITS.into_iter().skip(largest) {
        if rest >= milliseconds {
            _ = write!(text, "{}{unit}", rest / milliseconds);
            rest %= milliseconds;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("15s"), Some(15));
        assert_eq!(seconds("1m"), Some(60));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("2w"), Some(1_209_600));
        assert_eq!(parse("1500ms"), Some(Duration::from_millis(1_500)));
        for wrong in [
            "",
            "5",
            "1M",
            "1 h",
            "1y",
            "30m1h",
            "-1s",
            "1.5h",
            "1s-2s",
            "99999999999999999999s",
            // `humantime` panics on it.
            "18446744073709551615s1000ms",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["0s", "1s", "1s500ms", "1m30s", "24h", "36h", "2d", "90d"] {
            assert_eq!(parse(text).map(format_duration).as_deref(), Some(text));
        }
        assert_eq!(
            format_duration(Duration::from_secs(u64::MAX))
                .chars()
                .last(),
            Some('s')
        );
    }
}
