//! `list`: the quarantined pods.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    age::{between, point},
    arguments::{List as Arguments, Output},
    failure::Failure,
    output::{Said, structured},
    paused::{Paused, known, pauses},
    quarantined::Quarantined,
    session::{Lowered, Session},
    table::{aligned, lines},
};
use crate::{cluster::read_pod, core::policy::Mode};

/// What `-o json` prints.
#[derive(Serialize)]
struct List<'a> {
    kind: &'static str,
    /// The installation that is paused; of several the first.
    pause: Option<&'a Paused>,
    items: &'a [Quarantined],
}

/// Lists them, and says which namespaces lower the mode and what is paused.
pub async fn list(
    session: &Session,
    list: &Arguments,
    everywhere: bool,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let (marked, lowered, paused) = futures::join!(
        session.marked(),
        session.lowered(),
        session.paused(&list.agent_namespace)
    );
    let mut said = Said::default();
    let lowered = lowered.unwrap_or_else(|failure| {
        let aside = format!("the modes of namespaces are not known: {failure}");
        said.aside.push(aside);
        Vec::new()
    });
    said.aside.extend(modes(&lowered));
    let paused = known(paused, output, &mut said.aside);
    said.aside.extend(pauses(&paused));
    let now = Timestamp::now();
    let mut pods = Vec::new();
    for pod in marked? {
        let mode = mode_of(&lowered, &read_pod(&pod)?.key.namespace);
        let listed = Quarantined::read(&pod, mode, now)?;
        pods.extend(listed.map(|pod| pod.noting_pauses(&paused)));
    }
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    said.text = match output {
        Some(Output::Json | Output::Yaml) => {
            let list = List {
                kind: "QuarantinedPodList",
                pause: paused.first(),
                items: &pods,
            };
            structured(output, &list)?
        }
        Some(Output::Name) => names(&pods),
        _ if pods.is_empty() => {
            said.aside.push(if everywhere {
                "No quarantined pods found".to_owned()
            } else {
                format!(
                    "No quarantined pods found in {} namespace.",
                    session.namespace
                )
            });
            String::new()
        }
        _ => table(&pods, everywhere, output == Some(Output::Wide), now),
    };
    Ok(said)
}

/// How far a namespace lets anything go.
#[must_use]
pub fn mode_of(lowered: &[Lowered], namespace: &str) -> Mode {
    let mut lowered = lowered.iter();
    let found = lowered.find(|(name, _)| name == namespace);
    found.map_or(Mode::Enforce, |(_, mode)| *mode)
}

/// One line for each mode that namespaces lower everything to.
#[must_use]
pub fn modes(lowered: &[Lowered]) -> Vec<String> {
    let line = |mode: Mode, means: &str| {
        let of_mode = lowered.iter().filter(|(_, of)| *of == mode);
        let names: Vec<&str> = of_mode.map(|(name, _)| name.as_str()).collect();
        let names = match &names[..] {
            [] => return None,
            [name] => format!("namespace {name}"),
            names => format!("namespaces {}", names.join(", ")),
        };
        Some(format!("{names}: the mode is {}: {means}", mode.as_str()))
    };
    let said = [
        line(Mode::Off, "nothing is touched"),
        line(
            Mode::Observe,
            "nothing is quarantined and nothing is deleted",
        ),
    ];
    said.into_iter().flatten().collect()
}

fn names(pods: &[Quarantined]) -> String {
    lines(pods.iter().map(|pod| format!("pod/{}", pod.name)))
}

/// The table, with more columns where `wide`.
#[must_use]
pub fn table(pods: &[Quarantined], everywhere: bool, wide: bool, now: Timestamp) -> String {
    let mut heads = Vec::new();
    if everywhere {
        heads.push("NAMESPACE");
    }
    heads.extend([
        "POD",
        "WORKLOAD",
        "POLICY",
        "REASON",
        "AGE",
        "TIME LEFT",
        "HELD",
    ]);
    if wide {
        heads.extend([
            "AGENT",
            "NODE",
            "PHASE",
            "RESTARTS",
            "LEFT SERVICES",
            "EXPIRES",
        ]);
    }
    let rows: Vec<Vec<String>> = pods
        .iter()
        .map(|pod| row(pod, everywhere, wide, now))
        .collect();
    aligned(&heads, &rows)
}

fn row(pod: &Quarantined, everywhere: bool, wide: bool, now: Timestamp) -> Vec<String> {
    let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "<unknown>".to_owned());
    let mut cells = Vec::new();
    if everywhere {
        cells.push(pod.namespace.clone());
    }
    let age = pod.quarantined_at.map(|at| between(at, now));
    cells.extend([
        pod.name.clone(),
        unknown(&pod.workload),
        unknown(&pod.policy),
        reason(pod),
        unknown(&age),
        time_left(pod, now),
        held(pod, now),
    ]);
    if wide {
        let services = if pod.services.is_empty() {
            "<none>".to_owned()
        } else {
            pod.services.join(",")
        };
        cells.extend([
            unknown(&pod.agent),
            pod.node.clone().unwrap_or_else(|| "<none>".to_owned()),
            unknown(&pod.phase),
            unknown(&pod.restarts.map(|restarts| restarts.to_string())),
            services,
            unknown(&pod.expires_at.map(point)),
        ]);
    }
    cells
}

/// Why it was quarantined, and what is wrong with it as a quarantined pod.
fn reason(pod: &Quarantined) -> String {
    match (&pod.problem, &pod.reason) {
        (None, Some(reason)) => reason.clone(),
        (Some(problem), Some(reason)) => format!("{reason} ({problem})"),
        (Some(problem), None) => problem.clone(),
        (None, None) => "<unknown>".to_owned(),
    }
}

fn time_left(pod: &Quarantined, now: Timestamp) -> String {
    if pod.terminating {
        return "terminating".to_owned();
    }
    match (&pod.kept_because, &pod.namespace_mode, pod.expires_at) {
        (Some(_), Some(mode), _) if pod.problem.is_none() => format!("paused ({mode})"),
        (Some(_), None, _) if pod.problem.is_none() && pod.paused => "paused".to_owned(),
        (Some(_), ..) => "never".to_owned(),
        (None, _, Some(expires)) => between(now, expires),
        (None, _, None) => "<unknown>".to_owned(),
    }
}

fn held(pod: &Quarantined, now: Timestamp) -> String {
    match (pod.held, pod.held_until) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(until)) => between(now, until),
    }
}
