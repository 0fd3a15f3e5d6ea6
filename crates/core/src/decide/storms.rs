//! Storms: so many pods are unhealthy at once that the cause may not be the pods.
//!
//! A storm of the cluster or of a workload begins when more than the threshold's percentage of the pods with a verdict, and
//! at least two, are unhealthy, one of a node or a zone when at least three, of two workloads, are. It ends once the
//! percentage was at or below that threshold for the cooldown. `health.rs` counts.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    context::Context,
    health::{HealthCount, HealthCounts},
    lost,
    plan::Plan,
    state::{ObservedStorm, State},
};
use crate::{
    judge::Findings,
    ledger::{Ledger, Note, Storm},
    notice::{Notice, Notification, Topic},
    object::Reference,
    scope::Scope,
    write::Write,
};

/// Counts the unhealthy pods, begins and ends storms.
pub(super) fn run<'a>(
    cx: &Context<'a>,
    state: &mut State,
    findings: &'a Findings,
    plan: &mut Plan,
) -> HealthCounts<'a> {
    lost::remember(cx, state, findings);
    let health = HealthCounts::of(cx, findings, lost::out_of_service(cx, state));
    let limits = &cx.file.limits.storm;
    let above = health
        .scopes()
        .filter(|(scope, count)| count.is_storm(scope, limits.of(scope)));
    let above: BTreeSet<&Scope> = above.map(|(scope, _)| scope).collect();
    for scope in above {
        begin_or_extend(cx, state, scope, &health, plan);
    }
    read_from_ledger(cx, state);
    end(cx, state, plan);
    health
}

fn begin_or_extend(
    cx: &Context<'_>,
    state: &mut State,
    scope: &Scope,
    health: &HealthCounts<'_>,
    plan: &mut Plan,
) {
    let now = cx.now.moment;
    if let Some(storm) = state.storms.get_mut(scope) {
        storm.above = now;
        storm.over = false;
        return;
    }
    let Some(count) = health.get(scope) else {
        return;
    };
    let Some((namespace, about)) = whereabouts(cx, scope, count) else {
        return;
    };
    let limits = &cx.file.limits.storm;
    let threshold = limits.of(scope);
    let name: Arc<str> = match scope {
        Scope::Cluster | Scope::Zone(_) | Scope::Node(_) => scope.to_string().into(),
        Scope::Workload(_) => format!("{namespace}/{about}").into(),
    };
    let known = cx
        .ledger
        .and_then(|ledger| ledger.memory.storms.get(scope).cloned());
    if known.is_none() {
        let (unhealthy, of) = (count.unhealthy(), count.total());
        let cooldown = humantime::format_duration(limits.cooldown);
        let (on, there) = match scope {
            Scope::Cluster | Scope::Workload(_) => (String::new(), ""),
            Scope::Node(_) => (format!(" on {scope}"), " there"),
            Scope::Zone(_) => (format!(" in {scope}"), " there"),
        };
        let message = format!(
            "{unhealthy} of {of} pods{on} are unhealthy at once, more than {threshold}%: nothing new is quarantined{there} \
             until the percentage has been at or below that for {cooldown}"
        );
        plan.notices.push(Notice::Notify(Notification {
            namespace,
            pod: None,
            policy: None,
            about,
            topic: Topic::QuarantineStorm,
            message,
        }));
    }
    let since = cx.now.wall;
    let storm = ObservedStorm {
        storm: known.unwrap_or(Storm {
            scope: scope.clone(),
            name,
            since,
        }),
        above: now,
        over: false,
    };
    state.storms.insert(scope.clone(), storm);
}

/// The workload, or the ledger, which stands for the whole agent. `None` for pods of controllers that the agent does not
/// read: none of them is ever quarantined, so no storm has to prevent it.
fn whereabouts(
    cx: &Context<'_>,
    scope: &Scope,
    count: &HealthCount<'_>,
) -> Option<(Arc<str>, Reference)> {
    let Scope::Workload(_) = scope else {
        return Some((cx.view.own_namespace.clone(), cx.ledger_object()));
    };
    let pod = cx.view.pod(&count.first()?.pod)?;
    let workload = cx.view.workload(pod).ok()?;
    Some((pod.key.namespace.clone(), workload.top().reference()))
}

/// A storm in the ledger, which another agent or this one before a restart has observed, lasts until the percentage was at
/// or below the threshold for a whole cooldown again.
fn read_from_ledger(cx: &Context<'_>, state: &mut State) {
    let storms = cx
        .ledger
        .into_iter()
        .flat_map(|ledger| &ledger.memory.storms);
    for (scope, storm) in storms {
        let observed = || ObservedStorm {
            storm: storm.clone(),
            above: cx.now.moment,
            over: false,
        };
        state.storms.entry(scope.clone()).or_insert_with(observed);
    }
}

fn end(cx: &Context<'_>, state: &mut State, plan: &mut Plan) {
    let now = cx.now.moment;
    let cooldown = cx.file.limits.storm.cooldown;
    state.storms.retain(|scope, storm| {
        storm.over |= now.saturating_sub(storm.above) >= cooldown;
        let Some(ledger) = cx.ledger else {
            return !storm.over;
        };
        let note = note(ledger, scope, storm);
        plan.writes.extend(note.map(Write::Note));
        !storm.over || ledger.memory.storms.contains_key(scope)
    });
}

/// The note that writes the begin or the end of a storm into the ledger; `None` if the ledger has it already, or is full.
fn note(ledger: &Ledger, scope: &Scope, storm: &ObservedStorm) -> Option<Note> {
    match (storm.over, ledger.memory.storms.contains_key(scope)) {
        (true, true) => Some(Note::StormEnded(scope.clone())),
        (false, false) if ledger.has_room_for(&storm.storm) => {
            Some(Note::StormBegan(storm.storm.clone()))
        }
        _ => None,
    }
}
