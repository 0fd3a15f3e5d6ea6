//! Which selectors around a pod must be left, kept or not entered.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    detach::{Constraints, Named},
    keys,
    object::{Controller, Pod, Selecting, SelectingKind},
    policy::{Detach, Policy},
    record::cut,
    selector::{Labels, Selector},
    view::{View, Workload},
};

/// The longest value of a label.
const LABEL_BYTES: usize = 63;

/// A pod that leaves something, and what.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The name of the workload that it is, or was, of.
    pub name: &'a str,
    /// The workload itself, as far as it is known.
    pub workload: Option<Workload<'a>>,
    /// Whether it leaves that, too.
    pub detach: Detach,
    /// The policy that asked, if one did.
    pub policy: Option<&'a Policy>,
}

/// The constraints on a pod that leaves its Services and, unless it is to stay there, its workload.
///
/// Every controller and disruption budget that selects the pod is left, not only its own: one that goes on matching
/// would adopt it, or count it. An empty selector of a budget selects every pod and cannot be left. A pod that stays
/// in its workload need not leave its budgets: most have the workload's own selector.
#[must_use]
pub fn around(view: &View, leaving: &Leaving<'_>) -> Constraints {
    let Leaving { pod, policy, .. } = *leaving;
    let mut constraints = Constraints {
        added: own_labels(leaving.name),
        fixed: fixed(leaving),
        ..Constraints::default()
    };
    for object in view.selecting(&pod.key.namespace) {
        sort_selecting(&mut constraints, leaving, object);
    }
    for controller in view.controllers(&pod.key.namespace) {
        sort_controller(&mut constraints, leaving, controller);
    }
    for selector in policy.map_or(&[][..], |policy| &policy.also_leave) {
        let named = Named {
            whose: "alsoLeave".into(),
            selector: selector.clone(),
        };
        sort_taking(&mut constraints, pod, named);
    }
    if leaving.detach == Detach::Workload {
        constraints.leave.extend(unread_parent(leaving));
        let selects = |selector: &&Selector| selector.matches(&pod.labels);
        let spread = pod.spread_over.iter().filter(selects);
        constraints
            .wish_to_leave
            .extend(spread.map(|selector| Named {
                whose: "the pod's own spread constraint".into(),
                selector: selector.clone(),
            }));
        // The scheduler asks those of pods that run, too: the replacement stays off the node whatever becomes of the
        // labels here (interpodaffinity/filtering.go, satisfyExistingPodsAntiAffinity).
        if pod.repels.iter().any(|selector| selects(&selector)) {
            let whose = "the pod's own anti-affinity keeps its replacement off its node";
            constraints.unavoidable.push(whose.into());
        }
    }
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

fn fixed(leaving: &Leaving<'_>) -> BTreeSet<Arc<str>> {
    let kept = leaving
        .policy
        .into_iter()
        .flat_map(|policy| policy.keep_labels.iter().cloned());
    let of_controllers = keys::NEVER_EDITED.iter().map(|key| Arc::from(*key));
    let mut fixed: BTreeSet<Arc<str>> = of_controllers.chain(kept).collect();
    if leaving.detach == Detach::Service {
        fixed.insert(keys::POD_TEMPLATE_HASH.into());
    }
    fixed
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

fn sort_selecting(constraints: &mut Constraints, leaving: &Leaving<'_>, object: &Selecting) {
    let Some(selector) = &object.selector else {
        return;
    };
    let named = Named {
        whose: name(object.kind.as_str(), &object.key.name),
        selector: selector.clone(),
    };
    let matches = selector.matches(&leaving.pod.labels);
    match (object.kind, leaving.detach) {
        (SelectingKind::Service | SelectingKind::PodDisruptionBudget, _)
            if is_about_quarantine(selector) => {}
        (SelectingKind::PodDisruptionBudget, _) if selector.is_empty() => {
            constraints.unavoidable.push(named.whose);
        }
        (SelectingKind::PodDisruptionBudget, Detach::Service) if matches => {
            constraints.wish_to_leave.push(named);
        }
        (SelectingKind::Service | SelectingKind::PodDisruptionBudget, _) => {
            sort_taking(constraints, leaving.pod, named);
        }
        (SelectingKind::NetworkPolicy, _) if matches => constraints.wish_to_keep.push(named),
        (SelectingKind::NetworkPolicy, _) => {}
    }
}

/// A controller that the pod stays in goes on matching; another one that matches besides does not own it.
fn sort_controller(constraints: &mut Constraints, leaving: &Leaving<'_>, controller: &Controller) {
    let named = Named {
        whose: name(controller.kind.as_str(), &controller.key.name),
        selector: controller.selector.clone(),
    };
    let own = leaving.workload.is_some_and(|workload| {
        let above = workload.deployment.map(|deployment| &deployment.uid);
        workload.owner.uid == controller.uid || above == Some(&controller.uid)
    });
    match leaving.detach {
        Detach::Service if own => constraints.keep.push(named),
        Detach::Service if named.selector.matches(&leaving.pod.labels) => {}
        _ => sort_taking(constraints, leaving.pod, named),
    }
}

/// A parent that the agent does not read most likely selects as its ReplicaSets do, less the hash that tells them
/// apart.
fn unread_parent(leaving: &Leaving<'_>) -> Option<Named> {
    let workload = leaving.workload?;
    let parent = workload.unread?;
    let selector = workload
        .owner
        .selector
        .without(|key| key.ends_with(keys::POD_TEMPLATE_HASH));
    (!selector.is_empty() && selector.matches(&leaving.pod.labels)).then(|| Named {
        whose: parent.to_string().into(),
        selector,
    })
}
