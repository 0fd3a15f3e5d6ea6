//! Times as kubectl writes them.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How long it is from one point in time to another, in two or three figures. What is not yet is `0s`: clocks differ.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(seconds, (MINUTE, "m"), (1, "s")),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, (HOUR, "h"), (MINUTE, "m")),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, (DAY, "d"), (HOUR, "h")),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds, (YEAR, "y"), (DAY, "d")),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(seconds: i64, (large, of_large): (i64, &str), (small, of_small): (i64, &str)) -> String {
    let rest = seconds % large / small;
    match rest {
        0 => format!("{}{of_large}", seconds / large),
        _ => format!("{}{of_large}{rest}{of_small}", seconds / large),
    }
}

/// A point in time to the second, in RFC 3339.
#[must_use]
pub fn point(at: Timestamp) -> String {
    format!("{at:.0}")
}
