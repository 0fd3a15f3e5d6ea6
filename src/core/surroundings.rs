//! Which selectors around a pod must be left, kept or not entered.

use std::sync::Arc;

use super::{
    detach::{Constraints, Named},
    keys,
    object::{Controller, Pod, Selecting, SelectingKind},
    policy::Policy,
    record::cut,
    selector::{Labels, Selector},
    view::{View, Workload},
};

/// The longest value of a label.
const LABEL_BYTES: usize = 63;

/// The constraints on a pod that leaves its Services and its workload.
///
/// Every controller and disruption budget that selects the pod is left, not only its own: one that goes on matching
/// would adopt it, or count it. An empty selector of a budget selects every pod and cannot be left.
#[must_use]
pub fn around(
    view: &View,
    pod: &Pod,
    workload: &Workload<'_>,
    policy: Option<&Policy>,
) -> Constraints {
    let mut constraints = Constraints {
        added: own_labels(&workload.reference().name),
        fixed: fixed(policy),
        ..Constraints::default()
    };
    for object in view.selecting(&pod.key.namespace) {
        sort_selecting(&mut constraints, pod, object);
    }
    for controller in view.controllers(&pod.key.namespace) {
        let named = Named {
            whose: name(controller.kind.as_str(), &controller.key.name),
            selector: controller.selector.clone(),
        };
        sort_taking(&mut constraints, pod, named);
    }
    if let Some(unread) = workload.unread {
        constraints
            .leave
            .extend(unread_parent(workload.owner, &unread.to_string(), pod));
    }
    for selector in policy.map_or(&[][..], |policy| &policy.also_leave) {
        let named = Named {
            whose: "alsoLeave".into(),
            selector: selector.clone(),
        };
        sort_taking(&mut constraints, pod, named);
    }
    let apart = pod
        .kept_apart_from
        .iter()
        .filter(|selector| selector.matches(&pod.labels));
    constraints
        .wish_to_leave
        .extend(apart.map(|selector| Named {
            whose: "the pod's own placement rule".into(),
            selector: selector.clone(),
        }));
    constraints
}

/// The Services that a pod is behind, by name.
#[must_use]
pub fn services(view: &View, pod: &Pod) -> Vec<Arc<str>> {
    let services = view
        .selecting(&pod.key.namespace)
        .filter(|object| object.kind == SelectingKind::Service);
    let matching = services.filter(|service| {
        let selector = service.selector.as_ref();
        selector
            .is_some_and(|selector| selector.matches(&pod.labels) && !is_about_quarantine(selector))
    });
    matching.map(|service| service.key.name.clone()).collect()
}

fn name(kind: &str, name: &str) -> Arc<str> {
    format!("{kind} {name}").into()
}

/// The labels of every quarantined pod.
fn own_labels(workload: &str) -> Labels {
    let workload =
        cut(workload, LABEL_BYTES).trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    Labels::from([
        (keys::STATE.into(), keys::QUARANTINED.into()),
        (keys::WORKLOAD.into(), workload.into()),
    ])
}

fn fixed(policy: Option<&Policy>) -> std::collections::BTreeSet<Arc<str>> {
    let kept = policy
        .into_iter()
        .flat_map(|policy| policy.keep_labels.iter().cloned());
    keys::NEVER_EDITED
        .iter()
        .map(|key| Arc::from(*key))
        .chain(kept)
        .collect()
}

/// Whoever selects on the agent's own labels means quarantined pods.
fn is_about_quarantine(selector: &Selector) -> bool {
    selector.keys().any(|key| key.starts_with(keys::PREFIX))
}

/// What would take the pod in is left where it has it, else not entered.
fn sort_taking(constraints: &mut Constraints, pod: &Pod, named: Named) {
    let list = if named.selector.matches(&pod.labels) {
        &mut constraints.leave
    } else {
        &mut constraints.avoid
    };
    list.push(named);
}

fn sort_selecting(constraints: &mut Constraints, pod: &Pod, object: &Selecting) {
    let Some(selector) = &object.selector else {
        return;
    };
    let named = Named {
        whose: name(object.kind.as_str(), &object.key.name),
        selector: selector.clone(),
    };
    match object.kind {
        SelectingKind::Service | SelectingKind::PodDisruptionBudget
            if is_about_quarantine(selector) => {}
        SelectingKind::PodDisruptionBudget if selector.is_empty() => {}
        SelectingKind::NetworkPolicy if selector.matches(&pod.labels) => {
            constraints.wish_to_keep.push(named);
        }
        SelectingKind::NetworkPolicy => {}
        SelectingKind::Service | SelectingKind::PodDisruptionBudget => {
            sort_taking(constraints, pod, named);
        }
    }
}

/// A parent that the agent does not read most likely selects as its ReplicaSets do, less the hash that tells them
/// apart.
fn unread_parent(owner: &Controller, parent: &str, pod: &Pod) -> Option<Named> {
    let selector = owner
        .selector
        .without(|key| key.ends_with(keys::POD_TEMPLATE_HASH));
    (!selector.is_empty() && selector.matches(&pod.labels)).then(|| Named {
        whose: parent.into(),
        selector,
    })
}
