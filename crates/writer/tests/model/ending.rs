//! When nothing goes wrong any more, all ends well: the slots are those of the quarantined pods, and as many pods are out
//! as may be, or no other one is to be taken out.

use std::{collections::BTreeMap, sync::Arc};

use pod_quarantine_core::{keys, ledger::Ledger, object::Pod};

use crate::{
    known::{GONE, Mark, NOTHING},
    model::Model,
    promise::Violation,
    state::{AGENTS, State},
    world::{self, PODS, now},
};

/// So many rounds are more than any state needs: a round ends what is under way, sees all and does what is to be done.
const ROUNDS: usize = 24;

impl Model {
    /// From here on every request is answered, what is late never arrives, and the agents take turns. `Ok` has the states
    /// on the way, all of which end well; `ends_well` says of a state whether that is known already.
    pub(crate) fn ends_well(
        &self,
        state: &State,
        ends_well: &dyn Fn(Mark) -> bool,
    ) -> Result<Vec<Mark>, Violation> {
        let mut state = state.clone();
        let mut way = Vec::new();
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            state.strays.clear();
            state.left = self.scope.left;
            state.left.in_all = 0;
            let mark = state.mark();
            if ends_well(mark) {
                return Ok(way);
            }
            way.push(mark);
            let before = state.clone();
            self.round(&mut state)?;
            if state != before {
                quiet = 0;
                continue;
            }
            // What waits for its time has it now.
            quiet += 1;
            if quiet > 2 {
                return self.is_at_its_end(&state).map(|()| way);
            }
            if self.waits(&state) {
                Self::wait_is_over(&mut state);
            } else {
                Self::half_a_minute(&mut state);
            }
        }
        Err(Violation::NoProgress("there is no end to it".to_owned()))
    }

    fn round(&self, state: &mut State) -> Result<(), Violation> {
        for agent in 0..AGENTS {
            for index in 0..PODS {
                if self
                    .pod(state.pods[index])
                    .is_some_and(|pod| pod.terminating)
                {
                    state.pods[index] = GONE;
                }
            }
            if state.agents[agent].batch == NOTHING {
                let seen = state.agents[agent].view;
                let seen = Self::all(state, &seen);
                state.agents[agent].view = seen;
                state.agents[agent].batch = self.decided(seen, state.bad, state.time);
                if state.agents[agent].batch == NOTHING {
                    continue;
                }
                self.goes_on(state, agent)?;
            }
            while state.agents[agent].batch != NOTHING {
                let going = self.going(state.agents[agent].batch);
                let Some((lane, call, _)) = going.waits_for.first() else {
                    self.goes_on(state, agent)?;
                    continue;
                };
                let answer = self.arrives(state, *call, Some(agent), None)?;
                self.receives(state, agent, *lane, answer)?;
            }
            let seen = state.agents[agent].view;
            state.agents[agent].view = Self::all(state, &seen);
        }
        Ok(())
    }

    fn is_at_its_end(&self, state: &State) -> Result<(), Violation> {
        let wrong = |why: String| Err(Violation::NoProgress(why));
        let Some(ledger) = self.ledger(state.ledger) else {
            return wrong("there is no ledger".to_owned());
        };
        let pods = state.pods.iter().filter_map(|id| self.pod(*id));
        let counted: Vec<_> = pods.filter(|pod| pod.counts_as_quarantined()).collect();
        for slot in ledger.slots.values() {
            if !counted.iter().any(|pod| pod.uid == slot.uid) {
                return wrong(format!("the slot of {} is never freed", slot.name));
            }
        }
        if let Some(pod) = self.unknown(state, &ledger) {
            return wrong(format!(
                "the record of {} is not known to the ledger",
                pod.key
            ));
        }
        if let Some(why) = ledger.closed(now(state.time).wall) {
            return wrong(why);
        }
        let used = self.used(state);
        let left = (0..PODS).find(|index| self.is_candidate(state, *index));
        if let Some(index) = left.filter(|_| used < self.scope.limit) {
            return wrong(format!(
                "p{index} is left where it is, with {used} of {} out",
                self.scope.limit
            ));
        }
        Ok(())
    }

    /// A pod that an agent has quarantined and whose record the ledger does not know: it is never deleted. Where the ledger
    /// was lost, that is so.
    fn unknown(&self, state: &State, ledger: &Ledger) -> Option<Arc<Pod>> {
        let may_be_lost = self.scope.left.ledger > 0;
        let mut indexes = (0..PODS).filter(|index| {
            !may_be_lost
                && state.labels_before[*index] != NOTHING
                && self.is_as_written(state, *index)
        });
        indexes.find_map(|index| {
            let pod = self.pod(state.pods[index])?;
            ledger.known(&pod).is_none().then_some(pod)
        })
    }

    /// How many places are taken: of each namespace as many as may be, whoever has marked its pods.
    fn used(&self, state: &State) -> u32 {
        let mut of_namespaces: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for index in (0..PODS).filter(|index| self.kept.is_counted(self, state.pods[*index])) {
            *of_namespaces
                .entry(world::key(index).namespace)
                .or_default() += 1;
        }
        let most = self.scope.of_namespace;
        of_namespaces.into_values().map(|used| used.min(most)).sum()
    }

    /// Whether a pod that the signal finds bad could be taken out.
    fn is_candidate(&self, state: &State, index: usize) -> bool {
        let hindered = [keys::EXEMPT, keys::RELEASED];
        let free = |pod: &Pod| {
            !pod.terminating
                && !pod.counts_as_quarantined()
                && !hindered.iter().any(|key| pod.annotations.contains_key(key))
        };
        // What becomes of their own pods is up to hostile people.
        let is_theirs = self.scope.left.hostile > 0 && world::is_of_tenant(index);
        !is_theirs && state.bad[index] && self.pod(state.pods[index]).is_some_and(|pod| free(&pod))
    }
}
