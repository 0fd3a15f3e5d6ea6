//! What the agent tells: metrics, Events and log, always together.

pub mod events;
pub mod explain;
pub mod health;
pub mod http;
pub mod metrics;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pod_quarantine_writer::Effect;
use tracing::{debug, info, warn};

use self::{events::Events, health::Health, metrics::Metrics};
use crate::{
    core::{
        action::{Action, Follow, Notice, Quarantine, Reap, Refusal, Release},
        ledger::{Note, Slot},
        policy::Detach,
    },
    signal::{Observer, SignalEvent},
};

/// From the decision to the answer of the patch, at most.
const MEASURED_WITHIN: Duration = Duration::from_secs(30);

/// Tells everything that is done, and everything that is not.
#[derive(Clone)]
pub struct Report {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `kubectl describe`.
    pub events: Events,
}

impl Report {
    /// Tells what a decision says without doing anything.
    pub fn decided(&self, action: &Action) {
        match action {
            Action::Refuse(refusal) => self.refused(refusal),
            Action::Tell(notice) => self.notice(notice),
            _ => {}
        }
    }

    /// Tells what was done.
    pub fn effect(&self, effect: &Effect) {
        match effect {
            Effect::Quarantined(quarantine) => self.quarantined(quarantine),
            // The next decision tells, if the pod is still to be quarantined then.
            Effect::Accepted(_) | Effect::Refused(..) => {}
            Effect::Released(release) => self.released(release),
            Effect::Reaped(reap) => self.reaped(reap),
            Effect::Noted(note) => self.noted(note),
        }
    }

    fn refused(&self, refusal: &Refusal) {
        let Refusal {
            pod,
            policy,
            reason,
            ..
        } = refusal;
        info!(
            namespace = &*pod.namespace,
            pod = &*pod.name,
            policy = &**policy,
            reason = reason.as_str(),
            asked = &*refusal.asked,
            detail = refusal.detail,
            "not quarantined"
        );
        self.metrics.refusal(policy, *reason);
        self.events.refused(refusal);
    }

    fn notice(&self, notice: &Notice) {
        warn!(
            namespace = &*notice.namespace,
            pod = notice.pod.as_deref(),
            reason = notice.topic.as_str(),
            about = %notice.about,
            "{}",
            notice.message
        );
        self.metrics.notice(notice);
        self.events.notice(notice);
    }

    fn quarantined(&self, quarantine: &Quarantine) {
        let (pod, record) = (&quarantine.pod, &quarantine.record);
        self.metrics.network_policies_left(
            &pod.key.namespace,
            &record.policy,
            quarantine.network_policies_left,
        );
        info!(
            namespace = &*pod.key.namespace,
            pod = &*pod.key.name,
            policy = &*record.policy,
            reason = &*record.reason,
            workload = %record.workload,
            expires = %record.expires,
            again = quarantine.again,
            "quarantined"
        );
        if !quarantine.again {
            self.metrics.quarantine(&pod.key.namespace, &record.policy);
        }
        let services = in_brackets("its Services", &record.services);
        let out = match (record.detach, services) {
            (Detach::Workload, None) => record.workload.to_string(),
            (Detach::Workload, Some(services)) => format!("{} and {services}", record.workload),
            (Detach::Service, services) => {
                let services = services.unwrap_or_else(|| "what it was behind".to_owned());
                format!("{services}, not out of {}", record.workload)
            }
        };
        let again = if quarantine.again { "again " } else { "" };
        let missed = match quarantine.missed.len() {
            0 => String::new(),
            _ => format!("; it could not be helped: {}", quarantine.missed.join(", ")),
        };
        let note = format!(
            "policy {}: {}. Taken out {again}of {out}, kept until {}{missed}",
            record.policy, record.reason, record.expires
        );
        self.events
            .quarantined(&pod.key, &pod.uid, quarantine.again, &note);
    }

