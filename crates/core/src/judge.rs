//! From samples to verdicts.
//!
//! A verdict is made of what one signal said of one pod in a row. `none` ends the row: no answer is neither good nor
//! bad, and what was seen before it says nothing about now (as an absent series ends a pending Prometheus alert).
//! Time is the agent's monotonic clock: a wall clock that jumps makes no pod sick.

mod heard;
pub mod judgement;

pub use self::heard::Verdicts;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    object::{ObjectKey, Uid},
    policy::{Contrast, Policy, PolicyFile, Signal},
    record::Evidence,
};

/// A point of the monotonic clock: the time since the agent began.
pub type Moment = Duration;

/// A point in time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For what people read, and what must outlive the process.
    pub wall: Timestamp,
    /// For evidence.
    pub moment: Moment,
}

/// What a signal said about a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// The pod does well.
    Good,
    /// It does not.
    Bad,
    /// No answer.
    None,
}

impl Answer {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Good, Self::Bad, Self::None];

    /// The label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::None => "none",
        }
    }
}

/// One answer about one pod at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The policy whose signal it is.
    pub policy: Arc<str>,
    /// The pod's uid: an answer never counts for a successor of the same name.
    pub pod: Uid,
    /// When it came.
    pub at: Now,
    /// What was said.
    pub answer: Answer,
    /// What was seen, such as `HTTP 500`.
    pub saw: Arc<str>,
}

/// What the samples of one policy add up to for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The last answer was good.
    Healthy,
    /// The last answer was bad; not enough of them yet.
    Suspect,
    /// Past the threshold.
    Unhealthy,
    /// Nothing was said, or not lately.
    Unknown,
}

/// A pod of which a policy's signal says that it does not do well.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Whether it is past the threshold.
    pub past: bool,
    /// The pod.
    pub pod: ObjectKey,
    /// Its uid.
    pub uid: Uid,
    /// What it is compared within: its workload's uid.
    pub workload: Uid,
    /// When the row of bad answers began.
    pub since: Moment,
    /// Whether the signal can tell: it has said `good` of this pod, or lately of another one of its workload.
    pub contrast: bool,
    /// One line for people.
    pub reason: Arc<str>,
    /// The last samples.
    pub evidence: Vec<Evidence>,
}

/// How many samples are kept for the record.
const EVIDENCE: usize = 5;

/// What one signal said of one pod.
#[derive(Clone, Debug)]
struct Row {
    pod: ObjectKey,
    workload: Uid,
    last: Option<(Moment, Answer)>,
    last_good: Option<Moment>,
    /// Since when, and how often, in a row.
    bad: Option<(Moment, u32)>,
    seen: VecDeque<Evidence>,
}

/// One policy's rows.
#[derive(Clone, Debug)]
struct Rows {
    policy: Arc<Policy>,
    pods: BTreeMap<Uid, Row>,
    workloads: BTreeMap<Uid, BTreeSet<Uid>>,
    /// Those whose last answer was bad: few, so that a decision need not look at all.
    bad: BTreeSet<Uid>,
}

/// Everything that signals have said, as far as it still matters.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    policies: BTreeMap<Arc<str>, Rows>,
    /// How many pods had a verdict, and when they were counted.
    heard: Option<(Moment, u32)>,
}

impl Judge {
    /// Takes a new policy file: what was said to a policy that is unchanged stays, all else is forgotten.
    pub fn set_policies(&mut self, file: &PolicyFile) {
        let mut known = std::mem::take(&mut self.policies);
        for policy in &file.policies {
            let unchanged = |rows: &Rows| {
                rows.policy.signal == policy.signal && rows.policy.pods == policy.pods
            };
            let kept = known.remove(&policy.name).filter(unchanged);
            let mut rows = kept.unwrap_or_else(|| Rows::new(policy));
            rows.policy = policy.clone();
            self.policies.insert(policy.name.clone(), rows);
        }
    }

    /// Begins to listen for a pod.
    pub fn watch(&mut self, policy: &str, uid: &Uid, pod: &ObjectKey, workload: &Uid) {
        if let Some(rows) = self.policies.get_mut(policy) {
            rows.watch(uid, pod, workload);
        }
    }

    /// Forgets a pod: it is gone, quarantined, or no longer selected.
    pub fn forget(&mut self, policy: &str, uid: &Uid) {
        if let Some(rows) = self.policies.get_mut(policy) {
            rows.forget(uid);
        }
    }

    /// Judges a pod afresh: what was said of it so far makes no row, and still tells that the signal can say `good`.
    pub fn begin_afresh(&mut self, policy: &str, uid: &Uid) {
        if let Some(rows) = self.policies.get_mut(policy)
            && let Some(row) = rows.pods.get_mut(uid)
        {
            row.bad = None;
            row.last = None;
            row.seen.clear();
            rows.bad.remove(uid);
        }
    }

    /// Takes a sample in. One about a pod that is not watched is dropped.
    pub fn hear(&mut self, sample: &Sample) {
        if let Some(rows) = self.policies.get_mut(&sample.policy) {
            rows.hear(sample);
        }
    }

