//! The agent's own metrics. Names and labels are part of the contract; all label values come from closed sets or
//! are bounded by the limits.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

use crate::core::{
    action::{Notice, Topic},
    judge::Answer,
    ledger::LedgerView,
    limits::Tally,
    object::ControllerKind,
    policy::{Detach, Mode, PolicyFile},
    reason::Reason,
    record::{self, Reading},
    view::View,
};

/// From a probe on the loopback to one that times out.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// From a decision about ten pods to one about a hundred thousand.
const DECISION_SECONDS: [f64; 9] = [
    0.000_01, 0.000_1, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0,
];

/// From a pod that starts at once to one that never does.
const REPLACEMENT_SECONDS: [f64; 10] =
    [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Everything on `/metrics`.
pub struct Metrics {
    registry: Registry,
    /// Held while the gauges of state are set anew, and while they are read: nobody sees half of them.
    whole: Mutex<()>,
    names: Vec<String>,
    quarantined_pods: IntGaugeVec,
    quarantined_pod_expires: GaugeVec,
    unhealthy_pods: IntGaugeVec,
    quarantines: IntCounterVec,
    releases: IntCounterVec,
    reaps: IntCounterVec,
    refusals: IntCounterVec,
    network_policies_left: IntCounterVec,
    limit: IntGaugeVec,
    limit_used: IntGaugeVec,
    signal_samples: IntCounterVec,
    signal_errors: IntCounterVec,
    signal_last_success: GaugeVec,
    probe_duration: HistogramVec,
    query_duration: HistogramVec,
    decide_duration: HistogramVec,
    drain_duration: HistogramVec,
    replacement_duration: HistogramVec,
    not_drained: IntCounterVec,
    replacement_not_ready: IntCounterVec,
    quarantined_pod_restarts: IntGaugeVec,
    write_failures: IntCounterVec,
    watch_broken: IntGaugeVec,
    events_dropped: IntCounterVec,
    config_last_reload_successful: IntGauge,
    mode: IntGaugeVec,
}

/// Registers metrics; the first mistake in a name or label is the result of [`Metrics::new`].
struct Registrar(Registry, RefCell<Vec<String>>);

impl Registrar {
    fn add<C: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let metric = metric?;
        let names = metric.desc().into_iter().map(|desc| desc.fq_name.clone());
        self.1.borrow_mut().extend(names);
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(opts(name, help), labels))
    }

    fn time(&self, name: &str, help: &str) -> prometheus::Result<GaugeVec> {
        self.time_of(name, help, &["policy"])
    }

    fn time_of(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(opts(name, help), labels))
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("pod_quarantine")
}

