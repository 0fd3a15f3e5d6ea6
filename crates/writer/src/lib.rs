//! Carries actions out: the only place that writes pods and the ledger.
//!
//! Every write has a precondition, and none is repeated here: what did not happen is decided afresh on the next
//! tick, on what the API server answered. Here is the order of the requests alone: the model check runs it as it is.

pub mod api_server;

use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::api_server::{ApiServer, RequestError, WriteFailure};
use pod_quarantine_core::{
    action::{Action, Quarantine, Reap, Release, Target},
    keys,
    ledger::{Ledger, Note, Slot, SlotFate, fate},
    reason::Reason,
    record::Values,
    restore::Change,
    update::Update,
};

/// Requests at the same time.
const AT_ONCE: usize = 16;

/// What came of a batch of actions.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the API server answered about pods and the ledger.
    pub updates: Vec<Update>,
    /// What was done.
    pub effects: Vec<Effect>,
    /// Whether a pod or the ledger had changed meanwhile: it can be decided afresh at once.
    pub conflicts: bool,
    /// Requests that failed, in words.
    pub failures: Vec<String>,
}

/// Something that was done, or was refused by the API server.
#[derive(Debug)]
pub enum Effect {
    /// A pod is out.
    Quarantined(Box<Quarantine>),
    /// It was tried early, and the API server would accept it.
    Accepted(Box<Quarantine>),
    /// The API server did not let it be.
    Refused(Box<Quarantine>, Reason, String),
    /// A pod is back.
    Released(Box<Release>),
    /// A pod is deleted.
    Reaped(Box<Reap>),
    /// Something was written into the ledger.
    Noted(Note),
}

/// The hand of the agent.
#[derive(Clone)]
pub struct Writer<Server> {
    server: Server,
}

