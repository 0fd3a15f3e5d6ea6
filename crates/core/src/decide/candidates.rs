//! Which pods are taken out now, and why the others are not.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Decision, Trial, storm::Crowds};
use crate::{
    action::{Action, Quarantine, Refusal, Topic},
    judge::Finding,
    keys,
    ledger::Slot,
    limits::Tally,
    object::{Pod, Uid},
    overrides,
    policy::{Detach, Mode, Policy},
    reason::Reason,
    record::{self, Evidence},
    restore::left_alone_until,
};

/// The policy's name in the record, the log and the metrics where people asked and no policy selects the pod.
pub(super) const BY_HAND: &str = "by-hand";

/// A pod that somebody wants out.
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    pub(super) by_hand: bool,
    pub(super) policy: Option<Arc<Policy>>,
    mode: Mode,
    pub(super) reason: Arc<str>,
    pub(super) evidence: Vec<Evidence>,
    contrast: bool,
}

/// Why a candidate is left where it is, for now.
pub(super) enum Left {
    /// For this reason.
    Refused(Reason, String),
    /// The view has not caught up with the pod that its slot was moved to.
    Behind,
    /// What its replacement would need was not read lately.
    Unread,
}

pub(super) fn refused<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Left> {
    Err(Left::Refused(reason, detail.into()))
}

impl Candidate<'_> {
    pub(super) fn policy_name(&self) -> Arc<str> {
        self.policy
            .as_ref()
            .map_or_else(|| BY_HAND.into(), |policy| policy.name.clone())
    }

    pub(super) fn detach(&self) -> Detach {
        self.policy
            .as_ref()
            .map_or(Detach::Workload, |policy| policy.detach)
    }

    pub(super) fn allows_exclusive(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| policy.allow_exclusive)
    }
}

impl<'a> Decision<'a> {
    /// Considers what may be acted on, then what is only observed; within these people's commands first, then what most
    /// policies find unhealthy, then the longest bad, then by key. What may be past its threshold soon comes last.
    pub(super) fn candidates(&mut self, findings: &[Finding], crowds: &Crowds<'_>) {
        let mut tally = self
            .open_ledger()
            .map(|ledger| Tally::count(self.view, ledger, self.now.wall))
            .unwrap_or_default();
        let mut candidates = self.asked_by_hand();
        let (mut past, suspect): (Vec<&Finding>, Vec<&Finding>) =
            findings.iter().partition(|finding| finding.past);
        let mut found_by: BTreeMap<&Uid, usize> = BTreeMap::new();
        for finding in past.iter().filter(|finding| finding.contrast) {
            *found_by.entry(&finding.uid).or_default() += 1;
        }
        past.sort_by_key(|finding| Reverse(found_by.get(&finding.uid)));
        candidates.extend(past.into_iter().filter_map(|finding| self.found(finding)));
        candidates.sort_by_key(|candidate| Reverse(candidate.mode));
        let mut taken: BTreeSet<&Uid> = BTreeSet::new();
        // Those that have a place within the limits, be it only in `observe`.
        let mut placed: BTreeSet<Uid> = BTreeSet::new();
        for candidate in candidates {
            if taken.contains(&candidate.pod.uid) {
                continue;
            }
            match self.consider(&candidate, crowds, &mut tally, &mut placed) {
                Ok(quarantine) => {
                    taken.insert(&candidate.pod.uid);
                    self.actions.push(Action::Quarantine(Box::new(quarantine)));
                }
                Err(Left::Behind) => {}
                Err(Left::Unread) => self.inquire(candidate.pod),
                Err(Left::Refused(reason, detail)) => {
                    let refusal = Refusal {
                        pod: candidate.pod.key.clone(),
                        uid: candidate.pod.uid.clone(),
                        policy: candidate.policy_name(),
                        asked: candidate.reason,
                        reason,
                        detail,
                    };
                    self.refuse(refusal, candidate.by_hand);
                }
            }
        }
        for finding in suspect {
            if let Some(candidate) = self.found(finding) {
                self.try_early(&candidate, crowds, &mut tally, &mut placed);
            }
        }
    }

    /// Has the change tried in good time: when the pod is past its threshold, it need not wait for that.
    fn try_early(
        &mut self,
        candidate: &Candidate<'a>,
        crowds: &Crowds<'_>,
        tally: &mut Tally,
        placed: &mut BTreeSet<Uid>,
    ) {
        let workload = self.view.workload(candidate.pod);
        let tried = workload.is_ok_and(|of| self.state.trials.contains_key(of.uid()));
        let read = self.state.readings.contains_key(&candidate.pod.uid);
        if tried && read || candidate.mode != Mode::Enforce {
            return;
        }
        match self.consider(candidate, crowds, tally, placed) {
            Ok(quarantine) if quarantine.try_first && !tried => {
                let trial = Trial {
                    asked: self.now.moment,
                    accepted: false,
                };
                self.state
                    .trials
                    .insert(quarantine.slot.workload.clone(), trial);
                self.actions.push(Action::TryEarly(Box::new(quarantine)));
            }
            Err(Left::Unread) => self.inquire(candidate.pod),
            Ok(_) | Err(Left::Refused(..) | Left::Behind) => {}
        }
    }

