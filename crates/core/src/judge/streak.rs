//! The streaks of one policy: the answers of its signal about each pod in a row.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{Answer, Finding, Sample, Verdict, pod_spells::BadAnswers};
use crate::{
    object::{ContainerRun, ObjectKey, Uid},
    policy::{Contrast, Policy, Signal},
    record::Evidence,
    scope::PodScopes,
    time::Moment,
    workload::WorkloadId,
};

/// How many samples are kept for the record.
const EVIDENCE: usize = 5;

/// The last answers about one pod.
#[derive(Clone, Debug)]
pub(super) struct Streak {
    pub(super) pod: ObjectKey,
    pub(super) scopes: PodScopes,
    run: Option<ContainerRun>,
    last: Option<(Moment, Answer)>,
    pub(super) last_good: Option<Moment>,
    /// Whether it was ever bad.
    pub(super) was_bad: bool,
    /// The bad answers, if the last one is bad.
    pub(super) bad: Option<BadStreak>,
    pub(super) seen: VecDeque<Evidence>,
}

/// The bad answers in a row. Text is made when an answer arrives: a decision reads it of each bad pod.
#[derive(Clone, Debug)]
pub(super) struct BadStreak {
    since: Moment,
    count: u32,
    /// When the pod was asked for the first and for the last of them.
    asked_first: Moment,
    asked_last: Moment,
    /// Since when there is no connection, if there is none.
    unreached_since: Option<Moment>,
    /// One line for people.
    pub(super) reason: Arc<str>,
    /// The last samples, oldest first.
    evidence: Arc<[Evidence]>,
}

/// Bad answers that have ended.
pub(super) struct EndedStreak {
    pub(super) policy: Arc<str>,
    pub(super) uid: Uid,
    pub(super) pod: ObjectKey,
    pub(super) scopes: PodScopes,
    pub(super) bad: BadAnswers,
    pub(super) has_contrast: bool,
    /// When a good answer ended them, if one did.
    pub(super) good: Option<Moment>,
    /// When the last of them went stale, or will.
    pub(super) stale_at: Moment,
}

/// What a sample has changed.
pub(super) struct Recorded {
    pub(super) ended: Option<EndedStreak>,
    /// Of a bad answer: whether the signal has contrast.
    pub(super) has_contrast: bool,
}

impl BadStreak {
    pub(super) fn answers(&self) -> BadAnswers {
        BadAnswers {
            from: self.asked_first,
            unreached_since: self.unreached_since,
        }
    }
}

/// The streaks of one policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyStreaks {
    pub(super) policy: Arc<Policy>,
    /// What was asked before that was asked for another policy of that name.
    since: Moment,
    pub(super) pods: HashMap<Uid, Streak>,
    /// The good answers of each workload's pods.
    goods: BTreeMap<WorkloadId, Goods>,
    /// The pods whose last answer was bad, and since when: few, so that a decision need not visit all pods; in the order of
    /// the findings.
    bad: BTreeSet<(Moment, ObjectKey, Uid)>,
    /// Of each pod, when the first and the last answer without a connection came, until a good answer or [`still_unreached`]
    /// ends that; neither the end of a streak nor a change of the policy does.
    unreached: HashMap<Uid, (Moment, Moment)>,
}

/// The good answers of a workload's pods.
#[derive(Clone, Debug, Default)]
struct Goods {
    /// Since when they have been coming, none of them longer than a window after the one before.
    since: Moment,
    /// The last one of each pod.
    last: BTreeSet<(Moment, Uid)>,
}

impl PolicyStreaks {
    pub(super) fn new(policy: &Arc<Policy>, now: Moment) -> Self {
        Self {
            policy: policy.clone(),
            since: now,
            pods: HashMap::new(),
            goods: BTreeMap::new(),
            bad: BTreeSet::new(),
            unreached: HashMap::new(),
        }
    }