impl<Server: ApiServer> Writer<Server> {
    /// Writes there.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server }
    }

    /// Carries out what is to be written; refusals and notices are nothing to it. `ledger` is the one that the
    /// decision was made on.
    pub async fn carry_out(&self, ledger: Option<Ledger>, actions: Vec<Action>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut ledger = ledger;
        let mut quarantines = Vec::new();
        let mut checks = Vec::new();
        let mut notes = Vec::new();
        let mut others = Vec::new();
        for action in actions {
            match action {
                Action::CreateLedger { lost, memory } => {
                    let created = self.server.create_ledger(lost, &memory).await;
                    outcome.heard("create the ledger", created);
                }
                Action::MendLedger { rebuilt } => {
                    ledger = self.mend(ledger, rebuilt, &mut outcome).await;
                }
                Action::NameLedger => {
                    if let Some(ledger) = &ledger {
                        let named = self.server.name_ledger(ledger).await;
                        outcome.heard("have the Lease name the ledger", named);
                    }
                }
                Action::LetLedgerGo => {
                    if let Some(ledger) = &ledger {
                        match self.server.let_ledger_go(ledger).await {
                            Ok(updates) => outcome.updates.extend(updates),
                            Err(error) => {
                                let failure = format!("let the ledger go: {error}");
                                outcome.failures.push(failure);
                            }
                        }
                    }
                }
                Action::Quarantine(quarantine) => quarantines.push(*quarantine),
                Action::CheckSlot(slot) => checks.push(slot),
                Action::Release(_) | Action::Settle { .. } | Action::Reap(_) => others.push(action),
                Action::Note(note) => notes.push(note),
                Action::Follow(_)
                | Action::Inquire(_)
                | Action::TryEarly(_)
                | Action::Refuse(_)
                | Action::Tell(_) => {}
            }
        }
        if !quarantines.is_empty() {
            ledger = self.quarantine(ledger, quarantines, &mut outcome).await;
        }
        let others = stream::iter(others)
            .map(|action| self.other(action))
            .buffer_unordered(AT_ONCE);
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

    async fn mend(
        &self,
        ledger: Option<Ledger>,
        rebuilt: Option<Timestamp>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let before = ledger?;
        let mended = self.server.mend_ledger(&before, rebuilt).await;
        self.swapped("mend the ledger", mended, outcome).await
    }

    /// Writes notes into the ledger. Gives it as it is then, if that is known.
    async fn note(
        &self,
        before: Ledger,
        notes: Vec<Note>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let confirmed = stream::iter(notes)
            .map(|note| self.confirm(note))
            .buffer_unordered(AT_ONCE);
        let mut notes = Vec::new();
        for (note, one) in confirmed.collect::<Vec<_>>().await {
            outcome.add(one);
            notes.extend(note);
        }
        let mut after = before.clone();
        notes.retain(|note| after.note(note));
        if notes.is_empty() {
            return Some(before);
        }
        let what = "write notes into the ledger";
        let after = self.swap(what, &before, &after, outcome).await?;
        outcome.effects.extend(notes.into_iter().map(Effect::Noted));
        Some(after)
    }

    /// Looks whether a pod that is to be given a slot counts indeed: a view may lag behind.
    async fn confirm(&self, note: Note) -> (Option<Note>, Outcome) {
        let Note::Counted(slot) = note else {
            return (Some(note), Outcome::default());
        };
        let pod = Target {
            key: slot.key(),
            uid: slot.uid.clone(),
            resource_version: slot.resource_version,
        };
        match self.server.get(&pod).await {
            Ok(Some(found)) => {
                let counts = found.uid == slot.uid && found.is_counted() && !found.terminating;
                let slot = Slot {
                    resource_version: found.resource_version,
                    ..slot
                };
                let note = counts.then_some(Note::Counted(slot));
                (note, Outcome::update(Update::Pod(found)))
            }
            Ok(None) => (None, Outcome::update(Update::PodGone(pod.key, pod.uid))),
            Err(error) => {
                let mut outcome = Outcome::default();
                let what = format!("look at the pod {}: {error}", pod.key);
                outcome.failures.push(what);
                (None, outcome)
            }
        }
    }

    /// Writes the ledger if it is as it was. What it is then, or was found to be instead, is among the updates.
    async fn swap(
        &self,
        what: &str,
        before: &Ledger,
        after: &Ledger,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let swapped = self.server.swap_ledger(before, after).await;
        self.swapped(what, swapped, outcome).await
    }

    async fn swapped(
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

    /// Tries changes and makes none.
    pub async fn try_early(&self, quarantines: Vec<Quarantine>) -> Outcome {
        let tried = stream::iter(quarantines)
            .map(|quarantine| self.try_first(quarantine))
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

    /// Takes the slots of all, then changes each pod. Gives the ledger as it is then, if that is known.
    async fn quarantine(
        &self,
        ledger: Option<Ledger>,
        quarantines: Vec<Quarantine>,
        outcome: &mut Outcome,
    ) -> Option<Ledger> {
        let before = ledger?;
        let tried = stream::iter(quarantines)
            .map(|quarantine| self.try_first(quarantine))
            .buffer_unordered(AT_ONCE);
        let mut accepted = Vec::new();
        for one in tried.collect::<Vec<_>>().await {
            match one {
                Ok(quarantine) => accepted.push(quarantine),
                Err(refused) => outcome.add(refused),
            }
        }
        let mut after = before.clone();
        accepted
            .retain(|quarantine| after.begin(quarantine.slot.clone(), quarantine.pace.as_ref()));
        if accepted.is_empty() {
            return Some(before);
        }
        let what = "take a slot in the ledger";
        let after = self.swap(what, &before, &after, outcome).await?;
        let done = stream::iter(accepted)
            .map(|quarantine| self.take_out(quarantine))
            .buffer_unordered(AT_ONCE);
        for one in done.collect::<Vec<_>>().await {
            outcome.add(one);
        }
        Some(after)
    }

    /// Asks the API server whether it would accept the change, where no pod of the workload has shown that.
    async fn try_first(&self, quarantine: Quarantine) -> Result<Quarantine, Outcome> {
        if !quarantine.try_first {
            return Ok(quarantine);
        }
        match self
            .server
            .patch(&quarantine.pod, &quarantine.change, true)
            .await
        {
            Ok(pod) => match quarantine.difference(&pod) {
                None => Ok(quarantine),
                Some(difference) => Err(Outcome::effect(Effect::Refused(
                    Box::new(quarantine),
                    Reason::Mutated,
                    difference,
                ))),
            },
            Err(failure) => Err(self.failed(&quarantine, failure).await),
        }
    }

    async fn take_out(&self, quarantine: Quarantine) -> Outcome {
        let pod = match self
            .server
            .patch(&quarantine.pod, &quarantine.change, false)
            .await
        {
            Ok(pod) => pod,
            Err(failure) => return self.failed(&quarantine, failure).await,
        };
        let Some(difference) = quarantine.difference(&pod) else {
            let mut outcome = Outcome::effect(Effect::Quarantined(Box::new(quarantine)));
            outcome.updates.push(Update::Pod(pod));
            return outcome;
        };
        let undone = self
            .server
            .patch(&Target::from(&pod), &quarantine.undo(&pod), false)
            .await;
        let mut outcome = Outcome::effect(Effect::Refused(
            Box::new(quarantine),
            Reason::Mutated,
            difference,
        ));
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

    async fn failed(&self, quarantine: &Quarantine, failure: WriteFailure) -> Outcome {
        match failure {
            WriteFailure::Denied(why) => Outcome::effect(Effect::Refused(
                Box::new(quarantine.clone()),
                Reason::AdmissionDenied,
                why.to_string(),
            )),
            failure => {
                self.unsuccessful("quarantine", &quarantine.pod, failure)
                    .await
            }
        }
    }

    /// What did not succeed, with the pod as it is now.
    async fn unsuccessful(&self, what: &str, pod: &Target, failure: WriteFailure) -> Outcome {
        let mut outcome = Outcome::default();
        match failure {
            WriteFailure::Conflict => outcome.conflicts = true,
            WriteFailure::Denied(why) | WriteFailure::Unknown(why) => {
                outcome.failures.push(format!("{what} {}: {why}", pod.key));
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

    async fn other(&self, action: Action) -> Outcome {
        match action {
            Action::Release(release) => {
                match self
                    .server
                    .patch(&release.pod, &release.change, false)
                    .await
                {
                    Ok(pod) => {
                        let mut outcome = Outcome::effect(Effect::Released(release));
                        outcome.updates.push(Update::Pod(pod));
                        outcome
                    }
                    Err(failure) => self.unsuccessful("release", &release.pod, failure).await,
                }
            }
            Action::Settle { pod, change } => match self.server.patch(&pod, &change, false).await {
                Ok(settled) => Outcome::update(Update::Pod(settled)),
                Err(failure) => {
                    self.unsuccessful("give the deletion cost back to", &pod, failure)
                        .await
                }
            },
            Action::Reap(reap) => match self.server.delete(&reap.pod).await {
                Ok(()) => Outcome::effect(Effect::Reaped(reap)),
                Err(failure) => self.unsuccessful("reap", &reap.pod, failure).await,
            },
            _ => Outcome::default(),
        }
    }

    /// Looks at the pods of slots that none seems to need, and frees those slots that the rule allows to.
    async fn check(&self, before: &Ledger, slots: Vec<Slot>, outcome: &mut Outcome) {
        let checked = stream::iter(slots)
            .map(|slot| self.check_slot(slot))
            .buffer_unordered(AT_ONCE);
        let mut after = before.clone();
        let mut freed = false;
        for (slot, one) in checked.collect::<Vec<_>>().await {
            outcome.add(one);
            freed |= slot.is_some_and(|slot| after.free(&slot));
        }
        if freed {
            let what = "free a slot in the ledger";
            let _ = self.swap(what, before, &after, outcome).await;
        }
    }

    /// The slot comes back if it may be freed.
    async fn check_slot(&self, slot: Slot) -> (Option<Slot>, Outcome) {
        let mut pod = Target {
            key: slot.key(),
            uid: slot.uid.clone(),
            resource_version: slot.resource_version,
        };
        let mut outcome = Outcome::default();
        let found = match self.server.get(&pod).await {
            Ok(found) => found,
            Err(error) => {
                outcome
                    .failures
                    .push(format!("look at the pod {} of a slot: {error}", pod.key));
                return (None, outcome);
            }
        };
        let fate = fate(&slot, found.as_ref(), self.server.now());
        match found {
            Some(found) => outcome.updates.push(Update::Pod(found)),
            None => outcome
                .updates
                .push(Update::PodGone(pod.key.clone(), pod.uid.clone())),
        }
        match fate {
            SlotFate::Free => (Some(slot), outcome),
            SlotFate::Keep => (None, outcome),
            SlotFate::Fence => {
                pod.resource_version = slot.resource_version;
                let fence = slot.resource_version.to_string();
                let change = Change {
                    labels: Values::new(),
                    annotations: Values::from([(keys::FENCE.into(), Some(fence.into()))]),
                };
                match self.server.patch(&pod, &change, false).await {
                    // The next look finds it changed.
                    Ok(pod) => outcome.updates.push(Update::Pod(pod)),
                    Err(WriteFailure::Conflict) => {}
                    Err(failure) => outcome.add(self.unsuccessful("fence", &pod, failure).await),
                }
                (None, outcome)
            }
        }
    }
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

    /// Takes in what the API server says something is, after a request that was to do so.
    fn heard(&mut self, what: &str, answer: Result<Update, RequestError>) {
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
