//! `list`: the quarantined pods.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    arguments::ListArgs,
    failure::CommandFailure,
    output::OutputFormat,
    paused::{Paused, pauses, report_unknown_pauses},
    print::{Columns, Printout, format_age, format_time, lines, structured},
    quarantined::{Quarantined, Requester},
    session::{FoundPod, Lowered, Session},
};
use crate::core::policy::{MANUAL, Mode};

/// The form of `-o json`.
#[derive(Serialize)]
struct QuarantinedPodList<'a> {
    kind: &'static str,
    /// The first of the agents that are paused.
    pause: Option<&'a Paused>,
    items: &'a [Quarantined],
}

/// What is known beside the pods: the namespaces that lower the mode, and the agents that are paused.
pub(super) struct Surroundings {
    lowered: Vec<Lowered>,
    paused: Vec<Paused>,
}

impl Surroundings {
    /// Reads them, and says on standard error what they are, or that they are unknown.
    pub(super) async fn read(
        session: &Session,
        list: &ListArgs,
        output: Option<&OutputFormat>,
        stderr: &mut Vec<String>,
    ) -> Self {
        let (lowered, paused) = futures::join!(session.lowered(), session.paused(&list.agent));
        let lowered = lowered.unwrap_or_else(|failure| {
            stderr.push(format!("the modes of namespaces are unknown: {failure}"));
            Vec::new()
        });
        stderr.extend(modes(&lowered));
        let paused = report_unknown_pauses(paused, output, stderr);
        stderr.extend(pauses(&paused));
        Self { lowered, paused }
    }

    /// A pod as it is listed, if it counts as quarantined.
    pub(super) fn listed(&self, found: &FoundPod, now: Timestamp) -> Option<Quarantined> {
        let mode = mode_of(&self.lowered, &found.pod.key.namespace);
        let pod = Quarantined::of(found, mode, now)?;
        Some(pod.noting_pauses(&self.paused))
    }
}

/// Lists the quarantined pods, and says which namespaces lower the mode and which agents are paused.
pub(super) async fn list(
    session: &Session,
    list: &ListArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let mut printout = Printout::default();
    let (tracked, surroundings) = futures::join!(
        session.tracked(&list.selector),
        Surroundings::read(session, list, output, &mut printout.stderr)
    );
    let now = Timestamp::now();
    let tracked = tracked?;
    let listed = tracked
        .iter()
        .filter_map(|found| surroundings.listed(found, now));
    let mut pods: Vec<Quarantined> = listed.collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    printout.stdout = match output {
        Some(OutputFormat::Name) => names(&pods),
        Some(OutputFormat::Wide) | None if pods.is_empty() => {
            printout.stderr.push(if session.everywhere {
                "No quarantined pods found".to_owned()
            } else {
                format!(
                    "No quarantined pods found in {} namespace.",
                    session.namespace
                )
            });
            String::new()
        }
        Some(OutputFormat::Wide) | None => {
            let is_wide = output.is_some();
            Table::new(session.everywhere, is_wide, !list.no_headers).lines(&pods, now)
        }
        Some(OutputFormat::Json | OutputFormat::Yaml | OutputFormat::JsonPath(_)) => {
            let list = QuarantinedPodList {
                kind: "QuarantinedPodList",
                pause: surroundings.paused.first(),
                items: &pods,
            };
            structured(output, &list)?
        }
    };
    Ok(printout)
}

/// The mode that a namespace allows.
#[must_use]
pub fn mode_of(lowered: &[Lowered], namespace: &str) -> Mode {
    let mut lowered = lowered.iter();
    let found = lowered.find(|(name, _)| name == namespace);
    found.map_or(Mode::Enforce, |(_, mode)| *mode)
}

/// One line for each mode that namespaces lower their pods to.
#[must_use]
pub fn modes(lowered: &[Lowered]) -> Vec<String> {
    let mut lines = Vec::new();
    for (mode, means) in [
        (Mode::Off, "nothing is touched"),
        (
            Mode::Observe,
            "nothing is quarantined and nothing is deleted",
        ),
    ] {
        let of_mode = lowered.iter().filter(|(_, of)| *of == mode);
        let names: Vec<&str> = of_mode.map(|(name, _)| name.as_str()).collect();
        let names = match &names[..] {
            [] => continue,
            [name] => format!("namespace {name}"),
            names => format!("namespaces {}", names.join(", ")),
        };
        lines.push(format!("{names}: the mode is {}: {means}", mode.as_str()));
    }
    lines
}

fn names(pods: &[Quarantined]) -> String {
    lines(pods.iter().map(|pod| format!("pod/{}", pod.name)))
}

