//! The running signals of the policy file in force, one task each; [`Signals::start`] adapts them to a new file.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::anyhow;
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};

use super::tasks::Tasks;
use crate::{
    clock::Clock,
    core::{
        judge::Sample,
        policy::{Policy, PolicyFile, PrometheusServer, Signal},
    },
    report::SignalReport,
    signal::{self, SignalContext, TargetChange},
    targets::Senders,
};

/// Concurrent probes of all policies.
const PROBES_AT_ONCE: usize = 512;

/// The health check fails if a signal is silent for longer; it sends a heartbeat every half second.
const SIGNAL_BOUND: Duration = Duration::from_secs(30);

/// The signal of each policy.
pub(super) struct Signals {
    running: BTreeMap<Arc<str>, Running>,
    samples: mpsc::Sender<Sample>,
    clock: Clock,
    observer: Arc<SignalReport>,
    permits: signal::probe::Permits,
}

/// A running signal, and what it was started for.
struct Running {
    signal: Signal,
    server: Option<PrometheusServer>,
    targets: mpsc::UnboundedSender<TargetChange>,
    task: AbortHandle,
}

impl Signals {
    pub(super) fn new(samples: mpsc::Sender<Sample>, clock: Clock, report: SignalReport) -> Self {
        Self {
            running: BTreeMap::new(),
            samples,
            clock,
            observer: Arc::new(report),
            permits: signal::probe::Permits::new(
                Arc::new(Semaphore::new(PROBES_AT_ONCE)),
                PROBES_AT_ONCE / 2,
            ),
        }
    }

    /// Starts new and changed signals, stops removed ones, and returns the channel of targets of each.
    pub(super) fn start(&mut self, file: &PolicyFile, tasks: &mut Tasks) -> Senders {
        let mut before = std::mem::take(&mut self.running);
        for policy in &file.policies {
            let running = match before.remove(&policy.name) {
                Some(running) if running.is_for(policy, file) => running,
                Some(changed) => {
                    changed.task.abort();
                    self.start_one(policy, file, tasks)
                }
                None => self.start_one(policy, file, tasks),
            };
            self.running.insert(policy.name.clone(), running);
        }
        for (policy, gone) in before {
            gone.task.abort();
            self.observer.health.dismiss(&signal::task_name(&policy));
        }
        let senders = self.running.iter();
        senders
            .map(|(policy, running)| (policy.clone(), running.targets.clone()))
            .collect()
    }

    fn start_one(&self, policy: &Arc<Policy>, file: &PolicyFile, tasks: &mut Tasks) -> Running {
        let (targets, receiver) = mpsc::unbounded_channel();
        let context = SignalContext {
            policy: policy.clone(),
            targets: receiver,
            samples: self.samples.clone(),
            clock: self.clock.clone(),
            observer: self.observer.clone(),
        };
        let name = context.task();
        self.observer.health.expect(&name, SIGNAL_BOUND);
        let task = match (&policy.signal, &file.prometheus) {
            (Signal::Probe(probe), _) => {
                let (probe, permits) = (probe.clone(), self.permits.clone());
                tasks.spawn(&name, async move {
                    match signal::probe::run(context, probe, permits).await? {}
                })
            }
            (Signal::Prometheus(query), Some(server)) => {
                let (query, server) = (query.clone(), server.clone());
                tasks.spawn(&name, async move {
                    match signal::prometheus::run(context, query, server).await? {}
                })
            }
            // A policy file without errors names the server if a policy needs it.
            (Signal::Prometheus(_), None) => {
                let why = anyhow!(
                    "policy {} queries Prometheus, but the policy file names no server",
                    policy.name
                );
                tasks.spawn(&name, async move { Err(why) })
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

impl Running {
    /// Whether the signal does what this policy file requires.
    fn is_for(&self, policy: &Policy, file: &PolicyFile) -> bool {
        self.signal == policy.signal && self.server == file.prometheus
    }
}
