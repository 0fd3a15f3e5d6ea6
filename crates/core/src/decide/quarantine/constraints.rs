//! Which selectors a quarantined pod must leave, keep matching or not newly match.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    detach::{Constraints, NamedSelector},
    keys,
    object::{Controller, Pod, PodSelectingObject},
    policy::{Detach, Policy},
    selector::Labels,
    text::truncate,
    view::View,
    workload::Workload,
};

/// The longest value of a label.
const LABEL_BYTES: usize = 63;

/// A pod that is quarantined, and what it leaves.
#[derive(Clone, Copy, Debug)]
pub(in crate::decide) struct LeavingPod<'a> {
    pub(in crate::decide) pod: &'a Pod,
    /// The name of the workload that owns it, or owned it before its quarantine.
    pub(in crate::decide) name: &'a str,
    /// `None` where the workload is not known.
    pub(in crate::decide) workload: Option<Workload<'a>>,
    /// Whether the pod leaves its workload, too.
    pub(in crate::decide) detach: Detach,
    /// `None` for a pod that no policy selects, or whose policy no longer exists.
    pub(in crate::decide) policy: Option<&'a Policy>,
}

/// The constraints on a pod that leaves its Services and, unless it is to stay there, its workload.
///
/// Every controller and disruption budget that selects the pod is left, not only its own: one that still matches would
/// adopt the pod, or count it. An empty selector of a budget selects every pod and cannot be left. A pod that stays in
/// its workload need not leave its budgets: most have the workload's own selector.
pub(in crate::decide) fn constraints_for(view: &View, leaving: &LeavingPod<'_>) -> Constraints {
    let LeavingPod { pod, policy, .. } = *leaving;
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
        let named = NamedSelector {
            whose: "alsoLeave".into(),
            selector: selector.clone(),
        };
        sort_taking(&mut constraints, pod, named);
    }
    if leaving.detach == Detach::Workload {
        constraints.leave.extend(custom_parent(leaving));
        for selector in &pod.spread_over {
            if selector.matches(&pod.labels) {
                constraints.wish_to_leave.push(NamedSelector {
                    whose: "the pod's own spread constraint".into(),
                    selector: selector.clone(),
                });
            }
        }
        // The scheduler reads the anti-affinity of running pods, too: the replacement cannot run on the node whatever
        // this pod's labels are (interpodaffinity/filtering.go, satisfyExistingPodsAntiAffinity).
        if pod
            .repels
            .iter()
            .any(|selector| selector.matches(&pod.labels))
        {
            let whose = "the pod's own anti-affinity keeps its replacement off its node";
            constraints.unavoidable.push(whose.into());
        }
    }
    constraints
}

/// The labels of every quarantined pod.
fn own_labels(workload: &str) -> Labels {
    let workload = truncate(workload, LABEL_BYTES)
        .trim_end_matches(|last: char| !last.is_ascii_alphanumeric());
    Labels::from([
        (keys::STATE.into(), keys::QUARANTINED.into()),
        (keys::WORKLOAD.into(), workload.into()),
    ])
}

fn fixed(leaving: &LeavingPod<'_>) -> BTreeSet<Arc<str>> {
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

/// A selector that matches the pod must be left, any other must not be newly matched.
fn sort_taking(constraints: &mut Constraints, pod: &Pod, named: NamedSelector) {
    let list = if named.selector.matches(&pod.labels) {
        &mut constraints.leave
    } else {
        &mut constraints.avoid
    };
    list.push(named);
}

fn sort_selecting(
    constraints: &mut Constraints,
    leaving: &LeavingPod<'_>,
    object: &PodSelectingObject,
) {
    let Some(selector) = object.selector() else {
        return;
    };
    let named = NamedSelector {
        whose: format!("{} {}", object.kind().as_str(), object.key().name).into(),
        selector: selector.clone(),
    };
    let matches = selector.matches(&leaving.pod.labels);
    match (object, leaving.detach) {
        (PodSelectingObject::Service(_) | PodSelectingObject::PodDisruptionBudget(_), _)
            if selector.is_about_quarantine() => {}
        (PodSelectingObject::PodDisruptionBudget(_), _) if selector.is_empty() => {
            constraints.unavoidable.push(named.whose);
        }
        (PodSelectingObject::PodDisruptionBudget(_), Detach::Service) if matches => {
            constraints.wish_to_leave.push(named);
        }
        (PodSelectingObject::Service(_) | PodSelectingObject::PodDisruptionBudget(_), _) => {
            sort_taking(constraints, leaving.pod, named);
        }
        (PodSelectingObject::NetworkPolicy(_), _) if matches => {
            constraints.wish_to_keep.push(named);
        }
        (PodSelectingObject::NetworkPolicy(_), _) => {}
    }
}

/// A controller that keeps the pod must still match it; another controller that matches does not own it.
fn sort_controller(
    constraints: &mut Constraints,
    leaving: &LeavingPod<'_>,
    controller: &Controller,
) {
    let named = NamedSelector {
        whose: controller.reference().to_string().into(),
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

/// A parent that the agent does not read most likely selects as its ReplicaSets do, without the hash that distinguishes
/// them.
fn custom_parent(leaving: &LeavingPod<'_>) -> Option<NamedSelector> {
    let workload = leaving.workload?;
    let parent = workload.custom_parent?;
    let selector = workload
        .owner
        .selector
        .without(|key| key.ends_with(keys::POD_TEMPLATE_HASH));
    if selector.is_empty() || !selector.matches(&leaving.pod.labels) {
        return None;
    }
    Some(NamedSelector {
        whose: parent.to_string().into(),
        selector,
    })
}
