//! Deleting pods whose TTL expired: only pods that this agent certainly quarantined, and only a few each minute.

use std::sync::Arc;

use jiff::Timestamp;

use super::{quarantined_pod::QuarantinedPod, turns::Turns};
use crate::{
    decide::{
        context::Context,
        plan::Plan,
        state::{RecentReap, State},
    },
    keys,
    ledger::{KnownPod, Note, Slot},
    notice::Topic,
    object::{DisruptionBudget, Pod},
    overrides::{Hold, Overrides},
    time::{after, to_the_second},
    write::{Act, PodVersion, Reap, Write},
};

/// Deletes a pod whose TTL expired. True if it is to be deleted: then nothing else is done with it.
pub(super) fn reap_if_expired(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
    expires: Timestamp,
) -> bool {
    let QuarantinedPod { pod, overrides, .. } = *quarantined;
    if cx.now.wall < expires {
        return false;
    }
    let why = format!("its TTL expired at {}", to_the_second(expires));
    let may_be_reaped = match held_until(cx, overrides, expires) {
        Some(end) => Err(format!("it is held until {}", to_the_second(end))),
        None => may_be_reaped(cx, state, quarantined),
    };
    match may_be_reaped {
        Ok(known) => {
            reap(plan, known, why);
            true
        }
        Err(kept) => {
            let message = format!("{why}; {kept}");
            plan.notify(state, pod, Topic::HeldPastTtl, message);
            false
        }
    }
}

/// Plans the deletion of a pod, unless it must be kept or is held. True if it is planned: [`ration`] may put it off.
pub(super) fn reap_now(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
    why: String,
) -> bool {
    if quarantined.overrides.hold.holds(cx.now.wall) {
        return false;
    }
    let Ok(known) = may_be_reaped(cx, state, quarantined) else {
        return false;
    };
    reap(plan, known, why);
    true
}

/// Plans the deletion, which [`ration`] may still put off.
fn reap(plan: &mut Plan, known: KnownPod<'_>, why: String) {
    plan.writes.push(Write::Reap(Box::new(Reap {
        pod: PodVersion::from(known.pod()),
        policy: known.record().policy.clone(),
        why,
    })));
}

/// Of the planned deletions, keeps those for which there is room within the minute: each namespace has its turn before
/// any has a second one, those come first that had theirs longest ago, and what was denied comes last. A pod that is already being deleted counts once.
pub(super) fn ration(cx: &Context<'_>, state: &mut State, plan: &mut Plan) {
    let mut turns = Turns::default();
    for reap in &state.reaps {
        turns.take(&reap.namespace);
    }
    let mut due = Vec::new();
    let mut others = Vec::new();
    for write in std::mem::take(&mut plan.writes) {
        match write {
            Write::Reap(reap) => {
                let namespace = &reap.pod.key.namespace;
                let turn = turns.take(namespace);
                let last = state.last_reaps.get(namespace).copied();
                let setbacks = state.setbacks_of(&reap.pod.uid, Act::Reap);
                due.push(((setbacks, turn, last), reap));
            }
            other => others.push(other),
        }
    }
    plan.writes = others;
    due.sort_by_key(|(order, _)| *order);
    for (_, reap) in due {
        let recent = u32::try_from(state.reaps.len()).unwrap_or(u32::MAX);
        let Some(pod) = cx.view.pod(&reap.pod.key) else {
            continue;
        };
        if was_reaped(state, pod)
            || recent >= cx.file.limits.reap.per_minute
            || spent_budget(cx, state, pod).is_some()
        {
            continue;
        }
        let budgets = if costs_a_budget(pod) {
            let budgets = cx.view.budgets_of(pod);
            budgets.map(|budget| budget.key.clone()).collect()
        } else {
            Vec::new()
        };
        let namespace = pod.key.namespace.clone();
        state.last_reaps.insert(namespace, cx.now.moment);
        state.reaps.push_back(RecentReap {
            at: cx.now.moment,
            pod: pod.uid.clone(),
            namespace: pod.key.namespace.clone(),
            budgets,
        });
        plan.writes.push(Write::Reap(reap));
    }
}

