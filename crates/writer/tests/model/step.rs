//! What can happen next, in any order and at any time.

use pod_quarantine_core::{keys, ledger::REBUILD_WAIT, object::Pod};

use crate::{
    hostile::Hostility,
    known::{GONE, Id, NOTHING},
    model::Model,
    promise::Violation,
    server::Altered,
    state::{AGENTS, Left, Seen, State},
    world::{APP, HOSTILE, PODS, now},
};

/// More than [`pod_quarantine_core::ledger::FENCE_AFTER`].
const HALF_A_MINUTE: u32 = 31;
/// The policy's.
const TTL: u32 = 4 * 3600;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// An agent decides and begins a batch.
    Decides(usize),
    /// A watch shows an agent a pod as it is now; [`PODS`]: how the ledger is; one more: what the Lease names.
    Sees(usize, usize),
    /// A call of an agent arrives.
    Call(usize, Id, Course),
    /// A request that nobody waits for arrives.
    Stray(Id),
    /// An agent ends, and another one takes its place: what it has sent may yet arrive.
    Crashes(usize),
    /// The kubelet writes a pod's status.
    Status(usize),
    People(usize, Act),
    Hostile(Hostility),
    /// A pod gets well, or bad again.
    Health(usize),
    /// A pod that was deleted is gone.
    Goes(usize),
    /// The ledger is deleted.
    LedgerGoes,
    HalfAMinute,
    /// The wait after the loss of the ledger is over. Whatever was under way has arrived or never will, and every view
    /// has caught up: it is the one timing assumption. A request lasts ten seconds, a silent watch three minutes.
    WaitIsOver,
    Ttl,
}

/// How it goes with a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Course {
    Answered,
    AnswerLost,
    /// The agent waits no longer for the answer, and the request may yet arrive.
    Late,
    /// It is answered, and arrives once more.
    Doubled,
    Altered(Altered),
}

/// What people do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// They ask for a release.
    Release,
    /// They take the state label off.
    TakeStateOff,
    /// They write another value into the label that the quarantine has edited.
    ChangeLabel,
    /// They take record and state label off.
    TakeRecordOff,
    /// They say that the pod is never to be taken out.
    Exempt,
    /// They delete the pod.
    Delete,
}

impl Act {
    fn on(self, pod: &mut Pod) {
        match self {
            Self::Release => {
                pod.annotations.insert(keys::RELEASE.into(), "force".into());
            }
            Self::TakeStateOff => {
                pod.labels.remove(keys::STATE);
            }
            Self::ChangeLabel => {
                pod.labels.insert(APP.into(), "theirs".into());
            }
            Self::TakeRecordOff => {
                pod.labels.remove(keys::STATE);
                pod.annotations.remove(keys::RECORD);
            }
            Self::Exempt => {
                pod.annotations.insert(keys::EXEMPT.into(), "true".into());
            }
            Self::Delete => pod.terminating = true,
        }
    }

    /// What people do to a pod that is out, and to one that is not.
    fn all(is_counted: bool) -> &'static [Self] {
        if is_counted {
            &[
                Self::Release,
                Self::TakeStateOff,
                Self::ChangeLabel,
                Self::TakeRecordOff,
                Self::Delete,
            ]
        } else {
            &[Self::Exempt, Self::Delete]
        }
    }
}

impl Left {
    /// One fault less, if there is one left.
    pub(crate) fn without(self, of: impl Fn(&mut Self) -> &mut u8) -> Option<Self> {
        let mut left = self;
        left.in_all = left.in_all.checked_sub(1)?;
        let kind = of(&mut left);
        *kind = kind.checked_sub(1)?;
        Some(left)
    }
}

pub(crate) type Next<'a> = &'a mut dyn FnMut(Step, Result<State, Violation>);

impl Model {
    /// Everything that can happen next, and what is then.
    pub(crate) fn steps(&self, state: &State, next: Next<'_>) {
        for agent in 0..AGENTS {
            if state.agents[agent].batch == NOTHING {
                self.decides(state, agent, next);
            } else {
                self.calls(state, agent, next);
            }
            self.sees(state, agent, next);
        }
        self.strays(state, next);
        for index in 0..PODS {
            self.of_a_pod(state, index, next);
        }
        self.hostility(state, next);
        self.ledger_goes(state, next);
        self.time(state, next);
    }

    pub(crate) fn take(
        &self,
        step: Step,
        state: &State,
        next: Next<'_>,
        change: impl FnOnce(&mut State) -> Result<(), Violation>,
    ) {
        let mut after = state.clone();
        let result = change(&mut after);
        let mut strays = std::mem::take(&mut after.strays);
        strays.retain(|call| self.may_yet_do(&after, *call));
        strays.sort_unstable();
        after.strays = strays;
        next(step, result.map(|()| after));
    }

