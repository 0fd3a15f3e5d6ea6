//! What the API server makes of a request.

use std::sync::Arc;

use pod_quarantine_core::{
    keys,
    ledger::{Ledger, Memory},
    object::{Pod, ResourceVersion},
    view::Update,
};
use pod_quarantine_writer::api_server::WriteFailure;

use crate::{
    broken::Broken,
    call::{Call, Said},
    known::{GONE, Id, NOTHING},
    model::Model,
    promise::Violation,
    state::State,
    world::{self, APP, HOSTILE},
};

/// Who writes a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenBy {
    Agent,
    /// Anybody else.
    Someone,
}

/// What a mutating webhook makes of a quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Altered {
    /// The state label is dropped.
    WithoutState,
    /// The edit that takes the pod out of its Service is.
    WithoutEdit,
}

impl Altered {
    pub(crate) const ALL: [Self; 2] = [Self::WithoutState, Self::WithoutEdit];

    fn key(self) -> &'static str {
        match self {
            Self::WithoutState => keys::STATE,
            Self::WithoutEdit => APP,
        }
    }
}

pub(crate) fn next(version: ResourceVersion) -> ResourceVersion {
    let number: u64 = version.to_string().parse().expect("a number");
    ResourceVersion::new(number + 1)
}

/// The pod after a patch, where there is another one, and the answer. A patch that changes nothing makes no new version.
fn patched(
    found: Option<&Pod>,
    call: &Call,
    altered: Option<Altered>,
    broken: Option<Broken>,
) -> (Option<Pod>, Result<Pod, WriteFailure>) {
    let Call::Patch {
        pod: target,
        change,
        dry_run,
    } = call
    else {
        return (None, Err(WriteFailure::Conflict));
    };
    let same =
        |pod: &&Pod| pod.uid == target.uid && pod.resource_version == target.resource_version;
    let Some(before) = found.filter(same) else {
        return (None, Err(WriteFailure::Conflict));
    };
    let mut change = change.clone();
    Broken::fence(broken, target, &mut change);
    if let Some(altered) = altered {
        change.labels.remove(altered.key());
    }
    let mut after = test_objects::changed(before, &change);
    if after != *before && !dry_run {
        after.resource_version = next(before.resource_version);
    }
    (Some(after.clone()), Ok(after))
}

/// The ledger after a swap that was decided on this very version of it: so it does not matter that only the entries which
/// differ are sent. What it remembers besides slots bounds nothing here, and would keep states apart that are alike.
fn swapped(found: &Ledger, after: &Ledger) -> Ledger {
    let entries = after.entries();
    let version = if entries == found.entries() {
        found.resource_version
    } else {
        next(found.resource_version)
    };
    let entries = entries
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_str()));
    let mut ledger = Ledger::read(version, entries);
    ledger.uid = found.uid.clone();
    ledger.terminating = found.terminating;
    ledger.rebuilt = found.rebuilt;
    ledger.memory = Memory::default();
    ledger
}

impl Model {
    /// The API server carries a call out. `asked_by`: the agent that waits for the answer.
    pub(crate) fn arrives(
        &self,
        state: &mut State,
        id: Id,
        asked_by: Option<usize>,
        altered: Option<Altered>,
    ) -> Result<Id, Violation> {
        let call = self.calls.get(id);
        let said = match &*call {
            Call::Patch { dry_run, .. } => {
                let index = call.lane();
                let before = state.pods[index];
                let key = (before, id, altered, state.time);
                let (after, answer) = self.patches.get(key, |_| {
                    let found = self.pod(before);
                    let broken = self.scope.broken;
                    let (after, result) = patched(found.as_deref(), &call, altered, broken);
                    let after = after.map_or(before, |pod| self.pods.name(pod));
                    (after, self.says(state, Said::Patched(result)))
                });
                if !dry_run {
                    self.becomes(state, index, after, WrittenBy::Agent)?;
                }
                return Ok(answer);
            }
            Call::Get(target) => {
                let index = call.lane();
                let cached = asked_by.map(|agent| state.agents[agent].view.pods[index]);
                let fresh = self.pod(state.pods[index]);
                let cached = cached.and_then(|id| self.pod(id));
                let found = Broken::found(self.scope.broken, target, fresh, cached);
                Said::Got(found.map(|pod| (*pod).clone()))
            }
            Call::Delete(target) => {
                let index = call.lane();
                let found = self.pod(state.pods[index]);
                let found = found.filter(|pod| target.resource_version == pod.resource_version);
                match found {
                    None => Said::Deleted(Err(WriteFailure::Conflict)),
                    Some(pod) => {
                        self.deletes(state, &pod)?;
                        let mut pod = (*pod).clone();
                        pod.terminating = true;
                        self.changes(state, index, pod)?;
                        Said::Deleted(Ok(()))
                    }
                }
            }
            Call::CreateLedger { lost, slots } => {
                if self.ledger(state.ledger).is_none() {
                    state.ledger_version += 1;
                    let mut ledger = world::ledger(state.ledger_version);
                    ledger.rebuilt = Broken::rebuilt(self.scope.broken, *lost);
                    ledger.slots = Broken::carried_over(self.scope.broken, slots);
                    self.takes_slots(&ledger)?;
                    state.ledger = self.ledgers.name(ledger);
                }
                self.ledger_as_it_is(state)
            }
            Call::ReadLedger => self.ledger_as_it_is(state),
            Call::SwapLedger { before, after } => {
                self.writes_ledger(state, before, |found| swapped(found, after))?
            }
            Call::RepairLedger { before, rebuilt } => {
                self.writes_ledger(state, before, |found| {
                    let mut ledger = found.clone();
                    ledger.resource_version = next(found.resource_version);
                    ledger.rebuilt = Some(*rebuilt);
                    ledger
                })?
            }
            Call::NameLedger(ledger) => {
                let uid = world::made_at(&ledger.uid);
                if state.named.is_none() || ledger.rebuilt.is_some() {
                    state.named = Some(uid);
                }
                Said::Ledger(Ok(Self::lease_as_it_is(state)))
            }
        };
        Ok(self.says(state, said))
    }

