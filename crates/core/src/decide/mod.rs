//! The only place that decides. The agent, its tests and the model checker all call [`decide`].

mod context;
mod doubt;
mod health;
mod ledger_upkeep;
mod lost;
mod plan;
mod quarantine;
mod quarantined;
mod readings;
mod searches;
mod state;
mod storms;

use self::context::Context;
pub use self::{doubt::Doubt, plan::Plan, state::State};
use crate::{judge::Findings, policy::PolicyFile, time::Now, view::View};

/// Decides what is to be done now.
///
/// Called on every change and at least once a second; the same input gives the same plan. A refusal or a notification is
/// in the plan once, and again only after it has ceased to hold in between.
pub fn decide(
    state: &mut State,
    file: &PolicyFile,
    view: &View,
    findings: &Findings,
    doubt: Option<Doubt>,
    now: Now,
) -> Plan {
    let cx = Context::new(file, view, doubt, now);
    let mut plan = Plan::default();
    state.begin(view, now.moment);
    ledger_upkeep::run(&cx, state, &mut plan);
    quarantined::run(&cx, state, &mut plan);
    let health = storms::run(&cx, state, findings, &mut plan);
    quarantine::run(&cx, state, &findings.pods, &health, &mut plan);
    plan
}