fn was_reaped(state: &State, pod: &Pod) -> bool {
    state.reaps.iter().any(|reap| reap.pod == pod.uid)
}

/// Until when people hold the pod, at most `limits.hold.max` after its TTL expired; `None` if they do not.
fn held_until(cx: &Context<'_>, overrides: &Overrides, expires: Timestamp) -> Option<Timestamp> {
    let longest = after(expires, cx.file.limits.hold.max);
    let end = match overrides.hold {
        Hold::No => return None,
        Hold::Open => longest,
        Hold::Until(end) => end.min(longest),
    };
    if cx.now.wall < end { Some(end) } else { None }
}

/// The pod, if it is deleted once its TTL expired; else why it is kept.
fn may_be_reaped<'a>(
    cx: &Context<'_>,
    state: &State,
    quarantined: &QuarantinedPod<'a>,
) -> Result<KnownPod<'a>, String> {
    let pod = quarantined.pod;
    if let Some(doubt) = cx.doubt.filter(|doubt| doubt.is_about_time()) {
        return Err(doubt.as_str().to_owned());
    }
    let Some(known) = quarantined.known else {
        return Err("its record is not the one that the ledger knows".to_owned());
    };
    if !pod.is_marked_quarantined() {
        let (key, value) = (keys::STATE, keys::QUARANTINED);
        return Err(format!("its label {key} is not {value}"));
    }
    if let Some(setback) = state.setback(&pod.uid, Act::Reap, cx.now.moment) {
        let refusal = setback.refusal.as_ref();
        return Err(match refusal {
            Some(refusal) => format!("the API server denied its deletion: {}", refusal.detail),
            None => "its deletion failed".to_owned(),
        });
    }
    // The deletion is already requested: its budget need not be checked again.
    if was_reaped(state, pod) {
        return Ok(known);
    }
    match spent_budget(cx, state, pod) {
        Some(budget) => Err(format!(
            "PodDisruptionBudget {budget} allows no disruption now"
        )),
        None => Ok(known),
    }
}

/// The PodDisruptionBudget that the deletion of a pod which its controller still owns would violate: the API server
/// checks budgets on evictions only. The deletion of a pod that is not Ready violates none. A budget that has allowed one
/// deletion allows the next after a minute, when its status has long changed.
fn spent_budget(cx: &Context<'_>, state: &State, pod: &Pod) -> Option<Arc<str>> {
    if !costs_a_budget(pod) {
        return None;
    }
    let allows_none = |budget: &DisruptionBudget| {
        let status = budget.status;
        status.is_none_or(|status| status.disruptions_allowed == 0)
    };
    let was_spent = |budget: &DisruptionBudget| {
        let mut recent = state.reaps.iter();
        recent.any(|reap| reap.budgets.contains(&budget.key))
    };
    let mut budgets = cx.view.budgets_of(pod);
    let spent = budgets.find(|budget| allows_none(budget) || was_spent(budget));
    spent.map(|budget| budget.key.name.clone())
}

/// Whether the deletion of a pod is a disruption: not if its controller no longer owns it, or if it is not Ready.
fn costs_a_budget(pod: &Pod) -> bool {
    pod.owner.is_some() && pod.ready
}

/// Tells when its TTL expires, and notes what its annotation says in its slot. An unreadable annotation is ignored, but
/// shortens nothing: what a readable one said is in the slot.
pub(super) fn note_expiry(plan: &mut Plan, quarantined: &QuarantinedPod<'_>) -> Timestamp {
    let QuarantinedPod {
        pod,
        record,
        overrides,
        ..
    } = *quarantined;
    let slot = quarantined.known.map(|known| known.slot());
    let before = slot.and_then(|slot| slot.expires);
    let said = overrides.ttl.map(|ttl| after(record.at, ttl));
    let is_unreadable = said.is_none() && pod.annotations.contains_key(keys::TTL);
    if is_unreadable {
        return before.map_or(record.expires, |before| before.max(record.expires));
    }
    if let Some(slot) = slot
        && before != said
    {
        let expires = said;
        let slot = slot.clone();
        plan.writes
            .push(Write::Note(Note::Expires(Slot { expires, ..slot })));
    }
    said.unwrap_or(record.expires)
}
