//! A pod is bad only beside a good one.

use std::time::Duration;

use pod_quarantine_core::{
    judge::Answer::{Bad, Good, None as NoAnswer},
    policy::Contrast,
};

use crate::judge::{bad_from, court, query_court};

#[test]
fn a_signal_that_never_said_good_has_no_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    court.record("b", 120, NoAnswer);
    bad_from(&mut court, "a", 100);
    assert!(!court.has_contrast(120));
}

#[test]
fn another_pod_of_the_workload_that_is_good_gives_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    bad_from(&mut court, "a", 100);
    court.record("b", 110, Good);
    assert!(court.has_contrast(120));
}

#[test]
fn a_good_pod_of_another_workload_gives_no_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "shop");
    bad_from(&mut court, "a", 100);
    court.record("b", 110, Good);
    assert!(!court.has_contrast(120));
}

#[test]
fn another_pod_gives_contrast_only_if_it_was_good_within_the_window() {
    // Three probes of 10 s and one timeout of 1 s: at 120 the window began at 89.
    for (good_at, contrast) in [(88, false), (89, true)] {
        let mut court = court(|_| {});
        court.watch("a", "web");
        court.watch("b", "web");
        court.record("b", good_at, Good);
        bad_from(&mut court, "a", 100);
        assert_eq!(court.has_contrast(120), contrast, "good at {good_at}");
    }
}

#[test]
fn the_window_of_a_query_is_its_time_and_two_intervals() {
    // A minute and twice 15 s: at 1060 the window began at 970.
    for (good_at, contrast) in [(969, false), (970, true)] {
        let mut court = query_court(15, 60);
        court.watch("a", "web");
        court.watch("b", "web");
        court.record("b", good_at, Good);
        for second in [1000, 1015, 1030, 1045, 1060] {
            court.record("a", second, Bad);
        }
        assert_eq!(court.has_contrast(1060), contrast, "good at {good_at}");
    }
}

#[test]
fn another_pod_that_was_good_during_the_streak_gives_contrast_however_long_the_streak_is() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    court.record("b", 101, Good);
    for index in 0..50 {
        court.record("a", 100 + index * 10, Bad);
    }
    assert!(court.has_contrast(590));
}

#[test]
fn a_pod_that_was_ever_good_has_contrast_of_its_own() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.record("a", 10, Good);
    bad_from(&mut court, "a", 10_000);
    assert!(court.has_contrast(10_020));
}

#[test]
fn a_forgotten_pod_gives_no_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    bad_from(&mut court, "a", 100);
    court.record("b", 110, Good);
    court.judge.forget("answers", &"b".into(), Duration::ZERO);
    assert!(!court.has_contrast(120));
}

#[test]
fn a_policy_may_do_without_contrast() {
    let mut court = court(|policy| policy.contrast = Contrast::None);
    court.watch("a", "web");
    bad_from(&mut court, "a", 100);
    assert!(court.has_contrast(120));
}

/// The other pod of the workload was never good before: what it was asked before the first good answer says nothing.
#[test]
fn a_pod_that_was_never_good_has_contrast_once_it_was_asked_after_another_was_good() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    bad_from(&mut court, "a", 10);
    court.record("b", 31, Good);
    assert!(!court.has_contrast(31));
    court.record("a", 40, Bad);
    assert!(court.has_contrast(40));
    // Good answers go on, the last of them after it was asked.
    court.record("b", 41, Good);
    assert!(court.has_contrast(41));
}

/// The pod must be asked after the first of them.
#[test]
fn good_answers_more_than_a_window_apart_begin_again() {
    for (apart, contrast) in [(31, true), (32, false)] {
        let mut court = court(|_| {});
        court.watch("a", "web");
        court.watch("b", "web");
        court.record("b", 10, Good);
        bad_from(&mut court, "a", apart - 15);
        court.record("b", 10 + apart, Good);
        assert_eq!(court.has_contrast(10 + apart), contrast, "{apart}");
        court.record("a", 15 + apart, Bad);
        assert!(court.has_contrast(15 + apart), "{apart}");
    }
}
