//! `add`, `release` and `hold`: what people write on pods, and what the agent makes of it.

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use kube::ResourceExt;
use serde::Serialize;

use super::{
    age::point,
    answer::{Answer, Command},
    arguments::{Add, Hold, Output, Release, Waiting},
    failure::Failure,
    output::{Said, structured},
    quarantined::Quarantined,
    session::Session,
    table::lines,
};
use crate::{
    cluster::read_pod,
    config::duration::written,
    core::{keys, policy::Mode},
};

/// What became of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it was done.
    pub done: bool,
    /// What was done, or why it was not.
    pub message: String,
}

/// What `-o json` prints.
#[derive(Serialize)]
struct List<'a> {
    kind: &'static str,
    items: &'a [Outcome],
}

/// Quarantines pods.
pub(super) async fn add(
    session: &Session,
    add: &Add,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let one = async |name: &str| {
        let pod = session.pod(name).await?;
        let known = read_pod(&pod)?;
        let refused = |why: &str| Err(Failure::Refused(format!("pod/{name} {why}")));
        if known.terminating {
            return refused("is being deleted");
        }
        if known.is_counted() {
            return refused("is quarantined already");
        }
        let command = Command {
            pod: &pod,
            key: keys::QUARANTINE,
            value: &add.reason,
            is_done: |pod| pod.has_state_label() && pod.annotation(keys::RECORD).is_some(),
            refusals: &["QuarantineRefused", "WouldQuarantine"],
        };
        let answer = command.give(session, add.waiting).await?;
        say(&command, session, add.waiting, answer, "quarantined")
    };
    every(session, &add.pods, output, one).await
}

/// Puts pods back.
pub(super) async fn release(
    session: &Session,
    release: &Release,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let one = async |name: &str| {
        let pod = quarantined(session, name).await?;
        let command = Command {
            pod: &pod,
            key: keys::RELEASE,
            value: if release.force { "force" } else { "true" },
            is_done: |pod| !pod.has_state_label() && pod.annotation(keys::RECORD).is_none(),
            refusals: &["ReleaseRefused"],
        };
        let answer = command.give(session, release.waiting).await?;
        say(&command, session, release.waiting, answer, "released")
    };
    every(session, &release.pods, output, one).await
}

/// Holds pods, or holds them no longer. Nobody answers: what is written is what counts.
pub(super) async fn hold(
    session: &Session,
    hold: &Hold,
    output: Option<Output>,
) -> Result<Said, Failure> {
    let until = hold.time.map(|time| Timestamp::now() + time).map(point);
    let value = until.as_deref().unwrap_or("true");
    let value = (!hold.off).then_some(value);
    let one = async |name: &str| {
        let pod = quarantined(session, name).await?;
        session.annotate(&pod, keys::HOLD, value).await?;
        Ok(match (hold.off, &until) {
            (true, _) => "held no longer".to_owned(),
            (false, Some(until)) => format!("held until {until}"),
            (false, None) => "held until the hold is taken off".to_owned(),
        })
    };
    every(session, &hold.pods, output, one).await
}

/// A pod that counts as quarantined, and nothing else.
async fn quarantined(session: &Session, name: &str) -> Result<v1::Pod, Failure> {
    let pod = session.pod(name).await?;
    let known = read_pod(&pod)?;
    if !known.is_counted() {
        let why = if known.terminating {
            "is being deleted"
        } else {
            "is not quarantined"
        };
        return Err(Failure::Refused(format!("pod/{name} {why}")));
    }
    Ok(pod)
}

/// An answer in words.
fn say(
    command: &Command,
    session: &Session,
    waiting: Waiting,
    answer: Answer,
    done: &str,
) -> Result<String, Failure> {
    let name = command.pod.name_any();
    let stands = format!(
        "the command stands; take it off with: kubectl -n {} annotate pod {name} {}-",
        session.namespace, command.key
    );
    let why = match answer {
        Answer::Unknown => return Ok(format!("asked to be {done}")),
        Answer::Done(pod) => {
            let out = Quarantined::read(&pod, Mode::Enforce, Timestamp::now())?;
            let expires = out.and_then(|out| out.expires_at);
            return Ok(match expires {
                Some(expires) => format!("{done}, kept until {}", point(expires)),
                None => done.to_owned(),
            });
        }
        Answer::Refused(note) => format!("not {done}: {note}\n{stands}"),
        Answer::Gone => "is gone".to_owned(),
        Answer::Silent(unread) => {
            let unread = unread.map(|why| format!(" (its Events cannot be read: {why})"));
            let time = written(waiting.timeout);
            let unread = unread.unwrap_or_default();
            format!("not {done}: no agent has answered within {time}{unread}\n{stands}")
        }
    };
    Err(Failure::Refused(format!("pod/{name} {why}")))
}

/// Does one thing to several pods at once, and says what became of each, in the order in which they were named.
async fn every(
    session: &Session,
    pods: &[String],
    output: Option<Output>,
    one: impl AsyncFn(&str) -> Result<String, Failure>,
) -> Result<Said, Failure> {
    let results = join_all(pods.iter().map(|name| one(name))).await;
    let outcome = |(name, result): (&String, Result<String, Failure>)| Outcome {
        namespace: session.namespace.clone(),
        name: name.clone(),
        done: result.is_ok(),
        message: result.unwrap_or_else(|failure| failure.to_string()),
    };
    let outcomes: Vec<Outcome> = pods.iter().zip(results).map(outcome).collect();
    told(&outcomes, output)
}

/// What became of several pods.
pub fn told(outcomes: &[Outcome], output: Option<Output>) -> Result<Said, Failure> {
    let (done, failed): (Vec<&Outcome>, Vec<_>) = outcomes.iter().partition(|one| one.done);
    let mut said = Said {
        failed: !failed.is_empty(),
        ..Said::default()
    };
    if matches!(output, Some(Output::Json | Output::Yaml)) {
        let list = List {
            kind: "OutcomeList",
            items: outcomes,
        };
        said.text = structured(output, &list)?;
        return Ok(said);
    }
    let line = |one: &&Outcome| match output {
        Some(Output::Name) => format!("pod/{}", one.name),
        _ => format!("pod/{} {}", one.name, one.message),
    };
    said.text = lines(done.iter().map(line));
    said.aside = failed.iter().map(|one| one.message.clone()).collect();
    Ok(said)
}
