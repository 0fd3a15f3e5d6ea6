//! One pod of a workload after the other: the next one only once the replacement of the last one is Ready, none at all
//! once the replacements turn bad, too, and none while the workload is rolled out.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Decision,
    candidates::{Candidate, Left, refused},
    plan::after,
    replaced::CLOCKS,
};
use crate::{
    action::Action,
    ledger::{Ledger, Note, Pace, Slot},
    object::{Controller, Uid},
    policy::Detach,
    reason::Reason,
    record,
    view::Workload,
};

impl Decision<'_> {
    /// Whether a pod's turn has come in its workload. People need not wait for that.
    pub(super) fn has_its_turn(
        &self,
        candidate: &Candidate<'_>,
        workload: &Workload<'_>,
        ledger: &Ledger,
    ) -> Result<(), Left> {
        if candidate.by_hand {
            return Ok(());
        }
        if workload.is_rolling(self.view) && !self.file.limits.pacing.during_rollout {
            return refused(Reason::Rollout, workload.reference().to_string());
        }
        if candidate.detach() == Detach::Service {
            return Ok(());
        }
        let retries = self.file.limits.pacing.retries;
        let known = self.pace(workload, ledger);
        if known.is_some_and(|pace| pace.retries >= retries) {
            return refused(
                Reason::RetriesExhausted,
                format!(
                    "{retries} in a row; {} is left alone until it is rolled out, or {} on it changes",
                    workload.reference(),
                    crate::keys::RESET
                ),
            );
        }
        let of_workload =
            |slot: &&Slot| slot.workload == *workload.uid() && slot.uid != candidate.pod.uid;
        let slots = ledger.slots.values().filter(of_workload);
        let waited_for = slots
            .filter(|slot| self.is_waited_for(slot))
            .min_by_key(|slot| slot.at);
        if let Some(slot) = waited_for {
            let timeout = self.file.limits.pacing.replacement_timeout;
            let late = self.now.wall >= after(slot.at, timeout);
            let timeout = humantime::format_duration(timeout);
            let detail = if late {
                format!("that of {} was not Ready within {timeout}", slot.name)
            } else {
                format!("that of {}", slot.name)
            };
            return refused(Reason::Pacing, detail);
        }
        let mut planned = self.planned();
        match planned.find(|quarantine| quarantine.slot.workload == *workload.uid()) {
            Some(quarantine) => {
                refused(Reason::Pacing, format!("that of {}", quarantine.slot.name))
            }
            None => Ok(()),
        }
    }

    /// Whether the pod of a slot is to be replaced, and is not yet.
    fn is_waited_for(&self, slot: &Slot) -> bool {
        let pod = self.view.pod(&slot.key()).filter(|pod| pod.uid == slot.uid);
        let stays_in_its_workload = pod.is_some_and(|pod| {
            let reading = record::read(pod);
            let record = reading.record();
            record.is_some_and(|record| record.detach == Detach::Service)
        });
        slot.replaced.is_none() && !stays_in_its_workload
    }

    /// How the replacements of a workload fare, if that still counts.
    fn pace<'l>(&self, workload: &Workload<'_>, ledger: &'l Ledger) -> Option<&'l Pace> {
        let pace = ledger.memory.paces.get(workload.uid())?;
        self.still_counts(pace, workload.owner, workload.reset())
            .then_some(pace)
    }

    /// Neither rolled out nor reset since; and if it was not exhausted, it was not long ago.
    fn still_counts(&self, pace: &Pace, owner: &Controller, reset: Option<&Arc<str>>) -> bool {
        let lately = self.now.wall < after(pace.last, self.soon());
        pace.replica_set == owner.uid
            && pace.reset.as_ref() == reset
            && (lately || pace.retries >= self.file.limits.pacing.retries)
    }

    /// A replacement has so long to be Ready, and so long again to show that it does better.
    fn soon(&self) -> Duration {
        self.file.limits.pacing.replacement_timeout * 2
    }

    /// What is known of a workload's replacements once this pod of it is taken out, too.
    pub(super) fn next_pace(
        &self,
        candidate: &Candidate<'_>,
        workload: &Workload<'_>,
        ledger: &Ledger,
    ) -> Option<Pace> {
        if candidate.by_hand || candidate.detach() == Detach::Service {
            return None;
        }
        let known = self.pace(workload, ledger);
        let turned_bad_soon = |since: Timestamp| {
            let since = since.saturating_sub(CLOCKS).unwrap_or(since);
            let created = candidate.pod.created.filter(|created| *created >= since);
            created.is_some_and(|created| self.now.wall < after(created, self.soon()))
        };
        let retries = match known {
            Some(pace) if turned_bad_soon(pace.since) => pace.retries + 1,
            Some(pace) => pace.retries,
            None => 0,
        };
        Some(Pace {
            workload: format!("{}/{}", candidate.pod.key.namespace, workload.reference()).into(),
            replica_set: workload.owner.uid.clone(),
            since: known.map_or(self.now.wall, |pace| pace.since),
            last: self.now.wall,
            retries,
            reset: workload.reset().cloned(),
        })
    }

    /// Forgets how replacements fared where that counts no more.
    pub(super) fn forget_paces(&mut self, ledger: &Ledger) {
        if self.view.stale.is_some() {
            return;
        }
        let counts = |workload: &Uid, pace: &Pace| {
            let owner = self.view.controller_of_uid(&pace.replica_set);
            owner.is_some_and(|owner| {
                let of = self
                    .view
                    .workload_of(&owner.key.namespace, &owner.reference());
                of.is_ok_and(|of| {
                    of.uid() == workload
                        && of.is_current()
                        && self.still_counts(pace, owner, of.reset())
                })
            })
        };
        let forgotten: Vec<Uid> = ledger
            .memory
            .paces
            .iter()
            .filter(|(workload, pace)| !counts(workload, pace))
            .map(|(workload, _)| workload.clone())
            .collect();
        let notes = forgotten.into_iter().map(Note::Forgotten);
        self.actions.extend(notes.map(Action::Note));
    }
}
