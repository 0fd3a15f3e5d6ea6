//! Decisions about pods that are quarantined, or were released recently.

mod effect;
mod quarantined_pod;
mod reap;
mod release;
mod replacement;
mod requarantine;
mod settle;
mod turns;

use self::{quarantined_pod::QuarantinedPod, replacement::ReplacementState, settle::SettleChecks};
use super::{context::Context, plan::Plan, state::State};
use crate::{
    keys,
    ledger::{Note, Slot},
    notice::Topic,
    object::Pod,
    overrides::{Overrides, ReleaseCommand},
    policy::Mode,
    record::{Record, RecordState, Untrusted},
    write::Write,
};

pub(super) fn run(cx: &Context<'_>, state: &mut State, plan: &mut Plan) {
    let mut checks = SettleChecks::default();
    for pod in cx.view.tracked() {
        if pod.terminating {
            continue;
        }
        let overrides = pod.overrides();
        for mistake in &overrides.mistakes {
            plan.notify(state, pod, Topic::BadAnnotation, mistake.message.clone());
        }
        if pod.counts_as_quarantined() {
            handle_quarantined(cx, state, plan, pod, overrides);
        } else {
            handle_in_service(cx, state, plan, &mut checks, pod);
        }
    }
    settle::ration(checks, plan);
    reap::ration(cx, state, plan);
}

fn handle_in_service<'a>(
    cx: &Context<'a>,
    state: &mut State,
    plan: &mut Plan,
    checks: &mut SettleChecks<'a>,
    pod: &Pod,
) {
    if release_command(cx, state, plan, pod, pod.overrides()).is_some() {
        let message = format!("{} is ignored: the pod is not quarantined", keys::RELEASE);
        plan.notify(state, pod, Topic::BadAnnotation, message);
    }
    if pod.annotations.contains_key(keys::RELEASED) {
        settle::settle(cx, state, plan, checks, pod);
    }
}

/// The release command on a pod, if a person gave it; one in the pod template is reported and ignored.
fn release_command(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    pod: &Pod,
    overrides: &Overrides,
) -> Option<ReleaseCommand> {
    let command = overrides.release?;
    match cx.template_with(keys::RELEASE, pod) {
        Some(owner) => {
            plan.notify_ignored(state, pod, keys::RELEASE, &owner);
            None
        }
        None => Some(command),
    }
}

/// The mode for a quarantined pod: that of the policy that requested the quarantine, or of the file if the policy no
/// longer exists, lowered to the namespace's mode. A pause lowers it to `observe`.
fn mode(cx: &Context<'_>, pod: &Pod, record: Option<&Record>) -> Mode {
    let policy = record.and_then(|record| cx.file.policy(&record.policy));
    let mode = policy.map_or(cx.file.mode, |policy| policy.mode);
    let paused = cx.view.pause().map_or(Mode::Enforce, |_| Mode::Observe);
    mode.min(cx.view.namespace_mode(&pod.key.namespace))
        .min(paused)
}

fn handle_quarantined(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    pod: &Pod,
    overrides: &Overrides,
) {
    let record = pod.record().claimed();
    if record.is_some_and(|record| record.agent != cx.agent) {
        return;
    }
    let mode = mode(cx, pod, record);
    if mode == Mode::Off {
        if release_command(cx, state, plan, pod, overrides).is_some() {
            let message = "the mode is off: nothing is touched".to_owned();
            plan.notify(state, pod, Topic::ReleaseRefused, message);
        }
        return;
    }
    let record = match pod.record() {
        RecordState::Readable(record) => record.claimed(),
        RecordState::Newer(version, record) => {
            let record = record.as_deref().map(Untrusted::claimed);
            return newer(cx, state, plan, pod, overrides, *version, record);
        }
        RecordState::Absent => {
            let why = "it carries the state label and no record";
            return without_record(state, plan, pod, overrides, why);
        }
        RecordState::Damaged(why) => {
            let why = format!("its record cannot be read: {why}");
            return without_record(state, plan, pod, overrides, &why);
        }
    };
    let quarantined = QuarantinedPod {
        pod,
        record,
        known: cx.known(pod),
        overrides,
    };
    handle_recorded(cx, state, plan, &quarantined, mode);
}

/// A pod whose record can be read and names this installation.
fn handle_recorded(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    quarantined: &QuarantinedPod<'_>,
    mode: Mode,
) {
    let QuarantinedPod {
        pod,
        known,
        overrides,
        ..
    } = *quarantined;
    if !pod.has_state_label() {
        let message = format!(
            "{} was removed; the pod counts until it is released",
            keys::STATE
        );
        plan.notify(state, pod, Topic::BadAnnotation, message);
    }
    if let Some(known) = known {
        effect::check(cx, state, plan, known);
    }
    if let Some(command) = release_command(cx, state, plan, pod, overrides)
        && release::release(cx, state, plan, quarantined, command)
    {
        return;
    }
    let replacement = known.map(|known| (known, replacement::state_of(cx, known)));
    if let Some((known, ReplacementState::Ready)) = &replacement {
        let slot = Slot {
            replaced: Some(cx.now.wall),
            ..known.slot().clone()
        };
        plan.writes.push(Write::Note(Note::Replaced(slot)));
    }
    // Also where nothing is deleted now: what a readable annotation said is kept.
    let expires = reap::note_expiry(plan, quarantined);
    if mode != Mode::Enforce {
        return;
    }
    let is_late = matches!(replacement, Some((_, ReplacementState::Late)));
    let is_ending = is_late && replacement::apply_timeout(cx, state, plan, quarantined)
        || reap::reap_if_expired(cx, state, plan, quarantined, expires);
    if !is_ending && pod.has_state_label() {
        requarantine::requarantine_if_selected_again(cx, state, plan, quarantined);
    }
}

/// No record says how the pod was before: it counts as quarantined, and is neither released nor reaped.
fn without_record(state: &mut State, plan: &mut Plan, pod: &Pod, overrides: &Overrides, why: &str) {
    let message = format!("{why}; it counts, and is never reaped");
    plan.notify(state, pod, Topic::BadAnnotation, message);
    if overrides.release.is_some() {
        let message = format!("{why}: its labels cannot be put back");
        plan.notify(state, pod, Topic::ReleaseRefused, message);
    }
}

fn newer(
    cx: &Context<'_>,
    state: &mut State,
    plan: &mut Plan,
    pod: &Pod,
    overrides: &Overrides,
    version: u32,
    record: Option<&Record>,
) {
    let message =
        format!("its record is of version {version}, newer than this agent; it is never reaped");
    plan.notify(state, pod, Topic::BadAnnotation, message);
    match (overrides.release, record) {
        (Some(ReleaseCommand::Force), Some(record)) => {
            let quarantined = QuarantinedPod {
                pod,
                record,
                known: None,
                overrides,
            };
            release::release(cx, state, plan, &quarantined, ReleaseCommand::Force);
        }
        (Some(_), _) => {
            let message = format!(
                "its record is of version {version}: only \"force\" releases it, as far as it can be read"
            );
            plan.notify(state, pod, Topic::ReleaseRefused, message);
        }
        (None, _) => {}
    }
}
