//! What runs in the background: look-ups, for which no decision waits.

use std::sync::Arc;

use futures::future::FutureExt;
use pod_quarantine_writer::Outcome;

use super::Decider;
use crate::core::{
    lookup::{DrainQuery, Lookup},
    needs::NeedsAt,
    object::Uid,
};

/// The result of a background task.
pub(super) enum Background {
    DryRun(Outcome),
    /// What the replacement of a pod would need.
    Needs(Uid, NeedsAt),
    /// The drain of a pod was followed; the slices of these Services still contain the pod.
    Drain(DrainQuery, Vec<Arc<str>>),
}

impl Decider {
    pub(super) fn look_up(&mut self, lookups: Vec<Lookup>) {
        let mut dry_runs = Vec::new();
        for lookup in lookups {
            match lookup {
                Lookup::Needs(query) => {
                    let reader = self.handles.reader.clone();
                    let read = async move {
                        let (pod, needs) = reader.needs(query).await;
                        Background::Needs(pod, needs)
                    };
                    self.background.push(read.boxed());
                }
                Lookup::Drain(query) => {
                    let reader = self.handles.reader.clone();
                    let followed = async move {
                        let still_in = reader.drain(&query).await;
                        Background::Drain(query, still_in)
                    };
                    self.background.push(followed.boxed());
                }
                Lookup::DryRun(quarantine) => dry_runs.push(*quarantine),
            }
        }
        if !dry_runs.is_empty() {
            let writer = self.handles.writer.clone();
            let answered = async move { Background::DryRun(writer.dry_run(dry_runs).await) };
            self.background.push(answered.boxed());
        }
    }

    pub(super) fn on_background(&mut self, background: Background) {
        match background {
            // A refusal is reported, and a failure tried again, when the pod is unhealthy.
            Background::DryRun(outcome) => self.record_outcome(outcome.updates, &outcome.effects),
            Background::Needs(pod, needs) => {
                let now = self.handles.clock.now().moment;
                self.state.record_needs(&pod, needs, now);
            }
            Background::Drain(query, still_in) => self.on_drain(&query, still_in),
        }
    }

    /// A pod that is not out yet is followed again by the next decision, for as long as it is quarantined.
    fn on_drain(&mut self, query: &DrainQuery, still_in: Vec<Arc<str>>) {
        let is_out = still_in.is_empty();
        self.state.record_drain(&query.uid, still_in);
        let pod = self.view.pod(&query.pod);
        let is_quarantined =
            pod.is_some_and(|pod| pod.uid == query.uid && pod.counts_as_quarantined());
        if is_out && is_quarantined {
            let now = self.handles.clock.now().moment;
            let took = now.saturating_sub(query.since);
            self.handles.report.drained(query, took);
        }
    }
}
