//! Whether a candidate is considered at all: `Off`, `Paused`, `Exempt`, `Settling`, `NeverSeenGood`, `StaleView`,
//! `AdmissionDenied`, `Mutated`.

use super::{candidate::Candidate, case::Skip};
use crate::{
    decide::{context::Context, state::State},
    keys,
    policy::Mode,
    reason::{Reason, Refusal},
    restore::left_alone_until,
    time::to_the_second,
    write::Act,
};

pub(super) fn check(
    cx: &Context<'_>,
    state: &State,
    candidate: &Candidate<'_>,
) -> Result<(), Skip> {
    let pod = candidate.pod;
    if candidate.mode == Mode::Off {
        return Err(Refusal::new(Reason::Off, "").into());
    }
    if let Some(pause) = cx.view.pause() {
        return Err(Refusal::new(Reason::Paused, &*pause.reason).into());
    }
    if pod.overrides().exempt {
        return Err(Refusal::new(Reason::Exempt, "").into());
    }
    if pod.annotations.contains_key(keys::RELEASED) && !candidate.manual {
        let detail = match left_alone_until(pod) {
            Some(until) if until > cx.now.wall => {
                format!("the pod is left alone until {}", to_the_second(until))
            }
            _ => String::new(),
        };
        return Err(Refusal::new(Reason::Settling, detail).into());
    }
    if !candidate.contrast {
        return Err(Refusal::new(Reason::NeverSeenGood, "").into());
    }
    if let Some(why) = &cx.view.stale {
        return Err(Refusal::new(Reason::StaleView, &**why).into());
    }
    if let Some(doubt) = cx.doubt {
        return Err(Refusal::new(Reason::StaleView, doubt.as_str()).into());
    }
    match state.setback(&pod.uid, Act::Quarantine, cx.now.moment) {
        None => Ok(()),
        Some(setback) => Err(setback
            .refusal
            .clone()
            .map_or(Skip::BacksOff, Skip::Refused)),
    }
}
