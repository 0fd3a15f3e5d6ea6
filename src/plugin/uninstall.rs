//! `uninstall-prepare`: what becomes of the pods in quarantine before their agent goes. `uninstall-finish`: what becomes of
//! the agent's own objects after it has gone.
//!
//! The agent puts the pods back or deletes them, by its own rules: the command writes what a person would write on each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Preconditions},
};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    arguments::{AgentArgs, FinishArgs, UninstallArgs, UninstallPods},
    command::{CommandOutcome, OutcomeList},
    failure::CommandFailure,
    output::OutputFormat,
    print::{Columns, Printout, lines, structured},
    quarantined::Quarantined,
    session::{FoundPod, Session},
};
use crate::{
    cluster::lease_name,
    core::{
        keys,
        ledger::{self, Ledger},
        notice::Topic,
        object::ResourceVersion,
        policy::Mode,
        restore::HIGHEST_COST,
    },
};

/// Concurrent requests.
const AT_ONCE: usize = 16;

/// How often a pod is read, and how much longer that is for each pod: at most 50 are read in a second.
const READ_INTERVAL: Duration = Duration::from_secs(1);
const READ_INTERVAL_OF_EACH: Duration = Duration::from_millis(20);

/// What the agent is asked for, by an annotation on each pod.
struct PodRequest {
    key: &'static str,
    value: &'static str,
    done: &'static str,
    /// The reason of the Event by which the agent says that it does not do it.
    refusal: Topic,
}

impl UninstallPods {
    fn request(self) -> Option<PodRequest> {
        match self {
            Self::Keep => None,
            Self::Release => Some(PodRequest {
                key: keys::RELEASE,
                value: "true",
                done: "released",
                refusal: Topic::ReleaseRefused,
            }),
            // It counts from the quarantine.
            Self::Reap => Some(PodRequest {
                key: keys::TTL,
                value: "1s",
                done: "deleted",
                refusal: Topic::HeldPastTtl,
            }),
        }
    }
}

/// Keeps, releases or deletes the pods that an agent has quarantined, and says which of them stay.
pub(super) async fn prepare(
    session: &Session,
    uninstall: &UninstallArgs,
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let agent = &uninstall.agent;
    let agent = format!("{}/{}", agent.namespace, agent.name_or_default());
    let mut pods = Vec::new();
    let mut not_read = Vec::new();
    for found in read_tracked(session, &uninstall.watched.namespaces(), &mut not_read).await? {
        let one = Quarantined::of(&found, Mode::Enforce, Timestamp::now());
        if let Some(one) = one.filter(|one| !one.terminating) {
            match &one.agent {
                Some(other) if *other != agent => {}
                of => pods.push((of.is_some(), found)),
            }
        }
    }
    pods.sort_by(|(_, a), (_, b)| a.pod.key.cmp(&b.pod.key));
    let asking = Asking {
        session,
        request: uninstall.pods.request(),
        until: Instant::now() + uninstall.timeout,
        pause: READ_INTERVAL
            + READ_INTERVAL_OF_EACH * u32::try_from(pods.len()).unwrap_or(u32::MAX),
        turns: Semaphore::new(AT_ONCE),
    };
    let outcomes = pods.iter().map(async |(is_known, found)| {
        let outcome = asking.outcome(found, *is_known).await;
        CommandOutcome {
            namespace: found.pod.key.namespace.to_string(),
            name: found.pod.key.name.to_string(),
            done: outcome.is_ok(),
            message: outcome.unwrap_or_else(|stays| stays),
        }
    });
    let mut printout = print(&join_all(outcomes).await, output)?;
    printout.failed |= !not_read.is_empty();
    printout.stderr.extend(not_read);
    Ok(printout)
}

/// The pods in quarantine in some namespaces, or in all. One namespace that cannot be read stops no other one.
async fn read_tracked(
    session: &Session,
    namespaces: &[Arc<str>],
    not_read: &mut Vec<String>,
) -> Result<Vec<FoundPod>, CommandFailure> {
    if namespaces.is_empty() {
        return session.in_all_namespaces().tracked("").await;
    }
    let mut found = Vec::new();
    for namespace in namespaces {
        match session.in_namespace(namespace).tracked("").await {
            Ok(pods) => found.extend(pods),
            Err(failure) => not_read.push(format!(
                "namespace {namespace}: {failure}: whether pods stay in quarantine there is not known"
            )),
        }
    }
    Ok(found)
}