    fn asked_by_hand(&mut self) -> Vec<Candidate<'a>> {
        let view = self.view;
        let mut candidates = Vec::new();
        for pod in view
            .marked()
            .filter(|pod| !pod.is_counted() && !pod.terminating)
        {
            let Some(reason) = overrides::read(pod).quarantine else {
                continue;
            };
            if self.comes_from_template(pod, keys::QUARANTINE) {
                continue;
            }
            let policy = self
                .file
                .policies
                .iter()
                .filter(|policy| view.selects(policy, pod))
                .min_by_key(|policy| Reverse(policy.mode))
                .cloned();
            let mode = policy.as_ref().map_or(self.file.mode, |policy| policy.mode);
            candidates.push(Candidate {
                pod,
                by_hand: true,
                mode: mode.min(view.namespace_mode(&pod.key.namespace)),
                policy,
                reason,
                evidence: Vec::new(),
                contrast: true,
            });
        }
        candidates
    }

    /// A finding of a policy that is no longer in force, or of a pod that is no longer so, is none.
    fn found(&self, finding: &Finding) -> Option<Candidate<'a>> {
        let in_force = self.file.policy(&finding.policy.name);
        in_force.filter(|policy| **policy == finding.policy)?;
        let pod = self
            .view
            .pod(&finding.pod)
            .filter(|pod| pod.uid == finding.uid)?;
        let current =
            !pod.is_counted() && !pod.terminating && self.view.selects(&finding.policy, pod);
        current.then(|| Candidate {
            pod,
            by_hand: false,
            mode: finding
                .policy
                .mode
                .min(self.view.namespace_mode(&pod.key.namespace)),
            policy: Some(finding.policy.clone()),
            reason: finding.reason.clone(),
            evidence: finding.evidence.clone(),
            contrast: finding.contrast,
        })
    }

    /// Every reason to leave a pod where it is, the plainest first; then the plan to take it out.
    fn consider(
        &self,
        candidate: &Candidate<'a>,
        crowds: &Crowds<'_>,
        tally: &mut Tally,
        placed: &mut BTreeSet<Uid>,
    ) -> Result<Quarantine, Left> {
        let pod = candidate.pod;
        if candidate.mode == Mode::Off {
            return refused(Reason::Off, "");
        }
        if let Some(pause) = self.view.pause() {
            return refused(Reason::Paused, &*pause.reason);
        }
        if overrides::read(pod).exempt {
            return refused(Reason::Exempt, "");
        }
        if pod.annotations.contains_key(keys::RELEASED) && !candidate.by_hand {
            let until = left_alone_until(pod).filter(|until| *until > self.now.wall);
            let until = until.map(|until| format!("it is left alone until {until}"));
            return refused(Reason::Settling, until.unwrap_or_default());
        }
        if !candidate.contrast {
            return refused(Reason::NeverSeenGood, "");
        }
        if let Some(why) = self.view.stale.as_ref().or(self.view.unsure.as_ref()) {
            return refused(Reason::StaleView, &**why);
        }
        if let Some((_, reason, detail)) = self.state.denied.get(&pod.uid) {
            return refused(*reason, detail.clone());
        }
        let ledger = match self.open_ledger() {
            Ok(ledger) => ledger,
            Err(why) => return refused(Reason::LedgerUnavailable, why),
        };
        if ledger.unreadable.contains_key(&pod.uid) {
            return refused(
                Reason::LedgerUnavailable,
                "the pod's entry in the ledger cannot be read",
            );
        }
        let workload = self.workload(candidate)?;
        let known = ledger.slots.get(&pod.uid);
        if known.is_some_and(|slot| slot.resource_version > pod.resource_version) {
            return Err(Left::Behind);
        }
        self.is_the_pod(candidate, &workload, crowds)?;
        self.has_its_turn(candidate, &workload, ledger)?;
        // The limits before the search for a way out, which may take a tenth of a second a pod.
        let needs_place = known.is_none() && !placed.contains(&pod.uid);
        if needs_place {
            let over = tally.refuse(
                &self.file.limits,
                &pod.key.namespace,
                workload.uid(),
                self.file
                    .limits
                    .of_workload(workload.desired(), candidate.detach()),
            );
            if let Some((reason, detail)) = over {
                return refused(reason, detail);
            }
        }
        let mut plan = self.plan(candidate, &workload)?;
        self.stays_available(candidate, &workload, ledger)?;
        plan.pace = self.next_pace(candidate, &workload, ledger);
        let room = self.room_for_a_replacement(candidate, ledger);
        if let Err(Left::Refused(..)) = room {
            return room.map(|()| plan);
        }
        if needs_place {
            tally.begin(&pod.key.namespace, workload.uid());
            placed.insert(pod.uid.clone());
        }
        room?;
        if candidate.mode == Mode::Observe {
            return refused(Reason::Observe, "");
        }
        let has_slot = |slot: &Slot| slot.workload == *workload.uid();
        plan.try_first =
            !self.state.is_accepted(workload.uid()) && !ledger.slots.values().any(has_slot);
        Ok(plan)
    }

    /// Whether a command stands in the pod template: then it is nobody's command, and every pod carries it.
    pub(super) fn comes_from_template(&mut self, pod: &Pod, command: &str) -> bool {
        let owner = record::owner(pod).or_else(|| pod.owner.clone());
        let owner = owner.and_then(|owner| self.view.controller(&pod.key.namespace, &owner));
        let Some(owner) =
            owner.filter(|owner| owner.template_commands.iter().any(|key| &**key == command))
        else {
            return false;
        };
        let message = format!(
            "{command} is ignored: it stands in the pod template of {}",
            owner.reference()
        );
        self.tell(pod, Topic::BadAnnotation, message);
        true
    }
}
