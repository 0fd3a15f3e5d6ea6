//! `list --watch`: the quarantined pods, and what changes.

use std::{collections::BTreeMap, io, pin::pin, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    core::PartialObjectMeta,
    runtime::watcher::{Config, Event, watcher},
};
use tokio::time::sleep;

use super::{
    arguments::ListArgs,
    failure::CommandFailure,
    list::{Surroundings, Table},
    output::OutputFormat,
    print::{Printout, lines, structured},
    quarantined::Quarantined,
    session::Session,
};
use crate::core::keys;

/// The wait before a watch that was interrupted begins again; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Namespace and name.
type Key = (String, String);

/// Prints the quarantined pods, and then each that changes, until nobody reads any more. An interruption of the watch is
/// said, and nothing is missed by it: the pods are listed again.
pub(super) async fn watch(
    session: &Session,
    list: &ListArgs,
    output: Option<&OutputFormat>,
    print: &mut impl FnMut(&Printout) -> io::Result<()>,
) -> Result<(), CommandFailure> {
    let is_wide = output == Some(&OutputFormat::Wide);
    let mut watch = ListWatch {
        session,
        list,
        output,
        print,
        table: Table::new(session.everywhere, is_wide, !list.no_headers),
        said: Vec::new(),
        printed: BTreeMap::new(),
        is_read: true,
    };
    watch.begin().await?;
    let mut wait = FIRST_WAIT;
    while watch.is_read {
        let before = Timestamp::now();
        match watch.follow().await {
            Ok(()) => {}
            Err(failure) if failure.passes() => {
                watch.print(&Printout {
                    stderr: vec![format!(
                        "the watch was interrupted, and begins again: {failure}"
                    )],
                    ..Printout::default()
                });
                if Timestamp::now().duration_since(before).unsigned_abs() > LONGEST_WAIT {
                    wait = FIRST_WAIT;
                }
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(failure) => return Err(failure.of_selector(&list.selector)),
        }
    }
    Ok(())
}

struct ListWatch<'a, Print> {
    session: &'a Session,
    list: &'a ListArgs,
    output: Option<&'a OutputFormat>,
    print: &'a mut Print,
    table: Table,
    /// What was said last about modes and pauses.
    said: Vec<String>,
    /// The pods, as they were printed last.
    printed: BTreeMap<Key, Quarantined>,
    /// Whether anybody still reads.
    is_read: bool,
}

impl<Print: FnMut(&Printout) -> io::Result<()>> ListWatch<'_, Print> {
    /// Prints the pods that there are.
    async fn begin(&mut self) -> Result<(), CommandFailure> {
        let tracked = self.session.tracked(&self.list.selector).await?;
        let surroundings = self.surroundings().await;
        let now = Timestamp::now();
        let mut pods = BTreeMap::new();
        for found in &tracked {
            if let Some(pod) = surroundings.listed(found, now) {
                pods.insert((pod.namespace.clone(), pod.name.clone()), pod);
            }
        }
        let rows: Vec<Quarantined> = pods.values().cloned().collect();
        self.printed = pods;
        self.print_pods(&rows, now)
    }

    /// Follows the pods until the watch is interrupted, or nobody reads any more.
    async fn follow(&mut self) -> Result<(), CommandFailure> {
        let config = Config::default().labels(&self.list.selector);
        let mut events = pin!(watcher(self.session.all(), config));
        let mut missing: Vec<Key> = Vec::new();
        while self.is_read
            && let Some(event) = events.next().await
        {
            let event: Event<PartialObjectMeta<Pod>> =
                event.map_err(|error| CommandFailure::of_watch("watch the pods", &error))?;
            match event {
                Event::Init => missing = self.printed.keys().cloned().collect(),
                Event::InitApply(pod) => {
                    let key = key(&pod);
                    missing.retain(|other| *other != key);
                    self.consider(&pod).await?;
                }
                Event::InitDone => {
                    for key in std::mem::take(&mut missing) {
                        self.look(key).await?;
                    }
                }
                Event::Apply(pod) | Event::Delete(pod) => self.consider(&pod).await?,
            }
        }
        Ok(())
    }

    /// Looks at a pod that may be quarantined, or was.
    async fn consider(&mut self, pod: &PartialObjectMeta<Pod>) -> Result<(), CommandFailure> {
        let key = key(pod);
        if pod.labels().contains_key(keys::STATE)
            || pod.annotations().contains_key(keys::RECORD)
            || self.printed.contains_key(&key)
        {
            self.look(key).await?;
        }
        Ok(())
    }

    /// Reads a pod, and prints it if it is not what was printed last.
    async fn look(&mut self, key: Key) -> Result<(), CommandFailure> {
        let found = self.session.pod_of(&key.0, &key.1).await?;
        let surroundings = self.surroundings().await;
        let now = Timestamp::now();
        let listed = found
            .as_ref()
            .and_then(|found| surroundings.listed(found, now));
        let before = self.printed.remove(&key);
        let changed = match (listed, before) {
            (Some(pod), before) => {
                self.printed.insert(key, pod.clone());
                (Some(&pod) != before.as_ref()).then_some(pod)
            }
            (None, Some(pod)) => {
                let is_same = found.is_some_and(|found| *found.pod.uid == *pod.uid);
                let ended = if is_same { "released" } else { "deleted" };
                Some(Quarantined {
                    ended: Some(ended),
                    ..pod
                })
            }
            (None, None) => None,
        };
        match changed {
            Some(pod) => self.print_pods(&[pod], now),
            None => Ok(()),
        }
    }

    /// Modes and pauses as they are now; what is new about them is said.
    async fn surroundings(&mut self) -> Surroundings {
        let mut said = Vec::new();
        let read = Surroundings::read(self.session, self.list, self.output, &mut said).await;
        if said != self.said {
            self.print(&Printout {
                stderr: said.clone(),
                ..Printout::default()
            });
            self.said = said;
        }
        read
    }

    /// Prints each pod by itself, as kubectl does it.
    fn print_pods(&mut self, pods: &[Quarantined], now: Timestamp) -> Result<(), CommandFailure> {
        let mut stdout = String::new();
        match self.output {
            None | Some(OutputFormat::Wide) if pods.is_empty() => {}
            None | Some(OutputFormat::Wide) => stdout = self.table.lines(pods, now),
            Some(OutputFormat::Name) => {
                stdout = lines(pods.iter().map(|pod| format!("pod/{}", pod.name)));
            }
            Some(format) => {
                for pod in pods {
                    if *format == OutputFormat::Yaml {
                        stdout += "---\n";
                    }
                    stdout += &structured(self.output, pod)?;
                }
            }
        }
        self.print(&Printout {
            stdout,
            ..Printout::default()
        });
        Ok(())
    }

    fn print(&mut self, printout: &Printout) {
        self.is_read &= (self.print)(printout).is_ok();
    }
}

fn key(pod: &PartialObjectMeta<Pod>) -> Key {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}
