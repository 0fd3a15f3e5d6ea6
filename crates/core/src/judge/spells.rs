//! When pods were bad, also those that are so no longer, for as long as that matters.
//!
//! When a failure ends, each pod answers at its own turn. What a pod answered is therefore compared with all that were bad
//! when it was asked. The spells of each scope are counted with every answer, so that no decision walks over them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    pod_spells::{BadAnswers, OpenSpell, PodSpells, Spell},
    spell_counts::{Counted, End, ScopeSpells, SpellCounts},
};
use crate::{
    object::{ObjectKey, Uid},
    scope::{PodScopes, Scope},
    time::Moment,
    workload::WorkloadId,
};

/// How many spells are kept that have ended, or wait. Each decision forgets [`MAX_FORGOTTEN`] at most: for a moment there
/// can be more.
const MAX_SPELLS: usize = 100_000;

/// How many spells one decision forgets: after a failure of the whole cluster there are many. The rest has its turn.
const MAX_FORGOTTEN: usize = 1000;

/// How many [`WasUnreached`] a decision is told of, and how many lost pods that are out of service it remembers. If there are
/// as many, there may be more.
pub const MAX_UNREACHED: usize = 1000;

/// How many workloads of a node or a zone are looked at to find two with such pods.
const MAX_WORKLOADS: usize = 100;

/// The other pods that were bad at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadThen {
    pub pods: usize,
    /// Those of them that are still there, and in none of the counts of
    /// [`Findings::with_verdict`](super::Findings::with_verdict). A pod that is gone has been replaced, perhaps.
    pub without_verdict: usize,
    /// Those of them that are among [`Findings::never_good`](super::Findings::never_good), too.
    pub never_good: usize,
    /// Of a node or a zone: two workloads with pods that were bad then, that of the pod itself among them, if there are as
    /// many; of very many workloads, any two.
    pub workloads: Vec<WorkloadId>,
}

/// A time in which the agent got no connection to a pod, by a policy whose spell is over or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WasUnreached {
    pub pod: ObjectKey,
    pub uid: Uid,
    pub workload: WorkloadId,
    /// When the first of its answers without a connection came.
    pub since: Moment,
    /// When the policy found the pod good, or judged it no longer; [`Moment::MAX`] while the pod waits.
    pub until: Moment,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Spells {
    pods: HashMap<Uid, PodSpells>,
    scopes: HashMap<Scope, ScopeSpells>,
    /// The pods that the agent got no connection to, by until when and since when.
    unreached: BTreeMap<(Moment, Moment, Uid), WasUnreached>,
    /// When spells ended, and since when others wait.
    over: BTreeSet<(Moment, Uid)>,
    waiting: BTreeSet<(Moment, Uid)>,
    /// How many were bad before this moment is not known any more.
    known_since: Moment,
}

/// Which pod that is, and where it is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpellOf<'a> {
    pub(super) policy: &'a Arc<str>,
    pub(super) uid: &'a Uid,
    pub(super) key: &'a ObjectKey,
    pub(super) scopes: &'a PodScopes,
    pub(super) is_healthy: bool,
    pub(super) was_never_good: bool,
}

impl Spells {
    /// A policy has another bad answer about a pod. A first one counts only with contrast: what was bad, and has not been good
    /// since, is bad still.
    pub(super) fn set_bad(&mut self, of: SpellOf<'_>, bad: BadAnswers, has_contrast: bool) {
        let known = self.pods.get(of.uid);
        let mut open = known.into_iter().flat_map(|pod| &pod.open);
        let is_new = match open.find(|open| open.policy == *of.policy) {
            Some(open) => !open.is_unchanged_by(&bad),
            None => has_contrast,
        };
        if !is_new {
            return;
        }
        if known.is_none() {
            let pod = PodSpells {
                key: of.key.clone(),
                scopes: of.scopes.clone(),
                is_healthy: of.is_healthy,
                was_never_good: of.was_never_good,
                open: Vec::new(),
                over: Vec::new(),
            };
            self.pods.insert(of.uid.clone(), pod);
        }
        self.change(of.uid, |pod| {
            let known = pod.open.iter_mut().find(|open| open.policy == *of.policy);
            if let Some(open) = known {
                open.extend(&bad);
            } else {
                pod.open.push(OpenSpell {
                    policy: of.policy.clone(),
                    bad,
                    stale_at: None,
                });
            }
        });
    }

    /// A policy's last answer about a pod is not bad any more, but it has not found it good.
    pub(super) fn wait(&mut self, policy: &str, uid: &Uid, stale_at: Moment) {
        self.change(uid, |pod| {
            let mut open = pod.open.iter_mut();
            if let Some(open) = open.find(|open| *open.policy == *policy) {
                open.stale_at = Some(stale_at);
            }
        });
    }