    /// Somebody writes the ledger, if it is still as it was read.
    fn writes_ledger(
        &self,
        state: &mut State,
        before: &Ledger,
        write: impl FnOnce(&Ledger) -> Ledger,
    ) -> Result<Said, Violation> {
        let found = self.ledger(state.ledger);
        let found = found.filter(|found| found.resource_version == before.resource_version);
        let next = found.map(|found| write(&found));
        if let Some(next) = &next {
            self.takes_slots(next)?;
            state.ledger_version = next.resource_version.to_string().parse().expect("a number");
            state.ledger = self.ledgers.name(next.clone());
        }
        Ok(Said::Swapped(Ok(next)))
    }

    fn lease_as_it_is(state: &State) -> Update {
        Update::Lease(state.named.map(world::uid_of_ledger), world::lease())
    }

    fn as_it_is(&self, state: &State) -> Update {
        let found = self.ledger(state.ledger);
        found.map_or(Update::LedgerGone(None), |ledger| {
            Update::Ledger((*ledger).clone())
        })
    }

    fn ledger_as_it_is(&self, state: &State) -> Said {
        Said::Ledger(Ok(self.as_it_is(state)))
    }

    /// Somebody writes a pod.
    pub(crate) fn changes(
        &self,
        state: &mut State,
        index: usize,
        mut pod: Pod,
    ) -> Result<(), Violation> {
        pod.resource_version = next(pod.resource_version);
        let id = self.pods.name(pod);
        self.becomes(state, index, id, WrittenBy::Someone)
    }

    /// A pod is written: whatever is promised of that is checked.
    pub(crate) fn becomes(
        &self,
        state: &mut State,
        index: usize,
        after: Id,
        by: WrittenBy,
    ) -> Result<(), Violation> {
        let before = state.pods[index];
        if before == after {
            return Ok(());
        }
        let was = self.kept.is_counted(self, before);
        let is = self.kept.is_counted(self, after);
        if is && !was && by == WrittenBy::Agent {
            self.begins(state, index)?;
            let pod = self.pods.get(before);
            state.labels_before[index] = self.labels.name(pod.labels.clone());
        } else if was && !is {
            state.labels_before[index] = NOTHING;
        }
        state.pods[index] = after;
        if index == HOSTILE {
            self.remember_record(state, by);
        }
        if state.labels_before[index] == NOTHING {
            state.changed_by_people[index] = false;
        } else if self.is_as_written(state, index) {
            let changed = state.changed_by_people[index];
            self.kept
                .can_be_restored(self, after, state.labels_before[index], changed)?;
        }
        Ok(())
    }

    fn remember_record(&self, state: &mut State, by: WrittenBy) {
        let record = self.record_text(state.pods[HOSTILE]);
        if let Some(record) = record.filter(|_| by == WrittenBy::Agent) {
            state.wrote = self.records.name(record);
        }
        if state.labels_before[HOSTILE] == NOTHING && state.left.hostile == 0 {
            state.wrote = NOTHING;
        }
    }

    pub(crate) fn record_text(&self, pod: Id) -> Option<Arc<str>> {
        self.pod(pod)?.annotations.get(keys::RECORD).cloned()
    }

    /// Whether the record of a quarantined pod is the one that an agent wrote.
    pub(crate) fn is_as_written(&self, state: &State, index: usize) -> bool {
        let wrote = (state.wrote > GONE).then(|| self.records.get(state.wrote));
        index != HOSTILE || self.record_text(state.pods[index]).as_ref() == wrote.as_deref()
    }

    /// Whether a request that nobody waits for could still do something.
    pub(crate) fn may_yet_do(&self, state: &State, call: Id) -> bool {
        let call = self.calls.get(call);
        match &*call {
            Call::Patch { pod: target, .. } | Call::Delete(target) => {
                let pod = self.pod(state.pods[call.lane()]);
                pod.is_some_and(|pod| pod.resource_version <= target.resource_version)
            }
            Call::SwapLedger { before, .. } | Call::RepairLedger { before, .. } => {
                ResourceVersion::new(state.ledger_version) <= before.resource_version
            }
            Call::CreateLedger { .. } => state.ledger == GONE || state.left.ledger > 0,
            Call::Get(_) | Call::ReadLedger | Call::NameLedger(_) => false,
        }
    }
}
