//! Ages and durations.

use std::time::Duration;

use jiff::SignedDuration;
use pod_quarantine_core::time::{age, age_by_agents, parse_duration};

use crate::world::{START, at};

#[test]
fn a_time_is_of_the_future_if_it_is_later_than_clocks_may_differ() {
    let now = at(START);
    for (later, expected) in [
        (-5, Some(5)),
        (0, Some(0)),
        (1, Some(0)),
        (2, Some(0)),
        (3, None),
    ] {
        let age = age(now, now + SignedDuration::from_secs(later));
        assert_eq!(age, expected.map(Duration::from_secs), "{later} s later");
    }
}

/// Each of two agents may be a minute from the clock of its API server.
#[test]
fn what_another_agent_wrote_is_of_the_future_if_it_is_more_than_two_minutes_later() {
    let now = at(START);
    for (later, expected) in [(-5, Some(5)), (0, Some(0)), (120, Some(0)), (121, None)] {
        let age = age_by_agents(now, now + SignedDuration::from_secs(later));
        assert_eq!(age, expected.map(Duration::from_secs), "{later} s later");
    }
}

#[test]
fn a_number_in_a_duration_has_at_most_nine_digits() {
    let longest = Duration::from_secs(999_999_999);
    assert_eq!(parse_duration("999999999s"), Some(longest));
    assert_eq!(parse_duration("1000000000s"), None);
}
