//! The agent's own metrics. Names and labels are fixed, since people query them; all label values come from closed sets or
//! are bounded by the limits.

mod registrar;
mod state;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

use self::{
    registrar::{Registrar, opts},
    state::StateGauges,
};
use crate::{
    core::{
        judge::Answer,
        notice::{Notification, Topic},
        policy::{MANUAL, Mode, PolicyFile},
        reason::Reason,
        text::Fingerprint,
    },
    signal::SignalEvent,
};

pub use self::state::StateNow;

/// Buckets from a probe on the loopback to one that times out.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Buckets from a decision about ten pods to one about a hundred thousand.
const DECISION_SECONDS: [f64; 9] = [
    0.000_01, 0.000_1, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0,
];

/// Buckets from a pod that starts at once to one that never does.
const REPLACEMENT_SECONDS: [f64; 10] =
    [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// The metrics of the process, which nobody sets any more.
fn register_process(registrar: &Registrar) -> prometheus::Result<()> {
    let help = "Always 1; the version is a label.";
    let build = registrar.gauge("build_info", help, &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registrar.registry.register(Box::new(process))
}

pub struct Metrics {
    registry: Registry,
    /// Locked while the gauges of state are set, and while they are read: no scrape sees half of them.
    whole: Mutex<()>,
    names: Vec<String>,
    /// The policies that were in force since the agent started, and that of people.
    policies: Mutex<BTreeSet<Arc<str>>>,
    quarantines: IntCounterVec,
    releases: IntCounterVec,
    reaps: IntCounterVec,
    refusals: IntCounterVec,
    network_policies_left: IntCounterVec,
    signal_samples: IntCounterVec,
    signal_errors: IntCounterVec,
    signal_remarks: IntCounterVec,
    signal_last_success: GaugeVec,
    probe_duration: HistogramVec,
    query_duration: HistogramVec,
    decide_duration: HistogramVec,
    put_off: IntCounterVec,
    drain_duration: HistogramVec,
    replacement_duration: HistogramVec,
    not_drained: IntCounterVec,
    replacement_not_ready: IntCounterVec,
    write_failures: IntCounterVec,
    watch_broken: IntGaugeVec,
    events_dropped: IntCounterVec,
    state: StateGauges,
    leader: IntGauge,
    clock_offset: Gauge,
    config_last_reload_successful: IntGauge,
    config_info: IntGaugeVec,
    not_watched: IntGaugeVec,
    mode: IntGaugeVec,
}

impl Metrics {
    /// Registers every metric in a registry of its own.
    pub fn new() -> prometheus::Result<Self> {
        let registrar = Registrar {
            registry: Registry::new(),
            names: RefCell::default(),
        };
        let by_policy = &["namespace", "policy"];
        register_process(&registrar)?;
        Ok(Self {
            policies: Mutex::new(BTreeSet::from([MANUAL.into()])),
            quarantines: registrar.counter("quarantines_total", "Pods that were quarantined.", by_policy)?,
            releases: registrar.counter("releases_total", "Quarantined pods that were released.", &["namespace", "policy", "cause"])?,
            reaps: registrar.counter("reaps_total", "Quarantined pods that were deleted.", by_policy)?,
            refusals: registrar.counter(
                "refusals_total",
                "Unhealthy pods that were not quarantined, counted when the reason begins to hold.",
                &["policy", "reason"],
            )?,
            network_policies_left: registrar.counter(
                "network_policies_left_total",
                "NetworkPolicies that a quarantined pod could not stay in.",
                by_policy,
            )?,
            signal_samples: registrar.counter("signal_samples_total", "Samples taken.", &["policy", "result"])?,
            signal_errors: registrar.counter("signal_errors_total", "Samples or queries that failed.", &["policy", "cause"])?,
            signal_remarks: registrar.counter("signal_remarks_total", "Answers that count, with something to be told of them.", &["policy", "remark"])?,
            signal_last_success: registrar.time(
                "signal_last_success_timestamp_seconds",
                "When the signal last gave an answer.",
            )?,
            probe_duration: registrar.histogram("probe_duration_seconds", "Time of one probe.", &["policy"], &SECONDS)?,
            query_duration: registrar.histogram("query_duration_seconds", "Time of one query.", &["policy"], &SECONDS)?,
            decide_duration: registrar.histogram(
                "decide_duration_seconds",
                "Time of one decision about all pods.",
                &[],
                &DECISION_SECONDS,
            )?,
            put_off: registrar.counter(
                "put_off_total",
                "Searches for the labels of a pod that a decision left to the next one, because it would have taken too long.",
                &[],
            )?,
            drain_duration: registrar.histogram(
                "drain_duration_seconds",
                "Time from the change of a pod until it is in no EndpointSlice of its Services.",
                &["policy"],
                &SECONDS,
            )?,
            replacement_duration: registrar.histogram(
                "replacement_duration_seconds",
                "Time from the quarantine of a pod until its replacement is Ready.",
                &["policy"],
                &REPLACEMENT_SECONDS,
            )?,
            not_drained: registrar.counter(
                "not_drained_total",
                "Quarantined pods that were still selected, or owned, after their quarantine.",
                by_policy,
            )?,
            replacement_not_ready: registrar.counter(
                "replacement_not_ready_total",
                "Quarantined pods whose replacement was not Ready in time.",
                by_policy,
            )?,
            write_failures: registrar.counter(
                "write_failures_total",
                "Writes that failed, except conflicts and denials.",
                &[],
            )?,
            watch_broken: registrar.gauge(
                "watch_broken",
                "1 while a watch is out of sync: nothing new is quarantined then.",
                &["kind"],
            )?,
            events_dropped: registrar.counter("events_dropped_total", "Events that were not published.", &[])?,
            state: StateGauges::new(&registrar)?,
            leader: registrar.add(IntGauge::with_opts(opts(
                "leader",
                "1 if this agent acts, 0 on a standby.",
            )))?,
            clock_offset: registrar.add(Gauge::with_opts(opts(
                "clock_offset_seconds",
                "How far the API server's clock is ahead of the agent's; beyond a minute nothing is quarantined or reaped.",
            )))?,
            config_last_reload_successful: registrar.add(IntGauge::with_opts(opts(
                "config_last_reload_successful",
                "1 if the latest policy file is in force, 0 if it has errors.",
            )))?,
            config_info: registrar.gauge("config_info", "Always 1; the hash of the policy file in force is a label.", &["hash"])?,
            not_watched: registrar.gauge("not_watched", "1 for what an agent of some namespaces cannot know.", &["kind"])?,
            mode: registrar.gauge("mode", "1 for the mode in force for policies that name none.", &["mode"])?,
            registry: registrar.registry,
            whole: Mutex::default(),
            names: registrar.names.into_inner(),
        })
    }

    /// The names of the agent's own metrics, used or not.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let families = {
            let _whole = self.whole();
            self.registry.gather()
        };
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    /// A policy file is in force: the counters of its policies exist from now on, so that a rate over them has no gap. The
    /// signals of policies that it no longer has are not expected to give answers.
    pub fn policies(&self, file: &PolicyFile) {
        self.config_last_reload_successful.set(1);
        for &mode in Mode::ALL {
            self.mode
                .with_label_values(&[mode.as_str()])
                .set((mode == file.mode).into());
        }
        let mut known = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in known.iter().filter(|known| file.policy(known).is_none()) {
            // An error says that it has never given an answer.
            let _ = self.signal_last_success.remove_label_values(&[gone]);
        }
        known.extend(file.policies.iter().map(|policy| policy.name.clone()));
        drop(known);
        for policy in &file.policies {
            for answer in Answer::ALL {
                self.signal_samples
                    .with_label_values(&[&*policy.name, answer.as_str()]);
            }
            for reason in Reason::ALL {
                self.refusals
                    .with_label_values(&[&*policy.name, reason.as_str()]);
            }
        }
    }

    /// The policy file of that hash is in force.
    pub fn config_in_force(&self, hash: &Fingerprint) {
        let _whole = self.whole();
        self.config_info.reset();
        let hash = hash.to_string();
        self.config_info.with_label_values(&[&*hash]).set(1);
    }

    /// Whether the nodes, and the pods of other namespaces, are unknown.
    pub fn not_watched(&self, not_watched: bool) {
        for kind in ["nodes", "pods"] {
            let gauge = self.not_watched.with_label_values(&[kind]);
            gauge.set(not_watched.into());
        }
    }

    /// A new policy file was refused; the previous one stays in force.
    pub fn reload_failed(&self) {
        self.config_last_reload_successful.set(0);
    }

    /// A label for the policy that a record names: anyone may write a record, with any name in it.
    fn policy_label(&self, recorded: &str) -> Arc<str> {
        let known = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(recorded).cloned().unwrap_or_default()
    }

    /// The lock guards no value, so a poisoned one can still be used.
    fn whole(&self) -> MutexGuard<'_, ()> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the gauges of state.
    pub fn state(&self, now: &StateNow<'_>) {
        let _whole = self.whole();
        self.state.set(now);
    }

    /// Clears the gauges of state: another agent sets them now.
    pub fn stand_by(&self) {
        let _whole = self.whole();
        self.state.reset();
    }

    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// How far the API server's clock is ahead of the agent's.
    pub fn clock(&self, ahead: SignedDuration) {
        self.clock_offset.set(ahead.as_secs_f64());
    }

    pub fn quarantine(&self, namespace: &str, policy: &str) {
        self.quarantines
            .with_label_values(&[namespace, policy])
            .inc();
    }

    /// A quarantined pod has left that many NetworkPolicies.
    pub fn network_policies_left(&self, namespace: &str, policy: &str, count: usize) {
        self.network_policies_left
            .with_label_values(&[namespace, policy])
            .inc_by(count.try_into().unwrap_or(u64::MAX));
    }

    pub fn release(&self, namespace: &str, policy: &str, cause: &str) {
        let policy = self.policy_label(policy);
        self.releases
            .with_label_values(&[namespace, &policy, cause])
            .inc();
    }

    pub fn reap(&self, namespace: &str, policy: &str) {
        self.reaps.with_label_values(&[namespace, policy]).inc();
    }

    /// An unhealthy pod is not quarantined.
    pub fn refusal(&self, policy: &str, reason: Reason) {
        self.refusals
            .with_label_values(&[policy, reason.as_str()])
            .inc();
    }

    pub fn sample(&self, policy: &str, answer: Answer) {
        self.signal_samples
            .with_label_values(&[policy, answer.as_str()])
            .inc();
    }

    /// A decision took that long, and left that many searches to the next one.
    pub fn decided(&self, took: Duration, put_off: u32) {
        self.decide_duration
            .with_label_values::<&str>(&[])
            .observe(took.as_secs_f64());
        self.put_off
            .with_label_values::<&str>(&[])
            .inc_by(put_off.into());
    }

    /// A quarantined pod is out of the slices of its Services.
    pub fn drained(&self, policy: &str, took: Duration) {
        let duration = self.drain_duration.with_label_values(&[policy]);
        duration.observe(took.as_secs_f64());
    }

    /// The replacement of a quarantined pod is Ready.
    pub fn replaced(&self, policy: &str, took: Duration) {
        let duration = self.replacement_duration.with_label_values(&[policy]);
        duration.observe(took.as_secs_f64());
    }

    /// Counts a notification, if there is a counter for its topic.
    pub fn notification(&self, notification: &Notification) {
        let counter = match notification.topic {
            Topic::NotDrained => &self.not_drained,
            Topic::ReplacementNotReady => &self.replacement_not_ready,
            Topic::BadAnnotation
            | Topic::ReleaseRefused
            | Topic::HeldPastTtl
            | Topic::QuarantineStorm
            | Topic::Paused
            | Topic::Resumed => return,
        };
        let policy = notification.policy.as_deref().unwrap_or_default();
        let policy = self.policy_label(policy);
        let labels = [&*notification.namespace, &policy];
        counter.with_label_values(&labels).inc();
    }

    pub fn write_failed(&self) {
        self.write_failures.with_label_values::<&str>(&[]).inc();
    }

    /// Whether a watch is out of sync.
    pub fn watch(&self, kind: &str, out_of_sync: bool) {
        self.watch_broken
            .with_label_values(&[kind])
            .set(out_of_sync.into());
    }

    /// Publishing an Event failed, or too many were waiting.
    pub fn event_dropped(&self) {
        self.events_dropped.with_label_values::<&str>(&[]).inc();
    }

    pub fn observe_signal(&self, policy: &str, event: SignalEvent, at: Timestamp) {
        match event {
            SignalEvent::Probe(took) => self
                .probe_duration
                .with_label_values(&[policy])
                .observe(took.as_secs_f64()),
            SignalEvent::Query(took) => self
                .query_duration
                .with_label_values(&[policy])
                .observe(took.as_secs_f64()),
            SignalEvent::Success => self
                .signal_last_success
                .with_label_values(&[policy])
                .set(seconds(at)),
            SignalEvent::Error(cause) => self
                .signal_errors
                .with_label_values(&[policy, cause.as_str()])
                .inc(),
            SignalEvent::Remark(remark) => self
                .signal_remarks
                .with_label_values(&[policy, remark.as_str()])
                .inc(),
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    std::time::Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0)).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::object::Reference;

    #[test]
    fn a_policy_that_only_a_record_names_becomes_no_label() {
        let metrics = Metrics::new().expect("metrics");
        for round in 0..1000 {
            let policy = format!("policy-{round}");
            metrics.release("evil", &policy, "force");
            metrics.notification(&Notification {
                namespace: "evil".into(),
                pod: Some("e0".into()),
                policy: Some(policy.as_str().into()),
                about: Reference {
                    kind: "Pod".into(),
                    name: "e0".into(),
                    uid: "uid".into(),
                },
                topic: Topic::NotDrained,
                message: String::new(),
            });
        }
        let text = String::from_utf8(metrics.text().expect("metrics")).expect("a text");
        let series = text.lines().filter(|line| line.contains("\"evil\""));
        assert_eq!(series.count(), 2);
    }
}
