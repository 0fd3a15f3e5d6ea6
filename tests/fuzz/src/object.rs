//! An object as the API server sends it, of any watched kind, in a list with one that is in order.

use std::{
    cell::RefCell,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{BoxFuture, pending, ready},
};
use http::{Request, Response};
use k8s_openapi::api::core::v1;
use kube::{Client, client::Body};
use pod_quarantine::cluster::{Installation, WatchEvent, WatchState, watches};
use pod_quarantine_core::{
    judge::Findings,
    keys,
    object::{MAX_ANNOTATION_BYTES, Phase, Pod},
    record::MAX_BYTES,
    view::Update,
    write::{Quarantine, Write},
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::mpsc};

use crate::cluster::{
    SHOP, after_hours, empty_ledger, file, is_config_map_key, is_label_value, plan, view,
};

/// The watched kinds with the name of their watch.
const KINDS: [(&str, &str); 10] = [
    ("Pod", "pods"),
    ("Namespace", "namespaces"),
    ("Node", "nodes"),
    ("ReplicaSet", "replicasets"),
    ("Deployment", "deployments"),
    ("StatefulSet", "statefulsets"),
    ("DaemonSet", "daemonsets"),
    ("Service", "services"),
    ("PodDisruptionBudget", "poddisruptionbudgets"),
    ("NetworkPolicy", "networkpolicies"),
];

/// The object in order.
const OTHER: &str = "in-order";

pub(crate) fn run(bytes: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    // Each object of the API server has a name, and a uid, and a version of its own.
    let text_of = |key: &str| {
        object["metadata"][key]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    let version = object["metadata"]["resourceVersion"].as_str();
    let is_number = version.is_some_and(|version| version.parse::<u64>().is_ok());
    if !text_of("name") || !text_of("uid") || !is_number || object["metadata"]["name"] == OTHER {
        return;
    }
    let kind = KINDS.into_iter().find(|(kind, _)| object["kind"] == *kind);
    let Some((kind, watch)) = kind else {
        return;
    };
    let text = std::str::from_utf8(bytes).expect("it is JSON");
    let updates = listed(watch, text);
    let is_left_out = updates
        .iter()
        .any(|update| matches!(update, Update::Unreadable(..)));
    let others = updates
        .iter()
        .filter(|update| format!("{update:?}").contains(OTHER));
    assert!(
        others.count() >= 2,
        "{kind}: the other object goes on: {updates:?}"
    );
    if kind == "Pod" {
        let found = updates.iter().find_map(|update| match update {
            Update::Pod(pod) if &*pod.key.name != OTHER => Some(pod),
            _ => None,
        });
        assert_eq!(found.is_none(), is_left_out);
        if let Some(pod) = found {
            what_is_read_is_bounded(pod);
        }
        it_is_as_the_official_types_read_it(text, found);
    }
    what_is_done_about_it_is_valid(updates);
}

thread_local! {
    /// Time passes at once where everything waits.
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    );
}

/// Answers each list with one body and no watch.
struct Server(Arc<str>);

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = http::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, http::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), http::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request
            .uri()
            .query()
            .is_some_and(|query| query.contains("watch="))
        {
            return pending().boxed();
        }
        let body = Body::from(self.0.as_bytes().to_vec());
        ready(Response::builder().body(body)).boxed()
    }
}

const INSTALLATION: Installation<'_> = Installation {
    own_namespace: "pod-quarantine",
    agent: "default",
    namespaces: &[],
};

/// What the watch of that name passes on of a list with that object.
fn listed(watch: &str, object: &str) -> Vec<Update> {
    let other = json!({ "metadata": { "name": OTHER, "namespace": SHOP, "uid": OTHER, "resourceVersion": "1" } });
    let list = format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{object},{other}]}}"#
    );
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let client = Client::new(Server(list.into()), SHOP);
            let (events, mut passed_on) = mpsc::channel(64);
            let watches = watches(&client, INSTALLATION, &events);
            let run = watches
                .into_iter()
                .find(|(name, _)| *name == watch)
                .expect("a watch")
                .1;
            let collect = async {
                let mut updates = Vec::new();
                loop {
                    match passed_on.recv().await.expect("it goes on") {
                        WatchEvent::Update(_, update) => updates.push(*update),
                        WatchEvent::Watch(_, WatchState::InSync) => return updates,
                        WatchEvent::Watch(_, WatchState::OutOfSync(why)) => {
                            assert_eq!(why, "everything is being listed");
                        }
                        WatchEvent::Bookmark(_) => {}
                    }
                }
            };
            tokio::select! {
                updates = collect => updates,
                () = run => panic!("a watch does not end"),
            }
        })
    })
}