    /// The policy has changed.
    pub(super) fn after(policy: &Arc<Policy>, before: Self, now: Moment) -> Self {
        Self {
            unreached: before.unreached,
            ..Self::new(policy, now)
        }
    }

    fn take_bad(&mut self, uid: &Uid) -> Option<BadStreak> {
        let streak = self.pods.get_mut(uid)?;
        let bad = streak.bad.take()?;
        self.bad
            .remove(&(bad.since, streak.pod.clone(), uid.clone()));
        Some(bad)
    }

    /// Ends a pod's bad answers: by a good one at that time, which shows that the signal can tell good from bad, or without
    /// another answer.
    fn end_bad(&mut self, uid: &Uid, good: Option<Moment>) -> Option<EndedStreak> {
        let bad = self.take_bad(uid)?;
        let streak = self.pods.get(uid)?;
        let (last, _) = streak.last?;
        Some(EndedStreak {
            policy: self.policy.name.clone(),
            uid: uid.clone(),
            pod: streak.pod.clone(),
            scopes: streak.scopes.clone(),
            bad: bad.answers(),
            has_contrast: good.is_some() || self.has_contrast(streak, &bad, last),
            good,
            stale_at: last + self.policy.stale_after(),
        })
    }

    /// Ends the bad answers of all pods.
    pub(super) fn end_all(&mut self) -> Vec<EndedStreak> {
        self.end_those(|_| true)
    }

    /// Ends the bad answers of those pods that have not answered for too long.
    pub(super) fn end_stale(&mut self, now: Moment) -> Vec<EndedStreak> {
        let stale_after = self.policy.stale_after();
        self.end_those(|at| now.saturating_sub(at) > stale_after)
    }

    /// Ends the bad answers of the pods whose last one came at such a time.
    fn end_those(&mut self, ends: impl Fn(Moment) -> bool) -> Vec<EndedStreak> {
        let bad = self.bad.iter().map(|(.., uid)| uid);
        let ending = bad.filter(|uid| {
            let last = self.pods.get(*uid).and_then(|streak| streak.last);
            last.is_some_and(|(at, _)| ends(at))
        });
        let ending: Vec<Uid> = ending.cloned().collect();
        let ended = ending.iter().filter_map(|uid| self.end_bad(uid, None));
        ended.collect()
    }

    pub(super) fn watch(
        &mut self,
        uid: &Uid,
        pod: &ObjectKey,
        scopes: &PodScopes,
    ) -> Option<EndedStreak> {
        if let Some(streak) = self.pods.get_mut(uid)
            && streak.scopes.workload == scopes.workload
        {
            streak.scopes = scopes.clone();
            return None;
        }
        let ended = self.drop_streak(uid);
        let streak = Streak {
            pod: pod.clone(),
            scopes: scopes.clone(),
            run: None,
            last: None,
            last_good: None,
            was_bad: false,
            bad: None,
            seen: VecDeque::new(),
        };
        self.pods.insert(uid.clone(), streak);
        ended
    }

    /// Where a watched pod is, and until when its last answer finds it healthy, if it does.
    pub(super) fn health(&self, uid: &Uid) -> Option<(&PodScopes, Option<Moment>)> {
        let streak = self.pods.get(uid)?;
        let until = match streak.last {
            Some((at, Answer::Good)) => Some(at + self.policy.stale_after()),
            Some((_, Answer::Bad | Answer::None)) | None => None,
        };
        Some((&streak.scopes, until))
    }

    pub(super) fn forget(&mut self, uid: &Uid) -> Option<EndedStreak> {
        self.unreached.remove(uid);
        self.drop_streak(uid)
    }

    fn drop_streak(&mut self, uid: &Uid) -> Option<EndedStreak> {
        let ended = self.end_bad(uid, None);
        let streak = self.pods.remove(uid)?;
        if let Some(at) = streak.last_good {
            self.drop_good(&streak.scopes.workload, at, uid);
        }
        ended
    }

