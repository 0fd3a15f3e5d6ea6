//! Selectors, as people read them.

use pod_quarantine_core::{
    keys,
    object::{DisruptionBudget, Service},
    selector::{Operator, Requirement, Selector},
};

use crate::world::{budget, labels, selector, service};

#[test]
fn a_selector_is_shown_in_the_form_that_kubectl_takes() {
    let values = |values: &[&str]| values.iter().map(|value| (*value).into()).collect();
    let requirements = [
        ("app", Operator::In(values(&["web"]))),
        ("tier", Operator::In(values(&["a", "b"]))),
        ("team", Operator::NotIn(values(&["x"]))),
        ("ready", Operator::Exists),
        ("old", Operator::DoesNotExist),
    ];
    let requirements = requirements.map(|(key, operator)| Requirement {
        key: key.into(),
        operator,
    });
    let shown: Vec<String> = requirements.iter().map(ToString::to_string).collect();
    let expected = [
        "app=web",
        "tier in (a,b)",
        "team notin (x)",
        "ready",
        "!old",
    ];
    assert_eq!(shown, expected);
    let selector = Selector::new(requirements.to_vec());
    let all = selector.to_string();
    let mut parts: Vec<&str> = expected.to_vec();
    // Each once, with commas between them.
    assert_eq!(all.len(), parts.join(",").len(), "{all}");
    parts.retain(|part| !all.contains(part));
    assert!(
        parts.is_empty() && !all.starts_with(',') && !all.ends_with(','),
        "{all}"
    );
}

/// A Service without a selector has its endpoints from elsewhere; of a budget the API server defaults nothing.
#[test]
fn what_has_no_selector_selects_no_pod() {
    let web = labels(&[("app", "web")]);
    for (of, selects) in [
        (Some(selector(&[("app", "web")])), true),
        (Some(selector(&[("app", "api")])), false),
        (None, false),
    ] {
        let service = Service {
            selector: of.clone(),
            ..service("a", selector(&[]))
        };
        let budget = DisruptionBudget {
            selector: of,
            ..budget("a", selector(&[]))
        };
        assert_eq!(service.selects(&web), selects);
        assert_eq!(budget.selects(&web), selects);
    }
}

#[test]
fn a_service_for_quarantined_pods_asks_for_their_label() {
    for (of, is_about_quarantine) in [
        (Some(selector(&[(keys::STATE, "quarantined")])), true),
        (Some(selector(&[("app", "web")])), false),
        (None, false),
    ] {
        let service = Service {
            selector: of,
            ..service("a", selector(&[]))
        };
        assert_eq!(service.is_about_quarantine(), is_about_quarantine);
    }
}
