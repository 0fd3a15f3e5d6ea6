//! Watches the pods, the `EndpointSlices` and the agent's Events of a namespace, and keeps what happened and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use anyhow::bail;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice, events::v1::Event};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use pod_quarantine::core::keys;
use tokio::{sync::watch, task::JoinSet, time::timeout};

/// Long enough for any step, on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It became Ready.
    Ready,
    /// It got the state label.
    Quarantined,
    /// It lost the state label.
    Released,
    /// It is being deleted.
    Ending,
    /// It is deleted.
    Gone,
    /// It came into the Service's slices, as one that gets traffic.
    Serving,
    /// It left the Service's slices.
    Left,
    /// The agent reported this about it.
    Event { reason: String, note: String },
}

/// One thing that happened, when this process saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) pod: String,
    pub(crate) fact: Fact,
}

/// Everything that is known of the namespace.
#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<String, Pod>,
    slices: BTreeMap<String, EndpointSlice>,
    listed: BTreeSet<String>,
    serving: BTreeSet<String>,
    seen: Vec<Seen>,
    broken: Option<String>,
}

/// Follows one namespace until it is dropped.
pub(crate) struct Lookout {
    state: watch::Sender<State>,
    _tasks: JoinSet<()>,
}

impl Lookout {
    /// Begins to watch what belongs to the Service `web`.
    pub(crate) fn begin(client: &Client, namespace: &str) -> Self {
        let state = watch::Sender::new(State::default());
        let mut tasks = JoinSet::new();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let all = watcher::Config::default();
        let of_web = all.clone().labels("kubernetes.io/service-name=web");
        tasks.spawn(follow(state.clone(), watcher(pods, all.clone()), pod));
        tasks.spawn(follow(state.clone(), watcher(slices, of_web), slice));
        tasks.spawn(follow(state.clone(), watcher(events, all), event));
        Self {
            state,
            _tasks: tasks,
        }
    }

    /// The first thing of that kind since then, awaited if it has not happened yet.
    pub(crate) async fn first(
        &self,
        what: &str,
        since: Timestamp,
        matches: impl Fn(&Seen) -> bool,
    ) -> anyhow::Result<Seen> {
        let mut state = self.state.subscribe();
        let find = |state: &State| {
            let mut seen = state.seen.iter();
            seen.find(|seen| seen.at >= since && matches(seen)).cloned()
        };
        let found = timeout(LIMIT, state.wait_for(|state| find(state).is_some())).await;
        if let Ok(Ok(state)) = found
            && let Some(seen) = find(&state)
        {
            return Ok(seen);
        }
        bail!("{what}: not within {} s", LIMIT.as_secs())
    }

    /// The first time since then that this happened to this pod.
    pub(crate) async fn happens(
        &self,
        what: &str,
        since: Timestamp,
        pod: &str,
        fact: Fact,
    ) -> anyhow::Result<Timestamp> {
        let seen = self.first(what, since, |seen| seen.pod == pod && seen.fact == fact);
        Ok(seen.await?.at)
    }

    /// What the agent tells of a pod, with this reason and these texts in the note.
    pub(crate) async fn reported(
        &self,
        since: Timestamp,
        pod: &str,
        reason: &str,
        texts: &[&str],
    ) -> anyhow::Result<(Timestamp, String)> {
        let what = format!("an Event {reason} on {pod} with {texts:?}");
        let fits = |fact: &Fact| match fact {
            Fact::Event { reason: of, note } => {
                of == reason && texts.iter().all(|text| note.contains(text))
            }
            _ => false,
        };
        let seen = self.first(&what, since, |seen| seen.pod == pod && fits(&seen.fact));
        let Seen { at, fact, .. } = seen.await?;
        match fact {
            Fact::Event { note, .. } => Ok((at, note)),
            other => bail!("{what}: {other:?} instead"),
        }
    }

    /// The pods that get traffic now.
    pub(crate) fn serving(&self) -> BTreeSet<String> {
        self.state.borrow().serving.clone()
    }

    /// The pod as it was seen last.
    pub(crate) fn pod(&self, name: &str) -> Option<Pod> {
        self.state.borrow().pods.get(name).cloned()
    }

