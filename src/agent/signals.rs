//! The signals of the policy file in force: one task each.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::anyhow;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::{Ended, spawn};
use crate::{
    core::{
        judge::Sample,
        policy::{Policy, PolicyFile, PrometheusServer, Signal},
    },
    report::SignalReport,
    signal::{self, Clock, SignalContext, TargetChange},
    targets::Senders,
};

/// Probes under way at the same time, of all policies together.
const PROBES_AT_ONCE: usize = 512;

/// A signal is late after this; it gives a sign of life every half second.
const SIGNAL_BOUND: Duration = Duration::from_secs(30);

/// The signal of each policy.
pub(super) struct Signals {
    running: BTreeMap<Arc<str>, Running>,
    samples: mpsc::Sender<Sample>,
    clock: Clock,
    observer: Arc<SignalReport>,
    permits: Arc<Semaphore>,
}

/// A signal that runs, and what it was started for.
struct Running {
    signal: Signal,
    server: Option<PrometheusServer>,
    targets: mpsc::UnboundedSender<TargetChange>,
    task: AbortHandle,
}

impl Signals {
    /// None yet.
    pub(super) fn new(samples: mpsc::Sender<Sample>, clock: Clock, report: SignalReport) -> Self {
        Self {
            running: BTreeMap::new(),
            samples,
            clock,
            observer: Arc::new(report),
            permits: Arc::new(Semaphore::new(PROBES_AT_ONCE)),
        }
    }

    /// Starts the signals that are new or changed, stops those that are gone. Gives where each hears of its pods.
    pub(super) fn start(&mut self, file: &PolicyFile, tasks: &mut JoinSet<Ended>) -> Senders {
        let mut before = std::mem::take(&mut self.running);
        for policy in &file.policies {
            let same = |running: &Running| {
                running.signal == policy.signal && running.server == file.prometheus
            };
            let running = match before.remove(&policy.name) {
                Some(running) if same(&running) => running,
                changed => {
                    if let Some(changed) = changed {
                        changed.task.abort();
                    }
                    self.start_one(policy, file, tasks)
                }
            };
            self.running.insert(policy.name.clone(), running);
        }
        for (policy, gone) in before {
            gone.task.abort();
            self.observer.health.dismiss(&signal_task(&policy));
        }
        let senders = self.running.iter();
        senders
            .map(|(policy, running)| (policy.clone(), running.targets.clone()))
            .collect()
    }

    fn start_one(
        &self,
        policy: &Arc<Policy>,
        file: &PolicyFile,
        tasks: &mut JoinSet<Ended>,
    ) -> Running {
        let (targets, receiver) = mpsc::unbounded_channel();
        let context = SignalContext {
            policy: policy.clone(),
            targets: receiver,
            samples: self.samples.clone(),
            clock: self.clock.clone(),
            observer: self.observer.clone(),
        };
        let name = signal_task(&policy.name);
        self.observer.health.expect(&name, SIGNAL_BOUND);
        let task = match (&policy.signal, &file.prometheus) {
            (Signal::Probe(probe), _) => {
                let (probe, permits) = (probe.clone(), self.permits.clone());
                spawn(tasks, &name, async move {
                    match signal::probe::run(context, probe, permits).await? {}
                })
            }
            (Signal::Prometheus(query), Some(server)) => {
                let (query, server) = (query.clone(), server.clone());
                spawn(tasks, &name, async move {
                    match signal::prometheus::run(context, query, server).await? {}
                })
            }
            // A checked policy file has the server if a policy needs it.
            (Signal::Prometheus(_), None) => {
                let why = anyhow!(
                    "policy {} asks Prometheus, and the file names none",
                    policy.name
                );
                spawn(tasks, &name, async move { Err(why) })
            }
        };
        Running {
            signal: policy.signal.clone(),
            server: file.prometheus.clone(),
            targets,
            task,
        }
    }
}

fn signal_task(policy: &str) -> String {
    format!("signal {policy}")
}
