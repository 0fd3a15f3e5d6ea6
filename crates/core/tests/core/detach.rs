//! Which labels are edited: the cases that people know.

use pod_quarantine_core::{
    detach::{Constraints, Detachment, Edits, LabelEdit, NamedSelector, NoWayOut, detach},
    keys,
    selector::{Labels, Operator, Requirement, Selector},
};

use crate::world::{labels, selector};

pub(crate) fn named(whose: &str, selector: Selector) -> NamedSelector {
    NamedSelector {
        whose: whose.into(),
        selector,
    }
}

fn one(key: &str, operator: Operator) -> Selector {
    Selector::new(vec![Requirement {
        key: key.into(),
        operator,
    }])
}

fn leaving(leave: Vec<NamedSelector>) -> Constraints {
    Constraints {
        leave,
        ..Constraints::default()
    }
}

fn label_edits(labels: &Labels, constraints: &Constraints) -> Detachment {
    detach(labels, constraints).expect("there is a way out")
}

fn edits(pairs: &[(&str, LabelEdit)]) -> Edits {
    pairs
        .iter()
        .map(|(key, edit)| ((*key).into(), *edit))
        .collect()
}

#[test]
fn one_toggle_in_service_and_deployment_is_switched_off_and_leaves_both() {
    let pod = labels(&[
        ("app", "web"),
        ("enabled", "true"),
        ("pod-template-hash", "1"),
    ]);
    let constraints = leaving(vec![
        named("Service web", selector(&[("enabled", "true")])),
        named(
            "Deployment web",
            selector(&[("app", "web"), ("enabled", "true")]),
        ),
        named(
            "ReplicaSet web-rs",
            selector(&[
                ("app", "web"),
                ("enabled", "true"),
                ("pod-template-hash", "1"),
            ]),
        ),
    ]);
    let out = label_edits(&pod, &constraints);
    assert_eq!(out.edits, edits(&[("enabled", LabelEdit::SwitchOff)]));
    assert_eq!(out.labels.get("enabled").map(AsRef::as_ref), Some("false"));
    assert_eq!(out.missed, Vec::<std::sync::Arc<str>>::new());
}

#[test]
fn a_toggle_in_the_service_alone_takes_a_second_key_to_leave_the_workload() {
    let pod = labels(&[("app", "web"), ("enabled", "true")]);
    let constraints = leaving(vec![
        named("Service web", selector(&[("enabled", "true")])),
        named("Deployment web", selector(&[("app", "web")])),
    ]);
    let out = label_edits(&pod, &constraints);
    let expected = edits(&[
        ("app", LabelEdit::Replace),
        ("enabled", LabelEdit::SwitchOff),
    ]);
    assert_eq!(out.edits, expected);
}

#[test]
fn without_a_toggle_the_shared_key_becomes_quarantined() {
    let pod = labels(&[("app", "web"), ("tier", "front")]);
    let constraints = leaving(vec![
        named(
            "Service web",
            selector(&[("app", "web"), ("tier", "front")]),
        ),
        named("Deployment web", selector(&[("tier", "front")])),
    ]);
    let out = label_edits(&pod, &constraints);
    assert_eq!(out.edits, edits(&[("tier", LabelEdit::Replace)]));
    assert_eq!(&*out.labels["tier"], keys::QUARANTINED);
}

#[test]
fn of_two_edit_sets_the_one_with_the_instance_label_is_chosen() {
    let both = [("app", "web"), (keys::INSTANCE, "shop-web")];
    let constraints = leaving(vec![named("Deployment web", selector(&both))]);
    let out = label_edits(&labels(&both), &constraints);
    assert_eq!(out.edits, edits(&[(keys::INSTANCE, LabelEdit::Replace)]));

    let with_toggle = [("a-toggle", "true"), (keys::INSTANCE, "shop-web")];
    let constraints = leaving(vec![named("Deployment web", selector(&with_toggle))]);
    let out = label_edits(&labels(&with_toggle), &constraints);
    assert_eq!(out.edits, edits(&[(keys::INSTANCE, LabelEdit::Replace)]));
}

#[test]
fn the_instance_label_is_not_worth_a_second_edit() {
    let pod = labels(&[("app", "web"), (keys::INSTANCE, "shop-web")]);
    let constraints = leaving(vec![
        named(
            "Service web",
            selector(&[("app", "web"), (keys::INSTANCE, "shop-web")]),
        ),
        named("Deployment web", selector(&[("app", "web")])),
    ]);
    let out = label_edits(&pod, &constraints);
    assert_eq!(out.edits, edits(&[("app", LabelEdit::Replace)]));
}

#[test]
fn of_two_edit_sets_a_toggle_is_chosen_before_the_first_key() {
    let both = [("app", "web"), ("on", "true")];
    let constraints = leaving(vec![named("Deployment web", selector(&both))]);
    let out = label_edits(&labels(&both), &constraints);
    assert_eq!(out.edits, edits(&[("on", LabelEdit::SwitchOff)]));
}

#[test]
fn of_two_edit_sets_the_key_that_fewer_selectors_use_is_chosen_before_the_first_key() {
    let both = [("app", "web"), ("tier", "front")];
    let mut constraints = leaving(vec![named("Deployment web", selector(&both))]);
    constraints.avoid = vec![named("Service other", selector(&[("app", "other")]))];
    let out = label_edits(&labels(&both), &constraints);
    assert_eq!(out.edits, edits(&[("tier", LabelEdit::Replace)]));

    constraints.avoid.clear();
    let out = label_edits(&labels(&both), &constraints);
    assert_eq!(out.edits, edits(&[("app", LabelEdit::Replace)]));
}

