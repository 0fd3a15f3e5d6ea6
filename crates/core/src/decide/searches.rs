//! Which labels a pod changes: searched for once, for as long as nothing changes that the answer depends on.
//!
//! A search may try thousands of sets of edits, and a tenant decides how many: by the selectors in its namespace, and by the
//! pods there that ask for a quarantine. What does not fit into one decision is put off to the next.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    context::Context,
    quarantine::{
        constraints::{LeavingPod, constraints_for},
        edits::{LabelEdits, label_edits},
    },
};
use crate::{
    object::{Reference, Uid},
    policy::{Detach, Policy},
    reason::{Reason, Refusal},
    selector::Labels,
};

/// After that many sets of edits a decision begins no further search.
const MAX_TRIED: u32 = 5_000;

/// The searches of this decision, and the answers of earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches {
    answers: BTreeMap<Uid, Answered>,
    /// How many sets of edits were tried in this decision.
    tried: u32,
    put_off: u32,
}

#[derive(Clone, Debug)]
struct Answered {
    asked: Asked,
    found: Found,
    /// Whether this decision has asked for it.
    is_used: bool,
}

/// Everything that an answer depends on.
#[derive(Clone, Debug)]
struct Asked {
    labels: Labels,
    owner: Option<Reference>,
    name: Arc<str>,
    detach: Detach,
    policy: Option<Policy>,
    /// The version of all selectors in the namespace.
    selectors: u64,
}

impl Asked {
    fn of(cx: &Context<'_>, leaving: &LeavingPod<'_>) -> Self {
        let pod = leaving.pod;
        Self {
            labels: pod.labels.clone(),
            owner: pod.owner.clone(),
            name: leaving.name.into(),
            detach: leaving.detach,
            policy: leaving.policy.cloned(),
            selectors: cx.view.selectors_version(&pod.key.namespace),
        }
    }

    /// Whether that was asked; every decision asks it of every pod in question, so nothing is cloned.
    fn is(&self, cx: &Context<'_>, leaving: &LeavingPod<'_>) -> bool {
        let Self {
            labels,
            owner,
            name,
            detach,
            policy,
            selectors,
        } = self;
        let pod = leaving.pod;
        *labels == pod.labels
            && *owner == pod.owner
            && **name == *leaving.name
            && *detach == leaving.detach
            && policy.as_ref() == leaving.policy
            && *selectors == cx.view.selectors_version(&pod.key.namespace)
    }
}

/// Which labels a pod changes.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Kind and name of what selects the pod, and must not.
    pub(super) selected_by: Vec<Arc<str>>,
    pub(super) edits: Result<LabelEdits, Refusal>,
}

/// The search does not fit into this decision.
pub(super) struct PutOff;

impl Searches {
    /// Begins a decision.
    pub(super) fn begin(&mut self) {
        self.answers
            .retain(|_, answered| std::mem::take(&mut answered.is_used));
        self.tried = 0;
        self.put_off = 0;
    }

    /// How many searches were put off in this decision.
    pub(super) fn put_off(&self) -> u32 {
        self.put_off
    }

    /// Which labels a pod changes to leave what it must leave.
    pub(super) fn answer(
        &mut self,
        cx: &Context<'_>,
        leaving: &LeavingPod<'_>,
    ) -> Result<&Found, PutOff> {
        let pod = leaving.pod;
        let known = self.answers.get(&pod.uid);
        let is_known = known.is_some_and(|known| known.asked.is(cx, leaving));
        if !is_known {
            if self.tried >= MAX_TRIED {
                self.put_off += 1;
                return Err(PutOff);
            }
            let found = self.search(cx, leaving);
            let answered = Answered {
                asked: Asked::of(cx, leaving),
                found,
                is_used: true,
            };
            self.answers.insert(pod.uid.clone(), answered);
        }
        let answered = self.answers.get_mut(&pod.uid).ok_or(PutOff)?;
        answered.is_used = true;
        Ok(&answered.found)
    }

    fn search(&mut self, cx: &Context<'_>, leaving: &LeavingPod<'_>) -> Found {
        let constraints = constraints_for(cx.view, leaving);
        let selected_by: Vec<Arc<str>> = constraints
            .leave
            .iter()
            .map(|named| named.whose.clone())
            .collect();
        let mut unreadable = cx.view.unreadable_in(&leaving.pod.key.namespace);
        let edits = if let Some((kind, name)) = unreadable.next() {
            let detail = format!("{kind}/{name} cannot be read: what it selects is not known");
            Err(Refusal::new(Reason::NoWayOut, detail))
        } else if leaving.detach == Detach::Service && selected_by.is_empty() {
            Err(Refusal::new(Reason::NothingToLeave, ""))
        } else {
            label_edits(leaving, constraints, &mut self.tried)
        };
        Found { selected_by, edits }
    }
}
