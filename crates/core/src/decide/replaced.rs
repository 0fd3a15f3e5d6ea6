//! Whether the replacement of a quarantined pod is Ready, and what follows where it is not in time.

use jiff::{SignedDuration, Timestamp};

use super::{Decision, plan::after};
use crate::{
    action::{Action, Topic},
    ledger::{LedgerView, Note, Slot},
    object::{Controller, Pod},
    overrides::Overrides,
    policy::{Detach, OnReplacementTimeout},
    record::Record,
};

/// The API server writes whole seconds, and its clock is not the agent's.
pub(super) const CLOCKS: SignedDuration = SignedDuration::from_secs(2);

impl Decision<'_> {
    /// Looks for the pod's replacement until it is Ready, and notes when it is. Whether it is late.
    pub(super) fn replacement_is_late(&mut self, pod: &Pod, record: &Record) -> bool {
        let view = self.view;
        let LedgerView::Present(ledger) = &view.ledger else {
            return false;
        };
        let Some(slot) = ledger.slots.get(&pod.uid).filter(|_| self.is_known(pod)) else {
            return false;
        };
        if record.detach == Detach::Service || slot.replaced.is_some() || view.stale.is_some() {
            return false;
        }
        let top = view.controller(&pod.key.namespace, &record.workload);
        let owner = view.controller(&pod.key.namespace, &record.owner);
        // Where both are gone, nothing makes a replacement, and none is waited for.
        let Some(wanted) = top.or(owner).map(|controller| controller.desired) else {
            return false;
        };
        if self.is_replaced(pod, record, wanted, ledger.slots.values()) {
            let replaced = Slot {
                replaced: Some(self.now.wall),
                ..slot.clone()
            };
            self.actions.push(Action::Note(Note::Replaced(replaced)));
            return false;
        }
        self.now.wall >= after(slot.at, self.file.limits.pacing.replacement_timeout)
    }

    /// Whether the workload has all the pods it wants Ready again, or as many new ones as it misses for the pods that
    /// went before this one and for this one.
    fn is_replaced<'s>(
        &self,
        pod: &Pod,
        record: &Record,
        wanted: u32,
        slots: impl Iterator<Item = &'s Slot>,
    ) -> bool {
        let view = self.view;
        let workload = &record.workload.uid;
        let of_workload = |set: &&Controller| {
            let above = set.owner.as_ref().map(|owner| &owner.uid);
            set.uid == record.owner.uid || above == Some(workload)
        };
        let sets = view.controllers(&pod.key.namespace).filter(of_workload);
        let serving = |pod: &&Pod| pod.ready && !pod.terminating && !pod.is_counted();
        let ready: Vec<&Pod> = sets
            .flat_map(|set| view.owned(&set.uid))
            .filter(serving)
            .collect();
        if u32::try_from(ready.len()).is_ok_and(|ready| ready >= wanted) {
            return true;
        }
        let waiting: Vec<&Slot> = slots
            .filter(|slot| slot.workload == *workload && slot.replaced.is_none())
            .collect();
        let mine = (record.at, &pod.uid);
        let missing = waiting.iter().filter(|slot| (slot.at, &slot.uid) <= mine);
        let since = waiting
            .iter()
            .map(|slot| slot.at)
            .min()
            .unwrap_or(record.at);
        let since = since.saturating_sub(CLOCKS).unwrap_or(Timestamp::MIN);
        let new = |pod: &&&Pod| pod.created.is_some_and(|created| created >= since);
        ready.iter().filter(new).count() >= missing.count().max(1)
    }

    /// Says that there is none, and does what the policy says. Whether something is done.
    pub(super) fn not_replaced(
        &mut self,
        pod: &Pod,
        record: &Record,
        overrides: &Overrides,
    ) -> bool {
        let timeout = humantime::format_duration(self.file.limits.pacing.replacement_timeout);
        let why = format!("its replacement was not Ready within {timeout}");
        let message = format!(
            "no replacement of the pod {} was Ready within {timeout}",
            pod.key.name
        );
        self.tell_workload(pod, record, Topic::ReplacementNotReady, message);
        let policy = self.file.policy(&record.policy);
        match policy.map(|policy| policy.on_replacement_timeout) {
            None | Some(OnReplacementTimeout::Keep) => false,
            Some(OnReplacementTimeout::Release) => self.release_unreplaced(pod, record),
            Some(OnReplacementTimeout::Reap) => self.reap_now(pod, record, overrides, &why),
        }
    }
}
