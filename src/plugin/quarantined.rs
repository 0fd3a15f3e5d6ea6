//! A pod that counts as quarantined, as it is listed.

use jiff::Timestamp;
use serde::Serialize;

use super::{paused::Paused, print::serialize_time, session::FoundPod};
use crate::core::{
    keys,
    object::Pod,
    overrides::{Hold, Overrides},
    policy::Mode,
    record::{Record, RecordState},
};

/// One pod, in the form of `-o json`: programs read it, so that fields are only added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The agent that quarantined the pod, `namespace/name`.
    pub agent: Option<String>,
    /// The workload that the pod came from, such as `Deployment/web`.
    pub workload: Option<String>,
    /// The policy whose ttl applies: also of a pod that a person quarantined, if a policy selects the pod.
    pub policy: Option<String>,
    /// Who requested the quarantine, where that is known.
    #[serde(skip)]
    pub requester: Option<Requester>,
    /// Why the pod was quarantined.
    pub reason: Option<String>,
    /// When the pod was quarantined.
    #[serde(serialize_with = "serialize_time")]
    pub quarantined_at: Option<Timestamp>,
    #[serde(serialize_with = "serialize_time")]
    pub expires_at: Option<Timestamp>,
    /// Whether people hold the pod now.
    pub held: bool,
    /// When the hold ends, if it does.
    #[serde(serialize_with = "serialize_time")]
    pub held_until: Option<Timestamp>,
    /// Why the pod is not deleted when its TTL expires, other than that it is held.
    pub kept_because: Option<String>,
    /// What is wrong with the pod's record or state label.
    pub problem: Option<String>,
    /// The mode that the namespace lowers everything to, if it does.
    pub namespace_mode: Option<String>,
    /// Whether people have paused the agent that quarantined the pod.
    pub paused: bool,
    /// The Services that the pod left.
    pub services: Vec<String>,
    pub node: Option<String>,
    pub phase: Option<String>,
    /// How often the pod's containers were restarted since the quarantine.
    pub restarts: Option<u32>,
    /// Whether the pod's deletion has begun.
    pub terminating: bool,
    /// How the quarantine has ended, `released` or `deleted`: only a watch prints such a pod.
    pub ended: Option<&'static str>,
}

/// Who requests a quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A policy, by its signal.
    Policy,
    /// A person, by an annotation.
    Person,
}

impl Quarantined {
    /// A pod as it is listed; `None` if it does not count as quarantined. `mode`: the mode that its namespace allows.
    #[must_use]
    pub fn of(found: &FoundPod, mode: Mode, now: Timestamp) -> Option<Self> {
        let FoundPod { object, pod } = found;
        let reading = pod.record();
        if !pod.has_state_label() && *reading == RecordState::Absent {
            return None;
        }
        let overrides = pod.overrides();
        let record = reading.claimed();
        let (status, spec) = (object.status.as_ref(), object.spec.as_ref());
        let (problem, mut kept_because) = problem(pod, reading).unzip();
        let namespace_mode = match mode {
            Mode::Off | Mode::Observe => Some(mode.as_str().to_owned()),
            Mode::Enforce => None,
        };
        if let (None, Some(mode)) = (&kept_because, &namespace_mode) {
            kept_because = Some(format!("the namespace lowers the mode to {mode}"));
        }
        let text = |of: fn(&Record) -> &str| record.map(|record| of(record).to_owned());
        Some(Self {
            namespace: pod.key.namespace.to_string(),
            name: pod.key.name.to_string(),
            uid: pod.uid.to_string(),
            agent: text(|record| &record.agent),
            workload: record.map(|record| {
                let workload = &record.workload;
                format!("{}/{}", workload.kind, workload.name)
            }),
            policy: text(|record| &record.policy),
            requester: record.map(requester),
            reason: text(|record| &record.reason),
            quarantined_at: record.map(|record| record.at),
            expires_at: record.map(|record| expires(record, overrides)),
            held: overrides.hold.holds(now),
            held_until: match overrides.hold {
                Hold::Until(end) if end > now => Some(end),
                Hold::Until(_) | Hold::Open | Hold::No => None,
            },
            kept_because,
            problem,
            namespace_mode,
            paused: false,
            services: record
                .into_iter()
                .flat_map(|record| &record.services)
                .map(ToString::to_string)
                .collect(),
            node: spec.and_then(|spec| spec.node_name.clone()),
            phase: status.and_then(|status| status.phase.clone()),
            restarts: record.map(|record| pod.restarts.saturating_sub(record.restarts)),
            terminating: pod.terminating,
            ended: None,
        })
    }

    /// Sets whether its agent is among the paused ones.
    #[must_use]
    pub fn noting_pauses(mut self, paused: &[Paused]) -> Self {
        let agent = self.agent.as_deref();
        if let Some(pause) = paused.iter().find(|one| Some(&*one.agent) == agent) {
            self.paused = true;
            self.kept_because.get_or_insert_with(|| pause.why());
        }
        self
    }
}

fn requester(record: &Record) -> Requester {
    if record.manual {
        Requester::Person
    } else {
        Requester::Policy
    }
}

/// What is wrong, and the consequence: no such pod is ever reaped.
fn problem(pod: &Pod, reading: &RecordState) -> Option<(String, String)> {
    let unknown =
        "its original labels are unknown: the pod counts against the limits, and is never deleted";
    match reading {
        RecordState::Absent => Some(("record missing".to_owned(), unknown.to_owned())),
        RecordState::Damaged(why) => Some((format!("record damaged: {why}"), unknown.to_owned())),
        RecordState::Newer(version, _) => Some((
            format!("record of the newer version {version}"),
            "a newer agent wrote its record: only a forced release works, and the pod is never deleted"
                .to_owned(),
        )),
        RecordState::Readable(_) if !pod.has_state_label() => Some((
            "state label removed".to_owned(),
            format!(
                "the label {} was removed: the pod counts against the limits until it is released",
                keys::STATE
            ),
        )),
        RecordState::Readable(_) => None,
    }
}

/// When the TTL expires: a ttl annotation that can be read comes before the record.
fn expires(record: &Record, overrides: &Overrides) -> Timestamp {
    let overridden = overrides.ttl.map(|ttl| record.at.checked_add(ttl));
    match overridden {
        Some(expires) => expires.unwrap_or(Timestamp::MAX),
        None => record.expires,
    }
}
