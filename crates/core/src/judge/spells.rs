//! When pods were bad that are so no longer, for as long as that matters.
//!
//! When a failure ends, each pod answers at its own turn. What a pod answered is therefore compared with all that were bad
//! when it was asked. The spells of each scope are kept up to date with every answer, so that no decision walks over them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    object::{ObjectKey, Uid},
    scope::{PodScopes, Scope},
    time::Moment,
    workload::WorkloadId,
};

/// How many spells are kept, but for those that are new since the last decision.
const MAX_SPELLS: usize = 100_000;

/// How many spells of one pod are kept apart: a pod that is bad now and then has many.
const MAX_OF_POD: usize = 8;

/// How many spells one decision forgets: after a failure of the whole cluster there are many. The rest has its turn.
const MAX_FORGOTTEN: usize = 1000;

/// How many pods a decision is told of that are reached again. If there are as many, there may be more.
pub const MAX_REACHED: usize = 1000;

/// How many workloads of a node or a zone are looked at to find two with such pods.
const MAX_WORKLOADS: usize = 100;

/// From when until when a pod was bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spell {
    /// When it was asked for the first of its bad answers.
    pub(super) from: Moment,
    /// When it was good again or gone; while it waits for that, when its last bad answer went stale.
    pub(super) until: Moment,
    /// The policies to which the pod was restarted, or that could not ask it, and that have not found it good since.
    pub(super) waits_for: Vec<Arc<str>>,
    /// Whether there was no connection for one of the bad answers.
    pub(super) unreached: bool,
}

impl Spell {
    fn waits(&self) -> bool {
        !self.waits_for.is_empty()
    }
}

/// The pods that were bad at one time, and are so no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadThen {
    pub pods: usize,
    /// Those of them that are in none of the counts of [`Findings::with_verdict`](super::Findings::with_verdict).
    pub without_verdict: usize,
    /// Of a node or a zone: two of their workloads, if there are as many; of very many workloads, any two.
    pub workloads: Vec<WorkloadId>,
}

/// A pod that the agent got no connection to, and does by now, perhaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachedAgain {
    pub pod: ObjectKey,
    pub uid: Uid,
    pub workload: WorkloadId,
    /// When it was asked for the first of its bad answers.
    pub since: Moment,
    /// [`Moment::MAX`] if it has not been good since.
    pub until: Moment,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Spells {
    pods: HashMap<Uid, PodSpells>,
    scopes: HashMap<Scope, ScopeSpells>,
    /// Of pods that are not bad now, those without a connection, by until when they had none.
    unreached: BTreeMap<(Moment, Uid), ReachedAgain>,
    /// Until when there were spells that are over, and those that wait.
    over: BTreeSet<(Moment, Uid)>,
    waiting: BTreeSet<(Moment, Uid)>,
    /// Of what was asked before that, it is not known any more how many were bad then.
    known_since: Moment,
}

#[derive(Clone, Debug)]
struct PodSpells {
    key: ObjectKey,
    scopes: PodScopes,
    /// Whether it is in the counts of pods with a verdict.
    has_verdict: bool,
    /// The policies that find the pod bad now: then it counts as such, not by its spells.
    bad_by: Vec<Arc<str>>,
    /// In the order in which they ended. Only the last one may wait.
    ended: Vec<Spell>,
}

/// Which pod that is, and where it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpellOf<'a> {
    pub(super) policy: &'a Arc<str>,
    pub(super) uid: &'a Uid,
    pub(super) key: &'a ObjectKey,
    pub(super) scopes: &'a PodScopes,
    pub(super) has_verdict: bool,
}

impl Spells {
    /// Whether a policy finds a pod bad now.
    pub(super) fn set_bad(&mut self, of: SpellOf<'_>, bad: bool) {
        let is_known = |pod: &PodSpells| pod.bad_by.contains(of.policy);
        if bad != self.pods.get(of.uid).is_some_and(is_known) {
            self.add(of, |pod| {
                pod.bad_by.retain(|by| by != of.policy);
                pod.bad_by.extend(bad.then(|| of.policy.clone()));
            });
        }
    }

    /// A spell of a pod that a policy found bad has ended.
    pub(super) fn end(&mut self, of: SpellOf<'_>, mut spell: Spell) {
        self.add(of, |pod| {
            // In between the pod has not been good to all policies.
            while let Some(last) = pod
                .ended
                .pop_if(|last| last.waits() || spell.from <= last.until)
            {
                spell.from = spell.from.min(last.from);
                spell.unreached |= last.unreached;
                let waited = last.waits();
                let others = last.waits_for.into_iter();
                spell
                    .waits_for
                    .extend(others.filter(|policy| policy != of.policy));
                // What was waited for has come.
                if !waited || spell.waits() {
                    spell.until = spell.until.max(last.until);
                }
            }
            pod.ended.push(spell);
            if pod.ended.len() > MAX_OF_POD {
                let first = pod.ended.remove(0);
                if let Some(second) = pod.ended.first_mut() {
                    second.from = first.from;
                    second.unreached |= first.unreached;
                }
            }
        });
    }