    /// A policy finds a pod good, or judges it no longer.
    pub(super) fn close(&mut self, policy: &str, uid: &Uid, at: Moment) {
        let is_open = |pod: &PodSpells| pod.open.iter().any(|open| *open.policy == *policy);
        if self.pods.get(uid).is_some_and(is_open) {
            self.change(uid, |pod| {
                let closed = pod.open.extract_if(.., |open| *open.policy == *policy);
                for OpenSpell { bad, .. } in closed.collect::<Vec<_>>() {
                    pod.push(Spell {
                        from: bad.from,
                        until: at.max(bad.from),
                        unreached_since: bad.unreached_since,
                    });
                }
            });
        }
    }

    /// Ends all spells of a pod that is gone, also those of policies that are gone.
    pub(super) fn close_all(&mut self, uid: &Uid, at: Moment) {
        let open = self.pods.get(uid).into_iter().flat_map(|pod| &pod.open);
        let policies: Vec<Arc<str>> = open.map(|open| open.policy.clone()).collect();
        for policy in policies {
            self.close(&policy, uid, at);
        }
    }

    /// Where the pod is now.
    pub(super) fn set_scopes(&mut self, uid: &Uid, scopes: &PodScopes) {
        if self.pods.get(uid).is_some_and(|pod| pod.scopes != *scopes) {
            self.change(uid, |pod| pod.scopes = scopes.clone());
        }
    }

    /// Whether a policy finds the pod healthy now.
    pub(super) fn set_healthy(&mut self, uid: &Uid, is_healthy: bool) {
        let differs = |pod: &PodSpells| pod.is_healthy != is_healthy;
        if self.pods.get(uid).is_some_and(differs) {
            self.change(uid, |pod| pod.is_healthy = is_healthy);
        }
    }

    /// Whether the pod has been bad, and good to no policy.
    pub(super) fn set_never_good(&mut self, uid: &Uid, was_never_good: bool) {
        let differs = |pod: &PodSpells| pod.was_never_good != was_never_good;
        if self.pods.get(uid).is_some_and(differs) {
            self.change(uid, |pod| pod.was_never_good = was_never_good);
        }
    }

    /// A pod is counted elsewhere from now on.
    pub(super) fn forget(&mut self, uid: &Uid) {
        if let Some(pod) = self.pods.remove(uid) {
            self.count(uid, &pod, false);
        }
    }

    /// Forgets the spells that had ended by the first time, and those that went stale before the second.
    pub(super) fn expire(&mut self, ended_by: Moment, stale_before: Moment, now: Moment) {
        for _ in 0..MAX_FORGOTTEN {
            let is_full = self.over.len() + self.waiting.len() > MAX_SPELLS;
            let first_over = self.over.first();
            let first_over = first_over.filter(|(until, _)| is_full || *until <= ended_by);
            if let Some((until, uid)) = first_over.cloned() {
                self.known_since = self.known_since.max(until);
                self.change(&uid, |pod| pod.over.retain(|spell| spell.until != until));
                continue;
            }
            let first_waiting = self.waiting.first();
            let first_waiting = first_waiting.filter(|(at, _)| is_full || *at < stale_before);
            let Some((stale_at, uid)) = first_waiting.cloned() else {
                return;
            };
            if is_full {
                self.known_since = now;
            }
            self.change(&uid, |pod| {
                pod.open.retain(|open| open.stale_at != Some(stale_at));
            });
        }
    }

    /// Whether [`Self::bad_then`] knows all pods that were bad then.
    pub(super) fn knows(&self, asked: Moment) -> bool {
        asked >= self.known_since
    }

    /// When a pod was bad, the latest time first.
    pub(super) fn of(&self, uid: &Uid) -> Vec<Counted> {
        let pod = self.pods.get(uid);
        pod.map_or_else(Vec::new, |pod| pod.counted().0)
    }

    /// The other pods of that scope that were bad when one with those spells was asked last; `None` only if they are no more
    /// than are bad now.
    pub(super) fn bad_then(
        &mut self,
        scope: &Scope,
        of_pod: &[Counted],
        asked: Moment,
    ) -> Option<BadThen> {
        let spells = self.scopes.get_mut(scope)?;
        if spells.all.none_has_ended() {
            return None;
        }
        let not_over = of_pod
            .first()
            .filter(|spell| !matches!(spell.end, End::Over(_)));
        let since = not_over.map_or(asked, |spell| spell.from.min(asked));
        let itself = of_pod.iter().filter(|spell| spell.was_bad(asked));
        let pods = spells
            .all
            .count(since, asked)
            .saturating_sub(itself.count());
        if pods == 0 {
            return None;
        }
        let is_cut = spells.workloads.len() > MAX_WORKLOADS;
        let workloads = spells.workloads.iter_mut().take(MAX_WORKLOADS);
        let bad_then = workloads.filter_map(|(workload, counts)| {
            (is_cut || counts.count(since, asked) > 0).then(|| workload.clone())
        });
        Some(BadThen {
            pods,
            without_verdict: spells.without_verdict.count(since, asked),
            never_good: spells.never_good.count(since, asked),
            workloads: bad_then.take(2).collect(),
        })
    }

