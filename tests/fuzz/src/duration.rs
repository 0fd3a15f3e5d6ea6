//! A duration: the text of the annotation `ttl`, and of a duration in the policy file, which knows fewer forms.

use std::time::Duration;

use pod_quarantine::config::duration::{format_duration, parse};
use pod_quarantine_core::{keys, overrides::LONGEST_TTL};

use crate::cluster::pod;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut pod = pod();
    pod.annotations.insert(keys::TTL.into(), text.into());
    let ttl = pod.overrides().ttl;
    let range = Duration::from_secs(1)..=LONGEST_TTL;
    assert!(ttl.is_none_or(|ttl| range.contains(&ttl)), "{ttl:?}");
    let in_a_file = parse(text);
    if let Some(same) = in_a_file {
        assert_eq!(ttl, Some(same).filter(|same| range.contains(same)));
    }
    for duration in ttl.into_iter().chain(in_a_file) {
        let written = format_duration(duration);
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let to_the_millisecond = Duration::from_millis(milliseconds);
        if let Some(again) = parse(&written) {
            assert_eq!(again, to_the_millisecond, "{written}");
        } else {
            assert!(!range.contains(&duration), "{written}");
        }
    }
}
