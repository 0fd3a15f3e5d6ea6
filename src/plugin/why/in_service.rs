//! A pod that is not quarantined, in words: its verdicts, and what holds it back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use serde::Serialize;

use super::lines;
use crate::{
    cluster::read_pod,
    core::{
        explain::{Explained, Explanation, Opinion},
        keys,
    },
    plugin::{age::point, failure::Failure, paused::Paused, table::described, told::Told},
};

/// What people write on pods.
const OF_PEOPLE: [&str; 5] = [
    keys::EXEMPT,
    keys::QUARANTINE,
    keys::RELEASE,
    keys::HOLD,
    keys::TTL,
];

/// Everything that is known of a pod that is not quarantined, in the form of `-o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InService {
    /// Always false: so the two answers of `why` are told apart.
    pub quarantined: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What people wrote on it.
    pub annotations: BTreeMap<String, String>,
    /// What an agent says of it.
    pub explanation: Option<Explanation>,
    /// Why none says anything.
    pub not_asked: Option<String>,
    /// The latest Events about it, oldest first.
    pub events: Vec<Told>,
}

impl InService {
    /// Reads a pod, with what an agent says of it or why none does.
    pub fn read(
        pod: &v1::Pod,
        asked: Result<Explanation, String>,
        events: Vec<Told>,
    ) -> Result<Self, Failure> {
        let known = read_pod(pod)?;
        let (explanation, not_asked) = match asked {
            Ok(explanation) => (Some(explanation), None),
            Err(why) => (None, Some(why)),
        };
        let annotations = OF_PEOPLE.into_iter().filter_map(|key| {
            let text = known.annotation(key)?;
            Some((key.to_owned(), text.to_owned()))
        });
        Ok(Self {
            quarantined: false,
            namespace: known.key.namespace.to_string(),
            name: known.key.name.to_string(),
            uid: known.uid.to_string(),
            annotations: annotations.collect(),
            explanation,
            not_asked,
            events,
        })
    }

    /// Whether nothing explains it: no agent, nothing that people wrote, no Event of an agent.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.explanation.is_none()
            && self.annotations.is_empty()
            && !self.events.iter().any(Told::is_of_agent)
    }

    /// In words.
    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let Self {
            namespace, name, ..
        } = self;
        let pod = ("Pod", vec![format!("{namespace}/{name}")]);
        let state = ("State", vec!["not quarantined".to_owned()]);
        let mut paragraphs = vec![pod, state];
        if let Some(explanation) = &self.explanation {
            paragraphs.extend(explained(explanation));
        }
        let written = self.annotations.iter();
        let written = written.map(|(key, text)| format!("{key}: {text:?}"));
        paragraphs.push(("Annotations", written.collect()));
        paragraphs.push(("Events", lines(&self.events, now)));
        described(&paragraphs)
    }
}

/// What an agent says.
fn explained(explanation: &Explanation) -> Vec<(&'static str, Vec<String>)> {
    let Explanation {
        agent,
        acts: _,
        pause,
        stale,
        pod,
    } = explanation;
    let stale = stale.as_ref();
    let stale = stale.map(|why| format!("what it knows may be out of date: {why}"));
    let mut of_agent = vec![agent.clone()];
    of_agent.extend(stale);
    let pause = pause.iter();
    of_agent.extend(pause.map(|pause| Paused::new(agent.clone(), pause).text()));
    let Some(pod) = pod else {
        of_agent.push("it knows of no such pod".to_owned());
        return vec![("Agent", of_agent)];
    };
    let workload = match (&pod.workload, &pod.owner) {
        (Some(workload), _) => workload.clone(),
        (None, Some(owner)) => format!("{owner}, which the agent does not read or has not seen"),
        (None, None) => "none: nobody would replace it".to_owned(),
    };
    vec![
        ("Agent", of_agent),
        ("Workload", vec![workload]),
        ("Mode", mode(pod)),
        ("Exempt", exempt(pod)),
        ("By hand", by_hand(pod)),
        ("Policies", policies(pod)),
        ("Mistakes", pod.mistakes.clone()),
    ]
}

fn mode(pod: &Explained) -> Vec<String> {
    match &*pod.namespace_mode {
        "enforce" => Vec::new(),
        lowered => vec![format!("its namespace lowers it to {lowered}")],
    }
}

fn exempt(pod: &Explained) -> Vec<String> {
    let exempt = pod.exempt;
    let line = exempt.then(|| "yes: it is never quarantined".to_owned());
    line.into_iter().collect()
}

fn by_hand(pod: &Explained) -> Vec<String> {
    let asked = pod.asked.as_ref();
    let line = asked.map(|back| format!("held back by {}: {}", back.reason, back.sentence));
    line.into_iter().collect()
}

fn policies(pod: &Explained) -> Vec<String> {
    let mut lines: Vec<String> = pod.policies.iter().flat_map(opinion).collect();
    if lines.is_empty() {
        lines.push("none selects it".to_owned());
    }
    if !pod.other_policies.is_empty() {
        let others = pod.other_policies.join(", ");
        lines.push(format!("not selected by {others}"));
    }
    lines
}

fn opinion(opinion: &Opinion) -> Vec<String> {
    let Opinion {
        policy,
        mode,
        verdict,
        reason,
        evidence,
        held_back,
    } = opinion;
    let reason = reason.as_ref().map(|reason| format!(": {reason}"));
    let reason = reason.unwrap_or_default();
    let mut lines = vec![format!("{policy} (mode {mode}): {verdict}{reason}")];
    match held_back {
        Some(back) => lines.push(format!("  held back by {}: {}", back.reason, back.sentence)),
        None if verdict == "unhealthy" => {
            lines.push("  nothing holds it back: it is about to be quarantined".to_owned());
        }
        None => {}
    }
    if evidence.is_empty() {
        lines.push("  nothing was seen yet".to_owned());
    }
    let sample = evidence.iter();
    let samples = sample.map(|one| format!("  {}   {}", point(one.at), one.saw));
    lines.extend(samples);
    lines
}
