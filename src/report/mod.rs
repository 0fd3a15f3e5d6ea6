//! The agent's reports: metrics, Events and log, always together.

mod event_queue;
pub mod events;
pub mod explain;
pub mod health;
pub mod http;
pub mod metrics;
pub mod publisher;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use pod_quarantine_writer::Effect;
use tracing::{debug, info, warn};

use self::{health::Health, metrics::Metrics, publisher::Publisher};
use crate::{
    core::{
        ledger::{Note, Slot},
        lookup::DrainQuery,
        notice::{Notice, Notification, RefusedPod},
        write::{Quarantine, Reap, Release},
    },
    signal::{Observer, SignalEvent},
};

/// The longest time from a decision to the answer of its patch.
const MEASURED_WITHIN: Duration = Duration::from_secs(30);

/// Reports what the agent does, and what it refuses to do.
#[derive(Clone)]
pub struct Report {
    pub metrics: Arc<Metrics>,
    pub publisher: Publisher,
}

impl Report {
    /// Reports a notice, which changes nothing.
    pub fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Refused(refused) => self.refused(refused),
            Notice::Notify(notification) => self.notified(notification),
        }
    }

    pub fn effect(&self, effect: &Effect) {
        match effect {
            Effect::Quarantined(quarantine) => self.quarantined(quarantine),
            Effect::Accepted(_) => {}
            // The next decision reports it, if the write is still wanted then.
            Effect::Denied(pod, act, refusal) => {
                let (pod, act) = (pod.key.to_string(), act.as_str());
                debug!(pod, act, %refusal, "denied");
            }
            Effect::Failed(pod, act, why) => {
                self.write_failed(&format!("{} {}: {why}", act.as_str(), pod.key));
            }
            Effect::Released(release) => self.released(release),
            Effect::Reaped(reap) => self.reaped(reap),
            Effect::Noted(note) => self.noted(note),
        }
    }

    fn refused(&self, refused: &RefusedPod) {
        let RefusedPod {
            pod,
            policy,
            asked,
            refusal,
            ..
        } = refused;
        info!(
            namespace = &*pod.namespace,
            pod = &*pod.name,
            policy = &**policy,
            reason = refusal.reason.as_str(),
            asked = &**asked,
            detail = refusal.detail,
            "not quarantined"
        );
        self.metrics.refusal(policy, refusal.reason);
        self.publisher.publish(events::refused(refused));
    }

    fn notified(&self, notification: &Notification) {
        warn!(
            namespace = &*notification.namespace,
            pod = notification.pod.as_deref(),
            reason = notification.topic.as_str(),
            about = %notification.about,
            "{}",
            notification.message
        );
        self.metrics.notification(notification);
        self.publisher.publish(events::notified(notification));
    }

    fn quarantined(&self, quarantine: &Quarantine) {
        let (pod, record) = (&quarantine.pod.key, &quarantine.record);
        info!(
            namespace = &*pod.namespace,
            pod = &*pod.name,
            policy = &*record.policy,
            reason = &*record.reason,
            workload = %record.workload,
            expires = %record.expires,
            again = quarantine.again,
            "quarantined"
        );
        let left = quarantine.network_policies_left;
        self.metrics
            .network_policies_left(&pod.namespace, &record.policy, left);
        if !quarantine.again {
            self.metrics.quarantine(&pod.namespace, &record.policy);
        }
        self.publisher.publish(events::quarantined(quarantine));
    }

    fn released(&self, release: &Release) {
        let (pod, policy, cause) = (&release.pod.key, &release.policy, release.cause.as_str());
        info!(
            namespace = &*pod.namespace,
            pod = &*pod.name,
            policy = &**policy,
            reason = cause,
            "released"
        );
        self.metrics.release(&pod.namespace, policy, cause);
        self.publisher.publish(events::released(release));
    }

    fn reaped(&self, reap: &Reap) {
        let (pod, policy) = (&reap.pod.key, &reap.policy);
        info!(
            namespace = &*pod.namespace,
            pod = &*pod.name,
            policy = &**policy,
            why = reap.why,
            "reaped"
        );
        self.metrics.reap(&pod.namespace, policy);
        self.publisher.publish(events::reaped(reap));
    }

    /// A quarantined pod is out of the slices of its Services. Quarantines before the start of this agent are not measured.
    pub fn drained(&self, query: &DrainQuery, took: Duration) {
        let began = SignedDuration::try_from(took + MEASURED_WITHIN).unwrap_or(SignedDuration::MAX);
        if Timestamp::now().duration_since(query.at) <= began {
            self.metrics.drained(&query.policy, took);
        }
    }

    fn noted(&self, note: &Note) {
        match note {
            Note::Replaced(slot) => self.replaced(slot),
            Note::StormBegan(storm) => {
                warn!(
                    place = &*storm.name,
                    "a storm has begun: too many pods are unhealthy at once"
                );
            }
            Note::StormEnded(scope) => {
                info!(%scope, "the storm is over");
            }
            Note::Expires(_) | Note::Forgotten(_) => {}
        }
    }

    fn replaced(&self, slot: &Slot) {
        let replaced = slot.replaced.unwrap_or(slot.at);
        let took = Duration::try_from(replaced.duration_since(slot.at)).unwrap_or_default();
        info!(
            namespace = &*slot.namespace,
            pod = &*slot.name,
            policy = &*slot.policy,
            seconds = to_the_millisecond(took),
            "the pod's replacement is Ready"
        );
        self.metrics.replaced(&slot.policy, took);
    }

    pub fn write_failed(&self, failure: &str) {
        warn!(failure, "a write failed; the next tick decides again");
        self.metrics.write_failed();
    }
}

/// Seconds for the log: what is below a millisecond says nothing, and makes a long number.
fn to_the_millisecond(took: Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Records the events of the signals.
pub struct SignalReport {
    pub metrics: Arc<Metrics>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_seconds_with_three_decimals() {
        let took = Duration::from_nanos(1_693_798_091);
        assert_eq!(to_the_millisecond(took).to_string(), "1.694");
        assert_eq!(to_the_millisecond(Duration::from_secs(2)).to_string(), "2");
    }
}