    /// A policy says of a pod that it is good, or judges it no longer: no spell waits for that any more.
    pub(super) fn close(&mut self, policy: &str, uid: &Uid, at: Moment) {
        let waits = |pod: &PodSpells| {
            let last = pod.ended.last();
            last.is_some_and(|last| last.waits_for.iter().any(|by| **by == *policy))
        };
        if self.pods.get(uid).is_some_and(waits) {
            self.change(uid, |pod| {
                if let Some(last) = pod.ended.last_mut() {
                    last.waits_for.retain(|by| **by != *policy);
                    if !last.waits() {
                        last.until = at;
                    }
                }
            });
        }
    }

    /// Where the pod is now.
    pub(super) fn set_scopes(&mut self, uid: &Uid, scopes: &PodScopes) {
        if self.pods.get(uid).is_some_and(|pod| pod.scopes != *scopes) {
            self.change(uid, |pod| pod.scopes = scopes.clone());
        }
    }

    /// Whether the pod is in the counts of pods with a verdict now.
    pub(super) fn set_verdict(&mut self, uid: &Uid, has_verdict: bool) {
        let differs = |pod: &PodSpells| pod.has_verdict != has_verdict;
        if self.pods.get(uid).is_some_and(differs) {
            self.change(uid, |pod| pod.has_verdict = has_verdict);
        }
    }

    /// A pod is counted elsewhere from now on.
    pub(super) fn forget(&mut self, uid: &Uid) {
        if let Some(pod) = self.pods.remove(uid) {
            self.count(uid, &pod, false);
        }
    }

    /// Forgets the spells that were over by the first time, and those that wait since before the second.
    pub(super) fn expire(&mut self, over: Moment, waiting: Moment, now: Moment) {
        for _ in 0..MAX_FORGOTTEN {
            let is_full = self.over.len() + self.waiting.len() > MAX_SPELLS;
            let first_over = self.over.first();
            let first_over = first_over.filter(|(until, _)| is_full || *until <= over);
            let first_waiting = || {
                let first = self.waiting.first();
                first.filter(|(until, _)| is_full || *until < waiting)
            };
            let known_since = if let Some((until, _)) = first_over {
                *until
            } else if is_full {
                now
            } else {
                Moment::ZERO
            };
            let Some((until, uid)) = first_over.or_else(first_waiting).cloned() else {
                return;
            };
            self.known_since = self.known_since.max(known_since);
            self.change(&uid, |pod| {
                pod.ended.retain(|spell| spell.until != until);
            });
        }
    }