    /// What there is now, for a step that did not come true.
    pub(crate) fn describe(&self) -> String {
        let state = self.state.borrow();
        let mut text = String::new();
        if let Some(broken) = &state.broken {
            let _ = writeln!(text, "a watch is broken: {broken}");
        }
        for (name, pod) in &state.pods {
            let place = match (state.serving.contains(name), state.listed.contains(name)) {
                (true, _) => "serving",
                (_, true) => "in the slice, not ready",
                _ => "in no slice",
            };
            let kept = pod.labels().contains_key(keys::STATE);
            let kept = if kept { ", quarantined" } else { "" };
            let ready = if is_ready(pod) { "Ready" } else { "not Ready" };
            let _ = writeln!(text, "{name}: {ready}, {place}{kept}");
        }
        for seen in state.seen.iter().rev().take(4).rev() {
            if let Fact::Event { reason, note } = &seen.fact {
                let _ = writeln!(text, "Event on {}: {reason}: {note}", seen.pod);
            }
        }
        text
    }
}

/// Takes in what a watch brings, for ever. A break is repaired by the watch itself, and reported.
async fn follow<K: Send + 'static>(
    state: watch::Sender<State>,
    stream: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
    take_in: fn(&mut State, K, bool),
) {
    let mut stream = std::pin::pin!(stream.default_backoff());
    while let Some(next) = stream.next().await {
        state.send_modify(|state| match next {
            Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                take_in(state, object, true);
            }
            Ok(watcher::Event::Delete(object)) => take_in(state, object, false),
            Ok(watcher::Event::Init) => {}
            Ok(watcher::Event::InitDone) => state.broken = None,
            Err(error) => state.broken = Some(error.to_string()),
        });
    }
}

fn pod(state: &mut State, pod: Pod, exists: bool) {
    let name = pod.name_any();
    let before = state.pods.get(&name).map(Traits::of).unwrap_or_default();
    let now = Traits::of(&pod);
    let changes = [
        (!exists, Fact::Gone),
        (!before.ready && now.ready, Fact::Ready),
        (!before.kept && now.kept, Fact::Quarantined),
        (before.kept && !now.kept, Fact::Released),
        (!before.ending && now.ending, Fact::Ending),
    ];
    state.note(&name, changes);
    if exists {
        state.pods.insert(name, pod);
    } else {
        state.pods.remove(&name);
    }
}

fn slice(state: &mut State, slice: EndpointSlice, exists: bool) {
    let name = slice.name_any();
    if exists {
        state.slices.insert(name, slice);
    } else {
        state.slices.remove(&name);
    }
    let (mut listed, mut serving) = (BTreeSet::new(), BTreeSet::new());
    for endpoint in state.slices.values().flat_map(|slice| &slice.endpoints) {
        let pod = endpoint.target_ref.as_ref();
        let Some(pod) = pod.and_then(|pod| pod.name.clone()) else {
            continue;
        };
        let conditions = endpoint.conditions.as_ref();
        if conditions.and_then(|conditions| conditions.ready) == Some(true) {
            serving.insert(pod.clone());
        }
        listed.insert(pod);
    }
    let came: Vec<String> = serving.difference(&state.serving).cloned().collect();
    let left: Vec<String> = state.listed.difference(&listed).cloned().collect();
    (state.listed, state.serving) = (listed, serving);
    for pod in came {
        state.note(&pod, [(true, Fact::Serving)]);
    }
    for pod in left {
        state.note(&pod, [(true, Fact::Left)]);
    }
}

fn event(state: &mut State, event: Event, exists: bool) {
    let from_agent = event.reporting_controller.as_deref() == Some("pod-quarantine.io/agent");
    let pod = event.regarding.and_then(|object| object.name);
    if let Some(pod) = pod.filter(|_| exists && from_agent) {
        let reason = event.reason.unwrap_or_default();
        let note = event.note.unwrap_or_default();
        state.note(&pod, [(true, Fact::Event { reason, note })]);
    }
}

impl State {
    fn note<const N: usize>(&mut self, pod: &str, facts: [(bool, Fact); N]) {
        let at = Timestamp::now();
        for (_, fact) in facts.into_iter().filter(|(holds, _)| *holds) {
            let pod = pod.to_owned();
            self.seen.push(Seen { at, pod, fact });
        }
    }
}

/// What facts are about.
#[derive(Default)]
struct Traits {
    ready: bool,
    kept: bool,
    ending: bool,
}

impl Traits {
    fn of(pod: &Pod) -> Self {
        Self {
            ready: is_ready(pod),
            kept: pod.labels().contains_key(keys::STATE),
            ending: pod.metadata.deletion_timestamp.is_some(),
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut conditions = conditions.flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
