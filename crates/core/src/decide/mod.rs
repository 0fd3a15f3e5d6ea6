//! The one place that decides. The agent, its tests, the model checker and the replay all call [`decide`].

mod again;
mod available;
mod candidates;
mod kept;
mod leaving;
mod ledger;
mod pacing;
mod plan;
mod reap;
mod release;
mod replaced;
mod storm;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use self::storm::Seen;
use super::{
    action::{Action, Notice, Refusal, Topic},
    judge::{Moment, Now, Verdicts},
    ledger::Scope,
    object::{ControllerKind, ObjectKey, Pod, Reference, Uid},
    policy::PolicyFile,
    reason::Reason,
    record::{self, Record},
    replacement::Reading,
    view::View,
};

/// What a decision remembers from one tick to the next. All of it can be lost: an agent that starts anew says some
/// things twice and waits a little longer.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What was said and is still so.
    told: BTreeMap<(Uid, Arc<str>), Arc<str>>,
    /// What is refused now, and whether people had asked for it.
    refused: Vec<(bool, Refusal)>,
    /// The pods that were reaped within the last minute.
    reaps: VecDeque<Reaped>,
    /// Pods whose change the API server refused, until when they are let be, and why.
    denied: BTreeMap<Uid, (Moment, Reason, String)>,
    /// Workloads in which a change was tried early.
    trials: BTreeMap<Uid, Trial>,
    /// What replacements would need, as it was read lately, by the pod.
    readings: BTreeMap<Uid, Reading>,
    /// When it was last asked for where the answer is not there yet.
    inquired: BTreeMap<Uid, Moment>,
    /// The record with which each quarantined pod was last followed out of its Services.
    followed: BTreeMap<Uid, Arc<str>>,
    /// The Services that a pod is still in the slices of, though it should have left them.
    undrained: BTreeMap<Uid, Vec<Arc<str>>>,
    /// The last readable ttl annotation of quarantined pods: an unreadable one never shortens it.
    ttls: BTreeMap<Uid, Duration>,
    /// Storms, also those that are over and not written down as such yet.
    storms: BTreeMap<Scope, Seen>,
    /// Whether it was paused when that was last told.
    paused: Option<bool>,
    /// When the slots that no pod seems to need were last looked at.
    slots_checked: Option<Moment>,
}

/// A pod that was reaped.
#[derive(Clone, Debug)]
struct Reaped {
    at: Moment,
    pod: Uid,
    /// The disruption budgets that bore it.
    budgets: Vec<ObjectKey>,
}

/// When the API server was asked, before it was needed, whether it would accept a change in a workload.
#[derive(Clone, Copy, Debug)]
struct Trial {
    asked: Moment,
    accepted: bool,
}

/// How long it is believed that the API server would accept a change because it would have.
const ACCEPTED_FOR: Duration = Duration::from_mins(1);

/// How often a change is tried early that was not accepted yet.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// How long it is believed what was read about a replacement: quotas and nodes change.
const READ_FOR: Duration = Duration::from_secs(10);

/// When it is asked anew what was not answered: the requests of one inquiry have ended by then.
const INQUIRE_AGAIN: Duration = Duration::from_secs(25);

/// How long a pod is let be after the API server refused its change.
const DENIED_FOR: Duration = Duration::from_mins(1);

impl State {
    /// Notes that the API server refused a change, for a reason that the next tick would meet again.
    pub fn denied(&mut self, uid: &Uid, reason: Reason, detail: String, now: Moment) {
        self.denied
            .insert(uid.clone(), (now + DENIED_FOR, reason, detail));
    }

    /// Notes that the API server would have accepted the change of a pod of that workload.
    pub fn accepted(&mut self, workload: &Uid) {
        if let Some(trial) = self.trials.get_mut(workload) {
            trial.accepted = true;
        }
    }

    /// Notes which Services a pod is still in the slices of, though it should have left them.
    pub fn drained(&mut self, pod: &Uid, still_in: Vec<Arc<str>>) {
        if still_in.is_empty() {
            self.undrained.remove(pod);
        } else {
            self.undrained.insert(pod.clone(), still_in);
        }
    }

    /// Notes what the replacement of a pod would need.
    pub fn read(&mut self, pod: &Uid, reading: Reading) {
        self.inquired.remove(pod);
        self.readings.insert(pod.clone(), reading);
    }

    /// Whether there is a storm in the whole cluster, and in how many workloads there is one.
    #[must_use]
    pub fn storms(&self) -> (bool, i64) {
        let active = self.storms.iter().filter(|(_, seen)| !seen.is_over());
        let (cluster, workloads): (Vec<_>, Vec<_>) =
            active.partition(|(scope, _)| **scope == Scope::Cluster);
        let workloads = i64::try_from(workloads.len()).unwrap_or(i64::MAX);
        (!cluster.is_empty(), workloads)
    }

