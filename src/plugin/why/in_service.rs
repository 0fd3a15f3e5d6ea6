//! A pod that is not quarantined, in words: its verdicts, and what holds back its quarantine.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    core::{
        explain::{Explained, Explanation, HeldBack, Opinion},
        keys,
        object::Pod,
    },
    plugin::{
        events::{PodEvent, event_lines},
        paused::Paused,
        print::{format_time, paragraphs, to_the_second},
    },
};

/// The annotations that people write on pods.
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
    /// Always false: distinguishes the two answers of `why`.
    pub quarantined: bool,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The annotations that people wrote on the pod.
    pub annotations: BTreeMap<String, String>,
    /// What an agent says of the pod.
    pub explanation: Option<Explanation>,
    /// Why no agent says anything.
    pub not_asked: Option<String>,
    /// The latest Events about the pod, oldest first.
    pub events: Vec<PodEvent>,
}

impl InService {
    /// A pod, with what an agent says of it or why no agent does.
    #[must_use]
    pub fn of(pod: &Pod, asked: Result<Explanation, String>, events: Vec<PodEvent>) -> Self {
        let (explanation, not_asked) = match asked {
            Ok(explanation) => (Some(with_times_to_the_second(explanation)), None),
            Err(why) => (None, Some(why)),
        };
        let mut annotations = BTreeMap::new();
        for key in OF_PEOPLE {
            if let Some(text) = pod.annotation(key) {
                annotations.insert(key.to_owned(), text.to_owned());
            }
        }
        Self {
            quarantined: false,
            namespace: pod.key.namespace.to_string(),
            name: pod.key.name.to_string(),
            uid: pod.uid.to_string(),
            annotations,
            explanation,
            not_asked,
            events,
        }
    }

    /// Whether nothing explains the pod: no agent, no annotation of people, no Event of an agent.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        self.explanation.is_none()
            && self.annotations.is_empty()
            && !self.events.iter().any(PodEvent::is_of_agent)
    }

    #[must_use]
    pub fn text(&self, now: Timestamp) -> String {
        let Self {
            namespace, name, ..
        } = self;
        let pod = ("Pod", vec![format!("{namespace}/{name}")]);
        let state = ("State", vec!["not quarantined".to_owned()]);
        let mut all = vec![pod, state];
        if let Some(explanation) = &self.explanation {
            all.extend(explained(explanation));
        }
        let written = self.annotations.iter();
        let written = written.map(|(key, text)| format!("{key}: {text:?}"));
        all.push(("Annotations", written.collect()));
        all.push(("Events", event_lines(&self.events, now)));
        paragraphs(&all)
    }
}

fn with_times_to_the_second(mut explanation: Explanation) -> Explanation {
    if let Some(pause) = &mut explanation.pause {
        pause.since = pause.since.map(to_the_second);
    }
    for opinion in explanation.pod.iter_mut().flat_map(|pod| &mut pod.policies) {
        for sample in &mut opinion.evidence {
            sample.at = to_the_second(sample.at);
        }
    }
    explanation
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
    let mut of_agent = vec![agent.clone()];
    if let Some(why) = stale {
        of_agent.push(format!("its view of the cluster may be out of date: {why}"));
    }
    if let Some(pause) = pause {
        of_agent.push(Paused::new(agent.clone(), pause).text());
    }
    let Some(pod) = pod else {
        of_agent.push("the agent does not know the pod".to_owned());
        return vec![("Agent", of_agent)];
    };
    let workload = match (&pod.workload, &pod.owner) {
        (Some(workload), _) => workload.clone(),
        (None, Some(owner)) => format!("{owner}, which the agent does not read or has not seen"),
        (None, None) => "none: no controller would replace the pod".to_owned(),
    };
    vec![
        ("Agent", of_agent),
        ("Workload", vec![workload]),
        ("Mode", mode(pod)),
        ("Exempt", exempt(pod)),
        ("Manual", manual(pod)),
        ("Policies", policies(pod)),
        ("Mistakes", pod.mistakes.clone()),
    ]
}

fn mode(pod: &Explained) -> Vec<String> {
    match &*pod.namespace_mode {
        "enforce" => Vec::new(),
        lowered => vec![format!("the namespace lowers the mode to {lowered}")],
    }
}

fn exempt(pod: &Explained) -> Vec<String> {
    if pod.exempt {
        vec!["yes: the pod is never quarantined".to_owned()]
    } else {
        Vec::new()
    }
}

/// Why the quarantine that a person requested is not carried out.
fn manual(pod: &Explained) -> Vec<String> {
    pod.asked.iter().map(held_back_by).collect()
}

fn held_back_by(refusal: &HeldBack) -> String {
    let HeldBack { reason, sentence } = refusal;
    format!("held back by {reason}: {sentence}")
}

fn policies(pod: &Explained) -> Vec<String> {
    let mut lines: Vec<String> = pod.policies.iter().flat_map(opinion).collect();
    if lines.is_empty() {
        lines.push("no policy selects the pod".to_owned());
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
    let reason = match reason {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    let mut lines = vec![format!("{policy} (mode {mode}): {verdict}{reason}")];
    match held_back {
        Some(refusal) => lines.push(format!("  {}", held_back_by(refusal))),
        None if verdict == "unhealthy" => {
            lines.push("  nothing holds it back: the pod is about to be quarantined".to_owned());
        }
        None => {}
    }
    if evidence.is_empty() {
        lines.push("  no sample yet".to_owned());
    }
    for sample in evidence {
        lines.push(format!("  {}   {}", format_time(sample.at), sample.saw));
    }
    lines
}
