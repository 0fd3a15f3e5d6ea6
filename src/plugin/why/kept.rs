//! A quarantined pod in words: why, what was done, what will happen when.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use serde::Serialize;

use super::lines;
use crate::{
    cluster::read_pod,
    core::{
        keys,
        object::Pod,
        overrides,
        policy::{Detach, Mode},
        record::{self, Evidence, Record},
        restore,
    },
    plugin::{
        age::{between, point},
        failure::Failure,
        quarantined::Quarantined,
        table::described,
        told::Told,
    },
};

/// Everything that a quarantined pod tells, in the form of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Always true: so the two answers of `why` are told apart.
    pub quarantined: bool,
    /// As it is listed.
    #[serde(flatten)]
    pub listed: Quarantined,
    /// The last samples, oldest first.
    pub evidence: Vec<Evidence>,
    /// What it was taken out of: `workload` (its Services too) or `service` (its Services alone).
    pub detach: Option<Detach>,
    /// The controller that it had, such as `ReplicaSet/web-7d4b9c`.
    pub owner: Option<String>,
    /// The controller that owns it now.
    pub owned_by: Option<String>,
    /// What was done to its labels, the agent's own aside.
    pub labels: Vec<Edit>,
    /// What was done to its annotations likewise.
    pub annotations: Vec<Edit>,
    /// The containers that have a liveness probe.
    pub liveness_probes: Vec<String>,
    /// When a container ended last and was restarted.
    pub last_restart: Option<Timestamp>,
    /// What people asked for and was not done yet: the release annotation's text.
    pub release_asked: Option<String>,
    /// What people wrote on it and cannot be read.
    pub mistakes: Vec<String>,
    /// The latest Events about it, oldest first.
    pub events: Vec<Told>,
}

/// What was done to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The key.
    pub key: String,
    /// What stood there.
    pub before: Option<String>,
    /// What was written; none where it was removed.
    pub written: Option<String>,
    /// What stands there now.
    pub now: Option<String>,
}

impl Kept {
    /// Reads a pod; `None` if it does not count as quarantined.
    pub fn read(
        pod: &v1::Pod,
        mode: Mode,
        events: Vec<Told>,
        now: Timestamp,
    ) -> Result<Option<Self>, Failure> {
        let Some(listed) = Quarantined::read(pod, mode, now)? else {
            return Ok(None);
        };
        let known = read_pod(pod)?;
        let reading = record::read(&known);
        let record = reading.record();
        let release = known.annotation(keys::RELEASE);
        let mistakes = overrides::read(&known).mistakes.into_iter();
        Ok(Some(Self {
            quarantined: true,
            listed,
            evidence: record.map_or_else(Vec::new, |record| record.evidence.clone()),
            detach: record.map(|record| record.detach),
            owner: record.map(|record| format!("{}/{}", record.owner.kind, record.owner.name)),
            owned_by: known
                .owner
                .as_ref()
                .map(|owner| format!("{}/{}", owner.kind, owner.name)),
            labels: record.map_or_else(Vec::new, |record| labels(&known, record)),
            annotations: record.map_or_else(Vec::new, |record| annotations(&known, record)),
            liveness_probes: liveness_probes(pod),
            last_restart: last_restart(pod),
            release_asked: release.map(ToOwned::to_owned),
            mistakes: mistakes.map(|mistake| mistake.message).collect(),
            events,
        }))
    }

