//! The label edits that quarantine a pod: `NetworkPolicy`, `NoWayOut`.

use std::sync::Arc;

use super::constraints::LeavingPod;
use crate::{
    detach::{Constraints, Detachment, NamedSelector, detach},
    policy::NetworkPolicies,
    reason::{Reason, Refusal},
    record::Values,
    selector::Labels,
};

/// The label edits that quarantine a pod.
#[derive(Clone, Debug)]
pub(in crate::decide) struct LabelEdits {
    /// The edited labels with the value written; `None` where the key is removed.
    pub(in crate::decide) edits: Values,
    /// All labels after the edits, the agent's own included.
    pub(in crate::decide) labels: Labels,
    /// The selectors that should be left, or kept, and cannot be.
    pub(in crate::decide) missed: Vec<Arc<str>>,
    /// How many of them are of NetworkPolicies.
    pub(in crate::decide) network_policies_left: usize,
}

/// The edits that quarantine a pod, if the policy allows any. Adds the work that it took.
pub(in crate::decide) fn label_edits(
    leaving: &LeavingPod<'_>,
    mut constraints: Constraints,
    work: &mut usize,
) -> Result<LabelEdits, Refusal> {
    let labels = &leaving.pod.labels;
    let policy = leaving.policy;
    let mut detach = |constraints: &Constraints| {
        let found = detach(labels, constraints);
        *work += match &found {
            Ok(detachment) => detachment.work,
            Err(no_way_out) => no_way_out.work,
        };
        found
    };
    // Only NetworkPolicies are among the wishes to keep.
    let found = if policy.is_some_and(|policy| policy.network_policies == NetworkPolicies::Keep) {
        let wished = std::mem::take(&mut constraints.wish_to_keep);
        let without = detach(&constraints);
        constraints.keep.extend(wished.iter().cloned());
        let found = detach(&constraints);
        if let (Ok(without), Err(_)) = (without, &found) {
            let detail = left(&wished, &without).join("; ");
            return Err(Refusal::new(Reason::NetworkPolicy, detail));
        }
        found
    } else {
        detach(&constraints)
    };
    let detachment =
        found.map_err(|no_way_out| Refusal::new(Reason::NoWayOut, no_way_out.to_string()))?;
    let edits = detachment.edits.iter();
    Ok(LabelEdits {
        edits: edits
            .map(|(key, edit)| (key.clone(), edit.value()))
            .collect(),
        network_policies_left: left(&constraints.wish_to_keep, &detachment).len(),
        labels: detachment.labels,
        missed: detachment.missed,
    })
}

/// The selectors that no longer match the pod.
fn left(selectors: &[NamedSelector], detachment: &Detachment) -> Vec<String> {
    selectors
        .iter()
        .filter(|named| !named.selector.matches(&detachment.labels))
        .map(|named| format!("{} ({})", named.whose, named.selector))
        .collect()
}
