//! Whether a candidate is considered at all: `Off`, `Paused`, `Exempt`, `Settling`, `NeverSeenGood`, `StaleView`,
//! `AdmissionDenied`, `Mutated`.

use super::candidate::Candidate;
use crate::{
    decide::{context::Context, state::State},
    keys,
    policy::Mode,
    reason::{Reason, Refusal},
    restore::left_alone_until,
    time::to_the_second,
};

pub(super) fn check(
    cx: &Context<'_>,
    state: &State,
    candidate: &Candidate<'_>,
) -> Result<(), Refusal> {
    let pod = candidate.pod;
    if candidate.mode == Mode::Off {
        return Err(Refusal::new(Reason::Off, ""));
    }
    if let Some(pause) = cx.view.pause() {
        return Err(Refusal::new(Reason::Paused, &*pause.reason));
    }
    if pod.overrides().exempt {
        return Err(Refusal::new(Reason::Exempt, ""));
    }
    if pod.annotations.contains_key(keys::RELEASED) && !candidate.manual {
        let detail = match left_alone_until(pod) {
            Some(until) if until > cx.now.wall => {
                format!("the pod is left alone until {}", to_the_second(until))
            }
            _ => String::new(),
        };
        return Err(Refusal::new(Reason::Settling, detail));
    }
    if !candidate.contrast {
        return Err(Refusal::new(Reason::NeverSeenGood, ""));
    }
    if let Some(why) = &cx.view.stale {
        return Err(Refusal::new(Reason::StaleView, &**why));
    }
    if let Some(doubt) = cx.doubt {
        return Err(Refusal::new(Reason::StaleView, doubt.as_str()));
    }
    match state.denied.get(&pod.uid) {
        Some((_, refusal)) => Err(refusal.clone()),
        None => Ok(()),
    }
}