    /// Why a pod is left where it is now: what people asked for (`true`) and what each policy asks for.
    pub fn refused(&self, uid: &str) -> impl Iterator<Item = (bool, &Refusal)> {
        let of_pod = self.refused.iter().filter(move |(_, one)| &*one.uid == uid);
        of_pod.map(|(by_hand, refusal)| (*by_hand, refusal))
    }

    /// Whether the API server would lately have accepted a change in that workload.
    fn is_accepted(&self, workload: &Uid) -> bool {
        self.trials
            .get(workload)
            .is_some_and(|trial| trial.accepted)
    }
}

/// Decides what is to be done now.
///
/// Called on every change and at least once a second; the same input gives the same actions. What is refused, and
/// what is said about a pod, comes out once, and again only after it had ended.
pub fn decide(
    state: &mut State,
    file: &PolicyFile,
    view: &View,
    verdicts: &Verdicts,
    now: Now,
) -> Vec<Action> {
    let mut decision = Decision {
        agent: format!("{}/{}", view.own_namespace, file.agent).into(),
        state,
        file,
        view,
        now,
        said: BTreeMap::new(),
        actions: Vec::new(),
    };
    decision.run(verdicts);
    decision.actions
}

struct Decision<'a> {
    agent: Arc<str>,
    state: &'a mut State,
    file: &'a PolicyFile,
    view: &'a View,
    now: Now,
    /// What is said on this tick, told already or not.
    said: BTreeMap<(Uid, Arc<str>), Arc<str>>,
    actions: Vec<Action>,
}

impl<'a> Decision<'a> {
    fn run(&mut self, verdicts: &'a Verdicts) {
        let moment = self.now.moment;
        self.state.refused.clear();
        self.state.denied.retain(|_, (until, ..)| moment < *until);
        self.state.trials.retain(|_, trial| {
            let lasts = if trial.accepted {
                ACCEPTED_FOR
            } else {
                TRY_EVERY
            };
            moment.saturating_sub(trial.asked) < lasts
        });
        self.state
            .readings
            .retain(|_, reading| moment.saturating_sub(reading.at.moment) < READ_FOR);
        self.state
            .inquired
            .retain(|_, asked| moment.saturating_sub(*asked) < INQUIRE_AGAIN);
        self.ledger();
        self.kept_pods();
        let crowds = self.storms(verdicts);
        self.candidates(&verdicts.findings, &crowds);
        self.state.told = std::mem::take(&mut self.said);
    }

    /// What people asked for and what a signal asks for may be refused for different reasons: each is told.
    fn refuse(&mut self, refusal: Refusal, by_hand: bool) {
        let who = if by_hand { "people" } else { "its signal" };
        let topic = format!("refused to {who} for {}", refusal.policy);
        if self.is_news(&refusal.uid, topic.into(), refusal.reason.as_str().into()) {
            self.actions.push(Action::Refuse(refusal.clone()));
        }
        self.state.refused.push((by_hand, refusal));
    }

    fn tell(&mut self, pod: &Pod, topic: Topic, message: String) {
        let about = Reference {
            kind: "Pod".into(),
            name: pod.key.name.clone(),
            uid: pod.uid.clone(),
        };
        self.tell_of(pod, about, topic, message);
    }

    /// About the workload of a quarantined pod; where that is of a kind that is not read, about the pod's own
    /// controller.
    fn tell_workload(&mut self, pod: &Pod, record: &Record, topic: Topic, message: String) {
        let about = if ControllerKind::parse(&record.workload.kind).is_some() {
            &record.workload
        } else {
            &record.owner
        };
        self.tell_of(pod, about.clone(), topic, message);
    }

    fn tell_of(&mut self, pod: &Pod, about: Reference, topic: Topic, message: String) {
        let key = format!("{} {message}", topic.as_str());
        if self.is_news(&pod.uid, key.into(), Arc::default()) {
            self.actions.push(Action::Tell(Notice {
                namespace: pod.key.namespace.clone(),
                pod: Some(pod.key.name.clone()),
                policy: record::policy(pod),
                about,
                topic,
                message,
            }));
        }
    }

    fn is_news(&mut self, uid: &Uid, topic: Arc<str>, text: Arc<str>) -> bool {
        let key = (uid.clone(), topic);
        let news = self.state.told.get(&key) != Some(&text);
        self.said.insert(key, text);
        news
    }
}