    /// In words.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let listed = &self.listed;
        let Quarantined {
            namespace, name, ..
        } = listed;
        let since = listed.quarantined_at;
        let since = since.map(|at| format!(" for {}, since {}", between(at, now), point(at)));
        let state = format!("quarantined{}", since.unwrap_or_default());
        let policy = listed.policy.as_ref().map(|policy| {
            let agent = listed.agent.as_deref().unwrap_or_default();
            format!("{policy} (agent {agent})")
        });
        let edits = |edits: &[Edit]| edits.iter().map(Edit::text).collect();
        described(&[
            ("Pod", vec![format!("{namespace}/{name}")]),
            ("State", vec![state]),
            ("Problem", listed.problem.iter().cloned().collect()),
            ("Policy", policy.into_iter().collect()),
            ("Reason", listed.reason.iter().cloned().collect()),
            ("Evidence", self.evidence_text()),
            ("Taken from", self.taken_from()),
            ("Services left", listed.services.clone()),
            ("Labels", edits(&self.labels)),
            ("Annotations", edits(&self.annotations)),
            ("Next", self.next(now)),
            ("Restarts", self.restarts(now)),
            ("Events", lines(&self.events, now)),
        ])
    }

    fn evidence_text(&self) -> Vec<String> {
        let sample = |one: &Evidence| format!("{}   {}", point(one.at), one.saw);
        let lines: Vec<String> = self.evidence.iter().map(sample).collect();
        if lines.is_empty() && self.listed.policy.is_some() {
            return vec!["none: people asked for it, or the record had no room".to_owned()];
        }
        lines
    }

    fn taken_from(&self) -> Vec<String> {
        let Some(workload) = &self.listed.workload else {
            return Vec::new();
        };
        if self.detach == Some(Detach::Service) {
            return vec![format!("its Services alone; {workload} keeps it")];
        }
        let owner = match (&self.owned_by, &self.owner) {
            (Some(owner), _) => format!("{owner} still owns it"),
            (None, Some(owner)) => format!("{owner} has let it go"),
            (None, None) => return vec![workload.clone()],
        };
        vec![format!("{workload}; {owner}")]
    }

    /// What will happen when.
    fn next(&self, now: Timestamp) -> Vec<String> {
        let listed = &self.listed;
        if listed.terminating {
            return vec!["it is being deleted".to_owned()];
        }
        let name = &listed.name;
        let mut next = Vec::new();
        match (&listed.kept_because, listed.held, listed.held_until) {
            (Some(why), ..) => next.push(format!("it is not deleted: {why}")),
            (None, true, None) => next.push(format!(
                "held; let go of it with: kubectl quarantine hold {name} --off"
            )),
            (None, true, Some(until)) => next.push(format!(
                "held for {}, until {}",
                between(now, until),
                point(until)
            )),
            (None, false, _) => {}
        }
        let deleted = next.is_empty();
        next.extend(listed.expires_at.map(|expires| {
            let (at, left) = (point(expires), between(now, expires));
            match (deleted, expires > now) {
                (true, true) => format!("deleted in {left}, at {at}"),
                (true, false) => format!("to be deleted: its time was up at {at}"),
                (false, true) => format!("its time is up in {left}, at {at}"),
                (false, false) => format!("its time was up at {at}"),
            }
        }));
        next.extend(self.release_asked.as_ref().map(|text| {
            format!("its release is asked for ({text:?}) and not carried out: see the Events")
        }));
        next.extend(self.mistakes.iter().cloned());
        next
    }

    fn restarts(&self, now: Timestamp) -> Vec<String> {
        let restarts = match (self.listed.restarts, self.last_restart) {
            (None, _) => Vec::new(),
            (Some(0), _) => vec!["none since it was quarantined".to_owned()],
            (Some(count), last) => {
                let last = last.map(|at| format!(", the last one {} ago", between(at, now)));
                let last = last.unwrap_or_default();
                vec![format!(
                    "{count} since it was quarantined{last}: what was in memory is lost"
                )]
            }
        };
        let probes = match &self.liveness_probes[..] {
            [] => "no container has a liveness probe".to_owned(),
            [name] => format!("container {name} is restarted when its liveness probe fails"),
            names => format!(
                "containers {} are restarted when their liveness probes fail",
                names.join(", ")
            ),
        };
        restarts.into_iter().chain([probes]).collect()
    }
}

impl Edit {
    fn text(&self) -> String {
        let value = |value: &Option<String>| match value {
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        };
        let since = if self.now == self.written {
            String::new()
        } else {
            format!(", changed since: {}", value(&self.now))
        };
        let (before, written) = (value(&self.before), value(&self.written));
        format!("{}: {before} -> {written}{since}", self.key)
    }
}

fn labels(pod: &Pod, record: &Record) -> Vec<Edit> {
    let edit = |(key, written): (&std::sync::Arc<str>, &Option<std::sync::Arc<str>>)| Edit {
        key: key.to_string(),
        before: record.labels.get(key).map(ToString::to_string),
        written: written.as_ref().map(ToString::to_string),
        now: pod.labels.get(key).map(ToString::to_string),
    };
    record.edits.iter().map(edit).collect()
}

fn annotations(pod: &Pod, record: &Record) -> Vec<Edit> {
    let edit = |(key, before): (&std::sync::Arc<str>, &Option<std::sync::Arc<str>>)| Edit {
        key: key.to_string(),
        before: before.as_ref().map(ToString::to_string),
        written: Some(restore::preserving(key, before.as_deref()).to_string()),
        now: pod.annotation(key).map(ToOwned::to_owned),
    };
    record.annotations.iter().map(edit).collect()
}

fn liveness_probes(pod: &v1::Pod) -> Vec<String> {
    let spec = pod.spec.as_ref();
    let beside = spec.and_then(|spec| spec.init_containers.as_ref());
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let all = containers.chain(beside.into_iter().flatten());
    all.filter(|container| container.liveness_probe.is_some())
        .map(|container| container.name.clone())
        .collect()
}

fn last_restart(pod: &v1::Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let ended = |container: &v1::ContainerStatus| {
        let last = container.last_state.as_ref()?.terminated.as_ref()?;
        last.finished_at.as_ref().map(|time| time.0)
    };
    let containers = status.container_statuses.iter().flatten();
    containers.filter_map(ended).max()
}
