//! How many other pods were bad when one was asked, against a model that keeps no counts: it looks at the whole history of
//! each pod at each step.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use pod_quarantine_core::{
    judge::{Answer, Judge, Sample},
    object::{ObjectKey, Uid},
    policy::{Contrast, PolicyFile},
    scope::{PodScopes, Scope},
    time::Now,
};
use proptest::prelude::*;

use crate::{
    proptest_cases,
    world::{START, World, at, policy, probe_of},
};

const PODS: [&str; 4] = ["a", "b", "c", "d"];
const POLICIES: [&str; 2] = ["answers", "other"];
const STALE: [u64; 2] = [30, 90];
const COOLDOWN: u64 = 600;

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Says(usize, usize, u8, u64),
    Restart(usize, usize),
    NewRun(usize),
    Unselect(usize, usize),
    Select(usize, usize),
    Delete(usize),
    Quarantine(usize),
    Move(usize, usize, usize, bool),
    ChangePolicy(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (pod, policy) = (0..PODS.len(), 0..2_usize);
    prop_oneof![
        5 => (1..40_u64).prop_map(Step::Pass),
        12 => (policy.clone(), pod.clone(), 0..8_u8, 0..30_u64)
            .prop_map(|(policy, pod, is, took)| Step::Says(policy, pod, is, took)),
        1 => (policy.clone(), pod.clone()).prop_map(|(policy, pod)| Step::Restart(policy, pod)),
        1 => pod.clone().prop_map(Step::NewRun),
        1 => (policy.clone(), pod.clone()).prop_map(|(policy, pod)| Step::Unselect(policy, pod)),
        2 => (policy.clone(), pod.clone()).prop_map(|(policy, pod)| Step::Select(policy, pod)),
        1 => pod.clone().prop_map(Step::Delete),
        1 => pod.clone().prop_map(Step::Quarantine),
        1 => (pod, 0..2_usize, 0..2_usize, any::<bool>())
            .prop_map(|(pod, node, workload, exempt)| Step::Move(pod, node, workload, exempt)),
        1 => policy.prop_map(Step::ChangePolicy),
    ]
}

#[derive(Clone, Debug, Default)]
struct NaiveStreak {
    last: Option<(u64, Answer)>,
    /// When the pod was asked for the last bad answer.
    bad: Option<u64>,
    was_bad: bool,
    was_good: bool,
}

#[derive(Clone, Debug)]
struct NaiveOpen {
    from: u64,
    waits_since: Option<u64>,
    unreached_since: Option<u64>,
}

#[derive(Clone, Debug)]
struct NaivePod {
    uid: String,
    scopes: PodScopes,
    streaks: [Option<NaiveStreak>; 2],
    /// When the first and the last answer without a connection came.
    unreached: [Option<(u64, u64)>; 2],
    open: [Option<NaiveOpen>; 2],
    /// From when until when, and since when unreached, in the order in which they ended.
    over: Vec<(u64, u64, Option<u64>)>,
}

impl NaivePod {
    fn is_bad(&self) -> bool {
        let mut open = self.open.iter().flatten();
        open.any(|open| open.waits_since.is_none())
    }

    fn finding(&self, policy: usize) -> Option<u64> {
        self.streaks[policy].as_ref()?.bad
    }

    fn is_healthy(&self, now: u64) -> bool {
        (0..2).any(|policy| {
            let streak = self.streaks[policy].as_ref();
            streak.is_some_and(|streak| {
                matches!(streak.last, Some((at, Answer::Good)) if now - at <= STALE[policy])
            })
        })
    }

    /// Since when it has not been good to all policies that found it bad; until when it was bad then, if it is not now.
    fn not_good(&self) -> Option<(u64, Option<u64>)> {
        let mut open = self.open.iter().flatten();
        let mut since = open.clone().map(|open| open.from).min()?;
        let mut until = open.clone().filter_map(|open| open.waits_since).max();
        for (from, over, _) in self.over.iter().rev() {
            if *over >= since {
                since = since.min(*from);
                until = until.max(Some(*over));
            }
        }
        Some((
            since,
            until.filter(|_| open.all(|open| open.waits_since.is_some())),
        ))
    }

    fn was_never_good(&self) -> bool {
        let mut streaks = self.streaks.iter().flatten();
        streaks.clone().any(|streak| streak.was_bad) && streaks.all(|streak| !streak.was_good)
    }

    fn waits(&self) -> bool {
        self.not_good().is_some_and(|(_, until)| until.is_some())
    }

    /// Whether it was bad when another one was asked that has been bad since that time.
    fn was_bad(&self, since: u64, asked: u64) -> bool {
        let not_good = self
            .not_good()
            .is_some_and(|(from, until)| from <= asked && until.is_none_or(|until| until > since));
        let mut over = self.over.iter();
        not_good || over.any(|(from, until, _)| *from <= asked && *until > asked)
    }

