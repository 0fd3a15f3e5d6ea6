//! Carries out writes: the only place that writes pods and the ledger.
//!
//! Every write has a precondition, and none is repeated here: a failed write is decided again on the next tick, on the
//! answers of the API server. Only the order of the requests is here: the model check runs it unchanged.

pub mod api_server;
mod slots;

use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream,
};
use jiff::Timestamp;

use crate::api_server::{ApiServer, RequestError, WriteFailure};
use pod_quarantine_core::{
    ledger::{Ledger, Note},
    reason::{Reason, Refusal},
    view::Update,
    write::{Act, Change, PodVersion, Quarantine, Reap, Release, Write},
};

/// Concurrent requests.
const AT_ONCE: usize = 16;

/// The outcome of a batch of writes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The answers of the API server about pods and the ledger.
    pub updates: Vec<Update>,
    pub effects: Vec<Effect>,
    /// Whether a pod or the ledger had changed in between: then the next decision need not wait.
    pub conflicts: bool,
    /// The failed requests, in words.
    pub failures: Vec<String>,
}

/// A write that was done, or was refused by the API server.
#[derive(Debug)]
pub enum Effect {
    Quarantined(Box<Quarantine>),
    /// The API server accepted the dry run of a quarantine.
    Accepted(Box<Quarantine>),
    /// The API server denied a write of a pod, or altered it: it would do so again.
    Denied(PodVersion, Act, Refusal),
    /// A write of a pod failed, for that reason; whether it took place is not known.
    Failed(PodVersion, Act, String),
    Released(Box<Release>),
    Reaped(Box<Reap>),
    /// An entry was written into the ledger.
    Noted(Note),
}

#[derive(Clone)]
pub struct Writer<Server> {
    server: Server,
}

