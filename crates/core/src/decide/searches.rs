//! Which labels a pod changes: searched for once, for as long as nothing changes that the answer depends on.
//!
//! A search may try thousands of sets of edits, and look at the requirements of hundreds of selectors for each. A tenant
//! decides how many: by the selectors in its namespace, and by the pods there that ask for a quarantine. What does not
//! fit into one decision is put off to the next, in which the namespaces that wait have their turns.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    context::Context,
    quarantine::{
        constraints::{LeavingPod, constraints_for},
        edits::{LabelEdits, label_edits},
    },
};
use crate::{
    object::{MAX_LABELS, Reference, Uid},
    policy::{Detach, Policy},
    reason::{Reason, Refusal},
    selector::Labels,
};

/// After that much work (see [`Detachment`](crate::detach::Detachment)) a decision begins no further search. The
/// sets of edits alone would not do: what one of them takes grows with the selectors in the namespace.
const MAX_WORK: usize = 200_000;

/// After that much work for one namespace it begins no further search there. What the last search takes beyond that is
/// not taken from the others.
const SHARE: usize = MAX_WORK / 2;

/// The searches of this decision, and the answers of earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches {
    answers: BTreeMap<AskedFor, Answered>,
    /// The work of the searches of this decision, by namespace.
    work: BTreeMap<Arc<str>, usize>,
    /// How many searches were put off in this decision, by namespace.
    put_off: BTreeMap<Arc<str>, u32>,
    /// The namespaces of which searches were put off in the last decision, in the order of their turns: the first one has
    /// its turn in this decision.
    waiting: VecDeque<Arc<str>>,
}

/// A pod, and the name of the policy that it would be quarantined by: two policies may have two answers.
type AskedFor = (Uid, Option<Arc<str>>);

#[derive(Clone, Debug)]
struct Answered {
    asked: Asked,
    found: Found,
    /// Whether this decision has asked for it.
    is_used: bool,
}

/// Everything that an answer may depend on.
#[derive(Clone, Debug)]
struct Asked {
    labels: Labels,
    labels_left_out: usize,
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
            labels_left_out: pod.labels_left_out,
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
            labels_left_out,
            owner,
            name,
            detach,
            policy,
            selectors,
        } = self;
        let pod = leaving.pod;
        *labels == pod.labels
            && *labels_left_out == pod.labels_left_out
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
    /// Begins a decision: the namespace that had its turn in the last one goes to the end, if it still waits.
    pub(super) fn begin(&mut self) {
        self.answers
            .retain(|_, answered| std::mem::take(&mut answered.is_used));
        self.work.clear();
        let put_off = std::mem::take(&mut self.put_off);
        self.waiting.pop_front();
        self.waiting
            .retain(|namespace| put_off.contains_key(namespace));
        for namespace in put_off.into_keys() {
            if !self.waiting.contains(&namespace) {
                self.waiting.push_back(namespace);
            }
        }
    }

    /// How many searches were put off in this decision.
    pub(super) fn put_off(&self) -> u32 {
        self.put_off.values().sum()
    }

    /// Which labels a pod changes to leave what it must leave.
    pub(super) fn answer(
        &mut self,
        cx: &Context<'_>,
        leaving: &LeavingPod<'_>,
    ) -> Result<&Found, PutOff> {
        let pod = leaving.pod;
        let policy = leaving.policy.map(|policy| policy.name.clone());
        let asked_for = (pod.uid.clone(), policy);
        let known = self.answers.get(&asked_for);
        let is_known = known.is_some_and(|known| known.asked.is(cx, leaving));
        if !is_known {
            let namespace = &pod.key.namespace;
            if !self.has_room(namespace) {
                *self.put_off.entry(namespace.clone()).or_default() += 1;
                return Err(PutOff);
            }
            let found = self.search(cx, leaving);
            let answered = Answered {
                asked: Asked::of(cx, leaving),
                found,
                is_used: true,
            };
            self.answers.insert(asked_for.clone(), answered);
        }
        let answered = self.answers.get_mut(&asked_for).ok_or(PutOff)?;
        answered.is_used = true;
        Ok(&answered.found)
    }

    /// Whether another search of that namespace fits into this decision. The share of the namespace whose turn it is is
    /// kept for it.
    fn has_room(&self, namespace: &Arc<str>) -> bool {
        let turn = self.waiting.front();
        let work = self.work.get(namespace);
        if work.is_some_and(|work| *work >= SHARE) {
            return false;
        }
        if turn == Some(namespace) {
            return true;
        }
        let others = self.work.iter();
        let others = others.filter(|(of, _)| turn != Some(*of));
        let taken: usize = others.map(|(_, work)| SHARE.min(*work)).sum();
        let kept = turn.map_or(0, |_| SHARE);
        taken < MAX_WORK - kept
    }

    fn search(&mut self, cx: &Context<'_>, leaving: &LeavingPod<'_>) -> Found {
        let namespace = &leaving.pod.key.namespace;
        let constraints = constraints_for(cx.view, leaving);
        // All selectors were gone through and copied, whatever comes of it.
        let work = self.work.entry(namespace.clone()).or_default();
        *work += constraints.size();
        let selected_by: Vec<Arc<str>> = constraints
            .leave
            .iter()
            .map(|named| named.whose.clone())
            .collect();
        let mut unreadable = cx.view.unreadable_in(namespace);
        let edits = if let Some((kind, name)) = unreadable.next() {
            let detail = format!("{kind}/{name} cannot be read: what it selects is not known");
            Err(Refusal::new(Reason::NoWayOut, detail))
        } else if leaving.pod.labels_left_out > 0 {
            let detail = format!("more than {MAX_LABELS} labels do not fit into a record");
            Err(Refusal::new(Reason::NoWayOut, detail))
        } else if leaving.detach == Detach::Service && selected_by.is_empty() {
            Err(Refusal::new(Reason::NothingToLeave, ""))
        } else {
            label_edits(leaving, constraints, work)
        };
        Found { selected_by, edits }
    }
}