    fn end(&mut self, policy: usize, good: Option<u64>) {
        let Some(streak) = &mut self.streaks[policy] else {
            return;
        };
        if streak.bad.take().is_none() {
            return;
        }
        let (last, _) = streak.last.unwrap();
        match good {
            Some(at) => self.close(policy, at),
            None => self.open[policy].as_mut().unwrap().waits_since = Some(last + STALE[policy]),
        }
    }

    fn close(&mut self, policy: usize, at: u64) {
        if let Some(open) = self.open[policy].take() {
            self.over.push((open.from, at, open.unreached_since));
            if self.over.len() > 8 {
                let (from, _, unreached_since) = self.over.remove(0);
                self.over[0].0 = self.over[0].0.min(from);
                self.over[0].2 = unreached_since.or(self.over[0].2);
            }
        }
    }

    fn forget(&mut self, policy: usize, now: u64) {
        self.end(policy, None);
        self.streaks[policy] = None;
        self.unreached[policy] = None;
        self.close(policy, now);
    }

    fn expire(&mut self, over: u64, waiting: u64) {
        for open in &mut self.open {
            open.take_if(|open| open.waits_since.is_some_and(|since| since < waiting));
        }
        let not_good = self.not_good();
        self.over.retain(|(_, until, _)| {
            let is_part = not_good.is_some_and(|(since, _)| *until >= since);
            is_part || *until > over
        });
    }
}

