//! `uninstall-prepare`: what becomes of the pods in quarantine before their agent goes. `uninstall-finish`: what becomes of
//! the agent's own objects after it has gone.
//!
//! The agent puts the pods back or deletes them, by its own rules: the command writes what a person would write on each.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Preconditions},
};
use tokio::time::sleep;

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
        object::{ResourceVersion, Uid},
        policy::Mode,
    },
};

/// Concurrent requests.
const AT_ONCE: usize = 16;

/// How often the pods that are still in quarantine are read.
const READ_INTERVAL: Duration = Duration::from_secs(1);

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
    let before = quarantined(session, uninstall).await?;
    let mut stay = BTreeMap::new();
    let request = uninstall.pods.request();
    if let Some(request) = &request {
        annotate(session, request, &before, |_| Some(request.value)).await?;
        let left = wait(session, &before, uninstall.timeout).await?;
        // Nobody finds a command that another agent would carry out one day.
        annotate(session, request, &left, |pod| {
            pod.pod.annotation(request.key)
        })
        .await?;
        for (uid, found) in &left {
            stay.insert(uid.clone(), refusal(session, request, found).await);
        }
    }
    let outcomes = before.iter().map(|(uid, found)| {
        let refused = stay.get(uid);
        let done = request.as_ref().filter(|_| refused.is_none());
        CommandOutcome {
            namespace: found.pod.key.namespace.to_string(),
            name: found.pod.key.name.to_string(),
            done: done.is_some(),
            message: match (done, refused) {
                (Some(request), _) => request.done.to_owned(),
                (None, Some(why)) => format!("stays: {why}"),
                (None, None) => "stays".to_owned(),
            },
        }
    });
    print(&outcomes.collect::<Vec<_>>(), output)
}

/// The pods that count as quarantined by that agent, and those of which nobody can tell by whom.
async fn quarantined(
    session: &Session,
    uninstall: &UninstallArgs,
) -> Result<BTreeMap<Uid, FoundPod>, CommandFailure> {
    let agent = &uninstall.agent;
    let agent = format!("{}/{}", agent.namespace, agent.name_or_default());
    let mut pods = BTreeMap::new();
    for found in session.in_all_namespaces().tracked("").await? {
        let one = Quarantined::of(&found, Mode::Enforce, Timestamp::now());
        let is_of_agent = |one: Quarantined| one.agent.is_none_or(|name| name == agent);
        if !found.pod.terminating && one.is_some_and(is_of_agent) {
            pods.insert(found.pod.uid.clone(), found);
        }
    }
    Ok(pods)
}

/// Writes the annotation of each pod, or removes it.
async fn annotate<'a>(
    session: &Session,
    request: &PodRequest,
    pods: &'a BTreeMap<Uid, FoundPod>,
    value: impl Fn(&'a FoundPod) -> Option<&'a str>,
) -> Result<(), CommandFailure> {
    let writes = pods.values().map(|found| {
        let session = session.in_namespace(&found.pod.key.namespace);
        let value = value(found);
        async move {
            match session.annotate(&found.pod, request.key, value).await {
                Err(failure) if failure.is_not_found() => Ok(()),
                written => written,
            }
        }
    });
    let writes = stream::iter(writes).buffer_unordered(AT_ONCE);
    writes.try_collect().await
}

/// Waits until none of these pods is in quarantine. Gives those that are at the end of that time, as they were before.
async fn wait(
    session: &Session,
    before: &BTreeMap<Uid, FoundPod>,
    timeout: Duration,
) -> Result<BTreeMap<Uid, FoundPod>, CommandFailure> {
    let begun = Instant::now();
    let mut left = before.clone();
    loop {
        let reads = left.values().map(|found| stays(session, found));
        let reads = stream::iter(reads).buffer_unordered(AT_ONCE);
        let stay: BTreeMap<Uid, bool> = reads.try_collect().await?;
        left.retain(|uid, _| stay.get(uid) == Some(&true));
        if left.is_empty() || begun.elapsed() >= timeout {
            return Ok(left);
        }
        sleep(READ_INTERVAL).await;
    }
}

/// Whether a pod is in quarantine still.
async fn stays(session: &Session, found: &FoundPod) -> Result<(Uid, bool), CommandFailure> {
    let (key, uid) = (&found.pod.key, &found.pod.uid);
    let now = session.pod_of(&key.namespace, &key.name).await?;
    let now = now.filter(|now| now.pod.uid == *uid && !now.pod.terminating);
    let stays = now.is_some_and(|now| now.pod.counts_as_quarantined());
    Ok((uid.clone(), stays))
}

/// Why the agent does not do what it is asked for.
async fn refusal(session: &Session, request: &PodRequest, found: &FoundPod) -> String {
    let session = session.in_namespace(&found.pod.key.namespace);
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