    fn decides(&self, state: &State, agent: usize, next: Next<'_>) {
        let batch = self.decided(state.agents[agent].view, state.bad, state.time);
        if batch != NOTHING {
            self.take(Step::Decides(agent), state, next, |state| {
                state.agents[agent].batch = batch;
                self.goes_on(state, agent)
            });
        }
        if state.agents[agent].view.ledger_before != NOTHING {
            self.crashes(state, agent, std::iter::empty(), next);
        }
    }

    fn sees(&self, state: &State, agent: usize, next: Next<'_>) {
        let seen = state.agents[agent].view;
        let all = Self::all(state, &seen);
        for index in (0..PODS).filter(|index| seen.pods[*index] != all.pods[*index]) {
            self.take(Step::Sees(agent, index), state, next, |state| {
                state.agents[agent].view.pods[index] = all.pods[index];
                Ok(())
            });
        }
        if seen.named != all.named {
            self.take(Step::Sees(agent, PODS + 1), state, next, |state| {
                state.agents[agent].view.named = all.named;
                Ok(())
            });
        }
        if (seen.ledger, seen.ledger_gone) != (all.ledger, all.ledger_gone) {
            self.take(Step::Sees(agent, PODS), state, next, |state| {
                let view = &mut state.agents[agent].view;
                view.ledger = all.ledger;
                view.ledger_before = all.ledger_before;
                view.ledger_gone = all.ledger_gone;
                Ok(())
            });
        }
    }

    fn calls(&self, state: &State, agent: usize, next: Next<'_>) {
        let going = self.going(state.agents[agent].batch);
        let less = state.left.without(|left| &mut left.network);
        for (lane, call, only_reads) in going.waits_for.iter().copied() {
            let step = |course| Step::Call(agent, call, course);
            self.take(step(Course::Answered), state, next, |state| {
                let answer = self.arrives(state, call, Some(agent), None)?;
                self.receives(state, agent, lane, answer)
            });
            if only_reads {
                continue;
            }
            if let Some(left) = less {
                self.take(step(Course::AnswerLost), state, next, |state| {
                    state.left = left;
                    self.arrives(state, call, Some(agent), None)?;
                    let answer = self.unanswered(state, call);
                    self.receives(state, agent, lane, answer)
                });
                self.take(step(Course::Late), state, next, |state| {
                    state.left = left;
                    state.strays.push(call);
                    let answer = self.unanswered(state, call);
                    self.receives(state, agent, lane, answer)
                });
                self.take(step(Course::Doubled), state, next, |state| {
                    state.left = left;
                    let answer = self.arrives(state, call, Some(agent), None)?;
                    state.strays.push(call);
                    self.receives(state, agent, lane, answer)
                });
            }
            if let Some(left) = state.left.without(|left| &mut left.webhook)
                && self.calls.get(call).verb() == "quarantines"
            {
                for altered in Altered::ALL {
                    self.take(step(Course::Altered(altered)), state, next, |state| {
                        state.left = left;
                        let answer = self.arrives(state, call, Some(agent), Some(altered))?;
                        self.receives(state, agent, lane, answer)
                    });
                }
            }
        }
        let sent = going.waits_for.iter().map(|(_, call, _)| *call);
        self.crashes(state, agent, sent, next);
    }

    /// What it has sent may yet arrive. The agent that takes its place sees what there is, and remembers nothing.
    fn crashes(&self, state: &State, agent: usize, sent: impl Iterator<Item = Id>, next: Next<'_>) {
        if let Some(left) = state.left.without(|left| &mut left.network) {
            self.take(Step::Crashes(agent), state, next, |state| {
                state.left = left;
                state.strays.extend(sent);
                let seen = state.agents[agent].view;
                state.agents[agent].view = Seen {
                    ledger_before: NOTHING,
                    ..Self::all(state, &seen)
                };
                state.agents[agent].batch = NOTHING;
                Ok(())
            });
        }
    }

    fn strays(&self, state: &State, next: Next<'_>) {
        for (place, call) in state.strays.iter().copied().enumerate() {
            self.take(Step::Stray(call), state, next, |state| {
                state.strays.remove(place);
                self.arrives(state, call, None, None)?;
                Ok(())
            });
        }
    }

