//! When it may not be the pod: too many are unhealthy at once.
//!
//! A storm begins where more than a share of the pods with a verdict, and two at least, are unhealthy; it ends once it
//! was at or below that mark for the cooldown. Pods that are about to be unhealthy begin none, but hold it back: of
//! thirty pods that go bad at once, one is past its threshold first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Decision,
    candidates::{Candidate, Left, refused},
};
use crate::{
    action::{Action, Notice, Topic},
    judge::{Finding, Moment, Verdicts},
    ledger::{Ledger, MOST_STORMS, Note, Scope, Slot, Storm},
    object::{Reference, Uid},
    reason::Reason,
    view::Workload,
};

/// A storm as far as this agent has seen it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    storm: Storm,
    /// When the share was last above the mark, or when the storm was heard of.
    above: Moment,
    /// Whether it is over: what is left is to write that down.
    over: bool,
}

impl Seen {
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

/// How many pods of a scope are unhealthy, or about to be, of how many of which anything is known.
#[derive(Debug, Default)]
pub(super) struct Crowd<'a> {
    unhealthy: BTreeSet<&'a Uid>,
    bad: BTreeSet<&'a Uid>,
    /// Taken out within the window; they are in none of the other numbers.
    taken: u32,
    heard: u32,
}

impl Crowd<'_> {
    fn is_above(bad: usize, of: u32, mark: u8) -> bool {
        let bad = u64::try_from(bad).unwrap_or(u64::MAX);
        bad >= 2 && bad.saturating_mul(100) > u64::from(of) * u64::from(mark)
    }

    fn of(&self) -> u32 {
        let least = u32::try_from(self.bad.len()).unwrap_or(u32::MAX);
        self.heard.max(least).saturating_add(self.taken)
    }

    fn unhealthy(&self) -> usize {
        self.unhealthy.len() + self.taken as usize
    }

    /// Whether it is a storm.
    fn is_storm(&self, mark: u8) -> bool {
        Self::is_above(self.unhealthy(), self.of(), mark)
    }

    /// Whether it would be one, were all bad that are about to be.
    fn may_be_storm(&self, mark: u8) -> bool {
        Self::is_above(self.bad.len() + self.taken as usize, self.of(), mark)
    }
}

/// The crowd of each workload with a finding, and that of all.
#[derive(Debug, Default)]
pub(super) struct Crowds<'a> {
    workloads: BTreeMap<&'a Uid, Crowd<'a>>,
    cluster: Crowd<'a>,
}

impl<'a> Decision<'a> {
    /// Counts who is bad, begins and ends storms.
    pub(super) fn storms(&mut self, verdicts: &'a Verdicts) -> Crowds<'a> {
        let view = self.view;
        let ledger = view.ledger.present();
        let crowds = self.crowds(verdicts, ledger);
        let limits = &self.file.limits.storm;
        let mut above: BTreeMap<Scope, Option<&Finding>> = BTreeMap::new();
        if crowds.cluster.is_storm(limits.cluster) {
            above.insert(Scope::Cluster, None);
        }
        for (workload, crowd) in &crowds.workloads {
            if crowd.is_storm(limits.workload) {
                let of_it = |finding: &&Finding| finding.workload == **workload;
                let finding = verdicts.findings.iter().find(of_it);
                above.insert(Scope::Workload((*workload).clone()), finding);
            }
        }
        for (scope, finding) in above {
            self.is_above_the_mark(scope, finding, &crowds);
        }
        self.hear_of_storms(ledger);
        self.end_storms(ledger);
        crowds
    }

    fn crowds(&self, verdicts: &'a Verdicts, ledger: Option<&'a Ledger>) -> Crowds<'a> {
        let mut crowds = Crowds::default();
        let is_there = |finding: &&Finding| {
            let pod = self.view.pod(&finding.pod);
            let there = pod.is_some_and(|pod| pod.uid == finding.uid && !pod.is_counted());
            there && finding.contrast
        };
        for finding in verdicts.findings.iter().filter(is_there) {
            let of_workload = crowds.workloads.entry(&finding.workload).or_default();
            for crowd in [of_workload, &mut crowds.cluster] {
                crowd.bad.insert(&finding.uid);
                if finding.past {
                    crowd.unhealthy.insert(&finding.uid);
                }
            }
        }
        crowds.cluster.heard = verdicts.heard_in_all;
        for (workload, crowd) in &mut crowds.workloads {
            crowd.heard = verdicts.heard.get(*workload).copied().unwrap_or(0);
        }
        let slots = ledger.into_iter().flat_map(|ledger| ledger.slots.values());
        for slot in slots.filter(|slot| self.was_taken_within_the_window(slot)) {
            if crowds.cluster.bad.contains(&slot.uid) {
                continue;
            }
            crowds.cluster.taken += 1;
            if let Some(crowd) = crowds.workloads.get_mut(&slot.workload) {
                crowd.taken += 1;
            }
        }
        crowds
    }

