//! The streaks of one policy: the answers of its signal about each pod in a row.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use super::{Answer, Finding, Sample, Verdict};
use crate::{
    object::{ObjectKey, Uid},
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
    pod: ObjectKey,
    place: PodScopes,
    last: Option<(Moment, Answer)>,
    last_good: Option<Moment>,
    /// Since when the answers are bad, and how many in a row.
    pub(super) bad: Option<(Moment, u32)>,
    /// Whether none of these bad answers came over a connection.
    unreached: bool,
    pub(super) seen: VecDeque<Evidence>,
}

/// The streaks of one policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyStreaks {
    pub(super) policy: Arc<Policy>,
    pub(super) pods: HashMap<Uid, Streak>,
    /// The last good answers of each workload's pods.
    goods: BTreeMap<WorkloadId, BTreeSet<(Moment, Uid)>>,
    /// The pods whose last answer was bad: few, so that a decision need not visit all pods.
    bad: BTreeSet<Uid>,
}

impl PolicyStreaks {
    pub(super) fn new(policy: &Arc<Policy>) -> Self {
        Self {
            policy: policy.clone(),
            pods: HashMap::new(),
            goods: BTreeMap::new(),
            bad: BTreeSet::new(),
        }
    }

    pub(super) fn watch(&mut self, uid: &Uid, pod: &ObjectKey, place: &PodScopes) {
        if let Some(streak) = self.pods.get_mut(uid)
            && streak.place.workload == place.workload
        {
            streak.place = place.clone();
            return;
        }
        self.forget(uid);
        let streak = Streak {
            pod: pod.clone(),
            place: place.clone(),
            last: None,
            last_good: None,
            bad: None,
            unreached: false,
            seen: VecDeque::new(),
        };
        self.pods.insert(uid.clone(), streak);
    }

    /// Where a watched pod is, and until when its last answer finds it healthy, if it does.
    pub(super) fn health(&self, uid: &Uid) -> Option<(&PodScopes, Option<Moment>)> {
        let streak = self.pods.get(uid)?;
        let until = match streak.last {
            Some((at, Answer::Good)) => Some(at + self.policy.stale_after()),
            Some((_, Answer::Bad | Answer::None)) | None => None,
        };
        Some((&streak.place, until))
    }

    pub(super) fn forget(&mut self, uid: &Uid) {
        let Some(streak) = self.pods.remove(uid) else {
            return;
        };
        self.bad.remove(uid);
        if let Some(at) = streak.last_good {
            self.drop_good(&streak.place.workload, at, uid);
        }
    }

    fn drop_good(&mut self, workload: &WorkloadId, at: Moment, uid: &Uid) {
        if let Some(goods) = self.goods.get_mut(workload) {
            goods.remove(&(at, uid.clone()));
            if goods.is_empty() {
                self.goods.remove(workload);
            }
        }
    }

    /// The answers so far make no streak.
    pub(super) fn restart(&mut self, uid: &Uid) {
        if let Some(streak) = self.pods.get_mut(uid) {
            streak.bad = None;
            streak.last = None;
            streak.seen.clear();
            self.bad.remove(uid);
        }
    }

    /// Records a sample. False if the pod is not watched, or a later sample is known.
    pub(super) fn record(&mut self, sample: &Sample) -> bool {
        let stale_after = self.policy.stale_after();
        let Some(streak) = self.pods.get_mut(&sample.pod) else {
            return false;
        };
        let at = sample.at.moment;
        // A sample that arrives twice counts once.
        if streak.last.is_some_and(|(last, _)| at <= last) {
            return false;
        }
        let gap = streak
            .last
            .is_some_and(|(last, _)| at.saturating_sub(last) > stale_after);
        if gap {
            streak.bad = None;
        }
        match sample.answer {
            Answer::Good => {
                streak.bad = None;
                let goods = self.goods.entry(streak.place.workload.clone());
                let goods = goods.or_default();
                if let Some(before) = streak.last_good.replace(at) {
                    goods.remove(&(before, sample.pod.clone()));
                }
                goods.insert((at, sample.pod.clone()));
            }
            Answer::Bad => {
                streak.unreached = sample.unreached && (streak.unreached || streak.bad.is_none());
                let (since, count) = streak.bad.unwrap_or((at, 0));
                streak.bad = Some((since, count.saturating_add(1)));
            }
            Answer::None => streak.bad = None,
        }
        if streak.bad.is_some() {
            self.bad.insert(sample.pod.clone());
        } else {
            self.bad.remove(&sample.pod);
        }
        streak.last = Some((at, sample.answer));
        if streak.seen.len() == EVIDENCE {
            streak.seen.pop_front();
        }
        streak.seen.push_back(Evidence {
            at: sample.at.wall,
            saw: sample.saw.clone(),
        });
        true
    }

    pub(super) fn verdict(&self, uid: &str, now: Moment) -> Verdict {
        let streak = self.pods.get(uid);
        streak.map_or(Verdict::Unknown, |streak| self.verdict_of(streak, now))
    }

    fn verdict_of(&self, streak: &Streak, now: Moment) -> Verdict {
        let current = streak
            .last
            .filter(|(at, _)| now.saturating_sub(*at) <= self.policy.stale_after());
        match (current, streak.bad) {
            (Some((_, Answer::Good)), _) => Verdict::Healthy,
            (Some((at, Answer::Bad)), Some((since, count)))
                if self.policy.is_past(since, at, count) =>
            {
                Verdict::Unhealthy
            }
            (Some((_, Answer::Bad)), _) => Verdict::Suspect,
            (Some((_, Answer::None)) | None, _) => Verdict::Unknown,
        }
    }

    pub(super) fn findings(&self, now: Moment) -> impl Iterator<Item = Finding> {
        self.bad.iter().filter_map(move |uid| {
            let streak = self.pods.get(uid)?;
            let verdict = self.verdict_of(streak, now);
            if !matches!(verdict, Verdict::Suspect | Verdict::Unhealthy) {
                return None;
            }
            let (since, count) = streak.bad?;
            Some(Finding {
                policy: self.policy.clone(),
                verdict,
                pod: streak.pod.clone(),
                uid: uid.clone(),
                place: streak.place.clone(),
                since,
                contrast: self.has_contrast(uid, streak, since, now),
                unreached: streak.unreached,
                reason: self.reason(streak, since, count, now),
                evidence: streak.seen.iter().cloned().collect(),
            })
        })
    }

    /// Whether the signal has contrast: it has said `good` of this pod, or recently of another pod of its workload.
    fn has_contrast(&self, uid: &Uid, streak: &Streak, since: Moment, now: Moment) -> bool {
        if self.policy.contrast == Contrast::None || streak.last_good.is_some() {
            return true;
        }
        let window_began = since.min(now.saturating_sub(self.policy.window()));
        let goods = self.goods.get(&streak.place.workload);
        let mut latest = goods.into_iter().flatten().rev();
        let of_another = latest.find(|(_, other)| other != uid);
        of_another.is_some_and(|(last_good, _)| *last_good >= window_began)
    }

    pub(super) fn reason(
        &self,
        streak: &Streak,
        since: Moment,
        count: u32,
        now: Moment,
    ) -> Arc<str> {
        let saw = streak.seen.back().map_or("", |evidence| &evidence.saw);
        match &self.policy.signal {
            Signal::Probe(_) => format!("{count} bad probes in a row: {saw}").into(),
            Signal::Prometheus(_) => {
                let seconds = now.saturating_sub(since).as_secs();
                format!("{saw} for {seconds} s").into()
            }
        }
    }
}