    fn of_a_pod(&self, state: &State, index: usize, next: Next<'_>) {
        if let Some(left) = state.left.without(|left| &mut left.health) {
            self.take(Step::Health(index), state, next, |state| {
                state.left = left;
                state.bad[index] = !state.bad[index];
                Ok(())
            });
        }
        let Some(pod) = self.pod(state.pods[index]) else {
            return;
        };
        if pod.terminating {
            self.take(Step::Goes(index), state, next, |state| {
                state.pods[index] = GONE;
                Ok(())
            });
            return;
        }
        if let Some(left) = state.left.without(|left| &mut left.status) {
            self.take(Step::Status(index), state, next, |state| {
                state.left = left;
                self.changes(state, index, (*pod).clone())
            });
        }
        let Some(left) = state.left.without(|left| &mut left.people) else {
            return;
        };
        for act in Act::all(pod.counts_as_quarantined()) {
            let mut changed = (*pod).clone();
            act.on(&mut changed);
            if changed == *pod {
                continue;
            }
            self.take(Step::People(index, *act), state, next, |state| {
                state.left = left;
                state.changed_by_people[index] |= matches!(act, Act::ChangeLabel);
                self.changes(state, index, changed)
            });
        }
    }

    fn ledger_goes(&self, state: &State, next: Next<'_>) {
        if let Some(left) = state.left.without(|left| &mut left.ledger)
            && state.ledger != GONE
        {
            self.take(Step::LedgerGoes, state, next, |state| {
                state.left = left;
                state.ledger = GONE;
                state.ledger_version += 1;
                Ok(())
            });
        }
    }

    /// Whether a ledger was lost, and the wait for what was under way then is not over.
    pub(crate) fn waits(&self, state: &State) -> bool {
        let Some(ledger) = self.ledger(state.ledger) else {
            return true;
        };
        ledger.closed(now(state.time).wall).is_some()
    }

    fn time(&self, state: &State, next: Next<'_>) {
        let waits = self.waits(state);
        if state.left.half_minutes > 0 {
            self.take(Step::HalfAMinute, state, next, |state| {
                state.left.half_minutes -= 1;
                state.time += HALF_A_MINUTE;
                Ok(())
            });
        }
        let idle = state.agents.iter().all(|agent| agent.batch == NOTHING);
        if waits && idle && state.ledger != GONE {
            self.take(Step::WaitIsOver, state, next, |state| {
                Self::wait_is_over(state);
                Ok(())
            });
        }
        if !waits && state.left.ttls > 0 {
            self.take(Step::Ttl, state, next, |state| {
                state.left.ttls -= 1;
                state.time += TTL;
                Ok(())
            });
        }
    }

    pub(crate) fn wait_is_over(state: &mut State) {
        state.strays.clear();
        for agent in &mut state.agents {
            let pods = state.pods;
            agent.view.pods = pods;
        }
        state.time += u32::try_from(REBUILD_WAIT.as_secs()).expect("it is short");
    }

    pub(crate) fn half_a_minute(state: &mut State) {
        state.time += HALF_A_MINUTE;
    }

    /// A step in words; `state` is the one before it.
    pub(crate) fn describe_step(&self, step: Step, state: &State) -> String {
        let agent = |index: usize| ["agent A", "agent B"][index];
        match step {
            Step::Decides(index) => {
                let view = state.agents[index].view;
                let batch = self.decided(view, state.bad, state.time);
                format!("{} decides: {}", agent(index), self.describe(batch))
            }
            Step::Sees(index, PODS) => format!("{} sees the ledger as it is", agent(index)),
            Step::Sees(index, pod) if pod > PODS => {
                format!("{} sees the Lease as it is", agent(index))
            }
            Step::Sees(index, pod) => format!("{} sees p{pod} as it is", agent(index)),
            Step::Call(index, call, course) => {
                let call = self.calls.get(call).describe();
                let course = match course {
                    Course::Answered => "arrives and is answered".to_owned(),
                    Course::AnswerLost => "arrives, the answer is lost".to_owned(),
                    Course::Late => "is given up, and may yet arrive".to_owned(),
                    Course::Doubled => {
                        "arrives and is answered, and may arrive once more".to_owned()
                    }
                    Course::Altered(how) => format!("arrives altered, {how:?}, and is answered"),
                };
                format!("{}: {call} {course}", agent(index))
            }
            Step::Stray(call) => format!("late: {} arrives", self.calls.get(call).describe()),
            Step::Crashes(index) => {
                format!(
                    "{} ends and starts again; its requests may yet arrive",
                    agent(index)
                )
            }
            Step::Status(pod) => format!("the kubelet writes the status of p{pod}"),
            Step::People(pod, act) => format!("people: {act:?} p{pod}"),
            Step::Hostile(act) => format!("hostile people: p{HOSTILE} {act:?}"),
            Step::Health(pod) => {
                let now = if state.bad[pod] { "well" } else { "bad" };
                format!("p{pod} is {now}")
            }
            Step::Goes(pod) => format!("p{pod} is gone"),
            Step::LedgerGoes => "the ledger is deleted".to_owned(),
            Step::HalfAMinute => "half a minute passes".to_owned(),
            Step::WaitIsOver => "the ten minutes after the loss are over".to_owned(),
            Step::Ttl => "the ttl passes".to_owned(),
        }
    }
}
