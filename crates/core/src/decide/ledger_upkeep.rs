//! The upkeep of the ledger itself.

use std::time::Duration;

use super::{
    context::{Context, NoSlot},
    plan::Plan,
    quarantine::pacing,
    state::State,
};
use crate::{
    ledger::{Ledger, LedgerView, Note, PacingRecord},
    notice::{Notice, Notification, Topic},
    view::LeaseView,
    workload::WorkloadId,
    write::{Act, Write},
};

/// How often the slots that no pod seems to need are checked: each check costs a GET.
const CHECK_SLOTS_EVERY: Duration = Duration::from_secs(1);

/// Creates the ledger where it is missing, keeps it in order, and reports the pause in it.
pub(super) fn run(cx: &Context<'_>, state: &mut State, plan: &mut Plan) {
    state.ledger_awaited = match cx.open_ledger() {
        Err(NoSlot::Yet(_)) => state.ledger_awaited.or(Some(cx.now.moment)),
        Err(NoSlot::Closed(_)) | Ok(_) => None,
    };
    match &cx.view.ledger {
        LedgerView::NotLoaded => {}
        LedgerView::Gone(_) if cx.view.stale.is_some() => {}
        LedgerView::Gone(last) => create(cx, last.clone(), plan),
        LedgerView::Present(ledger) => {
            repair(cx, ledger, plan);
            report_pause(cx, ledger, state, plan);
            forget_pacing(cx, ledger, plan);
            check_slots(cx, ledger, state, plan);
        }
    }
}

/// A ledger was lost if the Lease names it, or this agent has seen it. What stands on pods is no sign of it: whoever may
/// write onto one pod would keep a first start waiting.
fn create(cx: &Context<'_>, before: Option<Box<Ledger>>, plan: &mut Plan) {
    let LeaseView::Names(named) = &cx.view.lease else {
        return;
    };
    let was_lost = named.is_some() || before.is_some();
    plan.writes.push(Write::CreateLedger {
        lost: was_lost.then_some(cx.now.wall),
        before: before.map(|before| Box::new(before.carry_over())),
    });
}

/// The Lease names the ledger before the first slot is taken.
fn repair(cx: &Context<'_>, ledger: &Ledger, plan: &mut Plan) {
    let LeaseView::Names(named) = &cx.view.lease else {
        return;
    };
    let is_another = named.as_ref().is_some_and(|named| *named != ledger.uid);
    if is_another && ledger.rebuilt.is_none() {
        let rebuilt = cx.now.wall;
        plan.writes.push(Write::RepairLedger { rebuilt });
    } else if named.as_ref() != Some(&ledger.uid) {
        plan.writes.push(Write::NameLedger);
    }
}

fn report_pause(cx: &Context<'_>, ledger: &Ledger, state: &mut State, plan: &mut Plan) {
    let pause = ledger.memory.pause.as_ref();
    let before = state.paused.replace(pause.is_some());
    let (topic, message) = match (before, pause) {
        (Some(true), Some(_)) | (None | Some(false), None) => return,
        (None | Some(false), Some(pause)) => (
            Topic::Paused,
            format!(
                "paused: nothing is quarantined and nothing is reaped: {}",
                pause.reason
            ),
        ),
        (Some(true), None) => (
            Topic::Resumed,
            "resumed: quarantining and reaping continue".to_owned(),
        ),
    };
    plan.notices.push(Notice::Notify(Notification {
        namespace: cx.view.own_namespace.clone(),
        pod: None,
        policy: None,
        about: cx.ledger_object(),
        topic,
        message,
    }));
}

/// Drops the pacing records that no longer count.
fn forget_pacing(cx: &Context<'_>, ledger: &Ledger, plan: &mut Plan) {
    if cx.view.stale.is_some() {
        return;
    }
    let records = ledger.memory.pacing.iter();
    let forgotten = records.filter(|(workload, record)| !pacing_counts(cx, workload, record));
    let notes = forgotten.map(|(workload, _)| Note::Forgotten(workload.clone()));
    plan.writes.extend(notes.map(Write::Note));
}

fn pacing_counts(cx: &Context<'_>, workload: &WorkloadId, record: &PacingRecord) -> bool {
    let Some(owner) = cx.view.controller_of_uid(&record.replica_set) else {
        return false;
    };
    let namespace = &owner.key.namespace;
    let Ok(of) = cx.view.workload_of(namespace, &owner.reference()) else {
        return false;
    };
    of.id() == *workload && of.is_current() && pacing::still_counts(cx, record, owner, of.reset())
}

/// Checks the slots that no pod seems to need.
fn check_slots(cx: &Context<'_>, ledger: &Ledger, state: &mut State, plan: &mut Plan) {
    let now = cx.now.moment;
    if let Some(last) = state.slots_checked
        && now.saturating_sub(last) < CHECK_SLOTS_EVERY
    {
        return;
    }
    state.slots_checked = Some(now);
    // Of a namespace that is not watched any more nothing is known, and its pods may not even be read.
    let watched = ledger.slots.values();
    let watched = watched.filter(|slot| cx.view.is_watched(&slot.namespace));
    let idle = watched.filter(|slot| {
        let pod = cx.view.pod(&slot.key()).filter(|pod| pod.uid == slot.uid);
        let is_needed =
            pod.is_some_and(|pod| pod.counts_as_quarantined() || state.wanted.contains(&pod.uid));
        let has_changed = pod.is_none_or(|pod| pod.resource_version > slot.resource_version);
        let is_left_alone = !has_changed && state.setback(&slot.uid, Act::Fence, now).is_some();
        !is_needed && !is_left_alone
    });
    plan.writes.extend(idle.cloned().map(Write::CheckSlot));
}
