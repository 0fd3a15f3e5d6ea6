//! The gauges of state: set again on each tick, only by the agent that acts.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use prometheus::{GaugeVec, IntGaugeVec};

use super::{registrar::Registrar, seconds};
use crate::core::{
    decide::State,
    ledger::LedgerView,
    object::{ControllerKind, ObjectKey},
    policy::{Detach, PolicyFile},
    tally::Tally,
    view::View,
};

pub struct StateNow<'a> {
    pub view: &'a View,
    pub file: &'a PolicyFile,
    pub state: &'a State,
    /// How many pods each policy finds past its threshold.
    pub unhealthy: &'a BTreeMap<Arc<str>, i64>,
    pub wall: Timestamp,
}

pub(super) struct StateGauges {
    quarantined_pods: IntGaugeVec,
    quarantined_pod_expires: GaugeVec,
    quarantined_pod_restarts: IntGaugeVec,
    unhealthy_pods: IntGaugeVec,
    limit: IntGaugeVec,
    limit_used: IntGaugeVec,
    storm_active: IntGaugeVec,
    unreadable_objects: IntGaugeVec,
    paused: IntGaugeVec,
}

impl StateGauges {
    pub(super) fn new(registrar: &Registrar) -> prometheus::Result<Self> {
        let by_policy = &["namespace", "policy"];
        let by_pod = &["namespace", "pod", "workload", "policy"];
        let scope = &["scope", "namespace", "workload"];
        Ok(Self {
            quarantined_pods: registrar.gauge(
                "quarantined_pods",
                "Pods that are quarantined now.",
                by_policy,
            )?,
            quarantined_pod_expires: registrar.time_of(
                "quarantined_pod_expires_timestamp_seconds",
                "When the TTL of each quarantined pod expires, as its record says.",
                by_pod,
            )?,
            quarantined_pod_restarts: registrar.gauge(
                "quarantined_pod_restarts",
                "How often the containers of each quarantined pod were restarted since the quarantine.",
                by_pod,
            )?,
            unhealthy_pods: registrar.gauge(
                "unhealthy_pods",
                "Pods past the threshold now, acted on or not.",
                &["policy"],
            )?,
            limit: registrar.gauge(
                "limit",
                "How many pods may be quarantined at once; of the scope hour, within an hour.",
                scope,
            )?,
            limit_used: registrar.gauge(
                "limit_used",
                "How many pods are quarantined, or about to be.",
                scope,
            )?,
            storm_active: registrar.gauge(
                "storm_active",
                "The number of storms, in which too many pods are unhealthy at once: nothing new is quarantined there.",
                &["scope"],
            )?,
            unreadable_objects: registrar.gauge(
                "unreadable_objects",
                "Objects that cannot be read: what they may select counts as in the way.",
                &["kind"],
            )?,
            paused: registrar.gauge(
                "paused",
                "1 while people have paused the agent: nothing is quarantined and nothing is reaped.",
                &[],
            )?,
        })
    }

    pub(super) fn reset(&self) {
        let Self {
            quarantined_pods,
            quarantined_pod_expires,
            quarantined_pod_restarts,
            unhealthy_pods,
            limit,
            limit_used,
            storm_active,
            unreadable_objects,
            paused,
        } = self;
        quarantined_pod_expires.reset();
        for gauge in [
            quarantined_pods,
            quarantined_pod_restarts,
            unhealthy_pods,
            limit,
            limit_used,
            storm_active,
            unreadable_objects,
            paused,
        ] {
            gauge.reset();
        }
    }

    pub(super) fn set(&self, now: &StateNow<'_>) {
        let StateNow {
            view,
            file,
            state,
            unhealthy,
            wall,
        } = *now;
        self.reset();
        for (scope, count) in state.storms() {
            self.storm_active.with_label_values(&[scope]).set(count);
        }
        let paused = view.pause().is_some();
        self.paused
            .with_label_values::<&str>(&[])
            .set(paused.into());
        for policy in &file.policies {
            let count = unhealthy.get(&policy.name).copied().unwrap_or(0);
            self.unhealthy_pods
                .with_label_values(&[&*policy.name])
                .set(count);
        }
        for (kind, count) in view.unreadable() {
            self.unreadable_objects
                .with_label_values(&[kind])
                .set(count);
        }
        self.quarantined(view);
        let LedgerView::Present(ledger) = &view.ledger else {
            return;
        };
        let tally = Tally::count(view, ledger, &file.limits, wall);
        let set = |scope: &str, namespace: &str, workload: &str, used: u32, max: u32| {
            let labels = [scope, namespace, workload];
            self.limit_used.with_label_values(&labels).set(used.into());
            self.limit.with_label_values(&labels).set(max.into());
        };
        let limits = &file.limits;
        set("cluster", "", "", tally.cluster, limits.cluster.max);
        set(
            "hour",
            "",
            "",
            tally.within_an_hour,
            limits.cluster.per_hour,
        );
        for (namespace, used) in &tally.namespaces {
            set("namespace", namespace, "", *used, limits.namespace.max);
        }
        for (workload, used) in &tally.workloads {
            let Some(controller) = view.controller_of_uid(workload.as_str()) else {
                continue;
            };
            let detach = match controller.kind {
                ControllerKind::Deployment | ControllerKind::ReplicaSet => Detach::Workload,
                ControllerKind::StatefulSet | ControllerKind::DaemonSet => Detach::Service,
            };
            let max = limits.of_workload(controller.desired, detach);
            let ObjectKey { namespace, name } = &controller.key;
            set("workload", namespace, name, *used, max);
        }
    }

    /// Only of a record that the ledger knows does each value become a label: anyone may write a record.
    fn quarantined(&self, view: &View) {
        let ledger = view.ledger.present();
        for pod in view.tracked().filter(|pod| pod.counts_as_quarantined()) {
            let namespace = &*pod.key.namespace;
            let known = ledger.and_then(|ledger| ledger.known(pod));
            let Some(record) = known.map(|known| known.record()) else {
                self.quarantined_pods
                    .with_label_values(&[namespace, ""])
                    .inc();
                continue;
            };
            let policy = &*record.policy;
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
}