fn what_is_read_is_bounded(pod: &Pod) {
    assert!(is_config_map_key(&pod.uid), "{}", pod.uid);
    for (key, text) in pod.annotations.iter() {
        assert!(keys::READ_FROM_PODS.contains(&&**key), "{key}");
        assert!(text.len() <= MAX_ANNOTATION_BYTES, "{key}");
    }
    if let Some(owner) = &pod.owner {
        assert!(is_config_map_key(&owner.uid), "{}", owner.uid);
        assert!(owner.name.len() <= 253 && owner.kind.as_str().len() <= 253);
    }
}

/// Where the official types read the pod, it is read here, too, and its fields say the same.
fn it_is_as_the_official_types_read_it(text: &str, found: Option<&Pod>) {
    let Ok(official) = serde_json::from_str::<v1::Pod>(text) else {
        return;
    };
    let spec = official.spec.unwrap_or_default();
    let status = official.status.unwrap_or_default();
    let Some(pod) = found else {
        return;
    };
    let meta = official.metadata;
    let official_labels = meta.labels.unwrap_or_default();
    let labels = pod
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    assert_eq!(
        labels.collect::<std::collections::BTreeMap<_, _>>(),
        official_labels
    );
    assert_eq!(&*pod.key.name, meta.name.as_deref().unwrap_or_default());
    assert_eq!(
        &*pod.key.namespace,
        meta.namespace.as_deref().unwrap_or_default()
    );
    assert_eq!(pod.terminating, meta.deletion_timestamp.is_some());
    assert_eq!(pod.created, meta.creation_timestamp.map(|time| time.0));
    assert_eq!(pod.node.as_deref(), spec.node_name.as_deref());
    assert_eq!(pod.host_network, spec.host_network.unwrap_or_default());
    let mut conditions = status.conditions.into_iter().flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    assert_eq!(pod.ready, ready.is_some_and(|ready| ready.status == "True"));
    let has_ended = status
        .phase
        .is_some_and(|phase| ["Succeeded", "Failed"].contains(&&*phase));
    assert_eq!(
        [Phase::Succeeded, Phase::Failed].contains(&pod.phase),
        has_ended
    );
    let address = status.pod_ip.and_then(|address| address.parse().ok());
    assert_eq!(pod.address, address);
    let mut owners = meta.owner_references.into_iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true));
    assert_eq!(pod.owner.is_some(), owner.is_some());
}

/// A view with these objects, in which nothing is found: only what an annotation asks for is done, and each label and
/// entry that is written for it is one that the API server takes.
fn what_is_done_about_it_is_valid(updates: Vec<Update>) {
    let mut view = view(empty_ledger());
    for update in updates {
        view.update(update);
    }
    let plan = plan(&file(), &view, &Findings::default(), after_hours(0));
    for write in &plan.writes {
        match write {
            Write::Quarantine(quarantine) => is_valid(quarantine),
            Write::Reap(reap) => panic!("the ledger knows no pod: {reap:?}"),
            Write::Release(release) => panic!("the ledger knows no pod: {release:?}"),
            _ => {}
        }
    }
}

fn is_valid(quarantine: &Quarantine) {
    for (key, value) in &quarantine.change.labels {
        let value = value.as_deref().unwrap_or_default();
        assert!(is_label_value(value), "{key}: {value:?}");
    }
    let record = &quarantine.change.annotations[keys::RECORD];
    assert!(record.as_ref().is_some_and(|text| text.len() <= MAX_BYTES));
    let mut ledger = empty_ledger();
    assert!(ledger.begin(quarantine.slot.clone(), quarantine.pacing.as_ref()));
    for (key, text) in ledger.entries() {
        assert!(is_config_map_key(&key), "{key}");
        assert!(text.len() <= 4096, "{text}");
    }
}