    /// What a policy says of a pod now.
    #[must_use]
    pub fn verdict(&self, policy: &str, uid: &str, now: Moment) -> Verdict {
        self.policies
            .get(policy)
            .map_or(Verdict::Unknown, |rows| rows.verdict(uid, now))
    }

    /// The pods that are `suspect` or `unhealthy`, the longest bad first, then by key and policy.
    #[must_use]
    pub fn findings(&self, now: Moment) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .policies
            .values()
            .flat_map(|rows| rows.findings(now))
            .collect();
        findings.sort_by(|a, b| {
            (a.since, &a.pod, &a.policy.name).cmp(&(b.since, &b.pod, &b.policy.name))
        });
        findings
    }
}

impl Rows {
    fn new(policy: &Arc<Policy>) -> Self {
        Self {
            policy: policy.clone(),
            pods: BTreeMap::new(),
            workloads: BTreeMap::new(),
            bad: BTreeSet::new(),
        }
    }

    fn watch(&mut self, uid: &Uid, pod: &ObjectKey, workload: &Uid) {
        if self
            .pods
            .get(uid)
            .is_some_and(|row| row.workload == *workload)
        {
            return;
        }
        self.forget(uid);
        let row = Row {
            pod: pod.clone(),
            workload: workload.clone(),
            last: None,
            last_good: None,
            bad: None,
            seen: VecDeque::new(),
        };
        self.pods.insert(uid.clone(), row);
        self.workloads
            .entry(workload.clone())
            .or_default()
            .insert(uid.clone());
    }

    fn forget(&mut self, uid: &Uid) {
        let Some(row) = self.pods.remove(uid) else {
            return;
        };
        self.bad.remove(uid);
        if let Some(pods) = self.workloads.get_mut(&row.workload) {
            pods.remove(uid);
            if pods.is_empty() {
                self.workloads.remove(&row.workload);
            }
        }
    }

    fn hear(&mut self, sample: &Sample) {
        let stale_after = self.policy.stale_after();
        let Some(row) = self.pods.get_mut(&sample.pod) else {
            return;
        };
        let at = sample.at.moment;
        // One that is heard again counts no second time.
        if row.last.is_some_and(|(last, _)| at <= last) {
            return;
        }
        let gap = row
            .last
            .is_some_and(|(last, _)| at.saturating_sub(last) > stale_after);
        if gap {
            row.bad = None;
        }
        match sample.answer {
            Answer::Good => {
                row.bad = None;
                row.last_good = Some(at);
            }
            Answer::Bad => {
                let (since, count) = row.bad.unwrap_or((at, 0));
                row.bad = Some((since, count.saturating_add(1)));
            }
            Answer::None => row.bad = None,
        }
        if row.bad.is_some() {
            self.bad.insert(sample.pod.clone());
        } else {
            self.bad.remove(&sample.pod);
        }
        row.last = Some((at, sample.answer));
        if row.seen.len() == EVIDENCE {
            row.seen.pop_front();
        }
        row.seen.push_back(Evidence {
            at: sample.at.wall,
            saw: sample.saw.clone(),
        });
    }

    fn verdict(&self, uid: &str, now: Moment) -> Verdict {
        let Some(row) = self.pods.get(uid) else {
            return Verdict::Unknown;
        };
        let current = row
            .last
            .filter(|(at, _)| now.saturating_sub(*at) <= self.policy.stale_after());
        match (current, row.bad) {
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

    fn findings(&self, now: Moment) -> impl Iterator<Item = Finding> {
        self.bad.iter().filter_map(move |uid| {
            let past = match self.verdict(uid, now) {
                Verdict::Unhealthy => true,
                Verdict::Suspect => false,
                Verdict::Healthy | Verdict::Unknown => return None,
            };
            let row = self.pods.get(uid)?;
            let (since, count) = row.bad?;
            Some(Finding {
                policy: self.policy.clone(),
                past,
                pod: row.pod.clone(),
                uid: uid.clone(),
                workload: row.workload.clone(),
                since,
                contrast: self.has_contrast(uid, row, since, now),
                reason: self.reason(row, since, count, now),
                evidence: row.seen.iter().cloned().collect(),
            })
        })
    }

    /// Whether the signal can tell good from bad, see the README on contrast.
    fn has_contrast(&self, uid: &Uid, row: &Row, since: Moment, now: Moment) -> bool {
        if self.policy.contrast == Contrast::None || row.last_good.is_some() {
            return true;
        }
        let window_began = since.min(now.saturating_sub(self.policy.window()));
        let others = self
            .workloads
            .get(&row.workload)
            .into_iter()
            .flatten()
            .filter(|other| *other != uid);
        let mut last_goods = others.filter_map(|other| self.pods.get(other)?.last_good);
        last_goods.any(|last_good| last_good >= window_began)
    }

    fn reason(&self, row: &Row, since: Moment, count: u32, now: Moment) -> Arc<str> {
        let saw = row.seen.back().map_or("", |evidence| &evidence.saw);
        match &self.policy.signal {
            Signal::Probe(_) => format!("{count} bad probes in a row: {saw}").into(),
            Signal::Prometheus(_) => {
                let seconds = now.saturating_sub(since).as_secs();
                format!("{saw} for {seconds} s").into()
            }
        }
    }
}
