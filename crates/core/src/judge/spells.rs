//! When pods were bad that are so no longer, for as long as that matters.
//!
//! When a failure ends, each pod answers at its own turn. What a pod answered is therefore compared with all that were bad
//! when it was asked. The spells of each scope are kept up to date with every answer, so that no decision walks over them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    object::Uid,
    scope::{PodScopes, Scope},
    time::Moment,
    workload::WorkloadId,
};

/// How many spells of one pod are kept apart: a pod that is bad now and then has many.
const MAX_OF_POD: usize = 8;

/// How many spells one decision forgets: after a failure of the whole cluster there are many. What is left matters to no
/// answer.
const MAX_FORGOTTEN: usize = 1000;

/// How many pods a decision is told of that are reached again.
const MAX_REACHED: usize = 1000;

/// From when until when a pod was bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spell {
    /// When it was asked for the first of its bad answers.
    pub(super) from: Moment,
    /// When it was good again or gone; of one that has not answered since, when its last bad answer went stale.
    pub(super) until: Moment,
    pub(super) end: End,
    /// Whether there was no connection for one of the bad answers.
    pub(super) unreached: bool,
}

/// How a spell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Good,
    /// The pod is gone, or judged no longer.
    Gone,
    /// It was restarted, or could not be asked, and has not been good since.
    Unanswered,
}

/// The pods that were bad at one time, and are so no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadThen {
    pub pods: usize,
    /// Those of them that are in none of the counts of [`Findings::with_verdict`](super::Findings::with_verdict).
    pub without_verdict: usize,
    /// Two of the workloads of such pods, if there are as many.
    pub workloads: Vec<WorkloadId>,
}

/// A pod that the agent got no connection to, and does by now, perhaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachedAgain {
    pub workload: WorkloadId,
    /// When it was asked for the first of its bad answers.
    pub since: Moment,
    pub until: Moment,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Spells {
    pods: HashMap<Uid, PodSpells>,
    scopes: HashMap<Scope, ScopeSpells>,
    /// Of pods that are not bad now, those without a connection: until when, of which workload, since when.
    unreached: BTreeMap<(Moment, Uid), (WorkloadId, Moment)>,
    /// Until when there were spells that are over, and those that wait for an answer.
    over: BTreeSet<(Moment, Uid)>,
    waiting: BTreeSet<(Moment, Uid)>,
}

#[derive(Clone, Debug)]
struct PodSpells {
    scopes: PodScopes,
    /// The policies that find the pod bad now: then it counts as such, not by its spells.
    bad_by: Vec<Arc<str>>,
    /// In the order in which they ended. The last one may have been found by any policy, those before are over.
    ended: Vec<(Arc<str>, Spell)>,
}

impl Spells {
    /// Whether a policy finds a pod bad now.
    pub(super) fn set_bad(&mut self, policy: &Arc<str>, uid: &Uid, scopes: &PodScopes, bad: bool) {
        let is_known = |pod: &PodSpells| pod.bad_by.contains(policy);
        if bad != self.pods.get(uid).is_some_and(is_known) {
            self.change(uid, scopes, |pod| {
                pod.bad_by.retain(|by| by != policy);
                pod.bad_by.extend(bad.then(|| policy.clone()));
            });
        }
    }

    /// A spell of a pod that a policy found bad has ended.
    pub(super) fn end(&mut self, policy: &Arc<str>, uid: &Uid, scopes: &PodScopes, spell: Spell) {
        self.change(uid, scopes, |pod| {
            match pod.ended.last_mut() {
                // The pod has not been good in between.
                Some((by, last)) if last.end == End::Unanswered || spell.from <= last.until => {
                    last.from = last.from.min(spell.from);
                    last.unreached |= spell.unreached;
                    if last.until <= spell.until {
                        *by = policy.clone();
                        (last.until, last.end) = (spell.until, spell.end);
                    }
                }
                _ => pod.ended.push((policy.clone(), spell)),
            }
            if pod.ended.len() > MAX_OF_POD {
                let (_, first) = pod.ended.remove(0);
                if let Some((_, second)) = pod.ended.first_mut() {
                    second.from = first.from;
                    second.unreached |= first.unreached;
                }
            }
        });
    }

    /// A policy says of a pod that it is good, or judges it no longer: its spell waits for no answer any more.
    pub(super) fn close(&mut self, policy: &str, uid: &Uid, at: Moment, end: End) {
        let waits = |pod: &PodSpells| {
            let last = pod.ended.last();
            last.is_some_and(|(by, last)| **by == *policy && last.end == End::Unanswered)
        };
        let Some(pod) = self.pods.get(uid).filter(|pod| waits(pod)) else {
            return;
        };
        let scopes = pod.scopes.clone();
        self.change(uid, &scopes, |pod| {
            if let Some((_, last)) = pod.ended.last_mut() {
                (last.until, last.end) = (at, end);
            }
        });
    }

    /// Where the pod is now.
    pub(super) fn set_scopes(&mut self, uid: &Uid, scopes: &PodScopes) {
        if self.pods.get(uid).is_some_and(|pod| pod.scopes != *scopes) {
            self.change(uid, scopes, |_| {});
        }
    }

    /// A pod is counted elsewhere from now on.
    pub(super) fn forget(&mut self, uid: &Uid) {
        if let Some(pod) = self.pods.remove(uid) {
            self.count(uid, &pod, false);
        }
    }

