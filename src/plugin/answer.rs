//! A command is written on a pod, and the agent's answer is waited for.
//!
//! The agent answers by what it does to the pod, or by an Event. Which Events are new is told by their versions: the
//! clocks of this machine and of the agent need not agree.

use std::{
    collections::BTreeSet,
    pin::pin,
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1;
use kube::{ResourceExt, runtime::watcher::watch_object};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{arguments::Waiting, failure::Failure, session::Session, told::Told};
use crate::{cluster::read_pod, core::object::Pod};

/// How often the Events are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long after a refusal the pod may still change: it may be another installation's refusal, or an old one.
const GRACE: Duration = Duration::from_secs(3);

/// So begins the refusal of an installation none of whose policies selects the pod: one that has a policy for it tells
/// more.
const UNSELECTED: &str = "policy by-hand ";

/// A command to the agent.
pub(super) struct Command<'a> {
    /// The pod, as it was read.
    pub(super) pod: &'a v1::Pod,
    /// The annotation.
    pub(super) key: &'static str,
    /// Its text.
    pub(super) value: &'a str,
    /// Whether it is carried out.
    pub(super) is_done: fn(&Pod) -> bool,
    /// The Events that refuse it, the more telling first.
    pub(super) refusals: &'static [&'static str],
}

/// What came of it.
pub(super) enum Answer {
    /// Nobody waited.
    Unknown,
    /// The pod as it is now.
    Done(Box<v1::Pod>),
    /// Why not.
    Refused(String),
    /// The pod is gone.
    Gone,
    /// No agent has answered; why its Events cannot be read, if they cannot.
    Silent(Option<Failure>),
}

impl Command<'_> {
    /// Writes it and waits.
    pub(super) async fn give(
        &self,
        session: &Session,
        waiting: Waiting,
    ) -> Result<Answer, Failure> {
        let uid = self.pod.uid().unwrap_or_default();
        // Where the same command stands already, the answer may have been given: it is not given twice.
        let stands = self.pod.annotations().contains_key(self.key);
        let before = match session.events(&uid).await {
            Ok(events) if !stands => events.into_iter().map(|told| told.version).collect(),
            Ok(_) | Err(_) => BTreeSet::new(),
        };
        let written = session.annotate(self.pod, self.key, Some(self.value));
        written.await?;
        if waiting.no_wait {
            return Ok(Answer::Unknown);
        }
        self.wait(session, &uid, &before, waiting.timeout).await
    }

    async fn wait(
        &self,
        session: &Session,
        uid: &str,
        before: &BTreeSet<String>,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let mut seen = pin!(watch_object(session.pods(), &self.pod.name_any()));
        let mut late = pin!(sleep(timeout));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused: Option<(Instant, String)> = None;
        let mut unread = None;
        loop {
            tokio::select! {
                biased;
                Some(pod) = seen.next() => {
                    let pod = pod.map_err(|error| Failure::of_watch("watch the pod", &error))?;
                    let Some(pod) = pod.filter(|pod| pod.uid().as_deref() == Some(uid)) else {
                        return Ok(Answer::Gone);
                    };
                    if (self.is_done)(&read_pod(&pod)?) {
                        return Ok(Answer::Done(Box::new(pod)));
                    }
                }
                () = &mut late => return Ok(match refused {
                    Some((_, note)) => Answer::Refused(note),
                    None => Answer::Silent(unread),
                }),
                _ = look.tick() => match session.events(uid).await {
                    Ok(events) => {
                        unread = None;
                        if let Some(note) = self.refusal(&events, before) {
                            let since = refused.map_or_else(Instant::now, |(since, _)| since);
                            if since.elapsed() >= GRACE {
                                return Ok(Answer::Refused(note));
                            }
                            refused = Some((since, note));
                        }
                    }
                    Err(failure) => unread = Some(failure),
                },
            }
        }
    }

    /// The note of the Event that tells most and last why it is refused, among those that are new.
    fn refusal(&self, events: &[Told], before: &BTreeSet<String>) -> Option<String> {
        let rank = |told: &Told| {
            let refusals = self.refusals.iter();
            let rank = refusals.rev().position(|reason| *reason == told.reason);
            let ignored = told.reason == "BadAnnotation" && told.note.contains(self.key);
            rank.or(ignored.then_some(self.refusals.len()))
        };
        let new = events
            .iter()
            .filter(|told| told.is_of_agent() && !before.contains(&told.version));
        let ranked = new.filter_map(|told| {
            let selected = !told.note.starts_with(UNSELECTED);
            Some((rank(told)?, selected, told.at, &told.note))
        });
        ranked.max().map(|(.., note)| note.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: &str, note: &str, version: &str) -> Told {
        Told {
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
    fn the_refusal_that_tells_most_is_said() {
        let pod = v1::Pod::default();
        let command = Command {
            pod: &pod,
            key: "pod-quarantine.io/quarantine",
            value: "x",
            is_done: |_| false,
            refusals: &["QuarantineRefused", "WouldQuarantine"],
        };
        let mut foreign = told("QuarantineRefused", "of another program", "1");
        foreign.reporter = "kubelet".to_owned();
        let mut events = vec![foreign, told("Released", "put back", "2")];
        let before = BTreeSet::from(["9".to_owned()]);
        let mut said = |reason: &str, note: &str, version: &str| {
            events.push(told(reason, note, version));
            command.refusal(&events, &before)
        };
        assert_eq!(said("QuarantineRefused", "an old one", "9"), None);
        assert_eq!(said("BadAnnotation", "another key", "3"), None);
        let observed = said("WouldQuarantine", "policy by-hand (x): observe", "4");
        assert_eq!(observed.as_deref(), Some("policy by-hand (x): observe"));
        let own = said("QuarantineRefused", "policy web (x): limit", "5");
        assert_eq!(own.as_deref(), Some("policy web (x): limit"));
        let other = said("QuarantineRefused", "policy by-hand (x): limit", "6");
        assert_eq!(other, own);
        let note = "pod-quarantine.io/quarantine is ignored";
        assert_eq!(said("BadAnnotation", note, "7").as_deref(), Some(note));
    }
}