    fn drop_good(&mut self, workload: &WorkloadId, at: Moment, uid: &Uid) {
        if let Some(goods) = self.goods.get_mut(workload) {
            goods.last.remove(&(at, uid.clone()));
            if goods.last.is_empty() {
                self.goods.remove(workload);
            }
        }
    }

    /// True if it is another run than before.
    pub(super) fn set_run(&mut self, uid: &Uid, run: Option<ContainerRun>) -> bool {
        let streak = self.pods.get_mut(uid).filter(|streak| streak.run != run);
        let is_another = streak.is_some();
        if let Some(streak) = streak {
            streak.run = run;
        }
        is_another
    }

    /// The answers so far make no streak.
    pub(super) fn restart(&mut self, uid: &Uid) -> Option<EndedStreak> {
        let ended = self.end_bad(uid, None);
        if let Some(streak) = self.pods.get_mut(uid) {
            streak.last = None;
            streak.seen.clear();
        }
        ended
    }

    /// Records a sample. `None` if the pod is not watched, is in another run, or was asked for another policy, or if a later
    /// sample is known.
    pub(super) fn record(&mut self, sample: &Sample, cooldown: Duration) -> Option<Recorded> {
        let (stale_after, window) = (self.policy.stale_after(), self.policy.window());
        let streak = self.pods.get(&sample.pod)?;
        let at = sample.at.moment;
        // A sample that arrives twice counts once.
        let is_known = streak.last.is_some_and(|(last, _)| at <= last);
        if is_known || streak.run != sample.run || sample.asked < self.since {
            return None;
        }
        let goes_on = sample.answer == Answer::Bad
            && streak
                .last
                .is_some_and(|(last, _)| at.saturating_sub(last) <= stale_after);
        let (before, ended) = if goes_on {
            (self.take_bad(&sample.pod), None)
        } else {
            let good = (sample.answer == Answer::Good).then_some(at);
            (None, self.end_bad(&sample.pod, good))
        };
        let streak = self.pods.get_mut(&sample.pod)?;
        streak.last = Some((at, sample.answer));
        if streak.seen.len() == EVIDENCE {
            streak.seen.pop_front();
        }
        streak.seen.push_back(Evidence {
            at: sample.at.wall,
            saw: sample.saw.clone(),
        });
        match sample.answer {
            Answer::Good => {
                self.unreached.remove(&sample.pod);
                let goods = self.goods.entry(streak.scopes.workload.clone());
                let goods = goods.or_default();
                let latest = goods.last.last().map(|(latest, _)| *latest);
                if latest.is_none_or(|latest| latest + window < at) {
                    goods.since = at;
                }
                if let Some(before) = streak.last_good.replace(at) {
                    goods.last.remove(&(before, sample.pod.clone()));
                }
                goods.last.insert((at, sample.pod.clone()));
            }
            Answer::Bad => {
                let since = before.as_ref().map_or(at, |bad| bad.since);
                let count = before.as_ref().map_or(0, |bad| bad.count).saturating_add(1);
                streak.was_bad = true;
                let known = self.unreached.remove(&sample.pod);
                let unreached = still_unreached(known, sample, stale_after, cooldown);
                let unreached_since = unreached.map(|(since, _)| since);
                self.unreached
                    .extend(unreached.map(|unreached| (sample.pod.clone(), unreached)));
                streak.bad = Some(BadStreak {
                    since,
                    count,
                    asked_first: before.as_ref().map_or(sample.asked, |bad| bad.asked_first),
                    asked_last: sample.asked,
                    unreached_since,
                    reason: reason(
                        &self.policy.signal,
                        count,
                        at.saturating_sub(since),
                        &sample.saw,
                    ),
                    evidence: streak.seen.iter().cloned().collect(),
                });
                let key = (since, streak.pod.clone(), sample.pod.clone());
                self.bad.insert(key);
            }
            Answer::None => {}
        }
        let streak = self.pods.get(&sample.pod)?;
        let bad = streak.bad.as_ref();
        let has_contrast = bad.is_some_and(|bad| self.has_contrast(streak, bad, at));
        Some(Recorded {
            ended,
            has_contrast,
        })
    }

