//! Looks after the ledger itself.

use std::{sync::Arc, time::Duration};

use super::Decision;
use crate::{
    action::{Action, Notice, Topic},
    judge::Moment,
    ledger::{self, Ledger, LedgerView, MOST_SLOTS, Note, Slot},
    object::{Pod, Reference, Uid},
    record,
    view::{LeaseView, View},
};

/// How often the slots that no pod seems to need are looked at: each costs a GET.
const CHECK_SLOTS_EVERY: Duration = Duration::from_secs(1);

impl<'a> Decision<'a> {
    /// Makes the ledger where it is missing, keeps it in order, and tells of the pause that stands in it.
    pub(super) fn ledger(&mut self) {
        let view = self.view;
        match &view.ledger {
            LedgerView::Unread => {}
            LedgerView::Gone if view.stale.is_some() => {}
            LedgerView::Gone => self.make_ledger(),
            LedgerView::Present(ledger) => {
                self.mend(ledger);
                self.tell_of_pause(ledger);
                self.forget_paces(ledger);
                self.count_pods_without_a_slot(ledger);
                self.check_slots(ledger);
            }
        }
    }

    /// A ledger that the Lease names, or that pods must have had a slot in, was lost.
    fn make_ledger(&mut self) {
        let LeaseView::Names(named) = &self.view.lease else {
            return;
        };
        let mut marked = self.view.marked();
        let lost = named.is_some() || marked.any(|pod| pod.is_counted() && self.may_be_own(pod));
        self.actions.push(Action::CreateLedger {
            lost: lost.then_some(self.now.wall),
            memory: self.view.remembered.clone(),
        });
    }

    /// Has the Lease name the ledger before the first slot is taken, and a finalizer keep it until the last one is free.
    fn mend(&mut self, ledger: &Ledger) {
        let LeaseView::Names(named) = &self.view.lease else {
            return;
        };
        let own = self.view.namespace(&self.view.own_namespace);
        let all_goes = own.is_some_and(|namespace| namespace.terminating);
        if ledger.terminating || all_goes {
            let is_empty = ledger.slots.is_empty() && ledger.unreadable.is_empty();
            if ledger.guarded && (is_empty || all_goes) {
                self.actions.push(Action::LetLedgerGo);
            }
            return;
        }
        let is_another = named.as_ref().is_some_and(|named| *named != ledger.uid);
        let was_lost = is_another && ledger.rebuilt.is_none();
        if was_lost || !ledger.guarded {
            let rebuilt = was_lost.then_some(self.now.wall);
            self.actions.push(Action::MendLedger { rebuilt });
        } else if named.as_ref() != Some(&ledger.uid) {
            self.actions.push(Action::NameLedger);
        }
    }

    fn tell_of_pause(&mut self, ledger: &Ledger) {
        let pause = ledger.memory.pause.as_ref();
        let before = self.state.paused.replace(pause.is_some());
        let (topic, message) = match (before, pause) {
            (Some(true), Some(_)) | (None | Some(false), None) => return,
            (None | Some(false), Some(pause)) => (
                Topic::Paused,
                format!(
                    "nothing is quarantined and nothing reaped: {}",
                    pause.reason
                ),
            ),
            (Some(true), None) => (Topic::Resumed, "it goes on".to_owned()),
        };
        self.actions.push(Action::Tell(Notice {
            namespace: self.view.own_namespace.clone(),
            pod: None,
            policy: None,
            about: self.own_ledger(),
            topic,
            message,
        }));
    }

    /// The ledger's object, to tell what is about no pod and no workload.
    pub(super) fn own_ledger(&self) -> Reference {
        let uid = match &self.view.ledger {
            LedgerView::Present(ledger) => ledger.uid.clone(),
            LedgerView::Unread | LedgerView::Gone => Uid::default(),
        };
        Reference {
            kind: "ConfigMap".into(),
            name: ledger::name(&self.file.agent).into(),
            uid,
        }
    }

    /// Gives a slot to a pod of this installation that counts and has none. Its record stays unknown to the ledger, so
    /// the pod is neither reaped nor released by itself.
    fn count_pods_without_a_slot(&mut self, ledger: &Ledger) {
        if self.view.stale.is_some() || ledger.terminating {
            return;
        }
        let without = self.view.marked().filter(|pod| {
            pod.is_counted()
                && !pod.terminating
                && !ledger.slots.contains_key(&pod.uid)
                && !ledger.unreadable.contains_key(&pod.uid)
        });
        let room = MOST_SLOTS.saturating_sub(ledger.slots.len());
        let slots = without.filter_map(|pod| self.slot_for(pod)).take(room);
        let notes: Vec<Action> = slots
            .map(|slot| Action::Note(Note::Counted(slot)))
            .collect();
        self.actions.extend(notes);
    }

    fn slot_for(&self, pod: &Pod) -> Option<Slot> {
        let record::Reading::Readable(record) = record::read(pod) else {
            return None;
        };
        (record.agent == self.agent).then(|| Slot {
            uid: pod.uid.clone(),
            namespace: pod.key.namespace.clone(),
            name: pod.key.name.clone(),
            workload: record.workload.uid.clone(),
            policy: record.policy.clone(),
            resource_version: pod.resource_version,
            at: record.at,
            record: Arc::default(),
            record_before: None,
            ready: false,
            replaced: Some(self.now.wall),
        })
    }

    /// Has the slots looked at that no pod seems to need.
    fn check_slots(&mut self, ledger: &Ledger) {
        let view = self.view;
        let needed = |uid: &str, pod: Option<&Pod>| {
            pod.is_some_and(|pod| &*pod.uid == uid && pod.is_counted())
        };
        let moment = self.now.moment;
        let lately = |last: Moment| moment.saturating_sub(last) < CHECK_SLOTS_EVERY;
        if self.state.slots_checked.is_some_and(lately) {
            return;
        }
        self.state.slots_checked = Some(moment);
        let idle = ledger
            .slots
            .values()
            .filter(|slot| !needed(&slot.uid, view.pod(&slot.key())));
        self.actions.extend(idle.cloned().map(Action::CheckSlot));
    }

    /// Whether a quarantined pod may have had a slot in this installation's ledger: all but those whose records say
    /// that another installation took them out.
    pub(super) fn may_be_own(&self, pod: &Pod) -> bool {
        let reading = record::read(pod);
        let record = reading.record();
        record.is_none_or(|record| record.agent == self.agent)
    }

    /// The ledger, or why no slot can be had.
    pub(super) fn open_ledger(&self) -> Result<&'a Ledger, String> {
        let view: &'a View = self.view;
        let ledger = match &view.ledger {
            LedgerView::Unread => return Err("the ledger was not read yet".to_owned()),
            LedgerView::Gone => return Err("there is no ledger".to_owned()),
            LedgerView::Present(ledger) => ledger,
        };
        if let Some(why) = ledger.closed(self.now.wall) {
            return Err(why);
        }
        match &view.lease {
            LeaseView::Names(Some(named)) if *named == ledger.uid => Ok(ledger),
            LeaseView::Names(_) => Err("the Lease does not name the ledger yet".to_owned()),
            LeaseView::Unread => Err("the Lease was not read yet".to_owned()),
        }
    }
}