/// What is asked of the agent, for all pods at once: one that fails stops no other one.
struct Asking<'a> {
    session: &'a Session,
    request: Option<PodRequest>,
    until: Instant,
    /// Between two reads of a pod.
    pause: Duration,
    /// Of the requests under way.
    turns: Semaphore,
}

impl Asking<'_> {
    /// What has become of a pod; `Err`: it stays, and why.
    async fn outcome(&self, found: &FoundPod, is_known: bool) -> Result<String, String> {
        let Some(request) = &self.request else {
            return Err("stays".to_owned());
        };
        if !is_known {
            return Err("stays: its record cannot be read, so nobody knows whose it is".to_owned());
        }
        let session = self.session.in_namespace(&found.pod.key.namespace);
        let annotate = async |value: Option<&str>| {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            session.annotate(&found.pod, request.key, value).await
        };
        match annotate(Some(request.value)).await {
            Err(failure) if failure.is_not_found() => return Ok(request.done.to_owned()),
            Err(failure) => return Err(format!("stays: {failure}")),
            Ok(()) => {}
        }
        loop {
            let read = async {
                let _turn = self.turns.acquire().await;
                session
                    .pod_of(&found.pod.key.namespace, &found.pod.key.name)
                    .await
            };
            let now = read
                .await
                .map(|now| now.filter(|now| now.pod.uid == found.pod.uid));
            let is_over = Instant::now() >= self.until;
            match now {
                Ok(None) => return Ok(request.done.to_owned()),
                Ok(Some(now)) if now.pod.terminating => return Ok(request.done.to_owned()),
                Ok(Some(now)) if !now.pod.counts_as_quarantined() => {
                    // Until its ReplicaSet has settled, it is the last that this one deletes.
                    let cost = now.pod.annotation(keys::DELETION_COST);
                    match (cost == Some(HIGHEST_COST), is_over) {
                        (false, _) => return Ok(request.done.to_owned()),
                        (true, true) => {
                            let cost = keys::DELETION_COST;
                            return Ok(format!("{}; {cost} stays {HIGHEST_COST}", request.done));
                        }
                        (true, false) => {}
                    }
                }
                // One that cannot be read now may be read later.
                Ok(Some(_)) | Err(_) if is_over => break,
                Ok(Some(_)) | Err(_) => {}
            }
            sleep(self.pause).await;
        }
        // Nobody finds a command that another agent would carry out one day.
        let before = found.pod.annotation(request.key);
        let restored = annotate(before).await;
        let why = self.refusal(&session, request, found).await;
        Err(match restored {
            Ok(()) => format!("stays: {why}"),
            Err(failure) => format!(
                "stays, with the annotation {}: {why}; {failure}",
                request.key
            ),
        })
    }

    /// Why the agent does not do what it is asked for.
    async fn refusal(&self, session: &Session, request: &PodRequest, found: &FoundPod) -> String {
        let _turn = self.turns.acquire().await;
        let events = session.events(&found.pod.uid).await;
        let events = events.unwrap_or_default();
        let mut said = events.into_iter().filter(|event| {
            let is_refusal = event.reason == request.refusal.as_str();
            is_refusal && event.is_of_agent()
        });
        match said.next_back() {
            Some(event) => event.note,
            None => "its agent has not answered".to_owned(),
        }
    }
}

/// Prints what has become of each pod.
pub fn print(
    outcomes: &[CommandOutcome],
    output: Option<&OutputFormat>,
) -> Result<Printout, CommandFailure> {
    let stay = outcomes.iter().filter(|outcome| !outcome.done).count();
    let mut printout = Printout::default();
    if output.is_some_and(OutputFormat::is_structured) {
        printout.stdout = structured(output, &OutcomeList::of(outcomes))?;
        return Ok(printout);
    }
    let heading = ["NAMESPACE", "POD", "OUTCOME"].map(str::to_owned);
    let rows = outcomes.iter().map(|outcome| {
        let CommandOutcome {
            namespace,
            name,
            message,
            ..
        } = outcome;
        vec![namespace.clone(), name.clone(), message.clone()]
    });
    let rows: Vec<_> = std::iter::once(heading.to_vec()).chain(rows).collect();
    printout.stdout = Columns::default().lines(&rows);
    let of_all = outcomes.len();
    let record = keys::RECORD;
    let last = match stay {
        0 => "No pod stays in quarantine.".to_owned(),
        1 => format!(
            "1 of {of_all} pods stays in quarantine. Without its agent nobody deletes it when its TTL expires: delete it, or restore its labels from the annotation {record}."
        ),
        _ => format!(
            "{stay} of {of_all} pods stay in quarantine. Without their agent nobody deletes them when their TTL expires: delete them, or restore their labels from the annotation {record}."
        ),
    };
    printout.stderr.push(last);
    Ok(printout)
}