struct Naive {
    judge: Judge,
    file: PolicyFile,
    now: u64,
    /// Those that exist, then those that are gone.
    pods: Vec<NaivePod>,
    heard: HashMap<(usize, usize), u64>,
    /// When each policy was changed.
    changed: [u64; 2],
    generation: u32,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Naive {
    fn new() -> Self {
        let mut file = World::new().file;
        file.policies.push(Arc::new(policy("other")));
        for (index, one) in file.policies.iter_mut().enumerate() {
            Arc::make_mut(one).contrast = Contrast::None;
            if index == 1 {
                probe_of(std::slice::from_mut(one)).timeout = secs(30);
            }
        }
        let mut judge = Judge::default();
        judge.set_policies(&file, Duration::ZERO);
        let pods = PODS.map(|name| NaivePod {
            uid: name.to_owned(),
            scopes: PodScopes {
                node: Some("n0".into()),
                ..PodScopes::of("w0".into())
            },
            streaks: [None, None],
            unreached: [None, None],
            open: [None, None],
            over: Vec::new(),
        });
        let mut naive = Self {
            judge,
            file,
            now: 3600,
            pods: pods.into(),
            heard: HashMap::new(),
            changed: [0, 0],
            generation: 0,
        };
        for pod in 0..PODS.len() {
            for policy in 0..2 {
                naive.select(policy, pod);
            }
        }
        naive
    }

    fn uid(&self, pod: usize) -> Uid {
        self.pods[pod].uid.as_str().into()
    }

    fn select(&mut self, policy: usize, pod: usize) {
        let key = ObjectKey::new("shop", PODS[pod]);
        self.judge.watch(
            POLICIES[policy],
            &self.uid(pod),
            &key,
            &self.pods[pod].scopes,
        );
        self.pods[pod].streaks[policy].get_or_insert_default();
    }

    fn delete(&mut self, pod: usize, quarantined: bool) {
        self.judge.forget_pod(&self.uid(pod), secs(self.now));
        for policy in 0..2 {
            self.pods[pod].forget(policy, self.now);
        }
        let mut gone = self.pods[pod].clone();
        if quarantined {
            self.judge.forget_spells(&self.uid(pod));
            gone.over.clear();
        }
        self.pods.push(gone);
        self.generation += 1;
        self.pods[pod].uid = format!("{}{}", PODS[pod], self.generation);
        self.pods[pod].over.clear();
        for policy in 0..2 {
            self.heard.remove(&(policy, pod));
            self.select(policy, pod);
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Pass(seconds) => self.now += seconds,
            Step::Says(policy, pod, is, took) => self.says(policy, pod, is, took),
            Step::Restart(policy, pod) => self.restart(policy, pod),
            Step::NewRun(pod) => (0..2).for_each(|policy| self.restart(policy, pod)),
            Step::Select(policy, pod) => self.select(policy, pod),
            Step::Unselect(policy, pod) => {
                if self.pods[pod].streaks[policy].is_some() {
                    let uid = self.uid(pod);
                    self.judge.forget(POLICIES[policy], &uid, secs(self.now));
                    self.pods[pod].forget(policy, self.now);
                    self.heard.remove(&(policy, pod));
                }
            }
            Step::Delete(pod) => self.delete(pod, false),
            Step::Quarantine(pod) => self.delete(pod, true),
            Step::Move(pod, node, workload, exempt) => {
                let scopes = PodScopes {
                    node: Some(format!("n{node}").into()),
                    exempt,
                    ..PodScopes::of(format!("w{workload}").as_str().into())
                };
                let of_another = self.pods[pod].scopes.workload != scopes.workload;
                if (0..2).all(|policy| self.pods[pod].streaks[policy].is_none()) {
                    return;
                }
                self.pods[pod].scopes = scopes;
                for policy in 0..2 {
                    if self.pods[pod].streaks[policy].is_some() {
                        if of_another {
                            self.pods[pod].end(policy, None);
                            self.pods[pod].streaks[policy] = None;
                            self.heard.remove(&(policy, pod));
                        }
                        self.select(policy, pod);
                    }
                }
            }
            Step::ChangePolicy(policy) => {
                let probe = probe_of(&mut self.file.policies[policy..]);
                let other = 7 - probe.failure_threshold.get();
                probe.failure_threshold = other.try_into().unwrap();
                self.judge.set_policies(&self.file, secs(self.now));
                self.changed[policy] = self.now;
                for pod in 0..PODS.len() {
                    self.pods[pod].end(policy, None);
                    if self.pods[pod].streaks[policy].take().is_some() {
                        self.heard.remove(&(policy, pod));
                        self.select(policy, pod);
                    }
                }
            }
        }
    }

    fn restart(&mut self, policy: usize, pod: usize) {
        self.judge.restart(POLICIES[policy], &self.uid(pod));
        self.pods[pod].end(policy, None);
        if let Some(streak) = &mut self.pods[pod].streaks[policy] {
            streak.last = None;
        }
    }

    fn says(&mut self, policy: usize, pod: usize, is: u8, took: u64) {
        let is = match is {
            0..4 => Answer::Bad,
            4..7 => Answer::Good,
            _ => Answer::None,
        };
        let now = self.now;
        // The next probe of a pod waits for the last one.
        let last = self.heard.get(&(policy, pod)).copied().unwrap_or(0);
        if self.pods[pod].streaks[policy].is_none() || now <= last {
            return;
        }
        self.heard.insert((policy, pod), now);
        let took = if policy == 0 { took.min(1) } else { took };
        let asked = (now - took).max(last).max(self.changed[policy]);
        let streak = self.pods[pod].streaks[policy].as_ref().unwrap();
        let goes_on =
            is == Answer::Bad && streak.last.is_some_and(|(at, _)| now - at <= STALE[policy]);
        if !goes_on {
            self.pods[pod].end(policy, (is == Answer::Good).then_some(now));
        }
        let of_pod = &mut self.pods[pod];
        let streak = of_pod.streaks[policy].as_mut().unwrap();
        streak.last = Some((now, is));
        match is {
            Answer::Bad => {
                streak.bad = Some(asked);
                streak.was_bad = true;
                let unreached = took % 2 == 1;
                let before = of_pod.unreached[policy];
                let waits = if unreached { COOLDOWN } else { 0 };
                let before = before.filter(|(_, last)| now - last <= STALE[policy] + waits);
                of_pod.unreached[policy] = if unreached {
                    Some((before.map_or(now, |(since, _)| since), now))
                } else {
                    before
                };
                let unreached_since = of_pod.unreached[policy].map(|(since, _)| since);
                let first = NaiveOpen {
                    from: asked,
                    waits_since: None,
                    unreached_since,
                };
                let open = of_pod.open[policy].get_or_insert(first);
                open.waits_since = None;
                open.unreached_since = unreached_since;
                open.from = open.from.min(asked);
            }
            Answer::Good => {
                streak.was_good = true;
                of_pod.unreached[policy] = None;
                of_pod.close(policy, now);
            }
            Answer::None => {}
        }
        self.judge.record(&Sample {
            policy: POLICIES[policy].into(),
            pod: self.uid(pod),
            run: None,
            at: Now {
                wall: at(START),
                moment: secs(now),
            },
            asked: secs(asked),
            answer: is,
            unreached: took % 2 == 1,
            saw: "x".into(),
        });
    }

    /// Since when until when pods were unreached that are not bad now.
    fn were_unreached(&self, asked: u64) -> BTreeSet<(String, Duration, Duration)> {
        let mut unreached = BTreeSet::new();
        for pod in self.pods.iter().filter(|pod| !pod.scopes.exempt) {
            for (_, until, since) in &pod.over {
                if let Some(since) = since
                    && *until > asked
                {
                    unreached.insert((pod.uid.clone(), secs(*since), secs(*until)));
                }
            }
            let waiting = pod.open.iter().flatten();
            for open in waiting.filter(|open| open.waits_since.is_some()) {
                if let Some(since) = open.unreached_since {
                    unreached.insert((pod.uid.clone(), secs(since), Duration::MAX));
                }
            }
        }
        unreached
    }

    fn check(&mut self) {
        let now = self.now;
        let findings = self.judge.findings(secs(now));
        let mut expected = BTreeMap::new();
        for pod in &mut self.pods {
            for (policy, stale) in STALE.into_iter().enumerate() {
                let last = pod.streaks[policy].as_ref().and_then(|streak| streak.last);
                if last.is_some_and(|(at, _)| now - at > stale) {
                    pod.end(policy, None);
                }
                if let Some(asked) = pod.finding(policy) {
                    expected.insert((pod.uid.clone(), policy), (asked, pod.scopes.clone()));
                }
            }
        }
        // The longest timeout and ten seconds; the cooldown.
        let over = expected.values().map(|(asked, _)| *asked).min();
        let over = over.unwrap_or(u64::MAX).min(now - 40);
        for pod in &mut self.pods {
            pod.expire(over, now - COOLDOWN);
        }
        assert_eq!(findings.pods.len(), expected.len());
        let first_asked = expected.values().map(|(asked, _)| *asked).min();
        let first_asked = first_asked.unwrap_or(now);
        let found = findings.was_unreached.iter();
        let found: BTreeSet<(String, Duration, Duration)> = found
            .map(|pod| (pod.uid.to_string(), pod.since, pod.until))
            .collect();
        assert_eq!(found, self.were_unreached(first_asked));
        for finding in &findings.pods {
            let policy = POLICIES
                .iter()
                .position(|name| **name == *finding.policy.name);
            let key = (finding.uid.to_string(), policy.unwrap());
            let (asked, scopes) = &expected[&key];
            assert_eq!(finding.scopes, *scopes);
            assert_eq!(finding.asked, secs(*asked));
            let itself = self.pods.iter().find(|pod| *pod.uid == *finding.uid);
            let (since, _) = itself.unwrap().not_good().unwrap();
            for scope in scopes.iter() {
                let in_scope = || {
                    let pods = self.pods.iter();
                    pods.filter(|pod| pod.scopes.iter().any(|one| one == scope))
                };
                let others = in_scope().filter(|pod| *pod.uid != *finding.uid);
                let bad: Vec<&NaivePod> = others.filter(|pod| pod.was_bad(since, *asked)).collect();
                let without = bad.iter().filter(|pod| pod.waits() && !pod.is_healthy(now));
                let has_ended = |pod: &NaivePod| {
                    let not_good = pod.not_good();
                    let mut over = pod.over.iter();
                    pod.waits()
                        || over.any(|(_, until, _)| not_good.is_none_or(|(from, _)| *until < from))
                };
                let then = finding.then.get(&scope);
                let never_good = bad
                    .iter()
                    .filter(|pod| !pod.is_bad() && pod.was_never_good());
                let found = then.map(|then| (then.pods, then.without_verdict, then.never_good));
                let expected = (bad.len(), without.count(), never_good.count());
                let is_more = in_scope().any(has_ended) && !bad.is_empty();
                assert_eq!(found, is_more.then_some(expected), "{scope:?} of {key:?}");
                if let (Scope::Node(_), Some(then)) = (&scope, then) {
                    let of_bad = bad.iter().map(|pod| &pod.scopes.workload);
                    let workloads: BTreeSet<_> = of_bad.chain([&scopes.workload]).collect();
                    assert_eq!(then.workloads.len(), workloads.len().min(2));
                    assert!(then.workloads.iter().all(|one| workloads.contains(one)));
                }
                let with_verdict: BTreeSet<&str> = in_scope()
                    .filter(|pod| pod.is_healthy(now) || pod.is_bad())
                    .map(|pod| pod.uid.as_str())
                    .collect();
                let counted = findings.with_verdict[&scope] as usize;
                assert_eq!(counted, with_verdict.len(), "{scope:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(proptest_cases(300))]

    #[test]
    fn spells_are_counted_as_naively(steps in prop::collection::vec(step(), 1..80)) {
        let mut naive = Naive::new();
        for step in &steps {
            naive.take(step);
            naive.check();
        }
        // Nothing stays of pods that are gone.
        for pod in 0..PODS.len() {
            for policy in POLICIES {
                let uid = naive.uid(pod);
                naive.judge.forget(policy, &uid, secs(naive.now));
            }
        }
        for seconds in [200, 4000] {
            let _ = naive.judge.findings(secs(naive.now + seconds));
        }
        let text = format!("{:?}", naive.judge);
        prop_assert!(!text.contains("Uid(") , "{text}");
    }
}
