//! Which nodes a pod's spec lets it run on.

use std::sync::Arc;

use pod_quarantine_core::{
    placement::{Bound, NODE_NAME, Node, Placement, Taint, Term, Toleration},
    selector::Selector,
};

use crate::world::{labels, selector};

fn node() -> Node {
    Node {
        name: "n1".into(),
        labels: labels(&[("zone", "a"), ("cores", "8")]),
        takes_pods: true,
        taints: Vec::new(),
    }
}

fn taint(key: &str, value: &str, effect: &str) -> Taint {
    Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    }
}

fn toleration(key: Option<&str>, value: Option<&str>, effect: Option<&str>) -> Toleration {
    Toleration {
        key: key.map(Arc::from),
        value: value.map(Arc::from),
        effect: effect.map(Arc::from),
    }
}

#[test]
fn a_pod_without_requirements_fits_every_node_that_takes_pods() {
    assert!(Placement::default().fits(&node()));
    let cordoned = Node {
        takes_pods: false,
        ..node()
    };
    assert!(!Placement::default().fits(&cordoned));
}

#[test]
fn all_taints_of_a_node_must_be_tolerated() {
    let mut tainted = node();
    tainted.taints = vec![
        taint("gpu", "yes", "NoSchedule"),
        taint("old", "", "NoExecute"),
    ];
    let fits = |tolerations: Vec<Toleration>| {
        let placement = Placement {
            tolerations,
            ..Placement::default()
        };
        placement.fits(&tainted)
    };
    let old = || toleration(Some("old"), None, None);
    assert!(!fits(Vec::new()));
    assert!(!fits(vec![old()]));
    assert!(fits(vec![
        old(),
        toleration(Some("gpu"), Some("yes"), None)
    ]));
    assert!(!fits(vec![
        old(),
        toleration(Some("gpu"), Some("no"), None)
    ]));
    assert!(fits(vec![
        old(),
        toleration(Some("gpu"), None, Some("NoSchedule"))
    ]));
    assert!(!fits(vec![
        old(),
        toleration(Some("gpu"), None, Some("NoExecute"))
    ]));
    assert!(
        fits(vec![toleration(None, None, None)]),
        "everything is tolerated"
    );
}

#[test]
fn one_term_of_the_affinity_must_match_and_an_empty_term_matches_nothing() {
    let fits = |terms: Vec<Term>| {
        let placement = Placement {
            terms: Some(terms),
            ..Placement::default()
        };
        placement.fits(&node())
    };
    let zone = |zone| Term {
        labels: selector(&[("zone", zone)]),
        ..Term::default()
    };
    let cores = |above, than| Term {
        bounds: vec![Bound {
            key: "cores".into(),
            above,
            than,
        }],
        ..Term::default()
    };
    let named = |name| Term {
        name: Selector::from_labels(&labels(&[(NODE_NAME, name)])),
        ..Term::default()
    };
    assert!(fits(vec![zone("b"), zone("a")]));
    assert!(!fits(vec![zone("b")]));
    assert!(!fits(vec![Term::default()]));
    assert!(!fits(Vec::new()));
    assert!(fits(vec![named("n1")]));
    assert!(!fits(vec![named("n2")]));
    assert!(fits(vec![cores(true, 7)]));
    assert!(!fits(vec![cores(true, 8)]));
    assert!(fits(vec![cores(false, 9)]));
    assert!(!fits(vec![cores(false, 8)]));
    let mut no_number = cores(true, 0);
    no_number.bounds[0].key = "zone".into();
    assert!(!fits(vec![no_number]));
}