impl<Server: ApiServer> Writer<Server> {
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server }
    }

    /// Carries out writes. `ledger` is the one that the decision was made on.
    pub async fn carry_out(&self, ledger: Option<Ledger>, writes: Vec<Write>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut ledger = ledger;
        let mut quarantines = Vec::new();
        let mut checks = Vec::new();
        let mut notes = Vec::new();
        let mut others: Vec<BoxFuture<'_, Outcome>> = Vec::new();
        for write in writes {
            match write {
                Write::CreateLedger { lost, before } => {
                    let created = self.server.create_ledger(lost, before.as_deref()).await;
                    outcome.record_update("create the ledger", created);
                }
                Write::RepairLedger { rebuilt } => {
                    ledger = self.repair(ledger, rebuilt, &mut outcome).await;
                }
                Write::NameLedger => {
                    if let Some(ledger) = &ledger {
                        let named = self.server.name_ledger(ledger).await;
                        outcome.record_update("write the ledger's uid into the Lease", named);
                    }
                }
                Write::Quarantine(quarantine) => quarantines.push(*quarantine),
                Write::Release(release) => others.push(self.release(release).boxed()),
                Write::Settle { pod, change } => others.push(self.settle(pod, change).boxed()),
                Write::Reap(reap) => others.push(self.reap(reap).boxed()),
                Write::CheckSlot(slot) => checks.push(slot),
                Write::Note(note) => notes.push(note),
            }
        }
        if !quarantines.is_empty() {
            ledger = self.quarantine(ledger, quarantines, &mut outcome).await;
        }
        let others = stream::iter(others).buffer_unordered(AT_ONCE);
        for one in others.collect::<Vec<_>>().await {
            outcome.add(one);
        }
        if !notes.is_empty()
            && let Some(before) = ledger
        {
            ledger = self.note(before, notes, &mut outcome).await;
        }
        if !checks.is_empty()
            && let Some(ledger) = ledger
        {
            self.check(&ledger, checks, &mut outcome).await;
        }
        outcome
    }

    async fn repair(
        &self,
        ledger: Option<Ledger>,
        rebuilt: Timestamp,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let before = ledger?;
        let repaired = self.server.repair_ledger(&before, rebuilt).await;
        self.record_swap("repair the ledger", repaired, outcome)
            .await
    }

    /// Writes notes into the ledger. Returns the ledger as it is then, if that is known.
    async fn note(
        &self,
        before: Ledger,
        notes: Vec<Note>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let what = "write notes into the ledger";
        let apply = |ledger: &mut Ledger, note: &Note| ledger.note(note);
        let swapped = self.swap_each(what, before, notes, apply, outcome).await;
        for (note, why) in swapped.denied {
            outcome.failures.push(format!("{what}: {note:?}: {why}"));
        }
        let written = swapped.written.into_iter().map(Effect::Noted);
        outcome.effects.extend(written);
        swapped.ledger
    }

    /// Writes the ledger if it is unchanged. What it is then, or was found to be instead, is among the updates.
    async fn swap(
        &self,
        what: &str,
        before: &Ledger,
        after: &Ledger,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let swapped = match self.server.swap_ledger(before, after).await {
            Ok(after) => Ok(Some(after)),
            Err(WriteFailure::Conflict) => Ok(None),
            Err(WriteFailure::Denied(why) | WriteFailure::Unknown(why)) => Err(why),
        };
        self.record_swap(what, swapped, outcome).await
    }

    /// Writes entries into the ledger, all at once. If the API server denies that, half of them, and so on: what it will
    /// never take holds up nothing else.
    async fn swap_each<Entry>(
        &self,
        what: &str,
        before: Ledger,
        entries: Vec<Entry>,
        apply: impl Fn(&mut Ledger, &Entry) -> bool,
        outcome: &mut Outcome,
    ) -> Swapped<Entry> {
        let mut swapped = Swapped {
            written: Vec::new(),
            denied: Vec::new(),
            ledger: Some(before),
        };
        let mut batches = vec![entries];
        while let (Some(mut batch), Some(before)) = (batches.pop(), swapped.ledger.clone()) {
            let mut after = before.clone();
            batch.retain(|entry| apply(&mut after, entry));
            if batch.is_empty() {
                continue;
            }
            match self.server.swap_ledger(&before, &after).await {
                Err(WriteFailure::Denied(why)) if batch.len() == 1 => {
                    swapped
                        .denied
                        .extend(batch.into_iter().map(|entry| (entry, why.clone())));
                }
                Err(WriteFailure::Denied(_)) => {
                    batches.push(batch.split_off(batch.len() / 2));
                    batches.push(batch);
                }
                Ok(after) => {
                    swapped.ledger = self.record_swap(what, Ok(Some(after)), outcome).await;
                    swapped.written.extend(batch);
                }
                Err(WriteFailure::Conflict) => {
                    swapped.ledger = self.record_swap(what, Ok(None), outcome).await;
                }
                Err(WriteFailure::Unknown(why)) => {
                    swapped.ledger = self.record_swap(what, Err(why), outcome).await;
                }
            }
        }
        swapped
    }

    /// Records the ledger after a compare-and-swap.
    async fn record_swap(
        &self,
        what: &str,
        swapped: Result<Option<Ledger>, RequestError>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        match swapped {
            Ok(Some(after)) => {
                outcome.updates.push(Update::Ledger(after.clone()));
                return Some(after);
            }
            Ok(None) => outcome.conflicts = true,
            Err(error) => outcome.failures.push(format!("{what}: {error}")),
        }
        outcome.updates.extend(self.server.read_ledger().await.ok());
        None
    }

    /// Sends changes as dry runs only.
    pub async fn dry_run(&self, quarantines: Vec<Quarantine>) -> Outcome {
        let tried = stream::iter(quarantines)
            .map(|quarantine| self.dry_run_first(quarantine))
            .buffer_unordered(AT_ONCE);
        let mut outcome = Outcome::default();
        for one in tried.collect::<Vec<_>>().await {
            outcome.add(match one {
                Ok(accepted) => Outcome::effect(Effect::Accepted(Box::new(accepted))),
                Err(refused) => refused,
            });
        }
        outcome
    }

    /// Takes the slots of all pods, then changes each pod. Returns the ledger as it is then, if that is known.
    async fn quarantine(
        &self,
        ledger: Option<Ledger>,
        quarantines: Vec<Quarantine>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let before = ledger?;
        let tried = stream::iter(quarantines)
            .map(|quarantine| self.dry_run_first(quarantine))
            .buffer_unordered(AT_ONCE);
        let mut accepted = Vec::new();
        for one in tried.collect::<Vec<_>>().await {
            match one {
                Ok(quarantine) => accepted.push(quarantine),
                Err(refused) => outcome.add(refused),
            }
        }
        let what = "take a slot in the ledger";
        let apply = |ledger: &mut Ledger, quarantine: &Quarantine| {
            ledger.begin(quarantine.slot.clone(), quarantine.pacing.as_ref())
        };
        let swapped = self.swap_each(what, before, accepted, apply, outcome).await;
        for (quarantine, why) in swapped.denied {
            let refusal = Refusal::new(Reason::LedgerUnavailable, why.to_string());
            let denied = Effect::Denied(quarantine.pod, Act::Quarantine, refusal);
            outcome.effects.push(denied);
        }
        let accepted = swapped.written;
        let done = stream::iter(accepted)
            .map(|quarantine| self.quarantine_pod(quarantine))
            .buffer_unordered(AT_ONCE);
        for one in done.collect::<Vec<_>>().await {
            outcome.add(one);
        }
        swapped.ledger
    }

    /// Sends the change as a dry run, if no pod of the workload has shown that the API server accepts it.
    async fn dry_run_first(&self, quarantine: Quarantine) -> Result<Quarantine, Outcome> {
        if !quarantine.dry_run_first {
            return Ok(quarantine);
        }
        match self
            .server
            .patch(&quarantine.pod, &quarantine.change, true)
            .await
        {
            Ok(pod) => match quarantine.difference(&pod) {
                None => Ok(quarantine),
                Some(difference) => Err(mutated(quarantine.pod, difference)),
            },
            Err(failure) => {
                let pod = &quarantine.pod;
                Err(self.record_failure(Act::Quarantine, pod, failure).await)
            }
        }
    }

    async fn quarantine_pod(&self, quarantine: Quarantine) -> Outcome {
        let pod = match self
            .server
            .patch(&quarantine.pod, &quarantine.change, false)
            .await
        {
            Ok(pod) => pod,
            Err(failure) => {
                let pod = &quarantine.pod;
                return self.record_failure(Act::Quarantine, pod, failure).await;
            }
        };
        let Some(difference) = quarantine.difference(&pod) else {
            let mut outcome = Outcome::effect(Effect::Quarantined(Box::new(quarantine)));
            outcome.updates.push(Update::Pod(pod));
            return outcome;
        };
        let undone = self
            .server
            .patch(&PodVersion::from(&pod), &quarantine.undo(&pod), false)
            .await;
        let mut outcome = mutated(quarantine.pod, difference);
        match undone {
            Ok(pod) => outcome.updates.push(Update::Pod(pod)),
            Err(failure) => {
                outcome.updates.push(Update::Pod(pod));
                outcome
                    .failures
                    .push(format!("undo an altered quarantine: {failure}"));
            }
        }
        outcome
    }

    /// Records a failure, with the pod as it is now.
    async fn record_failure(&self, act: Act, pod: &PodVersion, failure: WriteFailure) -> Outcome {
        let mut outcome = Outcome::default();
        match failure {
            WriteFailure::Conflict => outcome.conflicts = true,
            WriteFailure::Denied(why) => {
                let refusal = Refusal::new(Reason::AdmissionDenied, why.to_string());
                outcome
                    .effects
                    .push(Effect::Denied(pod.clone(), act, refusal));
            }
            WriteFailure::Unknown(why) => {
                outcome
                    .effects
                    .push(Effect::Failed(pod.clone(), act, why.to_string()));
            }
        }
        match self.server.get(pod).await {
            Ok(Some(pod)) => outcome.updates.push(Update::Pod(pod)),
            Ok(None) => outcome
                .updates
                .push(Update::PodGone(pod.key.clone(), pod.uid.clone())),
            Err(_) => {}
        }
        outcome
    }

    async fn release(&self, release: Box<Release>) -> Outcome {
        let released = self.server.patch(&release.pod, &release.change, false);
        match released.await {
            Ok(pod) => {
                let mut outcome = Outcome::effect(Effect::Released(release));
                outcome.updates.push(Update::Pod(pod));
                outcome
            }
            Err(failure) => {
                self.record_failure(Act::Release, &release.pod, failure)
                    .await
            }
        }
    }

    async fn settle(&self, pod: PodVersion, change: Change) -> Outcome {
        match self.server.patch(&pod, &change, false).await {
            Ok(settled) => Outcome::update(Update::Pod(settled)),
            Err(failure) => self.record_failure(Act::Settle, &pod, failure).await,
        }
    }

    async fn reap(&self, reap: Box<Reap>) -> Outcome {
        match self.server.delete(&reap.pod).await {
            Ok(()) => Outcome::effect(Effect::Reaped(reap)),
            Err(failure) => self.record_failure(Act::Reap, &reap.pod, failure).await,
        }
    }
}

