//! The streaks of one policy: the answers of its signal about each pod in a row.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use super::{Answer, Finding, Sample, Verdict};
use crate::{
    object::{ObjectKey, Uid},
    policy::{Contrast, Policy, Signal},
    record::Evidence,
    time::Moment,
    workload::WorkloadId,
};

/// How many samples are kept for the record.
const EVIDENCE: usize = 5;

/// The last answers about one pod.
#[derive(Clone, Debug)]
pub(super) struct Streak {
    pod: ObjectKey,
    workload: WorkloadId,
    last: Option<(Moment, Answer)>,
    last_good: Option<Moment>,
    /// Since when the answers are bad, and how many in a row.
    pub(super) bad: Option<(Moment, u32)>,
    pub(super) seen: VecDeque<Evidence>,
}

/// The streaks of one policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyStreaks {
    pub(super) policy: Arc<Policy>,
    pub(super) pods: BTreeMap<Uid, Streak>,
    pub(super) workloads: BTreeMap<WorkloadId, BTreeSet<Uid>>,
    /// The pods whose last answer was bad: few, so that a decision need not visit all pods.
    bad: BTreeSet<Uid>,
}

impl PolicyStreaks {
    pub(super) fn new(policy: &Arc<Policy>) -> Self {
        Self {
            policy: policy.clone(),
            pods: BTreeMap::new(),
            workloads: BTreeMap::new(),
            bad: BTreeSet::new(),
        }
    }

    pub(super) fn watch(&mut self, uid: &Uid, pod: &ObjectKey, workload: &WorkloadId) {
        if self
            .pods
            .get(uid)
            .is_some_and(|streak| streak.workload == *workload)
        {
            return;
        }
        self.forget(uid);
        let streak = Streak {
            pod: pod.clone(),
            workload: workload.clone(),
            last: None,
            last_good: None,
            bad: None,
            seen: VecDeque::new(),
        };
        self.pods.insert(uid.clone(), streak);
        self.workloads
            .entry(workload.clone())
            .or_default()
            .insert(uid.clone());
    }

    pub(super) fn forget(&mut self, uid: &Uid) {
        let Some(streak) = self.pods.remove(uid) else {
            return;
        };
        self.bad.remove(uid);
        if let Some(pods) = self.workloads.get_mut(&streak.workload) {
            pods.remove(uid);
            if pods.is_empty() {
                self.workloads.remove(&streak.workload);
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

    pub(super) fn record(&mut self, sample: &Sample) {
        let stale_after = self.policy.stale_after();
        let Some(streak) = self.pods.get_mut(&sample.pod) else {
            return;
        };
        let at = sample.at.moment;
        // A sample that arrives twice counts once.
        if streak.last.is_some_and(|(last, _)| at <= last) {
            return;
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
                streak.last_good = Some(at);
            }
            Answer::Bad => {
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
    }

    pub(super) fn verdict(&self, uid: &str, now: Moment) -> Verdict {
        let Some(streak) = self.pods.get(uid) else {
            return Verdict::Unknown;
        };
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
            let verdict = self.verdict(uid, now);
            if !matches!(verdict, Verdict::Suspect | Verdict::Unhealthy) {
                return None;
            }
            let streak = self.pods.get(uid)?;
            let (since, count) = streak.bad?;
            Some(Finding {
                policy: self.policy.clone(),
                verdict,
                pod: streak.pod.clone(),
                uid: uid.clone(),
                workload: streak.workload.clone(),
                since,
                contrast: self.has_contrast(uid, streak, since, now),
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
        let others = self
            .workloads
            .get(&streak.workload)
            .into_iter()
            .flatten()
            .filter(|other| *other != uid);
        let mut last_goods = others.filter_map(|other| self.pods.get(other)?.last_good);
        last_goods.any(|last_good| last_good >= window_began)
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
