//! What an agent does: it sees, decides and writes. The decisions and the writer are the real ones.

use std::sync::Arc;

use pod_quarantine_core::{
    decide::{self, decide},
    judge::Findings,
    ledger::LedgerView,
    needs::NeedsAt,
    object::{Pod, ResourceVersion},
    view::{LeaseView, Update, View},
    write::Write,
};

use crate::{
    broken::Broken,
    call::{Answer, Ran, Said, run},
    known::{GONE, Id, NOTHING},
    model::{Going, Model},
    promise::Violation,
    state::{Agent, Batch, Seen, State},
    world::{self, PODS, finding, index_of, now},
};

impl Model {
    /// What an agent sees when its watches are up to date.
    pub(crate) fn all(state: &State, seen: &Seen) -> Seen {
        let (ledger_before, ledger_gone) = match (state.ledger, seen.ledger) {
            (GONE, GONE) => (seen.ledger_before, Some(state.ledger_version)),
            (GONE, before) => (before, Some(state.ledger_version)),
            _ => (NOTHING, seen.ledger_gone),
        };
        Seen {
            pods: state.pods,
            ledger: state.ledger,
            ledger_before,
            ledger_gone,
            named: state.named,
        }
    }

    fn view(&self, seen: &Seen) -> View {
        self.view_with(seen, Pod::clone)
    }

    /// `altered`: how the agent takes a pod that it sees.
    fn view_with(&self, seen: &Seen, altered: impl Fn(&Pod) -> Pod) -> View {
        let mut view = self.known_to_all.clone();
        for (index, id) in seen.pods.iter().enumerate() {
            if let Some(pod) = self.pod(*id) {
                view.put_pod(altered(&pod));
            } else if *id == GONE {
                let pod = world::pod(index);
                view.put_pod(pod.clone());
                view.remove_pod(&pod.key, &pod.uid);
            }
        }
        if let Some(before) = self.ledger(seen.ledger_before) {
            view.update(Update::Ledger((*before).clone()));
        }
        if seen.ledger == GONE || seen.ledger_gone.is_some() {
            let version = seen.ledger_gone.map(ResourceVersion::new);
            view.update(Update::LedgerGone(version));
        }
        if let Some(ledger) = self.ledger(seen.ledger) {
            view.update(Update::Ledger((*ledger).clone()));
        }
        let named = Broken::named(
            self.scope.broken,
            &view,
            seen.named.map(world::uid_of_ledger),
        );
        view.update(Update::Lease(named, world::lease()));
        view
    }

    /// What an agent does on what it sees: the batch, [`NOTHING`] where there is nothing to write.
    pub(crate) fn decided(&self, seen: Seen, bad: [bool; PODS], time: u32) -> Id {
        let key = (seen, bad, time);
        self.decided.get(key, |(seen, bad, time)| {
            let broken = self.scope.broken;
            let mut ledger = self.ledger(seen.ledger).as_deref().cloned();
            let mut view = self.view_with(seen, |pod| {
                Broken::pod_in_the_view(broken, pod, ledger.as_ref())
            });
            Broken::alter_view(broken, &mut view);
            let mut writes = self.decision(&view, *bad, *time);
            if broken == Some(Broken::GivesSlotsToForgedPods) {
                ledger = Broken::give_slots(&view, &mut writes);
            }
            if broken == Some(Broken::MovesSlotsBack) {
                ledger = Broken::move_slots_back(&view, &mut writes, |view| {
                    self.decision(view, *bad, *time)
                });
            }
            if writes.is_empty() {
                return NOTHING;
            }
            self.batches.name(Batch {
                ledger: ledger.map_or(NOTHING, |ledger| self.ledgers.name(ledger)),
                writes: self.writes.name(writes),
                answers: std::array::from_fn(|_| Vec::new()),
            })
        })
    }

    /// What is to be written. What a replacement would need was read just now.
    fn decision(&self, view: &View, bad: [bool; PODS], time: u32) -> Vec<Write> {
        let now = now(time);
        let mut state = decide::State::default();
        let mut findings = Vec::new();
        for (index, bad) in bad.into_iter().enumerate() {
            if let Some(pod) = view.pod(&world::key(index)) {
                let needs = test_objects::no_needs();
                state.record_needs(&pod.uid, NeedsAt { at: now, needs }, now.moment);
                findings.extend(bad.then(|| finding(&self.file, view, pod)));
            }
        }
        let findings = Findings {
            pods: findings,
            ..Findings::default()
        };
        decide(&mut state, &self.file, view, &findings, None, now).writes
    }

