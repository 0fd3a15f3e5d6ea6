//! A quarantined pod in words: why, what was done, what will happen when.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use serde::Serialize;

use crate::{
    core::{
        keys,
        object::Pod,
        policy::{Detach, MANUAL, Mode},
        record::{Evidence, Record},
        restore,
    },
    plugin::{
        events::{PodEvent, event_lines},
        print::{format_age, format_time, paragraphs, to_the_second},
        quarantined::{Quarantined, Requester},
        session::FoundPod,
    },
};

/// Everything that is known of a quarantined pod, in the form of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineDetails {
    /// Always true: distinguishes the two answers of `why`.
    pub quarantined: bool,
    /// The pod as it is listed.
    #[serde(flatten)]
    pub listed: Quarantined,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
    /// What the pod left: `workload` (and its Services) or `service` (its Services alone).
    pub detach: Option<Detach>,
    /// The controller that owned the pod, such as `ReplicaSet/web-7d4b9c`.
    pub owner: Option<String>,
    /// The controller that owns the pod now.
    pub owned_by: Option<String>,
    /// The edits of the pod's labels, without the agent's own.
    pub labels: Vec<RecordedEdit>,
    /// The edits of the pod's annotations, without the agent's own.
    pub annotations: Vec<RecordedEdit>,
    /// The containers that have a liveness probe.
    pub liveness_probes: Vec<String>,
    /// When a container last ended and was restarted.
    pub last_restart: Option<Timestamp>,
    /// The text of the release annotation, if the release is not carried out yet.
    pub release_asked: Option<String>,
    /// Annotations of people that cannot be read.
    pub mistakes: Vec<String>,
    /// The latest Events about the pod, oldest first.
    pub events: Vec<PodEvent>,
}

/// The edit of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordedEdit {
    pub key: String,
    /// The value before.
    pub before: Option<String>,
    /// The value written; none where the key was removed.
    pub written: Option<String>,
    /// The value now.
    pub now: Option<String>,
}

impl QuarantineDetails {
    /// Explains a pod; `None` if it does not count as quarantined.
    #[must_use]
    pub fn of(found: &FoundPod, mode: Mode, events: Vec<PodEvent>, now: Timestamp) -> Option<Self> {
        let listed = Quarantined::of(found, mode, now)?;
        let FoundPod { object, pod } = found;
        let reading = pod.record();
        let record = reading.claimed();
        let mistakes = pod.overrides().mistakes.iter().cloned();
        Some(Self {
            quarantined: true,
            listed,
            evidence: record.map(evidence).unwrap_or_default(),
            detach: record.map(|record| record.detach),
            owner: record.map(|record| format!("{}/{}", record.owner.kind, record.owner.name)),
            owned_by: pod
                .owner
                .as_ref()
                .map(|owner| format!("{}/{}", owner.kind, owner.name)),
            labels: record.map(|record| labels(pod, record)).unwrap_or_default(),
            annotations: record
                .map(|record| annotations(pod, record))
                .unwrap_or_default(),
            liveness_probes: liveness_probes(object),
            last_restart: last_restart(object),
            release_asked: pod.annotation(keys::RELEASE).map(ToOwned::to_owned),
            mistakes: mistakes.map(|mistake| mistake.message).collect(),
            events,
        })
    }

    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let listed = &self.listed;
        let Quarantined {
            namespace, name, ..
        } = listed;
        let state = match listed.quarantined_at {
            Some(at) => format!(
                "quarantined for {}, since {}",
                format_age(at, now),
                format_time(at)
            ),
            None => "quarantined".to_owned(),
        };
        paragraphs(&[
            ("Pod", vec![format!("{namespace}/{name}")]),
            ("State", vec![state]),
            ("Problem", listed.problem.iter().cloned().collect()),
            ("Policy", self.policy()),
            ("Reason", listed.reason.iter().cloned().collect()),
            ("Evidence", self.evidence_text()),
            ("Taken from", self.taken_from()),
            ("Services left", listed.services.clone()),
            ("Labels", edit_lines(&self.labels)),
            ("Annotations", edit_lines(&self.annotations)),
            ("Next", self.next(now)),
            ("Restarts", self.restarts(now)),
            ("Events", event_lines(&self.events, now)),
        ])
    }

    fn policy(&self) -> Vec<String> {
        let Some(policy) = &self.listed.policy else {
            return Vec::new();
        };
        let agent = self.listed.agent.as_deref().unwrap_or_default();
        vec![match self.listed.requester {
            Some(Requester::Person) if policy == MANUAL => {
                format!("manual (agent {agent})")
            }
            Some(Requester::Person) => {
                format!("manual; the ttl is that of policy {policy} (agent {agent})")
            }
            Some(Requester::Policy) | None => format!("{policy} (agent {agent})"),
        }]
    }

    fn evidence_text(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for sample in &self.evidence {
            lines.push(format!("{}   {}", format_time(sample.at), sample.saw));
        }
        if lines.is_empty() && self.listed.policy.is_some() {
            let none = "none: a person requested the quarantine, or the record had no room";
            lines.push(none.to_owned());
        }
        lines
    }

    fn taken_from(&self) -> Vec<String> {
        let Some(workload) = &self.listed.workload else {
            return Vec::new();
        };
        if self.detach == Some(Detach::Service) {
            return vec![format!("its Services alone; it stays in {workload}")];
        }
        let owner = match (&self.owned_by, &self.owner) {
            (Some(owner), _) => format!("{owner} still owns the pod"),
            (None, Some(owner)) => format!("{owner} no longer owns the pod"),
            (None, None) => return vec![workload.clone()],
        };
        vec![format!("{workload}; {owner}")]
    }

    /// What will happen when.
    fn next(&self, now: Timestamp) -> Vec<String> {
        let listed = &self.listed;
        if listed.terminating {
            return vec!["the pod is being deleted".to_owned()];
        }
        let mut next = Vec::new();
        match (&listed.kept_because, listed.held, listed.held_until) {
            (Some(why), ..) => next.push(format!("the pod is not deleted: {why}")),
            (None, true, None) => next.push(format!(
                "held; remove the hold with: kubectl quarantine hold {} --off",
                listed.name
            )),
            (None, true, Some(until)) => next.push(format!(
                "held for {}, until {}",
                format_age(now, until),
                format_time(until)
            )),
            (None, false, _) => {}
        }
        let deleted = next.is_empty();
        if let Some(expires) = listed.expires_at {
            let (at, left) = (format_time(expires), format_age(now, expires));
            next.push(match (deleted, expires > now) {
                (true, true) => format!("deleted in {left}, at {at}"),
                (true, false) => format!("about to be deleted: its TTL expired at {at}"),
                (false, true) => format!("its TTL expires in {left}, at {at}"),
                (false, false) => format!("its TTL expired at {at}"),
            });
        }
        if let Some(text) = &self.release_asked {
            next.push(format!(
                "its release is requested ({text:?}) and not carried out: see the Events"
            ));
        }
        next.extend(self.mistakes.iter().cloned());
        next
    }

    fn restarts(&self, now: Timestamp) -> Vec<String> {
        let mut lines = Vec::new();
        let last = match self.last_restart {
            Some(at) => format!(", the last one {} ago", format_age(at, now)),
            None => String::new(),
        };
        match self.listed.restarts {
            None => {}
            Some(0) => lines.push("none since the quarantine".to_owned()),
            Some(count) => lines.push(format!(
                "{count} since the quarantine{last}: the state in memory is lost"
            )),
        }
        lines.push(match &self.liveness_probes[..] {
            [] => "no container has a liveness probe".to_owned(),
            [name] => format!("container {name} is restarted when its liveness probe fails"),
            names => format!(
                "containers {} are restarted when their liveness probes fail",
                names.join(", ")
            ),
        });
        lines
    }
}