    pub(super) fn has(&self, uid: &Uid) -> bool {
        self.pods.contains_key(uid)
    }

    /// Whether a policy's last answer about a pod is bad, and counts.
    pub(super) fn is_bad(&self, policy: &str, uid: &Uid) -> bool {
        let open = self.pods.get(uid).into_iter().flat_map(|pod| &pod.open);
        let mut lasting = open.filter(|open| open.stale_at.is_none());
        lasting.any(|open| *open.policy == *policy)
    }

    /// How many pods of that scope are bad now, and healthy to no other policy.
    pub(super) fn bad_alone(&self, scope: &Scope) -> u32 {
        self.scopes.get(scope).map_or(0, |spells| spells.bad_alone)
    }

    /// Those that ended after that time, and those that wait; the latest, if there are too many.
    pub(super) fn unreached_after(&self, asked: Moment) -> Vec<WasUnreached> {
        let latest = self.unreached.values().rev().take(MAX_UNREACHED);
        latest
            .take_while(|pod| pod.until > asked)
            .cloned()
            .collect()
    }

    fn change(&mut self, uid: &Uid, change: impl FnOnce(&mut PodSpells)) {
        let Some(mut pod) = self.pods.remove(uid) else {
            return;
        };
        self.count(uid, &pod, false);
        change(&mut pod);
        if pod.open.is_empty() && pod.over.is_empty() {
            return;
        }
        self.count(uid, &pod, true);
        self.pods.insert(uid.clone(), pod);
    }

    /// Adds a pod to what is counted, or takes it out.
    fn count(&mut self, uid: &Uid, pod: &PodSpells, is_added: bool) {
        let (counted, apart) = pod.counted();
        let over = pod.over.iter().take(apart).map(|spell| spell.until);
        let stale_at = pod.open.iter().filter_map(|open| open.stale_at);
        for (times, of_pod) in [
            (&mut self.over, over.collect::<Vec<_>>()),
            (&mut self.waiting, stale_at.collect()),
        ] {
            for time in of_pod {
                if is_added {
                    times.insert((time, uid.clone()));
                } else {
                    times.remove(&(time, uid.clone()));
                }
            }
        }
        for scope in pod.scopes.iter() {
            self.count_in(&scope, pod, &counted, is_added);
        }
        if !pod.scopes.exempt {
            self.count_unreached(uid, pod, is_added);
        }
    }

    fn count_in(&mut self, scope: &Scope, pod: &PodSpells, counted: &[Counted], is_added: bool) {
        let of_many = matches!(scope, Scope::Node(_) | Scope::Zone(_));
        let spells = self.scopes.entry(scope.clone()).or_default();
        for spell in counted {
            spells.all.change(spell, is_added);
            if pod.waits() && !pod.is_healthy {
                spells.without_verdict.change(spell, is_added);
            }
            // Those that are bad now are not in `Findings::never_good`, either.
            if pod.was_never_good && !pod.is_bad() {
                spells.never_good.change(spell, is_added);
            }
            if of_many {
                let workload = pod.scopes.workload.clone();
                let of_workload = spells.workloads.entry(workload).or_default();
                of_workload.change(spell, is_added);
            }
        }
        if pod.is_bad() && !pod.is_healthy {
            let bad_alone = spells.bad_alone;
            spells.bad_alone = if is_added {
                bad_alone + 1
            } else {
                bad_alone - 1
            };
        }
        let of_workload = spells.workloads.get(&pod.scopes.workload);
        if of_workload.is_some_and(SpellCounts::is_empty) {
            spells.workloads.remove(&pod.scopes.workload);
        }
        if spells.all.is_empty() {
            self.scopes.remove(scope);
        }
    }

    fn count_unreached(&mut self, uid: &Uid, pod: &PodSpells, is_added: bool) {
        let over = pod
            .over
            .iter()
            .map(|spell| (spell.unreached_since, spell.until));
        // While its last answer is bad, a finding says so.
        let waiting = pod.open.iter().filter(|open| open.stale_at.is_some());
        let waiting = waiting.map(|open| (open.bad.unreached_since, Moment::MAX));
        for (since, until) in over.chain(waiting) {
            let Some(since) = since else {
                continue;
            };
            let key = (until, since, uid.clone());
            if is_added {
                let was_unreached = WasUnreached {
                    pod: pod.key.clone(),
                    uid: uid.clone(),
                    workload: pod.scopes.workload.clone(),
                    since,
                    until,
                };
                self.unreached.insert(key, was_unreached);
            } else {
                self.unreached.remove(&key);
            }
        }
    }
}