    /// Forgets the spells that ended by the first time, and those that ended without an answer before the second.
    pub(super) fn expire(&mut self, answered: Moment, unanswered: Moment) {
        for _ in 0..MAX_FORGOTTEN {
            let over = self.over.first().filter(|(until, _)| *until <= answered);
            let waiting = || {
                self.waiting
                    .first()
                    .filter(|(until, _)| *until < unanswered)
            };
            let Some((_, uid)) = over.or_else(waiting).cloned() else {
                return;
            };
            let Some(pod) = self.pods.get(&uid) else {
                return;
            };
            let scopes = pod.scopes.clone();
            self.change(&uid, &scopes, |pod| {
                pod.ended.retain(|(_, spell)| match spell.end {
                    End::Good | End::Gone => spell.until > answered,
                    End::Unanswered => spell.until >= unanswered,
                });
            });
        }
    }

    /// Whether no pod was bad that is not bad now.
    pub(super) fn none_counts(&self) -> bool {
        self.scopes.is_empty()
    }

    /// How many other pods of that scope were bad when one was asked last, by what is known now. `since` is when that one was
    /// asked for the first of its bad answers: a pod that was bad after that, and has not been good, is bad still.
    pub(super) fn bad_then(&mut self, scope: &Scope, since: Moment, asked: Moment) -> BadThen {
        let Some(spells) = self.scopes.get_mut(scope) else {
            return BadThen::default();
        };
        let gone = spells.gone.count(asked, asked);
        let unanswered = spells.unanswered.count(since, asked);
        BadThen {
            pods: spells.good.count(asked, asked) + gone + unanswered,
            without_verdict: gone + unanswered,
            workloads: spells.workloads.keys().take(2).cloned().collect(),
        }
    }

    /// The pods that are reached again since that time; the last ones, if there are too many.
    pub(super) fn reached_after(&self, asked: Moment) -> Vec<ReachedAgain> {
        let latest = self.unreached.iter().rev().take(MAX_REACHED);
        let after = latest.take_while(|((until, _), _)| *until > asked);
        after
            .map(|((until, _), (workload, since))| ReachedAgain {
                workload: workload.clone(),
                since: *since,
                until: *until,
            })
            .collect()
    }

    fn change(&mut self, uid: &Uid, scopes: &PodScopes, change: impl FnOnce(&mut PodSpells)) {
        let pod = self.pods.remove(uid);
        if let Some(pod) = &pod {
            self.count(uid, pod, false);
        }
        let mut pod = pod.unwrap_or_else(|| PodSpells {
            scopes: scopes.clone(),
            bad_by: Vec::new(),
            ended: Vec::new(),
        });
        pod.scopes = scopes.clone();
        change(&mut pod);
        if pod.bad_by.is_empty() && pod.ended.is_empty() {
            return;
        }
        self.count(uid, &pod, true);
        self.pods.insert(uid.clone(), pod);
    }

    /// Adds a pod to what is counted, or takes it out.
    fn count(&mut self, uid: &Uid, pod: &PodSpells, is_added: bool) {
        for (_, spell) in &pod.ended {
            let spells = match spell.end {
                End::Good | End::Gone => &mut self.over,
                End::Unanswered => &mut self.waiting,
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
            let spells = self.scopes.entry(scope.clone()).or_default();
            for (_, spell) in &pod.ended {
                spells.of(spell.end).change(spell, is_added);
            }
            let workload = &pod.scopes.workload;
            let pods = spells.workloads.entry(workload.clone()).or_default();
            *pods = if is_added { *pods + 1 } else { *pods - 1 };
            if *pods == 0 {
                spells.workloads.remove(workload);
            }
            if spells.workloads.is_empty() {
                self.scopes.remove(&scope);
            }
        }
        for (_, spell) in pod.ended.iter().filter(|(_, spell)| spell.unreached) {
            let key = (spell.until, uid.clone());
            if is_added && !pod.scopes.exempt {
                let since = (pod.scopes.workload.clone(), spell.from);
                self.unreached.insert(key, since);
            } else {
                self.unreached.remove(&key);
            }
        }
    }
}

/// The spells of the pods of a scope that are not bad now.
#[derive(Clone, Debug, Default)]
struct ScopeSpells {
    good: Spans,
    gone: Spans,
    unanswered: Spans,
    /// How many such pods each workload has.
    workloads: BTreeMap<WorkloadId, u32>,
}

impl ScopeSpells {
    fn of(&mut self, end: End) -> &mut Spans {
        match end {
            End::Good => &mut self.good,
            End::Gone => &mut self.gone,
            End::Unanswered => &mut self.unanswered,
        }
    }
}

/// Spans of time.
#[derive(Clone, Debug, Default)]
struct Spans {
    from: Moments,
    until: Moments,
}

impl Spans {
    fn change(&mut self, spell: &Spell, is_added: bool) {
        self.from.change(spell.from, is_added);
        self.until.change(spell.until, is_added);
    }

    /// How many have begun by the second moment, and had not ended by the first, which is not later.
    fn count(&mut self, first: Moment, second: Moment) -> usize {
        let began = self.from.until(second);
        began.saturating_sub(self.until.until(first))
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
    fn until(&mut self, moment: Moment) -> usize {
        self.sort();
        let up_to = |moments: &[Moment]| moments.partition_point(|one| *one <= moment);
        up_to(&self.added) - up_to(&self.removed)
    }
}