    pub(super) fn verdict(&self, uid: &str, now: Moment) -> Verdict {
        let streak = self.pods.get(uid);
        streak.map_or(Verdict::Unknown, |streak| self.verdict_of(streak, now))
    }

    fn verdict_of(&self, streak: &Streak, now: Moment) -> Verdict {
        let current = streak
            .last
            .filter(|(at, _)| now.saturating_sub(*at) <= self.policy.stale_after());
        match (current, &streak.bad) {
            (Some((_, Answer::Good)), _) => Verdict::Healthy,
            (Some((at, Answer::Bad)), Some(bad))
                if self.policy.is_past(bad.since, at, bad.count) =>
            {
                Verdict::Unhealthy
            }
            (Some((_, Answer::Bad)), _) => Verdict::Suspect,
            (Some((_, Answer::None)) | None, _) => Verdict::Unknown,
        }
    }

    /// Those that have been bad for longest first, then by key.
    pub(super) fn findings(&self, now: Moment) -> impl Iterator<Item = Finding> {
        self.bad.iter().filter_map(move |(since, pod, uid)| {
            let streak = self.pods.get(uid)?;
            let verdict = self.verdict_of(streak, now);
            if !matches!(verdict, Verdict::Suspect | Verdict::Unhealthy) {
                return None;
            }
            let bad = streak.bad.as_ref()?;
            let contrast = self.has_contrast(streak, bad, now);
            Some(Finding {
                policy: self.policy.clone(),
                verdict,
                pod: pod.clone(),
                uid: uid.clone(),
                scopes: streak.scopes.clone(),
                since: *since,
                asked: bad.asked_last,
                contrast,
                counts_as_bad: contrast,
                unreached_since: bad.unreached_since,
                reason: bad.reason.clone(),
                evidence: bad.evidence.clone(),
                then: HashMap::new(),
                then_is_known: true,
            })
        })
    }

    /// Whether the signal has contrast: it has said `good` of this pod, or recently of another pod of its workload, before
    /// this pod was asked for the last time.
    fn has_contrast(&self, streak: &Streak, bad: &BadStreak, now: Moment) -> bool {
        if self.policy.contrast == Contrast::None || streak.last_good.is_some() {
            return true;
        }
        // It was never good: what is known of its workload is of others.
        let window_began = bad.since.min(now.saturating_sub(self.policy.window()));
        self.goods
            .get(&streak.scopes.workload)
            .is_some_and(|goods| {
                let latest = goods.last.last();
                let is_recent = latest.is_some_and(|(latest, _)| *latest >= window_began);
                is_recent && goods.since <= bad.asked_last
            })
    }
}

/// What people read of so many bad answers, which have been coming for so long.
fn reason(signal: &Signal, count: u32, lasting: Duration, saw: &str) -> Arc<str> {
    match signal {
        Signal::Probe(_) => format!("{count} bad probes in a row: {saw}").into(),
        Signal::Prometheus(_) => format!("{saw} for {} s", lasting.as_secs()).into(),
    }
}

/// When the first and the last answer without a connection came, with that bad one. Of a network that fails, some answers
/// still have one: they end that once the last one without has gone stale. A pod that could not be asked in between waits
/// for a cooldown, as its spell does.
fn still_unreached(
    before: Option<(Moment, Moment)>,
    sample: &Sample,
    stale_after: Duration,
    cooldown: Duration,
) -> Option<(Moment, Moment)> {
    let at = sample.at.moment;
    let passed = |(_, last): &(Moment, Moment)| at.saturating_sub(*last);
    if sample.unreached {
        let before = before.filter(|before| passed(before) <= stale_after + cooldown);
        Some((before.map_or(at, |(since, _)| since), at))
    } else {
        before.filter(|before| passed(before) <= stale_after)
    }
}
