//! Writes a command on a pod, and awaits the agent's answer.
//!
//! The agent answers by changing the pod, or by an Event. New Events are found by their resourceVersions: the clocks of
//! this machine and of the agent need not agree.

use std::{
    collections::BTreeSet,
    pin::pin,
    time::{Duration, Instant},
};

use futures::StreamExt;
use kube::{ResourceExt, runtime::watcher::watch_object};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    arguments::Waiting,
    events::PodEvent,
    failure::CommandFailure,
    session::{FoundPod, Session},
};
use crate::core::{
    notice::{EventReason, Topic, note_prefix},
    object::Pod,
    policy,
};

/// How often the Events are read.
const EVENTS_INTERVAL: Duration = Duration::from_millis(500);

/// How long after a refusal the pod may still change: the refusal may be another agent's, or an old one.
const GRACE: Duration = Duration::from_secs(3);

/// A command to the agent.
pub(super) struct PodCommand<'a> {
    /// The pod, as it was read.
    pub(super) pod: &'a Pod,
    pub(super) key: &'static str,
    pub(super) value: &'a str,
    /// Whether the agent has carried it out.
    pub(super) is_done: fn(&Pod) -> bool,
    /// The reasons of the Events that refuse it, the more precise first.
    pub(super) refusals: &'static [EventReason],
}

/// The agent's answer to a command.
pub(super) enum AgentAnswer {
    NotAwaited,
    /// The command is carried out; the pod as it is now.
    Done(Box<FoundPod>),
    /// The command is refused, for this reason.
    Refused(String),
    /// The pod no longer exists.
    Gone,
    /// No agent has answered; with the failure to read its Events, if there was one.
    NoAnswer(Option<CommandFailure>),
}

impl PodCommand<'_> {
    /// Writes the command and waits for the answer.
    pub(super) async fn give(
        &self,
        session: &Session,
        waiting: Waiting,
    ) -> Result<AgentAnswer, CommandFailure> {
        // The answer to the same command may have been published before: it is not published twice.
        let is_new = self.pod.annotation(self.key).is_none();
        let before = match session.events(&self.pod.uid).await {
            Ok(events) if is_new => events.into_iter().map(|event| event.version).collect(),
            Ok(_) | Err(_) => BTreeSet::new(),
        };
        let written = session.annotate(self.pod, self.key, Some(self.value));
        written.await?;
        if waiting.no_wait {
            return Ok(AgentAnswer::NotAwaited);
        }
        self.wait(session, &before, waiting.timeout).await
    }

    async fn wait(
        &self,
        session: &Session,
        before: &BTreeSet<String>,
        timeout: Duration,
    ) -> Result<AgentAnswer, CommandFailure> {
        let uid = &*self.pod.uid;
        let mut changes = pin!(watch_object(session.pods(), &self.pod.key.name));
        let mut deadline = pin!(sleep(timeout));
        let mut events_due = interval(EVENTS_INTERVAL);
        events_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused: Option<(Instant, String)> = None;
        let mut failed = None;
        loop {
            tokio::select! {
                biased;
                Some(pod) = changes.next() => {
                    let pod = pod.map_err(|error| CommandFailure::of_watch("watch the pod", &error))?;
                    let found = match pod {
                        Some(pod) if pod.uid().as_deref() == Some(uid) => FoundPod::read(pod)?,
                        Some(_) | None => return Ok(AgentAnswer::Gone),
                    };
                    if (self.is_done)(&found.pod) {
                        return Ok(AgentAnswer::Done(Box::new(found)));
                    }
                }
                () = &mut deadline => return Ok(match refused {
                    Some((_, note)) => AgentAnswer::Refused(note),
                    None => AgentAnswer::NoAnswer(failed),
                }),
                _ = events_due.tick() => match session.events(uid).await {
                    Ok(events) => {
                        failed = None;
                        if let Some(note) = self.refusal(&events, before) {
                            let since = refused.map_or_else(Instant::now, |(since, _)| since);
                            if since.elapsed() >= GRACE {
                                return Ok(AgentAnswer::Refused(note));
                            }
                            refused = Some((since, note));
                        }
                    }
                    Err(failure) => failed = Some(failure),
                },
            }
        }
    }

    /// The note of the most precise, then latest, refusal among the new Events.
    fn refusal(&self, events: &[PodEvent], before: &BTreeSet<String>) -> Option<String> {
        let mut refusals = Vec::new();
        for event in events {
            let is_new = event.is_of_agent() && !before.contains(&event.version);
            if is_new && let Some(rank) = self.rank(event) {
                refusals.push((rank, names_a_policy(&event.note), event.at, &event.note));
            }
        }
        refusals.into_iter().max().map(|(.., note)| note.clone())
    }

    /// How precise a refusal is; `None` for an Event that is no refusal.
    fn rank(&self, event: &PodEvent) -> Option<usize> {
        if event.reason == Topic::BadAnnotation.as_str() && event.note.contains(self.key) {
            return Some(self.refusals.len());
        }
        let mut least_precise_first = self.refusals.iter().rev();
        least_precise_first.position(|reason| reason.as_str() == event.reason)
    }
}

/// Whether a refusal is of an agent that has a policy for the pod. A refusal by any other agent is less precise, and no
/// field of the Event distinguishes the two: the note begins with the policy.
fn names_a_policy(note: &str) -> bool {
    !note.starts_with(&note_prefix(policy::MANUAL))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, note: &str, version: &str) -> PodEvent {
        PodEvent {
            at: None,
            reason: reason.to_owned(),
            note: note.to_owned(),
            reporter: "pod-quarantine.io/agent".to_owned(),
            count: 1,
            uid: String::new(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn the_most_precise_refusal_is_printed() {
        let pod = json!({ "metadata": { "namespace": "shop", "name": "web-0", "uid": "u-1", "resourceVersion": "7" } });
        let found = FoundPod::read(serde_json::from_value(pod).unwrap()).unwrap();
        let command = PodCommand {
            pod: &found.pod,
            key: "pod-quarantine.io/quarantine",
            value: "x",
            is_done: |_| false,
            refusals: &[EventReason::QuarantineRefused, EventReason::WouldQuarantine],
        };
        let mut foreign = event("QuarantineRefused", "of another program", "1");
        foreign.reporter = "kubelet".to_owned();
        let mut events = vec![foreign, event("Released", "put back", "2")];
        let before = BTreeSet::from(["9".to_owned()]);
        let mut printed = |reason: &str, note: &str, version: &str| {
            events.push(event(reason, note, version));
            command.refusal(&events, &before)
        };
        assert_eq!(printed("QuarantineRefused", "an old one", "9"), None);
        assert_eq!(printed("BadAnnotation", "another key", "3"), None);
        let observed = printed("WouldQuarantine", "policy by-hand (x): observe", "4");
        assert_eq!(observed.as_deref(), Some("policy by-hand (x): observe"));
        let own = printed("QuarantineRefused", "policy web (x): limit", "5");
        assert_eq!(own.as_deref(), Some("policy web (x): limit"));
        let other = printed("QuarantineRefused", "policy by-hand (x): limit", "6");
        assert_eq!(other, own);
        let note = "pod-quarantine.io/quarantine is ignored";
        assert_eq!(printed("BadAnnotation", note, "7").as_deref(), Some(note));
    }
}