    /// Whether no pod was bad that is not bad now.
    pub(super) fn none_counts(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Whether [`Self::bad_then`] knows all pods that were bad then.
    pub(super) fn knows(&self, asked: Moment) -> bool {
        asked >= self.known_since
    }

    /// How many other pods of that scope were bad when one was asked last, by what is known now. `since` is when that one was
    /// asked for the first of its bad answers: a pod that was bad after that, and has not been good, is bad still.
    pub(super) fn bad_then(&mut self, scope: &Scope, since: Moment, asked: Moment) -> BadThen {
        let Some(spells) = self.scopes.get_mut(scope) else {
            return BadThen::default();
        };
        let pods = spells.all.count(since, asked);
        if pods == 0 {
            return BadThen::default();
        }
        let is_cut = spells.workloads.len() > MAX_WORKLOADS;
        let workloads = spells.workloads.iter_mut().take(MAX_WORKLOADS);
        let bad_then = workloads.filter_map(|(workload, counts)| {
            (is_cut || counts.count(since, asked) > 0).then(|| workload.clone())
        });
        BadThen {
            pods,
            without_verdict: spells.without_verdict.count(since, asked),
            workloads: bad_then.take(2).collect(),
        }
    }

    /// The pods that are reached again since that time; the last ones, if there are too many.
    pub(super) fn reached_after(&self, asked: Moment) -> Vec<ReachedAgain> {
        let latest = self.unreached.values().rev().take(MAX_REACHED);
        latest
            .take_while(|pod| pod.until > asked)
            .cloned()
            .collect()
    }

    fn add(&mut self, of: SpellOf<'_>, change: impl FnOnce(&mut PodSpells)) {
        if !self.pods.contains_key(of.uid) {
            let pod = PodSpells {
                key: of.key.clone(),
                scopes: of.scopes.clone(),
                has_verdict: of.has_verdict,
                bad_by: Vec::new(),
                ended: Vec::new(),
            };
            self.pods.insert(of.uid.clone(), pod);
        }
        self.change(of.uid, change);
    }

    fn change(&mut self, uid: &Uid, change: impl FnOnce(&mut PodSpells)) {
        let Some(mut pod) = self.pods.remove(uid) else {
            return;
        };
        self.count(uid, &pod, false);
        change(&mut pod);
        if pod.bad_by.is_empty() && pod.ended.is_empty() {
            return;
        }
        self.count(uid, &pod, true);
        self.pods.insert(uid.clone(), pod);
    }

    /// Adds a pod to what is counted, or takes it out.
    fn count(&mut self, uid: &Uid, pod: &PodSpells, is_added: bool) {
        for spell in &pod.ended {
            let spells = if spell.waits() {
                &mut self.waiting
            } else {
                &mut self.over
            };
            if is_added {
                spells.insert((spell.until, uid.clone()));
            } else {
                spells.remove(&(spell.until, uid.clone()));
            }
        }
        if !pod.bad_by.is_empty() || pod.ended.is_empty() {
            return;
        }
        for scope in pod.scopes.iter() {
            let of_many = matches!(scope, Scope::Node(_) | Scope::Zone(_));
            let spells = self.scopes.entry(scope.clone()).or_default();
            for spell in &pod.ended {
                spells.all.change(spell, is_added);
                if !pod.has_verdict {
                    spells.without_verdict.change(spell, is_added);
                }
                if of_many {
                    let workload = pod.scopes.workload.clone();
                    let of_workload = spells.workloads.entry(workload).or_default();
                    of_workload.change(spell, is_added);
                }
            }
            let of_workload = spells.workloads.get(&pod.scopes.workload);
            if of_workload.is_some_and(SpellCounts::is_empty) {
                spells.workloads.remove(&pod.scopes.workload);
            }
            if spells.all.is_empty() {
                self.scopes.remove(&scope);
            }
        }
        for spell in pod.ended.iter().filter(|spell| spell.unreached) {
            let until = if spell.waits() {
                Moment::MAX
            } else {
                spell.until
            };
            let key = (until, uid.clone());
            if is_added && !pod.scopes.exempt {
                let reached = ReachedAgain {
                    pod: pod.key.clone(),
                    uid: uid.clone(),
                    workload: pod.scopes.workload.clone(),
                    since: spell.from,
                    until,
                };
                self.unreached.insert(key, reached);
            } else {
                self.unreached.remove(&key);
            }
        }
    }
}

/// The spells of the pods of a scope that are not bad now.
#[derive(Clone, Debug, Default)]
struct ScopeSpells {
    all: SpellCounts,
    without_verdict: SpellCounts,
    /// Of a node or a zone, by workload.
    workloads: BTreeMap<WorkloadId, SpellCounts>,
}

#[derive(Clone, Debug, Default)]
struct SpellCounts {
    over: Spans,
    waiting: Spans,
}

impl SpellCounts {
    fn change(&mut self, spell: &Spell, is_added: bool) {
        let spans = if spell.waits() {
            &mut self.waiting
        } else {
            &mut self.over
        };
        spans.from.change(spell.from, is_added);
        spans.until.change(spell.until, is_added);
    }

    fn is_empty(&self) -> bool {
        self.over.from.is_empty() && self.waiting.from.is_empty()
    }

    fn count(&mut self, since: Moment, asked: Moment) -> usize {
        self.over.count(asked, asked) + self.waiting.count(since, asked)
    }
}

/// Spans of time.
#[derive(Clone, Debug, Default)]
struct Spans {
    from: Moments,
    until: Moments,
}

impl Spans {
    /// How many have begun by the second moment, and had not ended by the first, which is not later.
    fn count(&mut self, first: Moment, second: Moment) -> usize {
        let began = self.from.up_to(second);
        began.saturating_sub(self.until.up_to(first))
    }
}

/// Moments, to count those up to any one. What is added and removed comes nearly in order, and often at once: both are sorted
/// when somebody asks.
#[derive(Clone, Debug, Default)]
struct Moments {
    added: Vec<Moment>,
    removed: Vec<Moment>,
    is_sorted: bool,
}

impl Moments {
    fn change(&mut self, moment: Moment, is_added: bool) {
        let moments = if is_added {
            &mut self.added
        } else {
            &mut self.removed
        };
        moments.push(moment);
        self.is_sorted = false;
        if self.removed.len() > self.added.len() / 2 {
            self.drop_removed();
        }
    }

    fn is_empty(&self) -> bool {
        self.added.len() == self.removed.len()
    }

    fn sort(&mut self) {
        if !self.is_sorted {
            self.added.sort();
            self.removed.sort();
            self.is_sorted = true;
        }
    }

    fn drop_removed(&mut self) {
        self.sort();
        let mut removed = std::mem::take(&mut self.removed).into_iter().peekable();
        self.added
            .retain(|moment| removed.next_if(|removed| removed == moment).is_none());
    }

    /// How many there are up to that one.
    fn up_to(&mut self, moment: Moment) -> usize {
        self.sort();
        let up_to = |moments: &[Moment]| moments.partition_point(|one| *one <= moment);
        up_to(&self.added) - up_to(&self.removed)
    }
}