#[test]
fn a_foreign_selector_that_the_missing_key_would_satisfy_is_not_entered() {
    let pod = labels(&[("app", "web")]);
    let leave = || vec![named("Deployment web", selector(&[("app", "web")]))];
    let quarantined_too = one(
        "app",
        Operator::NotIn(["web", "db"].map(Into::into).into_iter().collect()),
    );
    let constraints = Constraints {
        avoid: vec![named("Deployment rest", quarantined_too)],
        ..leaving(leave())
    };
    let NoWayOut { in_the_way, .. } = detach(&pod, &constraints).expect_err("every edit enters it");
    assert_eq!(
        in_the_way,
        [
            "Deployment web (app=web)",
            "Deployment rest (app notin (db,web))"
        ]
    );

    let constraints = Constraints {
        avoid: vec![named("Deployment bare", one("app", Operator::DoesNotExist))],
        ..leaving(leave())
    };
    let out = label_edits(&pod, &constraints);
    assert_eq!(
        out.edits,
        edits(&[("app", LabelEdit::Replace)]),
        "it is not removed"
    );

    let replaced = one(
        "app",
        Operator::In([keys::QUARANTINED.into()].into_iter().collect()),
    );
    let constraints = Constraints {
        avoid: vec![named("Service debug", replaced)],
        ..leaving(leave())
    };
    let out = label_edits(&pod, &constraints);
    assert_eq!(
        out.edits,
        edits(&[("app", LabelEdit::Remove)]),
        "it is not replaced"
    );
}

#[test]
fn a_selector_on_absence_is_left_by_adding_the_key() {
    let constraints = leaving(vec![named(
        "Deployment rest",
        one("skip", Operator::DoesNotExist),
    )]);
    let out = label_edits(&labels(&[("app", "web")]), &constraints);
    assert_eq!(out.edits, edits(&[("skip", LabelEdit::Replace)]));
}

#[test]
fn no_way_out_names_the_one_selector_that_stands_in_the_way() {
    let pod = labels(&[("app", "web"), ("team", "a")]);
    let mut constraints = leaving(vec![
        named("Service team", selector(&[("team", "a")])),
        named("Deployment web", selector(&[("app", "web")])),
    ]);
    constraints.fixed.insert("team".into());
    let error = detach(&pod, &constraints).expect_err("the team's key is fixed");
    assert_eq!(error.to_string(), "in the way: Service team (team=a)");
}

#[test]
fn of_a_long_selector_that_stands_in_the_way_the_beginning_is_shown() {
    let long = "a".repeat(63);
    let keys: Vec<String> = (0..9).map(|number| format!("key-{number}")).collect();
    let pairs: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, &*long)).collect();
    let mut constraints = leaving(vec![named("Service web", selector(&pairs))]);
    constraints
        .fixed
        .extend(keys.iter().map(|key| (&**key).into()));
    let error = detach(&labels(&pairs), &constraints).expect_err("all keys are fixed");
    let said = error.to_string();
    assert!(
        said.starts_with("in the way: Service web (key-0=aaa"),
        "{said}"
    );
    assert!(said.ends_with("a…)") && said.len() < 500, "{said}");
}

#[test]
fn no_way_out_names_the_selectors_to_keep_and_to_leave_that_clash() {
    let pod = labels(&[("app", "web"), ("tier", "front")]);
    let constraints = Constraints {
        keep: vec![named("Deployment web", selector(&[("app", "web")]))],
        ..leaving(vec![
            named("Service web", selector(&[("app", "web")])),
            named("Service front", selector(&[("tier", "front")])),
        ])
    };
    let error = detach(&pod, &constraints).expect_err("they clash");
    let said = error.to_string();
    assert_eq!(
        said,
        "in the way: Service web (app=web); Deployment web (app=web)"
    );
    // Two edits of each of two keys, and once more without each of the selectors.
    assert_eq!(error.tried, 9 + 5 + 3 + 9);
}

#[test]
fn a_selector_without_requirements_cannot_be_left_and_is_named() {
    let constraints = leaving(vec![named("everything", Selector::default())]);
    let error = detach(&labels(&[("app", "web")]), &constraints).expect_err("it has no keys");
    assert_eq!(error.in_the_way, ["everything ()"]);
}

#[test]
fn a_wish_is_worth_a_larger_set_of_edits_and_an_unmet_wish_is_named() {
    let pod = labels(&[("app", "web"), ("zone", "a")]);
    let mut constraints = leaving(vec![named("Deployment web", selector(&[("app", "web")]))]);
    constraints.wish_to_leave = vec![named("spread", selector(&[("zone", "a")]))];
    constraints.wish_to_keep = vec![named("NetworkPolicy web", selector(&[("app", "web")]))];
    let out = label_edits(&pod, &constraints);
    let expected = edits(&[("app", LabelEdit::Replace), ("zone", LabelEdit::Replace)]);
    assert_eq!(out.edits, expected);
    assert_eq!(out.missed, ["NetworkPolicy web".into()]);
}

#[test]
fn a_selector_that_the_agents_own_label_leaves_needs_no_edit() {
    let mut constraints = leaving(vec![named(
        "PodDisruptionBudget web",
        one(keys::STATE, Operator::DoesNotExist),
    )]);
    constraints.added = labels(&[(keys::STATE, keys::QUARANTINED)]);
    let out = label_edits(&labels(&[("app", "web")]), &constraints);
    assert_eq!(out.edits, Edits::new());
    assert_eq!(&*out.labels[keys::STATE], keys::QUARANTINED);
}