/// The table of pods: its headings come once, whenever its rows come.
pub struct Table {
    everywhere: bool,
    wide: bool,
    headings_due: bool,
    columns: Columns,
}

impl Table {
    /// `everywhere`: with the namespace. `wide`: with more columns.
    #[must_use]
    pub fn new(everywhere: bool, wide: bool, headings: bool) -> Self {
        Self {
            everywhere,
            wide,
            headings_due: headings,
            columns: Columns::default(),
        }
    }

    pub fn lines(&mut self, pods: &[Quarantined], now: Timestamp) -> String {
        let mut rows = Vec::new();
        if std::mem::take(&mut self.headings_due) {
            rows.push(self.headings());
        }
        let of_pods = pods.iter();
        rows.extend(of_pods.map(|pod| row(pod, self.everywhere, self.wide, now)));
        self.columns.lines(&rows)
    }

    fn headings(&self) -> Vec<String> {
        let everywhere = self.everywhere.then_some("NAMESPACE");
        let usual = [
            "POD",
            "WORKLOAD",
            "POLICY",
            "REASON",
            "AGE",
            "TIME LEFT",
            "HELD",
        ];
        let wide = [
            "AGENT",
            "NODE",
            "PHASE",
            "RESTARTS",
            "LEFT SERVICES",
            "EXPIRES",
        ];
        let wide = self.wide.then_some(wide).into_iter().flatten();
        let all = everywhere.into_iter().chain(usual).chain(wide);
        all.map(ToOwned::to_owned).collect()
    }
}

fn row(pod: &Quarantined, everywhere: bool, wide: bool, now: Timestamp) -> Vec<String> {
    let mut cells = Vec::new();
    if everywhere {
        cells.push(pod.namespace.clone());
    }
    let age = pod.quarantined_at.map(|at| format_age(at, now));
    cells.extend([
        pod.name.clone(),
        or_unknown(pod.workload.as_deref()),
        policy(pod, wide),
        reason(pod),
        or_unknown(age.as_deref()),
        time_left(pod, now),
        held(pod, now),
    ]);
    if wide {
        let services = if pod.services.is_empty() {
            "<none>".to_owned()
        } else {
            pod.services.join(",")
        };
        let restarts = pod.restarts.map(|restarts| restarts.to_string());
        let expires = pod.expires_at.map(format_time);
        cells.extend([
            or_unknown(pod.agent.as_deref()),
            pod.node.clone().unwrap_or_else(|| "<none>".to_owned()),
            or_unknown(pod.phase.as_deref()),
            or_unknown(restarts.as_deref()),
            services,
            or_unknown(expires.as_deref()),
        ]);
    }
    cells
}

fn or_unknown(text: Option<&str>) -> String {
    text.unwrap_or("<unknown>").to_owned()
}

/// The policy that quarantined the pod; `manual` where a person did, with the policy whose ttl applies in the wide table.
fn policy(pod: &Quarantined, wide: bool) -> String {
    let policy = pod.policy.as_deref();
    match (pod.requester, policy) {
        (Some(Requester::Person), Some(policy)) if wide && policy != MANUAL => {
            format!("manual ({policy})")
        }
        (Some(Requester::Person), _) => "manual".to_owned(),
        (Some(Requester::Policy) | None, policy) => or_unknown(policy),
    }
}

/// Why the pod was quarantined, and what is wrong with its record or label.
fn reason(pod: &Quarantined) -> String {
    match (&pod.problem, &pod.reason) {
        (None, Some(reason)) => reason.clone(),
        (Some(problem), Some(reason)) => format!("{reason} ({problem})"),
        (Some(problem), None) => problem.clone(),
        (None, None) => "<unknown>".to_owned(),
    }
}

fn time_left(pod: &Quarantined, now: Timestamp) -> String {
    if let Some(ended) = pod.ended {
        return ended.to_owned();
    }
    if pod.terminating {
        return "terminating".to_owned();
    }
    match (&pod.kept_because, &pod.namespace_mode, pod.expires_at) {
        (Some(_), Some(mode), _) if pod.problem.is_none() => format!("paused ({mode})"),
        (Some(_), None, _) if pod.problem.is_none() && pod.paused => "paused".to_owned(),
        (Some(_), ..) => "never".to_owned(),
        (None, _, Some(expires)) => format_age(now, expires),
        (None, _, None) => "<unknown>".to_owned(),
    }
}

fn held(pod: &Quarantined, now: Timestamp) -> String {
    match (pod.held, pod.held_until) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(until)) => format_age(now, until),
    }
}