/// How often the Lease is read until it shows that the agent has ended.
const LEASE_INTERVAL: Duration = Duration::from_secs(1);

/// So many times in a row the Lease has not changed: a holder would have renewed it, and a standby taken it.
const ENDED: u32 = 12;

/// Deletes the ledger and the Lease of an agent that has ended. With a slot in it the ledger stays: an agent that is
/// installed again continues with the pods that are out.
pub(super) async fn finish(
    session: &Session,
    finish: &FinishArgs,
) -> Result<Printout, CommandFailure> {
    let AgentArgs { namespace, .. } = &finish.agent;
    let agent = finish.agent.name_or_default();
    let leases: Api<Lease> = Api::namespaced(session.client.clone(), namespace);
    let lease_name = lease_name(agent);
    let lease = ended(session, &leases, &lease_name, finish.timeout).await?;
    let ledgers: Api<ConfigMap> = Api::namespaced(session.client.clone(), namespace);
    let ledger_name = ledger::name(agent);
    let ledger = ledgers.get_opt(&ledger_name);
    let ledger = session.request("get the ledger", ledger).await?;
    let mut printout = Printout::default();
    let slots = ledger.as_ref().map_or(0, slots);
    if slots > 0 {
        printout.stdout = lines([format!(
            "configmap/{ledger_name} stays: {slots} of its pods are in quarantine. An agent {agent} that is installed again in namespace {namespace} continues with them."
        )]);
        return Ok(printout);
    }
    let mut deleted = Vec::new();
    if let Some(ledger) = ledger {
        delete(session, &ledgers, &ledger).await?;
        deleted.push(format!("configmap/{ledger_name} deleted"));
    }
    if let Some(lease) = lease {
        delete(session, &leases, &lease).await?;
        deleted.push(format!("lease/{lease_name} deleted"));
    }
    printout.stdout = lines(deleted);
    Ok(printout)
}

/// Entries of the ledger that are of a pod, or that cannot be read.
fn slots(ledger: &ConfigMap) -> usize {
    let entries = ledger.data.iter().flatten();
    let entries = entries.map(|(key, text)| (key.as_str(), text.as_str()));
    let ledger = Ledger::read(ResourceVersion::new(0), entries);
    ledger.slots.len() + ledger.unreadable.len()
}

/// Waits until no replica holds the Lease any more; gives the Lease, if there is one.
async fn ended(
    session: &Session,
    leases: &Api<Lease>,
    name: &str,
    timeout: Duration,
) -> Result<Option<Lease>, CommandFailure> {
    let begun = Instant::now();
    let mut before: Option<Lease> = None;
    let mut unchanged = 0;
    loop {
        let lease = session
            .request("get the Lease", leases.get_opt(name))
            .await?;
        let Some(lease) = lease else {
            return Ok(None);
        };
        let same = before
            .as_ref()
            .is_some_and(|before| before.spec == lease.spec);
        unchanged = if same { unchanged + 1 } else { 0 };
        if unchanged >= ENDED {
            return Ok(Some(lease));
        }
        if begun.elapsed() >= timeout {
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            let holder = holder.unwrap_or_default();
            return Err(CommandFailure::Refused(format!(
                "the agent has not ended: {holder} holds lease/{name}. Uninstall it first"
            )));
        }
        before = Some(lease);
        sleep(LEASE_INTERVAL).await;
    }
}

/// Deletes an object, if it still is as it was read.
async fn delete<K>(session: &Session, objects: &Api<K>, object: &K) -> Result<(), CommandFailure>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            resource_version: object.resource_version(),
        }),
        ..DeleteParams::default()
    };
    let name = object.name_any();
    let what = format!("delete {name}");
    session
        .request(&what, objects.delete(&name, &params))
        .await
        .map(drop)
}