impl Metrics {
    /// An own registry with every metric in it.
    pub fn new() -> prometheus::Result<Self> {
        let registrar = Registrar(Registry::new(), RefCell::default());
        let by_policy = &["namespace", "policy"];
        let scope = &["scope", "namespace", "workload"];
        let build = registrar.gauge(
            "build_info",
            "Always 1; the version is a label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registrar.0.register(Box::new(process))?;
        Ok(Self {
            quarantined_pods: registrar.gauge("quarantined_pods", "Pods that are quarantined now.", by_policy)?,
            quarantined_pod_expires: registrar.time_of(
                "quarantined_pod_expires_timestamp_seconds",
                "When the time of each quarantined pod is up, as its record says.",
                &["namespace", "pod", "workload", "policy"],
            )?,
            unhealthy_pods: registrar.gauge(
                "unhealthy_pods",
                "Pods past the threshold now, acted on or not.",
                &["policy"],
            )?,
            quarantines: registrar.counter("quarantines_total", "Pods that were quarantined.", by_policy)?,
            releases: registrar.counter("releases_total", "Pods that were put back.", &["namespace", "policy", "cause"])?,
            reaps: registrar.counter("reaps_total", "Quarantined pods that were deleted when their time was up.", by_policy)?,
            refusals: registrar.counter(
                "refusals_total",
                "Unhealthy pods that were left where they are, counted when the reason begins to hold.",
                &["policy", "reason"],
            )?,
            network_policies_left: registrar.counter(
                "network_policies_left_total",
                "NetworkPolicies that a quarantined pod could not stay in.",
                by_policy,
            )?,
            limit: registrar.gauge("limit", "How many pods may be quarantined at once.", scope)?,
            limit_used: registrar.gauge("limit_used", "How many of them are, or are about to be.", scope)?,
            signal_samples: registrar.counter("signal_samples_total", "Samples taken.", &["policy", "result"])?,
            signal_errors: registrar.counter("signal_errors_total", "Samples or queries that failed.", &["policy", "cause"])?,
            signal_last_success: registrar.time(
                "signal_last_success_timestamp_seconds",
                "When the signal last gave an answer.",
            )?,
            probe_duration: registrar.histogram("probe_duration_seconds", "Time of one probe.", &["policy"], &SECONDS)?,
            query_duration: registrar.histogram("query_duration_seconds", "Time of one query.", &["policy"], &SECONDS)?,
            decide_duration: registrar.histogram(
                "decide_duration_seconds",
                "Time of one decision about everything.",
                &[],
                &DECISION_SECONDS,
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
                "Quarantined pods that were not out of everything in time.",
                by_policy,
            )?,
            replacement_not_ready: registrar.counter(
                "replacement_not_ready_total",
                "Quarantined pods whose replacement was not Ready in time.",
                by_policy,
            )?,
            quarantined_pod_restarts: registrar.gauge(
                "quarantined_pod_restarts",
                "How often the containers of each quarantined pod were started anew since.",
                &["namespace", "pod", "workload", "policy"],
            )?,
            write_failures: registrar.counter(
                "write_failures_total",
                "Writes that the API server did not carry out, conflicts and denials aside.",
                &[],
            )?,
            watch_broken: registrar.gauge(
                "watch_broken",
                "1 while a watch does not follow: nothing new is quarantined then.",
                &["kind"],
            )?,
            events_dropped: registrar.counter("events_dropped_total", "Events that could not be told.", &[])?,
            config_last_reload_successful: registrar.add(IntGauge::with_opts(opts(
                "config_last_reload_successful",
                "Whether the policy file as it is now is in force.",
            )))?,
            mode: registrar.gauge("mode", "1 for the mode in force for policies that name none.", &["mode"])?,
            registry: registrar.0,
            whole: Mutex::default(),
            names: registrar.1.into_inner(),
        })
    }

    /// The names of the agent's own metrics, used or not.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let families = {
            let _whole = self.whole();
            self.registry.gather()
        };
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    /// A policy file is in force: counters of its policies exist from now on, so that a rate over them is no gap.
    pub fn policies(&self, file: &PolicyFile) {
        self.config_last_reload_successful.set(1);
        for mode in Mode::ALL {
            self.mode
                .with_label_values(&[mode.as_str()])
                .set((mode == file.mode).into());
        }
        for policy in &file.policies {
            for answer in Answer::ALL {
                self.signal_samples
                    .with_label_values(&[&*policy.name, answer.as_str()]);
            }
            for reason in Reason::ALL {
                self.refusals
                    .with_label_values(&[&*policy.name, reason.as_str()]);
            }
            self.unhealthy_pods.with_label_values(&[&*policy.name]);
        }
    }

    /// A new policy file was refused; the one before stays in force.
    pub fn reload_failed(&self) {
        self.config_last_reload_successful.set(0);
    }

    /// The lock guards no value: a poisoned one is as good as before.
    fn whole(&self) -> MutexGuard<'_, ()> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the gauges of state.
    pub fn state(&self, view: &View, file: &PolicyFile, unhealthy: &BTreeMap<Arc<str>, i64>) {
        let _whole = self.whole();
        self.unhealthy_pods.reset();
        for policy in &file.policies {
            let count = unhealthy.get(&policy.name).copied().unwrap_or(0);
            self.unhealthy_pods
                .with_label_values(&[&*policy.name])
                .set(count);
        }
        self.quarantined(view);
        let LedgerView::Present(ledger) = &view.ledger else {
            return;
        };
        let tally = Tally::count(view, ledger);
        self.limit.reset();
        self.limit_used.reset();
        let set = |scope: &str, namespace: &str, workload: &str, used: u32, max: u32| {
            let labels = [scope, namespace, workload];
            self.limit_used.with_label_values(&labels).set(used.into());
            self.limit.with_label_values(&labels).set(max.into());
        };
        let limits = &file.limits;
        set("cluster", "", "", tally.cluster, limits.cluster_max);
        for (namespace, used) in &tally.namespaces {
            set("namespace", namespace, "", *used, limits.namespace_max);
            let in_use = view.controllers(namespace);
            for controller in in_use.filter(|one| tally.workloads.contains_key(&one.uid)) {
                let used = tally.workloads.get(&controller.uid).copied().unwrap_or(0);
                let detach = match controller.kind {
                    ControllerKind::Deployment | ControllerKind::ReplicaSet => Detach::Workload,
                    ControllerKind::StatefulSet | ControllerKind::DaemonSet => Detach::Service,
                };
                let max = limits.of_workload(controller.desired, detach);
                set("workload", namespace, &controller.key.name, used, max);
            }
        }
    }