impl RecordedEdit {
    fn text(&self) -> String {
        let Self {
            key,
            before,
            written,
            now,
        } = self;
        let since = if now == written {
            String::new()
        } else {
            format!(", changed since: {}", value(now.as_deref()))
        };
        let (before, written) = (value(before.as_deref()), value(written.as_deref()));
        format!("{key}: {before} -> {written}{since}")
    }
}

fn value(value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{value:?}"),
        None => "none".to_owned(),
    }
}

fn edit_lines(edits: &[RecordedEdit]) -> Vec<String> {
    edits.iter().map(RecordedEdit::text).collect()
}

fn evidence(record: &Record) -> Vec<Evidence> {
    let mut samples = record.evidence.clone();
    for sample in &mut samples {
        sample.at = to_the_second(sample.at);
    }
    samples
}

fn labels(pod: &Pod, record: &Record) -> Vec<RecordedEdit> {
    let mut edits = Vec::new();
    for (key, written) in &record.edits {
        edits.push(RecordedEdit {
            key: key.to_string(),
            before: record.labels.get(key).map(ToString::to_string),
            written: written.as_ref().map(ToString::to_string),
            now: pod.labels.get(key).map(ToString::to_string),
        });
    }
    edits
}

fn annotations(pod: &Pod, record: &Record) -> Vec<RecordedEdit> {
    let mut edits = Vec::new();
    for (key, before) in &record.annotations {
        edits.push(RecordedEdit {
            key: key.to_string(),
            before: before.as_ref().map(ToString::to_string),
            written: Some(restore::preserving(key, before.as_deref()).to_string()),
            now: pod.annotation(key).map(ToOwned::to_owned),
        });
    }
    edits
}

fn liveness_probes(object: &v1::Pod) -> Vec<String> {
    let Some(spec) = &object.spec else {
        return Vec::new();
    };
    let sidecars = spec.init_containers.iter().flatten();
    let mut all = spec.containers.iter().chain(sidecars).collect::<Vec<_>>();
    all.retain(|container| container.liveness_probe.is_some());
    all.iter().map(|container| container.name.clone()).collect()
}

fn last_restart(object: &v1::Pod) -> Option<Timestamp> {
    let status = object.status.as_ref()?;
    let mut latest = None;
    for container in status.container_statuses.iter().flatten() {
        let last = container.last_state.as_ref();
        let ended = last.and_then(|last| last.terminated.as_ref());
        let at = ended.and_then(|ended| ended.finished_at.as_ref());
        latest = latest.max(at.map(|time| time.0));
    }
    latest
}