    /// How far a batch has come.
    pub(crate) fn going(&self, batch: Id) -> Going {
        self.going.get(batch, |batch| {
            let batch = self.batches.get(*batch);
            let answer = |id: &Id| (*self.answers.get(*id)).clone();
            let answers = batch
                .answers
                .each_ref()
                .map(|lane| lane.iter().map(answer).collect());
            let ledger = self.ledger(batch.ledger).map(|ledger| (*ledger).clone());
            let writes = (*self.writes.get(batch.writes)).clone();
            let Ran { waits_for, learnt } = run(ledger, writes, answers);
            let waits_for = waits_for.into_iter().map(|call| {
                let (lane, only_reads) = (call.lane(), call.only_reads());
                (lane, self.calls.name(call), only_reads)
            });
            Going {
                waits_for: waits_for.collect(),
                learnt: learnt.map(Arc::from),
            }
        })
    }

    /// The writes of a batch, in words.
    pub(crate) fn describe(&self, batch: Id) -> String {
        let writes = self.writes.get(self.batches.get(batch).writes);
        let described = writes.iter().map(|write| match write {
            Write::CreateLedger { .. } => "create the ledger".to_owned(),
            Write::Quarantine(one) => {
                format!(
                    "quarantine {}@{}",
                    one.pod.key.name, one.pod.resource_version
                )
            }
            Write::Release(one) => format!("release {}", one.pod.key.name),
            Write::Settle { pod, .. } => format!("settle {}", pod.key.name),
            Write::Reap(one) => format!("reap {}", one.pod.key.name),
            Write::CheckSlot(slot) => {
                format!("check the slot {}@{}", slot.name, slot.resource_version)
            }
            other => format!("{other:?}"),
        });
        described.collect::<Vec<_>>().join(", ")
    }

    /// The batch that has had one answer more.
    pub(crate) fn answered(&self, batch: Id, lane: usize, answer: Id) -> Id {
        self.answered
            .get((batch, lane, answer), |(batch, lane, answer)| {
                let mut batch = (*self.batches.get(*batch)).clone();
                batch.answers[*lane].push(*answer);
                self.batches.name(batch)
            })
    }

    /// What an agent sees when its batch has ended.
    fn learnt(&self, seen: Seen, batch: Id, updates: &[Update]) -> Seen {
        self.learnt.get((seen, batch), |(seen, _)| {
            let mut view = self.view(seen);
            let mut seen = *seen;
            for update in updates {
                if let Update::PodGone(key, _) = update {
                    seen.pods[index_of(key)] = GONE;
                }
                view.update(update.clone());
            }
            for (index, id) in seen.pods.iter_mut().enumerate() {
                if let Some(pod) = view.pod(&world::key(index)) {
                    *id = self.pods.name(pod.clone());
                }
            }
            (seen.ledger, seen.ledger_before) = match view.ledger {
                LedgerView::NotLoaded => (NOTHING, NOTHING),
                LedgerView::Gone(None) => (GONE, NOTHING),
                LedgerView::Gone(Some(before)) => (GONE, self.ledgers.name(*before)),
                LedgerView::Present(ledger) => (self.ledgers.name(ledger), NOTHING),
            };
            if let LeaseView::Names(named) = view.lease {
                seen.named = named.map(|uid| world::made_at(&uid));
            }
            seen
        })
    }

    /// Lets an agent's writer go on with an answer, up to the next calls that it waits for.
    pub(crate) fn receives(
        &self,
        state: &mut State,
        agent: usize,
        lane: usize,
        answer: Id,
    ) -> Result<(), Violation> {
        let batch = &mut state.agents[agent].batch;
        *batch = self.answered(*batch, lane, answer);
        self.goes_on(state, agent)
    }

    /// Answers what only reads, and ends the batch where it waits for nothing.
    pub(crate) fn goes_on(&self, state: &mut State, agent: usize) -> Result<(), Violation> {
        loop {
            let Agent { view, batch } = state.agents[agent];
            let going = self.going(batch);
            if let Some(updates) = &going.learnt {
                state.agents[agent] = Agent {
                    view: self.learnt(view, batch, updates),
                    batch: NOTHING,
                };
                return Ok(());
            }
            let mut reads = going
                .waits_for
                .iter()
                .filter(|(.., only_reads)| *only_reads);
            let Some((lane, call, _)) = reads.next().filter(|_| !self.scope.reads_wait) else {
                return Ok(());
            };
            let answer = self.arrives(state, *call, Some(agent), None)?;
            state.agents[agent].batch = self.answered(batch, *lane, answer);
        }
    }

    /// The writer of an agent learns that there was no answer.
    pub(crate) fn unanswered(&self, state: &State, call: Id) -> Id {
        self.says(state, self.calls.get(call).unanswered())
    }

    pub(crate) fn says(&self, state: &State, said: Said) -> Id {
        let at = now(state.time).wall;
        self.answers.name(Answer { said, at })
    }
}
