//! Ages and times are printed as kubectl prints them.

use std::time::Duration;

use jiff::Timestamp;
use pod_quarantine::plugin::print::{format_age, format_time};

fn age(seconds: u64) -> String {
    let from = Timestamp::UNIX_EPOCH;
    format_age(from, from + Duration::from_secs(seconds))
}

#[test]
fn an_age_has_as_many_figures_as_in_kubectl() {
    let minute = 60;
    let hour = 60 * minute;
    let day = 24 * hour;
    for (seconds, text) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (10 * minute + 59, "10m"),
        (3 * hour - 1, "179m"),
        (3 * hour, "3h"),
        (3 * hour + 12 * minute, "3h12m"),
        (8 * hour + 59 * minute, "8h"),
        (47 * hour, "47h"),
        (2 * day, "2d"),
        (2 * day + 5 * hour, "2d5h"),
        (8 * day + 5 * hour, "8d"),
        (729 * day, "729d"),
        (731 * day, "2y1d"),
        (730 * day, "2y"),
        (9 * 365 * day, "9y"),
    ] {
        assert_eq!(age(seconds), text);
    }
}

#[test]
fn a_moment_in_the_future_is_0s_ago() {
    let now: Timestamp = "2030-01-31T12:00:00Z".parse().unwrap();
    assert_eq!(format_age(now, now - Duration::from_secs(5)), "0s");
}

#[test]
fn a_moment_is_printed_to_the_second() {
    let at: Timestamp = "2030-01-31T12:00:00.987654321Z".parse().unwrap();
    assert_eq!(format_time(at), "2030-01-31T12:00:00Z");
}