    fn released(&self, release: &Release) {
        let (pod, policy) = (&release.pod, &release.policy);
        info!(
            namespace = &*pod.key.namespace,
            pod = &*pod.key.name,
            policy = &**policy,
            reason = release.cause,
            "released"
        );
        self.metrics
            .release(&pod.key.namespace, policy, release.cause);
        let left = match release.left.len() {
            0 => String::new(),
            _ => format!("; left as others changed them: {}", release.left.join(", ")),
        };
        let services = in_brackets("its Services", &release.services);
        let into = match (release.detach, services) {
            (Detach::Service, Some(services)) => services,
            (Detach::Workload, _) | (_, None) => release.workload.to_string(),
        };
        let follows = release.follows.as_ref();
        let follows = follows.map_or_else(String::new, |follows| format!(", by force: {follows}"));
        let note = format!("put back into {into}{follows}{left}");
        self.events.released(&pod.key, &pod.uid, &note);
    }

    fn reaped(&self, reap: &Reap) {
        let (pod, policy) = (&reap.pod, &reap.policy);
        info!(
            namespace = &*pod.key.namespace,
            pod = &*pod.key.name,
            policy = &**policy,
            why = reap.why,
            "reaped"
        );
        self.metrics.reap(&pod.key.namespace, policy);
        let note = format!("deleted: {}", reap.why);
        self.events.reaped(&pod.key, &pod.uid, &note);
    }

    /// A quarantined pod is out of the slices of its Services. What was done before this agent began is not measured.
    pub fn drained(&self, follow: &Follow, took: Duration) {
        let began = SignedDuration::try_from(took + MEASURED_WITHIN).unwrap_or(SignedDuration::MAX);
        if Timestamp::now().duration_since(follow.at) <= began {
            self.metrics.drained(&follow.policy, took);
        }
    }

    fn noted(&self, note: &Note) {
        match note {
            Note::Replaced(slot) => self.replaced(slot),
            Note::Counted(slot) => warn!(
                namespace = &*slot.namespace,
                pod = &*slot.name,
                "quarantined, and without a slot in the ledger until now: it is neither reaped nor released by itself"
            ),
            Note::StormBegan(_, storm) => {
                warn!(place = &*storm.place, "too many pods are unhealthy");
            }
            Note::StormEnded(scope) => info!(?scope, "no longer too many pods are unhealthy"),
            Note::Forgotten(_) => {}
        }
    }

    fn replaced(&self, slot: &Slot) {
        let replaced = slot.replaced.unwrap_or(slot.at);
        let took = Duration::try_from(replaced.duration_since(slot.at)).unwrap_or_default();
        info!(
            namespace = &*slot.namespace,
            pod = &*slot.name,
            policy = &*slot.policy,
            seconds = took.as_secs_f64(),
            "its replacement is Ready"
        );
        self.metrics.replaced(&slot.policy, took);
    }

    /// A write failed.
    pub fn failed(&self, failure: &str) {
        warn!(failure, "a write failed; the next tick decides again");
        self.metrics.write_failed();
    }
}

/// What, and which, unless there are none.
fn in_brackets(what: &str, names: &[Arc<str>]) -> Option<String> {
    (!names.is_empty()).then(|| format!("{what} ({})", names.join(", ")))
}

/// A refusal as one sentence.
fn sentence(refusal: &Refusal) -> String {
    let Refusal {
        policy,
        asked,
        reason,
        detail,
        ..
    } = refusal;
    let colon = if detail.is_empty() { "" } else { ": " };
    format!("policy {policy} ({asked}): {reason}{colon}{detail}")
}

/// Records what happens to the signals.
pub struct SignalReport {
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For `/healthz`.
    pub health: Arc<Health>,
}

impl Observer for SignalReport {
    fn observe(&self, policy: &str, event: SignalEvent) {
        if let SignalEvent::Error(cause) = event {
            debug!(policy, cause = cause.as_str(), "no answer that counts");
        }
        self.metrics.observe_signal(policy, event, Timestamp::now());
    }

    fn beat(&self, task: &str) {
        self.health.beat(task);
    }
}
