//! A pod that counts as quarantined, as it is listed.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use serde::Serialize;

use super::{failure::Failure, paused::Paused};
use crate::{
    cluster::read_pod,
    core::{
        keys,
        object::Pod,
        overrides::{self, Hold, Overrides},
        policy::Mode,
        record::{self, Reading, Record},
    },
};

/// One pod, in the form of `-o json`: part of the contract, only added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The installation that took it out, `namespace/name`.
    pub agent: Option<String>,
    /// Where it came from, such as `Deployment/web`.
    pub workload: Option<String>,
    /// The policy that asked for it.
    pub policy: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub quarantined_at: Option<Timestamp>,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
    /// Whether people hold it now.
    pub held: bool,
    /// Until when, if not for as long as they like.
    pub held_until: Option<Timestamp>,
    /// Why it is not deleted when its time is up, other than that it is held.
    pub kept_because: Option<String>,
    /// What is wrong with its record or its state label.
    pub problem: Option<String>,
    /// The mode that its namespace lowers everything to, if it does.
    pub namespace_mode: Option<String>,
    /// Whether people have paused the installation that took it out.
    pub paused: bool,
    /// The Services it left.
    pub services: Vec<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its phase.
    pub phase: Option<String>,
    /// How often its containers were restarted since.
    pub restarts: Option<u32>,
    /// Whether its deletion has begun.
    pub terminating: bool,
}

impl Quarantined {
    /// Reads a pod; `None` if it does not count as quarantined. `mode`: how far its namespace lets anything go.
    pub fn read(pod: &v1::Pod, mode: Mode, now: Timestamp) -> Result<Option<Self>, Failure> {
        let known = read_pod(pod)?;
        let reading = record::read(&known);
        if !known.has_state_label() && reading == Reading::Absent {
            return Ok(None);
        }
        let overrides = overrides::read(&known);
        let problem = problem(&known, &reading);
        let record = reading.record();
        let (status, spec) = (pod.status.as_ref(), pod.spec.as_ref());
        let kept = problem.clone().map(|(_, why)| why).or(match mode {
            Mode::Off | Mode::Observe => {
                let mode = mode.as_str();
                Some(format!("its namespace lowers the mode to {mode}"))
            }
            Mode::Enforce => None,
        });
        let text = |of: fn(&Record) -> &str| record.map(|record| of(record).to_owned());
        Ok(Some(Self {
            namespace: known.key.namespace.to_string(),
            name: known.key.name.to_string(),
            uid: known.uid.to_string(),
            agent: text(|record| &record.agent),
            workload: record.map(|record| {
                let workload = &record.workload;
                format!("{}/{}", workload.kind, workload.name)
            }),
            policy: text(|record| &record.policy),
            reason: text(|record| &record.reason),
            quarantined_at: record.map(|record| record.at),
            expires_at: record.map(|record| expires(record, &overrides)),
            held: overrides.hold.holds(now),
            held_until: match overrides.hold {
                Hold::Until(end) if end > now => Some(end),
                Hold::Until(_) | Hold::Open | Hold::No => None,
            },
            kept_because: kept,
            problem: problem.map(|(what, _)| what),
            namespace_mode: (mode < Mode::Enforce).then(|| mode.as_str().to_owned()),
            paused: false,
            services: record
                .into_iter()
                .flat_map(|record| &record.services)
                .map(ToString::to_string)
                .collect(),
            node: spec.and_then(|spec| spec.node_name.clone()),
            phase: status.and_then(|status| status.phase.clone()),
            restarts: record.map(|record| known.restarts.saturating_sub(record.restarts)),
            terminating: known.terminating,
        }))
    }

    /// Notes whether its installation is one of those that are paused.
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

/// What is wrong, and what follows: none of these is ever reaped.
fn problem(pod: &Pod, reading: &Reading) -> Option<(String, String)> {
    let nobody = "nothing tells how it was: it counts, and is never deleted";
    match reading {
        Reading::Absent => Some(("record missing".to_owned(), nobody.to_owned())),
        Reading::Damaged(why) => Some((format!("record damaged: {why}"), nobody.to_owned())),
        Reading::Newer(version, _) => Some((
            format!("record of the newer version {version}"),
            "a newer agent wrote its record: only force releases it, and nothing deletes it"
                .to_owned(),
        )),
        Reading::Readable(_) if !pod.has_state_label() => Some((
            "state label taken off".to_owned(),
            format!(
                "{} was taken off: it counts until it is released",
                keys::STATE
            ),
        )),
        Reading::Readable(_) => None,
    }
}

/// When its time is up: what people wrote comes before the record, if it can be read.
fn expires(record: &Record, overrides: &Overrides) -> Timestamp {
    let overridden = overrides.ttl.map(|ttl| record.at.checked_add(ttl));
    match overridden {
        Some(expires) => expires.unwrap_or(Timestamp::MAX),
        None => record.expires,
    }
}
