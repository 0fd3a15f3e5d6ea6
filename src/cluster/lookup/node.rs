//! What a pod requires of its node, and the nodes.

use k8s_openapi::api::core::v1;

use crate::{
    cluster::{client::BadObject, watch::Interner},
    core::{
        placement::{Bound, Node, Placement, Taint, Term, Toleration},
        selector::Selector,
    },
};

pub(super) fn node(interner: &mut Interner, object: &v1::Node) -> Result<Node, BadObject> {
    let name = object.metadata.name.as_deref();
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let is_ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let unschedulable = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
    let mut taints = Vec::new();
    for taint in spec
        .and_then(|spec| spec.taints.as_ref())
        .into_iter()
        .flatten()
    {
        if taint.effect != "PreferNoSchedule" {
            taints.push(Taint {
                key: interner.text(&taint.key),
                value: interner.text(taint.value.as_deref().unwrap_or_default()),
                effect: interner.text(&taint.effect),
            });
        }
    }
    Ok(Node {
        name: name.ok_or(BadObject::Missing("name"))?.into(),
        labels: interner.labels(object.metadata.labels.as_ref()),
        takes_pods: is_ready && !unschedulable,
        taints,
    })
}

/// What a pod requires of its node.
pub(super) fn placement(spec: &v1::PodSpec) -> Result<Placement, BadObject> {
    let mut interner = Interner::default();
    let affinity = spec.affinity.as_ref();
    let affinity = affinity.and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| {
        affinity
            .required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    let terms = match required {
        None => None,
        Some(required) => {
            let mut terms = Vec::new();
            for one in &required.node_selector_terms {
                terms.push(term(&mut interner, one)?);
            }
            Some(terms)
        }
    };
    Ok(Placement {
        node_selector: interner.labels(spec.node_selector.as_ref()),
        terms,
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
    })
}

fn term(interner: &mut Interner, object: &v1::NodeSelectorTerm) -> Result<Term, BadObject> {
    let (mut labels, mut bounds, mut name) = (Vec::new(), Vec::new(), Vec::new());
    for one in object.match_expressions.iter().flatten() {
        match one.operator.as_str() {
            "Gt" | "Lt" => bounds.push(bound(one)),
            other => labels.push(interner.requirement(&one.key, other, one.values.as_ref())?),
        }
    }
    for one in object.match_fields.iter().flatten() {
        name.push(interner.requirement(&one.key, &one.operator, one.values.as_ref())?);
    }
    Ok(Term {
        labels: Selector::new(labels),
        name: Selector::new(name),
        bounds,
    })
}

fn bound(requirement: &v1::NodeSelectorRequirement) -> Bound {
    let above = requirement.operator == "Gt";
    let value = requirement.values.iter().flatten().next();
    // With a bound that is no number, the scheduler finds no node either.
    let nothing = if above { i64::MAX } else { i64::MIN };
    Bound {
        key: requirement.key.as_str().into(),
        above,
        than: value
            .and_then(|value| value.parse().ok())
            .unwrap_or(nothing),
    }
}

fn toleration(object: &v1::Toleration) -> Toleration {
    Toleration {
        key: non_empty(object.key.as_deref()),
        value: match object.operator.as_deref() {
            Some("Exists") => None,
            _ => Some(object.value.as_deref().unwrap_or_default().into()),
        },
        effect: non_empty(object.effect.as_deref()),
    }
}

/// `None` for an empty text.
fn non_empty(text: Option<&str>) -> Option<std::sync::Arc<str>> {
    match text {
        None | Some("") => None,
        Some(text) => Some(text.into()),
    }
}
