//! Quotas, as the API server reads them.

use std::sync::Arc;

use pod_quarantine_core::quota::{Amounts, PriorityClass, Quota, QuotaScope, Taken};

use crate::quantity::amount;

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
