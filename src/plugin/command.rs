//! `add`, `release` and `hold`: commands that people write on pods, and the agent's answers.

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    answer::{AgentAnswer, PodCommand},
    arguments::{AddArgs, AgentArgs, HoldArgs, ReleaseArgs, Waiting},
    failure::CommandFailure,
    output::OutputFormat,
    print::{Printout, format_time, lines, structured},
    quarantined::Quarantined,
    session::{AGENT_PODS, FoundPod, Session},
};
use crate::{
    config::duration::format_duration,
    core::{
        keys,
        notice::{EventReason, Topic},
        policy::Mode,
    },
};

/// The outcome of a command for one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandOutcome {
    pub namespace: String,
    pub name: String,
    pub done: bool,
    /// What was done, or why it was not.
    pub message: String,
}

/// The form of `-o json`.
#[derive(Serialize)]
pub(super) struct OutcomeList<'a> {
    kind: &'static str,
    items: &'a [CommandOutcome],
}

impl<'a> OutcomeList<'a> {
    pub(super) fn of(items: &'a [CommandOutcome]) -> Self {
        let kind = "OutcomeList";
        Self { kind, items }
    }
}

pub(super) async fn add(
    session: &Session,
    add: &AddArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let one = async |name: &str| {
        let FoundPod { pod, .. } = session.pod(name).await?;
        if pod.terminating {
            return Err(refused(name, "is being deleted"));
        }
        if pod.counts_as_quarantined() {
            return Err(refused(name, "is already quarantined"));
        }
        let command = PodCommand {
            pod: &pod,
            key: keys::QUARANTINE,
            value: &add.reason,
            is_done: |pod| pod.has_state_label() && pod.annotation(keys::RECORD).is_some(),
            refusals: &[EventReason::QuarantineRefused, EventReason::WouldQuarantine],
        };
        let answer = command.give(session, add.waiting).await?;
        let words = ("quarantine", "quarantined");
        describe(&command, session, add.waiting, &add.agent, answer, words).await
    };
    for_each(session, &add.pods, output, one).await
}

pub(super) async fn release(
    session: &Session,
    release: &ReleaseArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let one = async |name: &str| {
        let FoundPod { pod, .. } = quarantined(session, name).await?;
        let command = PodCommand {
            pod: &pod,
            key: keys::RELEASE,
            value: if release.force { "force" } else { "true" },
            is_done: |pod| !pod.has_state_label() && pod.annotation(keys::RECORD).is_none(),
            refusals: &[EventReason::Topic(Topic::ReleaseRefused)],
        };
        let answer = command.give(session, release.waiting).await?;
        let words = ("release", "released");
        let (waiting, agent) = (release.waiting, &release.agent);
        describe(&command, session, waiting, agent, answer, words).await
    };
    for_each(session, &release.pods, output, one).await
}

/// Holds pods, or removes their holds. No answer is awaited: a hold is in force once it is written.
pub(super) async fn hold(
    session: &Session,
    hold: &HoldArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let until = hold.time.map(|time| format_time(Timestamp::now() + time));
    let (value, message) = match (hold.off, &until) {
        (true, _) => (None, "hold removed".to_owned()),
        (false, Some(until)) => (Some(until.as_str()), format!("held until {until}")),
        (false, None) => (Some("true"), "held until the hold is removed".to_owned()),
    };
    let one = async |name: &str| {
        let FoundPod { pod, .. } = quarantined(session, name).await?;
        session.annotate(&pod, keys::HOLD, value).await?;
        Ok(message.clone())
    };
    for_each(session, &hold.pods, output, one).await
}

/// A pod that counts as quarantined; any other pod is a failure.
async fn quarantined(session: &Session, name: &str) -> Result<FoundPod, CommandFailure> {
    let found = session.pod(name).await?;
    if found.pod.counts_as_quarantined() {
        Ok(found)
    } else if found.pod.terminating {
        Err(refused(name, "is being deleted"))
    } else {
        Err(refused(name, "is not quarantined"))
    }
}