    fn was_taken_within_the_window(&self, slot: &Slot) -> bool {
        let policy = self.file.policy(&slot.policy);
        let age = self.now.wall.duration_since(slot.at);
        policy.is_some_and(|policy| age.as_secs_f64() < policy.window().as_secs_f64())
    }

    fn is_above_the_mark(&mut self, scope: Scope, finding: Option<&Finding>, crowds: &Crowds<'_>) {
        let moment = self.now.moment;
        if let Some(seen) = self.state.storms.get_mut(&scope) {
            seen.above = moment;
            seen.over = false;
            return;
        }
        let (crowd, mark) = match &scope {
            Scope::Cluster => (&crowds.cluster, self.file.limits.storm.cluster),
            Scope::Workload(uid) => match crowds.workloads.get(uid) {
                Some(crowd) => (crowd, self.file.limits.storm.workload),
                None => return,
            },
        };
        let (namespace, about) = self.whereabouts(finding);
        let place: Arc<str> = match &scope {
            Scope::Cluster => "cluster".into(),
            Scope::Workload(_) => format!("{namespace}/{about}").into(),
        };
        let ledger = self.view.ledger.present();
        let known = ledger.and_then(|ledger| ledger.memory.storms.get(&scope).cloned());
        if known.is_none() {
            let (unhealthy, of) = (crowd.unhealthy(), crowd.of());
            let message = format!(
                "{unhealthy} of {of} pods are unhealthy at once, more than {mark}%: nothing new is quarantined until that is over for {}",
                humantime::format_duration(self.file.limits.storm.cooldown)
            );
            self.actions.push(Action::Tell(Notice {
                namespace,
                pod: None,
                policy: None,
                about,
                topic: Topic::QuarantineStorm,
                message,
            }));
        }
        let since = self.now.wall;
        let storm = known.unwrap_or(Storm { place, since });
        let seen = Seen {
            storm,
            above: moment,
            over: false,
        };
        self.state.storms.insert(scope, seen);
    }

    /// The workload that a finding is about; without one, what is all the agent's: its ledger.
    fn whereabouts(&self, finding: Option<&Finding>) -> (Arc<str>, Reference) {
        let of_pod = finding.and_then(|finding| {
            let pod = self.view.pod(&finding.pod)?;
            let workload = self.view.workload(pod).ok()?;
            let seen = workload.deployment.unwrap_or(workload.owner);
            Some((pod.key.namespace.clone(), seen.reference()))
        });
        of_pod.unwrap_or_else(|| (self.view.own_namespace.clone(), self.own_ledger()))
    }

    /// A storm that another agent, or this one before a restart, has seen is on until it was over for the cooldown
    /// again.
    fn hear_of_storms(&mut self, ledger: Option<&Ledger>) {
        let above = self.now.moment;
        for (scope, storm) in ledger.into_iter().flat_map(|ledger| &ledger.memory.storms) {
            let heard = || Seen {
                storm: storm.clone(),
                above,
                over: false,
            };
            self.state.storms.entry(scope.clone()).or_insert_with(heard);
        }
    }

    fn end_storms(&mut self, ledger: Option<&Ledger>) {
        let moment = self.now.moment;
        let cooldown = self.file.limits.storm.cooldown;
        let mut notes = Vec::new();
        self.state.storms.retain(|scope, seen| {
            seen.over |= moment.saturating_sub(seen.above) >= cooldown;
            let Some(ledger) = ledger else {
                return !seen.over;
            };
            let written = ledger.memory.storms.contains_key(scope);
            match (seen.over, written) {
                (true, true) => notes.push(Note::StormEnded(scope.clone())),
                (false, false) if ledger.memory.storms.len() < MOST_STORMS => {
                    notes.push(Note::StormBegan(scope.clone(), seen.storm.clone()));
                }
                _ => {}
            }
            !seen.over || written
        });
        self.actions.extend(notes.into_iter().map(Action::Note));
    }

    /// Whether it may not be the pod.
    pub(super) fn is_the_pod(
        &self,
        candidate: &Candidate<'_>,
        workload: &Workload<'_>,
        crowds: &Crowds<'_>,
    ) -> Result<(), Left> {
        if candidate.by_hand {
            return Ok(());
        }
        let limits = &self.file.limits.storm;
        let workload_crowd = crowds.workloads.get(workload.uid());
        let scopes = [
            (
                Scope::Workload(workload.uid().clone()),
                workload_crowd,
                limits.workload,
                workload.reference().to_string(),
            ),
            (
                Scope::Cluster,
                Some(&crowds.cluster),
                limits.cluster,
                "all watched pods".to_owned(),
            ),
        ];
        for (scope, crowd, mark, of) in scopes {
            let seen = self.state.storms.get(&scope).filter(|seen| !seen.over);
            if let Some(seen) = seen {
                let since = seen.storm.since;
                return refused(
                    Reason::Storm,
                    format!("more than {mark}% of {of}, since {since}"),
                );
            }
            if crowd.is_some_and(|crowd| crowd.may_be_storm(mark)) {
                return refused(
                    Reason::Storm,
                    format!("more than {mark}% of {of} are unhealthy or about to be"),
                );
            }
        }
        Ok(())
    }
}
