//! Selectors, as people read them.

use pod_quarantine_core::selector::{Operator, Requirement, Selector};

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
