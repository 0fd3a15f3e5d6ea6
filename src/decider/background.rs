//! What runs in the background: look-ups, for which no decision waits.

use std::{sync::Arc, time::Instant};

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
    /// The drain of a pod was awaited from that time on; the slices of these Services still contain the pod.
    Drain(DrainQuery, Instant, Vec<Arc<str>>),
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
                Lookup::Drain(query) => self.await_drain(query, Instant::now()),
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
            Background::Drain(query, since, still_in) => self.on_drain(query, since, still_in),
        }
    }

    fn await_drain(&mut self, query: DrainQuery, since: Instant) {
        let reader = self.handles.reader.clone();
        let drained = async move {
            let still_in = reader.drain(&query).await;
            Background::Drain(query, since, still_in)
        };
        self.background.push(drained.boxed());
    }

    /// Awaits the drain again if the pod is not out yet, for as long as the pod is quarantined.
    fn on_drain(&mut self, query: DrainQuery, since: Instant, still_in: Vec<Arc<str>>) {
        let Some(pod) = self.view.pod(&query.pod) else {
            return;
        };
        if pod.uid != query.uid || !pod.counts_as_quarantined() {
            return;
        }
        let is_out = still_in.is_empty();
        self.state.record_drain(&query.uid, still_in);
        if is_out {
            self.handles.report.drained(&query, since.elapsed());
        } else {
            self.await_drain(query, since);
        }
    }
}
