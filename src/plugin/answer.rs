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
        let ranked = new.filter_map(|told| Some((rank(told)?, told.at, &told.note)));
        ranked.max().map(|(.., note)| note.clone())
    }
}
