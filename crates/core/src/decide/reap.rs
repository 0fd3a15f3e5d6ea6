//! Deleting pods whose time is up: only what is surely the agent's own, and only a few a minute.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Decision, Reaped, plan::after};
use crate::{
    action::{Action, Reap, Target, Topic},
    keys,
    ledger::LedgerView,
    object::{Pod, Selecting},
    overrides::{Hold, Overrides},
    record::{self, Record},
};

/// The window of `limits.reap.perMinute`.
const MINUTE: Duration = Duration::from_mins(1);

impl Decision<'_> {
    pub(super) fn forget_reaps(&mut self) {
        let moment = self.now.moment;
        self.state
            .reaps
            .retain(|reap| moment.saturating_sub(reap.at) < MINUTE);
    }

    /// Deletes a pod whose time is up. Whether it goes: then nothing else is done with it.
    pub(super) fn time_is_up(&mut self, pod: &Pod, record: &Record, overrides: &Overrides) -> bool {
        let expires = self.expires(pod, record, overrides);
        if self.now.wall < expires {
            return false;
        }
        let held = self.held_until(overrides, expires);
        let held = held.map(|end| format!("it is held until {end}"));
        let kept = held.or_else(|| self.must_be_kept(pod));
        let why = format!("its time was up at {expires}");
        if let Some(kept) = kept {
            self.tell(pod, Topic::HeldPastTtl, format!("{why}; {kept}"));
            return false;
        }
        self.reap(pod, record, why);
        true
    }

    /// Deletes a pod, unless it must be kept, is held, or enough were deleted within the minute.
    pub(super) fn reap_now(
        &mut self,
        pod: &Pod,
        record: &Record,
        overrides: &Overrides,
        why: &str,
    ) -> bool {
        let held = overrides.hold.holds(self.now.wall);
        let goes = !held && self.must_be_kept(pod).is_none();
        if goes {
            self.reap(pod, record, why.to_owned());
        }
        goes
    }

    /// Until a watch tells that it goes, or where it cannot be deleted, it takes no other pod's turn.
    fn reap(&mut self, pod: &Pod, record: &Record, why: String) {
        let reaped_lately = u32::try_from(self.state.reaps.len()).unwrap_or(u32::MAX);
        if self.state.reaps.iter().any(|reap| reap.pod == pod.uid)
            || reaped_lately >= self.file.limits.reap.per_minute
        {
            return;
        }
        let budgets = self.view.budgets_of(pod).filter(|_| costs_a_budget(pod));
        self.state.reaps.push_back(Reaped {
            at: self.now.moment,
            pod: pod.uid.clone(),
            budgets: budgets.map(|budget| budget.key.clone()).collect(),
        });
        self.actions.push(Action::Reap(Box::new(Reap {
            pod: Target::from(pod),
            policy: record.policy.clone(),
            why,
        })));
    }

    /// Until when people hold it, if they do: never longer than `limits.hold.max` after its time was up.
    fn held_until(&self, overrides: &Overrides, expires: Timestamp) -> Option<Timestamp> {
        let longest = after(expires, self.file.limits.hold.max);
        let end = match overrides.hold {
            Hold::No => return None,
            Hold::Open => longest,
            Hold::Until(end) => end.min(longest),
        };
        (self.now.wall < end).then_some(end)
    }

    /// Why a pod is not deleted whatever its time is, if so.
    fn must_be_kept(&self, pod: &Pod) -> Option<String> {
        if self.view.clock_is_off {
            let why = "the agent's clock and the API server's are more than a minute apart";
            return Some(why.to_owned());
        }
        if !pod.has_state_label() || !self.is_known(pod) {
            return Some("its record is not the one that the ledger knows".to_owned());
        }
        // Its turn is not over: nothing is to be said of what it costs.
        if self.state.reaps.iter().any(|reap| reap.pod == pod.uid) {
            return None;
        }
        let budget = self.spent_budget(pod)?;
        Some(format!("PodDisruptionBudget {budget} lets no pod go now"))
    }

    /// The disruption budget that would have to bear the end of a pod which is still its controller's, and cannot: the
    /// API server asks it about evictions alone. A pod that is not Ready costs nothing. A budget that has borne one
    /// bears the next after a minute, when its status has long moved.
    fn spent_budget(&self, pod: &Pod) -> Option<Arc<str>> {
        if !costs_a_budget(pod) {
            return None;
        }
        let borne = |budget: &Selecting| {
            let mut reaped = self.state.reaps.iter();
            reaped.any(|reap| reap.budgets.contains(&budget.key))
        };
        let spent = self.view.budgets_of(pod).find(|budget| {
            budget
                .disruptions_allowed
                .is_none_or(|allowed| allowed == 0)
                || borne(budget)
        });
        spent.map(|budget| budget.key.name.clone())
    }

    /// When its time is up. An unreadable annotation counts as not there, but shortens nothing.
    fn expires(&mut self, pod: &Pod, record: &Record, overrides: &Overrides) -> Timestamp {
        let remembered = &mut self.state.ttls;
        match overrides.ttl {
            Some(ttl) => {
                remembered.insert(pod.uid.clone(), ttl);
                after(record.at, ttl)
            }
            None if pod.annotations.contains_key(keys::TTL) => {
                let before = remembered.get(&pod.uid).map(|ttl| after(record.at, *ttl));
                before.map_or(record.expires, |before| before.max(record.expires))
            }
            None => {
                remembered.remove(&pod.uid);
                record.expires
            }
        }
    }

    /// Whether the ledger has a slot with this very record: whoever else writes one gets no pod deleted.
    pub(super) fn is_known(&self, pod: &Pod) -> bool {
        let LedgerView::Present(ledger) = &self.view.ledger else {
            return false;
        };
        let text = pod.annotation(keys::RECORD).map(record::fingerprint);
        let slot = ledger.slots.get(&pod.uid);
        slot.zip(text).is_some_and(|(slot, text)| slot.knows(&text))
    }
}

/// Whether the end of a pod is a disruption: nobody misses one that its controller has let go, or that is not Ready.
fn costs_a_budget(pod: &Pod) -> bool {
    pod.owner.is_some() && pod.ready
}
