//! One pod of a workload at a time: `Rollout`, `RetriesExhausted`, `Pacing`.
//!
//! A second pod waits until the replacement of the first is Ready. No pod is quarantined once the replacements turn
//! unhealthy, too, or while a rollout of the workload is in progress. Manual requests need not wait.

use std::time::Duration;

use jiff::Timestamp;

use super::case::Case;
use crate::{
    decide::{context::Context, plan::Plan},
    keys,
    ledger::{PacingRecord, Slot},
    object::Controller,
    policy::Detach,
    reason::{Reason, Refusal},
    text::Fingerprint,
    time::{after, earliest_creation},
};

pub(super) fn check(cx: &Context<'_>, plan: &Plan, case: &Case<'_, '_>) -> Result<(), Refusal> {
    let limits = &cx.file.limits.pacing;
    let workload = &case.workload;
    if case.candidate.manual {
        return Ok(());
    }
    if cx.view.is_rolling(workload) && !limits.during_rollout {
        let detail = workload.reference().to_string();
        return Err(Refusal::new(Reason::Rollout, detail));
    }
    if case.stays_in_workload() {
        return Ok(());
    }
    let retries = limits.retries;
    if known(cx, case).is_some_and(|record| record.retries >= retries) {
        let detail = format!(
            "{retries} in a row; {} is left alone until its next rollout, or until its annotation {} changes",
            workload.reference(),
            keys::RESET
        );
        return Err(Refusal::new(Reason::RetriesExhausted, detail));
    }
    let id = workload.id();
    let slots = case.ledger.slots.values().filter(|slot| {
        slot.workload == id && slot.uid != case.candidate.pod.uid && is_waited_for(cx, slot)
    });
    if let Some(slot) = slots.min_by_key(|slot| slot.at) {
        let timeout = limits.replacement_timeout;
        let late = cx.now.wall >= after(slot.at, timeout);
        let detail = if late {
            let timeout = humantime::format_duration(timeout);
            format!(
                "the replacement of {} was not Ready within {timeout}",
                slot.name
            )
        } else {
            format!("waiting for the replacement of {}", slot.name)
        };
        return Err(Refusal::new(Reason::Pacing, detail));
    }
    let mut planned = plan.quarantines();
    match planned.find(|quarantine| quarantine.slot.workload == id) {
        Some(quarantine) => {
            let detail = format!("waiting for the replacement of {}", quarantine.slot.name);
            Err(Refusal::new(Reason::Pacing, detail))
        }
        None => Ok(()),
    }
}

/// Whether the pod of a slot still waits for its replacement.
fn is_waited_for(cx: &Context<'_>, slot: &Slot) -> bool {
    let pod = cx.view.pod(&slot.key()).filter(|pod| pod.uid == slot.uid);
    let record = pod
        .and_then(|pod| cx.known(pod))
        .map(|known| known.record());
    let stays_in_workload = record.is_some_and(|record| record.detach == Detach::Service);
    slot.replaced.is_none() && !stays_in_workload
}

/// The pacing record of a workload, if it still counts.
fn known<'a>(cx: &Context<'_>, case: &Case<'_, 'a>) -> Option<&'a PacingRecord> {
    let workload = &case.workload;
    let record = case.ledger.memory.pacing.get(&workload.id())?;
    if still_counts(cx, record, workload.owner, workload.reset()) {
        Some(record)
    } else {
        None
    }
}

/// A pacing record counts until the workload is rolled out or reset, or, if its retries are not exhausted, until it is
/// old.
pub(in crate::decide) fn still_counts(
    cx: &Context<'_>,
    record: &PacingRecord,
    owner: &Controller,
    reset: Option<&Fingerprint>,
) -> bool {
    let recent = cx.now.wall < after(record.last, soon(cx));
    record.replica_set == owner.uid
        && record.reset.as_ref() == reset
        && (recent || record.retries >= cx.file.limits.pacing.retries)
}

/// A replacement has this long to become Ready, and as long again to show that it stays healthy.
fn soon(cx: &Context<'_>) -> Duration {
    cx.file.limits.pacing.replacement_timeout * 2
}

/// The pacing record of the workload once this pod of it is quarantined, too.
pub(super) fn next_record(cx: &Context<'_>, case: &Case<'_, '_>) -> Option<PacingRecord> {
    let (pod, workload) = (case.candidate.pod, &case.workload);
    if case.candidate.manual || case.stays_in_workload() {
        return None;
    }
    let turned_bad_soon = |since: Timestamp| {
        let since = earliest_creation(since);
        pod.created
            .is_some_and(|created| created >= since && cx.now.wall < after(created, soon(cx)))
    };
    let known = known(cx, case);
    let retries = match known {
        Some(record) if turned_bad_soon(record.since) => record.retries + 1,
        Some(record) => record.retries,
        None => 0,
    };
    Some(PacingRecord {
        // A parent that only an ownerReference names may be any text.
        workload: format!("{}/{}", pod.key.namespace, workload.top().reference()).into(),
        replica_set: workload.owner.uid.clone(),
        since: known.map_or(cx.now.wall, |record| record.since),
        last: cx.now.wall,
        retries,
        reset: workload.reset().cloned(),
    })
}