/// The result of writing entries into the ledger.
struct Swapped<Entry> {
    written: Vec<Entry>,
    /// What the API server did not take even alone, and why.
    denied: Vec<(Entry, RequestError)>,
    /// The ledger as it is then, if that is known.
    ledger: Option<Ledger>,
}

/// The API server altered a quarantine.
fn mutated(pod: PodVersion, difference: String) -> Outcome {
    let refusal = Refusal::new(Reason::Mutated, difference);
    Outcome::effect(Effect::Denied(pod, Act::Quarantine, refusal))
}

impl Outcome {
    fn effect(effect: Effect) -> Self {
        Self {
            effects: vec![effect],
            ..Self::default()
        }
    }

    fn update(update: Update) -> Self {
        Self {
            updates: vec![update],
            ..Self::default()
        }
    }

    /// Records the answer to a request that changes an object.
    fn record_update(&mut self, what: &str, answer: Result<Update, RequestError>) {
        match answer {
            Ok(update) => self.updates.push(update),
            Err(error) => self.failures.push(format!("{what}: {error}")),
        }
    }

    fn add(&mut self, other: Self) {
        self.updates.extend(other.updates);
        self.effects.extend(other.effects);
        self.conflicts |= other.conflicts;
        self.failures.extend(other.failures);
    }
}
