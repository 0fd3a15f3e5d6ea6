//! Amounts and quotas, as the API server reads them.

use std::sync::Arc;

use pod_quarantine_core::{
    quantity::Quantity,
    quota::{Amounts, PriorityClass, Quota, QuotaScope, Taken},
};
use proptest::prelude::*;

fn amount(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn amounts_are_read_as_kubernetes_writes_them() {
    for (text, same) in [
        ("1", "1000m"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+1", "1"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1E", "1000P"),
        ("1Ei", "1024Pi"),
        ("12e-1", "1200m"),
        ("100u", "100000n"),
        // Finer than a billionth is rounded up.
        ("0.0000000001", "1n"),
        ("0", "-0"),
    ] {
        assert_eq!(amount(text), amount(same), "{text} and {same}");
    }
    assert!(amount("999m") < amount("1"));
    assert!(amount("-1") < amount("0"));
    for text in [
        "", "m", "1 Gi", "1gi", "1KI", "--1", "1.2.3", "0x1", "1e", "e3", "1e99", ".", "1Mi1",
    ] {
        assert!(text.parse::<Quantity>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_quantities_panic(text in "[-+.0-9]{0,40}[eEnumkMGTPi]{0,3}[-+0-9]{0,12}|.{0,20}") {
        _ = text.parse::<Quantity>();
    }
}

fn amounts(pairs: &[(&str, &str)]) -> Amounts {
    let pair = |(name, text): &(&str, &str)| (Arc::from(*name), amount(text));
    pairs.iter().map(pair).collect()
}

fn small_pod() -> Taken {
    Taken {
        amounts: amounts(&[
            ("pods", "1"),
            ("requests.cpu", "100m"),
            ("requests.memory", "64Mi"),
        ]),
        ..Taken::default()
    }
}

fn quota(hard: &[(&str, &str)], used: &[(&str, &str)]) -> Quota {
    Quota {
        name: "q".into(),
        scopes: Vec::new(),
        hard: amounts(hard),
        used: amounts(used),
    }
}

#[test]
fn a_quota_forbids_only_pods_beyond_its_hard_limit() {
    let cpu = |hard, used| quota(&[("requests.cpu", hard)], &[("requests.cpu", used)]);
    assert_eq!(cpu("1", "900m").forbids(&small_pod(), 1), None);
    assert!(cpu("1", "901m").forbids(&small_pod(), 1).is_some());
    assert!(cpu("1", "900m").forbids(&small_pod(), 2).is_some());
    let of_others = quota(&[("services", "0"), ("requests.example.com/gpu", "0")], &[]);
    assert_eq!(of_others.forbids(&small_pod(), 1), None);
    assert!(
        quota(&[("pods", "0")], &[])
            .forbids(&small_pod(), 1)
            .is_some()
    );
}

#[test]
fn a_quota_forbids_pods_that_do_not_declare_the_compute_resources_it_counts() {
    let limits = quota(&[("limits.cpu", "100")], &[]);
    assert_eq!(
        limits.forbids(&small_pod(), 1).as_deref(),
        Some("ResourceQuota q counts limits.cpu, which the pod does not request")
    );
}

#[test]
fn a_quota_counts_the_pods_that_all_its_scopes_match() {
    let class = |class| QuotaScope::PriorityClass(class);
    let high = || vec![Arc::from("high")];
    let plain = small_pod();
    let special = Taken {
        best_effort: true,
        has_deadline: true,
        priority_class: Some("high".into()),
        ..small_pod()
    };
    for (scope, counts_plain, counts_special) in [
        (QuotaScope::HasDeadline(true), false, true),
        (QuotaScope::HasDeadline(false), true, false),
        (QuotaScope::BestEffort(true), false, true),
        (QuotaScope::BestEffort(false), true, false),
        (class(PriorityClass::In(high())), false, true),
        (class(PriorityClass::NotIn(high())), true, false),
        (class(PriorityClass::Exists), false, true),
        (class(PriorityClass::DoesNotExist), true, false),
        (QuotaScope::Unknown, true, true),
    ] {
        let mut full = quota(&[("pods", "0")], &[]);
        full.scopes = vec![scope.clone()];
        assert_eq!(full.forbids(&plain, 1).is_some(), counts_plain, "{scope:?}");
        assert_eq!(
            full.forbids(&special, 1).is_some(),
            counts_special,
            "{scope:?}"
        );
    }
    let mut both = quota(&[("pods", "0")], &[]);
    both.scopes = vec![QuotaScope::BestEffort(true), QuotaScope::HasDeadline(false)];
    assert_eq!(both.forbids(&special, 1), None);
}
