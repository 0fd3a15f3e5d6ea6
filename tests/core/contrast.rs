//! A pod is bad only beside a good one.

use pod_quarantine::core::{
    judge::Answer::{Good, None as NoAnswer},
    policy::Contrast,
};

use crate::judge::{bad_from, court};

#[test]
fn a_signal_that_never_said_good_has_no_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    court.hear("b", 120, NoAnswer);
    bad_from(&mut court, "a", 100);
    assert!(!court.has_contrast(120));
}

#[test]
fn another_pod_of_the_workload_that_is_good_gives_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    bad_from(&mut court, "a", 100);
    court.hear("b", 110, Good);
    assert!(court.has_contrast(120));
}

#[test]
fn a_good_pod_of_another_workload_gives_none() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "shop");
    bad_from(&mut court, "a", 100);
    court.hear("b", 110, Good);
    assert!(!court.has_contrast(120));
}

#[test]
fn another_pod_gives_contrast_only_if_it_was_good_within_the_window() {
    // Three probes of 10 s and one timeout of 1 s: at 120 the window began at 89.
    for (good_at, contrast) in [(88, false), (89, true)] {
        let mut court = court(|_| {});
        court.watch("a", "web");
        court.watch("b", "web");
        court.hear("b", good_at, Good);
        bad_from(&mut court, "a", 100);
        assert_eq!(court.has_contrast(120), contrast, "good at {good_at}");
    }
}

#[test]
fn a_pod_that_was_good_itself_needs_no_other_however_long_ago() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.hear("a", 10, Good);
    bad_from(&mut court, "a", 10_000);
    assert!(court.has_contrast(10_020));
}

#[test]
fn a_forgotten_pod_gives_no_contrast() {
    let mut court = court(|_| {});
    court.watch("a", "web");
    court.watch("b", "web");
    bad_from(&mut court, "a", 100);
    court.hear("b", 110, Good);
    court.judge.forget("answers", &"b".into());
    assert!(!court.has_contrast(120));
}

#[test]
fn a_policy_may_do_without_contrast() {
    let mut court = court(|policy| policy.contrast = Contrast::None);
    court.watch("a", "web");
    bad_from(&mut court, "a", 100);
    assert!(court.has_contrast(120));
}