    fn quarantined(&self, view: &View) {
        self.quarantined_pods.reset();
        self.quarantined_pod_expires.reset();
        self.quarantined_pod_restarts.reset();
        for pod in view.marked().filter(|pod| pod.is_counted()) {
            let Reading::Readable(record) = record::read(pod) else {
                self.quarantined_pods
                    .with_label_values(&[&*pod.key.namespace, ""])
                    .inc();
                continue;
            };
            let (namespace, policy) = (&*pod.key.namespace, &*record.policy);
            self.quarantined_pods
                .with_label_values(&[namespace, policy])
                .inc();
            let labels = [namespace, &*pod.key.name, &*record.workload.name, policy];
            let expires = self.quarantined_pod_expires.with_label_values(&labels);
            expires.set(seconds(record.expires));
            let restarts = pod.restarts.saturating_sub(record.restarts);
            self.quarantined_pod_restarts
                .with_label_values(&labels)
                .set(restarts.into());
        }
    }

    /// A pod was quarantined.
    pub fn quarantine(&self, namespace: &str, policy: &str) {
        self.quarantines
            .with_label_values(&[namespace, policy])
            .inc();
    }

    /// A quarantined pod could not stay in so many NetworkPolicies.
    pub fn network_policies_left(&self, namespace: &str, policy: &str, count: usize) {
        self.network_policies_left
            .with_label_values(&[namespace, policy])
            .inc_by(count.try_into().unwrap_or(u64::MAX));
    }

    /// A pod was put back.
    pub fn release(&self, namespace: &str, policy: &str, cause: &str) {
        self.releases
            .with_label_values(&[namespace, policy, cause])
            .inc();
    }

    /// A pod was deleted.
    pub fn reap(&self, namespace: &str, policy: &str) {
        self.reaps.with_label_values(&[namespace, policy]).inc();
    }

    /// An unhealthy pod is left where it is.
    pub fn refusal(&self, policy: &str, reason: Reason) {
        self.refusals
            .with_label_values(&[policy, reason.as_str()])
            .inc();
    }

    /// A sample came in.
    pub fn sample(&self, policy: &str, answer: Answer) {
        self.signal_samples
            .with_label_values(&[policy, answer.as_str()])
            .inc();
    }

    /// A decision took so long.
    pub fn decided(&self, took: Duration) {
        self.decide_duration
            .with_label_values::<&str>(&[])
            .observe(took.as_secs_f64());
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

    /// Something is said that is counted, too.
    pub fn notice(&self, notice: &Notice) {
        let counter = match notice.topic {
            Topic::NotDrained => &self.not_drained,
            Topic::ReplacementNotReady => &self.replacement_not_ready,
            Topic::BadAnnotation | Topic::ReleaseRefused | Topic::HeldPastTtl => return,
        };
        let policy = notice.policy.as_deref().unwrap_or_default();
        let labels = [&*notice.pod.namespace, policy];
        counter.with_label_values(&labels).inc();
    }

    /// A write failed.
    pub fn write_failed(&self) {
        self.write_failures.with_label_values::<&str>(&[]).inc();
    }

    /// A watch follows, or does not.
    pub fn watch(&self, kind: &str, broken: bool) {
        self.watch_broken
            .with_label_values(&[kind])
            .set(broken.into());
    }

    /// An Event could not be told.
    pub fn event_dropped(&self) {
        self.events_dropped.with_label_values::<&str>(&[]).inc();
    }

    /// A probe took so long.
    pub fn probed(&self, policy: &str, took: Duration) {
        self.probe_duration
            .with_label_values(&[policy])
            .observe(took.as_secs_f64());
    }

    /// A query took so long.
    pub fn queried(&self, policy: &str, took: Duration) {
        self.query_duration
            .with_label_values(&[policy])
            .observe(took.as_secs_f64());
    }

    /// A signal failed.
    pub fn signal_failed(&self, policy: &str, cause: &str) {
        self.signal_errors.with_label_values(&[policy, cause]).inc();
    }

    /// A signal gave an answer.
    pub fn signal_succeeded(&self, policy: &str, at: Timestamp) {
        self.signal_last_success
            .with_label_values(&[policy])
            .set(seconds(at));
    }
}

fn seconds(at: Timestamp) -> f64 {
    std::time::Duration::from_millis(u64::try_from(at.as_millisecond()).unwrap_or(0)).as_secs_f64()
}