fn refused(name: &str, why: &str) -> CommandFailure {
    CommandFailure::Refused(format!("pod/{name} {why}"))
}

/// An answer in words; `words` are the noun and the participle of the command.
async fn describe(
    command: &PodCommand<'_>,
    session: &Session,
    waiting: Waiting,
    agent: &AgentArgs,
    answer: AgentAnswer,
    (noun, done): (&str, &str),
) -> Result<String, CommandFailure> {
    let name = &command.pod.key.name;
    let remains = format!(
        "the command remains on the pod; remove it with: kubectl -n {} annotate pod {name} {}-",
        session.namespace, command.key
    );
    let why = match answer {
        AgentAnswer::NotAwaited => return Ok(format!("{noun} requested")),
        AgentAnswer::Done(found) => {
            let quarantined = Quarantined::of(&found, Mode::Enforce, Timestamp::now());
            let expires = quarantined.and_then(|quarantined| quarantined.expires_at);
            return Ok(match expires {
                Some(expires) => format!("{done}, kept until {}", format_time(expires)),
                None => done.to_owned(),
            });
        }
        AgentAnswer::Refused(note) => format!("not {done}: {note}\n{remains}"),
        AgentAnswer::Gone => "no longer exists".to_owned(),
        AgentAnswer::NoAnswer(failed) => {
            let time = format_duration(waiting.timeout);
            let without_events = match failed {
                Some(why) => format!(" (the pod's Events cannot be read: {why})"),
                None => String::new(),
            };
            let cause = match cause_of_silence(session, agent).await {
                Some(cause) => format!(": {cause}"),
                None => String::new(),
            };
            format!(
                "not {done}: no agent has answered within {time}{without_events}{cause}\n{remains}"
            )
        }
    };
    Err(refused(name, &why))
}

/// Why no agent answers, as far as the user may look into the agent's namespace.
async fn cause_of_silence(session: &Session, agent: &AgentArgs) -> Option<String> {
    let (pods, paused) =
        futures::join!(session.agent_pods(&agent.namespace), session.paused(agent));
    if pods.is_ok_and(|pods| pods.is_empty()) {
        let namespace = &agent.namespace;
        return Some(format!(
            "no pod in namespace {namespace} is labelled {AGENT_PODS} (see --agent-namespace)"
        ));
    }
    let paused = paused.unwrap_or_default();
    let paused = paused.first()?;
    Some(format!("agent {}: {}", paused.agent, paused.why()))
}

/// Carries out a command for several pods at once; the outcomes are in the order in which the pods were named.
async fn for_each(
    session: &Session,
    pods: &[String],
    output: Option<&OutputFormat>,
    one: impl AsyncFn(&str) -> Result<String, CommandFailure>,
) -> Result<Printout, CommandFailure> {
    let results = join_all(pods.iter().map(|name| one(name))).await;
    let mut outcomes = Vec::new();
    for (name, result) in pods.iter().zip(results) {
        outcomes.push(CommandOutcome {
            namespace: session.namespace.clone(),
            name: name.clone(),
            done: result.is_ok(),
            message: result.unwrap_or_else(|failure| failure.to_string()),
        });
    }
    print_outcomes(&outcomes, output)
}

/// Prints the outcomes of a command for several pods.
pub fn print_outcomes(
    outcomes: &[CommandOutcome],
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let mut printout = Printout::default();
    let mut done = Vec::new();
    for outcome in outcomes {
        let CommandOutcome { name, message, .. } = outcome;
        match (outcome.done, output) {
            (true, Some(OutputFormat::Name)) => done.push(format!("pod/{name}")),
            (true, _) => done.push(format!("pod/{name} {message}")),
            (false, _) => printout.stderr.push(message.clone()),
        }
    }
    printout.failed = !printout.stderr.is_empty();
    printout.stdout = lines(done);
    if output.is_some_and(OutputFormat::is_structured) {
        printout.stdout = structured(output, &OutcomeList::of(outcomes))?;
        printout.stderr.clear();
    }
    Ok(printout)
}
