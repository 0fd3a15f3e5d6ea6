//! What a watch passes on when it is interrupted, and where objects cannot be read.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use pod_quarantine::{
    cluster::{Installation, WatchEvent, WatchState, watches},
    core::{
        keys,
        object::{MAX_LABELS, ObjectKey, Pod},
        text::Fingerprint,
        view::Update,
    },
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

use crate::server::{Answer, client, events, list, ok, refused};

const INSTALLATION: Installation<'_> = Installation {
    own_namespace: "shop",
    agent: "default",
    namespaces: &[],
};

fn pod(version: &str) -> Value {
    json!({ "metadata": {
        "namespace": "shop",
        "name": "web-0",
        "uid": "u-0",
        "resourceVersion": version,
        "labels": { "app": "web" },
        "annotations": {
            keys::HOLD: "true",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
        "ownerReferences": [
            { "apiVersion": "v1", "kind": "Node", "name": "a", "uid": "u-a" },
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web",
                "uid": "u-rs",
                "controller": true,
            },
        ],
    } })
}

/// A watch of pods: lists, then each of these answers to one watch, then no answer any more. Gives the first `count`
/// events, and the requests.
async fn watched(answers: Vec<Answer>, count: usize) -> (Vec<WatchEvent>, Vec<String>) {
    watched_after(list(&[pod("7")], "9"), answers, count).await
}

/// The same with that answer to every list.
async fn watched_after(
    listed: Answer,
    answers: Vec<Answer>,
    count: usize,
) -> (Vec<WatchEvent>, Vec<String>) {
    let answers = Mutex::new(VecDeque::from(answers));
    let (client, asked) = client(move |uri| {
        if uri.contains("watch=true") {
            answers.lock().unwrap().pop_front()
        } else {
            Some(listed.clone())
        }
    });
    let (sender, mut receiver) = mpsc::channel(64);
    let mut watches = watches(&client, INSTALLATION, &sender);
    let (kind, pods) = watches.swap_remove(0);
    assert_eq!(kind, "pods");
    let watch = tokio::spawn(pods);
    let mut events = Vec::new();
    while events.len() < count {
        let Ok(event) = timeout(Duration::from_mins(10), receiver.recv()).await else {
            panic!("no more than {} events: {events:?}", events.len());
        };
        events.push(event.unwrap());
    }
    watch.abort();
    let asked = asked.lock().unwrap().clone();
    (events, asked)
}

fn version_asked(uri: &str) -> &str {
    let from = uri.split("resourceVersion=").nth(1).unwrap_or_default();
    from.split('&').next().unwrap_or_default()
}

fn pod_of(event: &WatchEvent) -> &Pod {
    match event {
        WatchEvent::Update("pods", update) => match &**update {
            Update::Pod(pod) => pod,
            other => panic!("{other:?} is of no pod"),
        },
        other => panic!("{other:?} is of no pod"),
    }
}

fn follows(event: &WatchEvent) -> bool {
    *event == WatchEvent::Watch("pods", WatchState::InSync)
}

fn breaks(event: &WatchEvent) -> bool {
    matches!(event, WatchEvent::Watch("pods", WatchState::OutOfSync(_)))
}

#[tokio::test(start_paused = true)]
async fn a_list_becomes_pods_a_bookmark_and_the_set_of_all_pods() {
    let (events, _) = watched(Vec::new(), 5).await;
    assert!(breaks(&events[0]), "{events:?}");
    let pod = pod_of(&events[1]);
    assert_eq!(pod.key, ObjectKey::new("shop", "web-0"));
    assert_eq!(pod.resource_version.to_string(), "7");
    assert_eq!(pod.labels.get("app").map(|value| &**value), Some("web"));
    let annotations: Vec<&str> = pod.annotations.keys().map(|key| &**key).collect();
    assert_eq!(annotations, [keys::HOLD]);
    let owner = pod.owner.as_ref().unwrap();
    assert_eq!(owner.to_string(), "ReplicaSet web");
    assert_eq!(events[2], WatchEvent::Bookmark("pods"));
    assert!(
        matches!(&events[3], WatchEvent::Update(_, all) if matches!(**all, Update::AllPods(..)))
    );
    assert!(follows(&events[4]), "{events:?}");
}

fn bookmark(version: &str) -> Value {
    let metadata = json!({ "resourceVersion": version, "creationTimestamp": null });
    let object = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata });
    json!({ "type": "BOOKMARK", "object": object })
}

fn modified(version: &str) -> Value {
    json!({ "type": "MODIFIED", "object": pod(version) })
}

/// What comes after the first list.
fn after_list(events: &[WatchEvent]) -> &[WatchEvent] {
    assert!(follows(&events[4]), "{events:?}");
    &events[5..]
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_is_in_sync_again_once_the_watch_after_an_interruption_has_ended_well() {
    let opened = events(&[]);
    let (events, asked) = watched(vec![opened.clone(), refused(500), opened], 7).await;
    let [broken, again] = after_list(&events) else {
        panic!("{events:?}");
    };
    assert!(breaks(broken) && follows(again), "{events:?}");
    let versions: Vec<&str> = asked.iter().skip(1).map(|uri| version_asked(uri)).collect();
    assert_eq!(versions[..3], ["9", "9", "9"]);
    assert!(asked[1].contains("timeoutSeconds=170"), "{asked:?}");
    assert!(
        asked[3].contains("timeoutSeconds=3"),
        "it is short: {asked:?}"
    );
}

/// A proxy that ends a connection ends it in the same way as the API server a watch.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_before_its_time_was_cut() {
    let cut = Answer {
        lasts: false,
        ..events(&[modified("20")])
    };
    let answers = vec![cut.clone(), cut, events(&[bookmark("30")])];
    let (events, asked) = watched(answers, 10).await;
    let after = after_list(&events);
    assert_eq!(pod_of(&after[0]).resource_version.to_string(), "20");
    assert!(breaks(&after[1]), "{events:?}");
    assert_eq!(pod_of(&after[2]).resource_version.to_string(), "20");
    assert_eq!(after[3], WatchEvent::Bookmark("pods"));
    assert!(follows(&after[4]), "{events:?}");
    let versions: Vec<&str> = asked.iter().skip(1).map(|uri| version_asked(uri)).collect();
    assert_eq!(versions[..3], ["9", "20", "20"]);
}

/// The first event after an interruption may be one of many that were missed.
#[tokio::test(start_paused = true)]
async fn a_watch_is_in_sync_again_at_the_first_bookmark_not_at_the_first_event() {
    let missed = events(&[modified("20"), modified("21"), bookmark("30")]);
    let (events, _) = watched(vec![refused(500), missed], 10).await;
    let after = after_list(&events);
    assert!(breaks(&after[0]), "{events:?}");
    assert_eq!(pod_of(&after[1]).resource_version.to_string(), "20");
    assert_eq!(pod_of(&after[2]).resource_version.to_string(), "21");
    assert_eq!(after[3], WatchEvent::Bookmark("pods"));
    assert!(follows(&after[4]), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_continues_from_the_last_change_or_bookmark() {
    let first = events(&[modified("20")]);
    let second = events(&[bookmark("30")]);
    let third = events(&[]);
    let (events, asked) = watched(vec![first, second, third], 8).await;
    let after = after_list(&events);
    assert_eq!(pod_of(&after[0]).resource_version.to_string(), "20");
    assert_eq!(after[1], WatchEvent::Bookmark("pods"));
    let versions: Vec<&str> = asked.iter().skip(1).map(|uri| version_asked(uri)).collect();
    assert_eq!(versions[..3], ["9", "20", "30"]);
}

/// The API server accepts the watch, and says in its first event that the version has expired.
#[tokio::test(start_paused = true)]
async fn an_expired_version_is_out_of_sync_until_everything_is_listed_again() {
    let expired = json!({ "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "old" });
    let expired = events(&[json!({ "type": "ERROR", "object": expired })]);
    let (events, asked) = watched(vec![refused(500), expired, events(&[])], 12).await;
    let after = after_list(&events);
    assert!(after[..3].iter().all(breaks), "{events:?}");
    assert_eq!(pod_of(&after[3]).resource_version.to_string(), "7");
    assert!(follows(&after[6]), "{events:?}");
    let lists = asked.iter().filter(|uri| !uri.contains("watch=true"));
    assert_eq!(lists.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_be_opened_in_time_is_broken() {
    let (events, _) = watched(Vec::new(), 6).await;
    let expected = "watching pods: no answer within 15s".to_owned();
    assert_eq!(
        after_list(&events)[0],
        WatchEvent::Watch("pods", WatchState::OutOfSync(expected))
    );
}

fn named(name: &str, spec: Value) -> Value {
    let mut pod = pod("8");
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["uid"] = format!("uid-of-{name}").into();
    pod["spec"] = spec;
    pod
}

fn unreadable(event: &WatchEvent) -> Option<String> {
    match event {
        WatchEvent::Update("pods", update) => match &**update {
            Update::Unreadable("pods", key) => Some(format!("{key} cannot be read")),
            Update::Readable("pods", key) => Some(format!("{key} can be read")),
            _ => None,
        },
        _ => None,
    }
}

/// Stored before the API server checked it: a port that is none, and an operator that nobody knows.
#[tokio::test(start_paused = true)]
async fn objects_that_cannot_be_read_do_not_stop_their_kind() {
    let no_port = named(
        "no-port",
        json!({ "containers": [{ "ports": [{ "containerPort": 70000 }] }] }),
    );
    let term =
        json!({ "labelSelector": { "matchExpressions": [{ "key": "a", "operator": "Near" }] } });
    let affinity =
        json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } });
    let no_operator = named("no-operator", json!({ "affinity": affinity }));
    let listed = list(&[no_port.clone(), pod("7"), no_operator], "9");
    let mended = named("no-operator", json!({}));
    let later = events(&[
        json!({ "type": "MODIFIED", "object": mended }),
        json!({ "type": "MODIFIED", "object": no_port }),
    ]);
    let (events, asked) = watched_after(listed, vec![later, events(&[])], 17).await;
    let said: Vec<String> = events.iter().filter_map(unreadable).collect();
    assert_eq!(
        said[..3],
        [
            "shop/no-operator cannot be read",
            "shop/no-port cannot be read",
            "shop/no-operator can be read",
        ]
    );
    assert_eq!(&*pod_of(&events[1]).key.name, "web-0");
    assert!(events[..7].iter().any(follows), "{events:?}");
    // An event that cannot be read would come again and again: everything is listed instead.
    let lists = asked.iter().filter(|uri| !uri.contains("watch=true"));
    assert_eq!(lists.count(), 2, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_halves() {
    let large = json!({ "metadata": { "annotations": { "a": "x".repeat(1 << 20) } } });
    let (client, asked) = client(move |uri| {
        let limit = uri
            .split("limit=")
            .nth(1)?
            .split('&')
            .next()?
            .parse::<usize>()
            .ok()?;
        let pods: Vec<Value> = (0..limit.min(20))
            .map(|number| {
                let mut pod = named(&format!("web-{number}"), json!({}));
                pod["metadata"]["annotations"] = large["metadata"]["annotations"].clone();
                pod
            })
            .collect();
        Some(list(&pods, "9"))
    });
    let (sender, mut receiver) = mpsc::channel(1000);
    let (_, pods) = watches(&client, INSTALLATION, &sender).swap_remove(0);
    let watch = tokio::spawn(pods);
    loop {
        if follows(&receiver.recv().await.unwrap()) {
            break;
        }
    }
    watch.abort();
    let asked = asked.lock().unwrap().clone();
    let limits: Vec<&str> = asked
        .iter()
        .filter_map(|uri| uri.split("limit=").nth(1)?.split('&').next())
        .collect();
    assert_eq!(limits, ["500", "250", "125", "62", "31", "15"]);
}

/// What a watch of that kind passes on of that object, which is the only one.
async fn first_update(kind: &str, object: Value) -> Update {
    let (client, _) = client(move |uri| {
        if uri.contains("watch=true") {
            None
        } else {
            Some(list(std::slice::from_ref(&object), "9"))
        }
    });
    let (sender, mut receiver) = mpsc::channel(64);
    let mut watches = watches(&client, INSTALLATION, &sender).into_iter();
    let (_, watch) = watches.find(|(watched, _)| *watched == kind).unwrap();
    let watch = tokio::spawn(watch);
    loop {
        let event = timeout(Duration::from_mins(10), receiver.recv()).await;
        match event.unwrap().unwrap() {
            WatchEvent::Update(_, all)
                if matches!(*all, Update::AllControllers(..) | Update::AllSelecting(..)) => {}
            WatchEvent::Update(_, update) => {
                watch.abort();
                return *update;
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_revision_of_a_replica_set_is_bounded_where_it_is_read() {
    let revision = "1".repeat(250_000);
    let set = json!({
        "metadata": {
            "namespace": "shop", "name": "web", "uid": "u-rs", "resourceVersion": "7",
            "annotations": { "deployment.kubernetes.io/revision": revision },
        },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "web" } } },
    });
    let Update::Controller(set) = first_update("replicasets", set).await else {
        panic!("a ReplicaSet is a controller");
    };
    assert_eq!(set.revision, Some(Fingerprint::of(&revision)));
}

/// An object has room for 100,000 labels. The pod may be quarantined already: it is not left out.
#[tokio::test(start_paused = true)]
async fn of_many_labels_of_a_pod_the_first_are_kept_and_the_agents_own() {
    let mut crowded = pod("7");
    for number in 0..50_000 {
        crowded["metadata"]["labels"][format!("a{number}")] = "".into();
    }
    for key in [keys::STATE, keys::WORKLOAD] {
        crowded["metadata"]["labels"][key] = keys::QUARANTINED.into();
    }
    let Update::Pod(crowded) = first_update("pods", crowded).await else {
        panic!("it is in the view");
    };
    assert_eq!(crowded.labels.len(), MAX_LABELS + 2);
    assert!(crowded.labels_left_out > 0 && crowded.is_marked_quarantined());
    let Update::Pod(ordinary) = first_update("pods", pod("7")).await else {
        panic!("it is in the view");
    };
    assert!(ordinary.labels_left_out == 0);
}

/// The API server takes a selector as long as an object may be: 1.5 MB.
#[tokio::test(start_paused = true)]
async fn an_object_whose_selector_is_too_large_is_left_out() {
    let object = |spec: Value| {
        json!({
            "metadata": { "namespace": "shop", "name": "web", "uid": "u", "resourceVersion": "7" },
            "spec": spec,
        })
    };
    let not_in = |count: usize| -> Vec<Value> {
        let one =
            |value| json!({ "key": "app", "operator": "NotIn", "values": [format!("v{value}")] });
        (0..count).map(one).collect()
    };
    let values: Vec<String> = (0..1000).map(|value| format!("v{value}")).collect();
    let labels: BTreeMap<String, &str> = (0..501).map(|key| (format!("k{key}"), "")).collect();
    let many = json!({ "matchExpressions": not_in(501) });
    let long =
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": values }] });
    let both = json!({ "matchLabels": { "app": "web" }, "matchExpressions": not_in(500) });
    for (kind, spec) in [
        ("poddisruptionbudgets", json!({ "selector": many })),
        ("poddisruptionbudgets", json!({ "selector": long })),
        ("replicasets", json!({ "selector": both })),
        ("networkpolicies", json!({ "podSelector": many })),
        ("services", json!({ "selector": labels })),
    ] {
        let update = first_update(kind, object(spec)).await;
        assert_eq!(
            update,
            Update::Unreadable(kind, ObjectKey::new("shop", "web"))
        );
    }
    let large = object(json!({ "selector": { "matchExpressions": not_in(500) } }));
    let update = first_update("poddisruptionbudgets", large).await;
    assert!(matches!(update, Update::Selecting(_)), "{update:?}");
}

/// The pods of one of its two namespaces are forbidden.
#[tokio::test(start_paused = true)]
async fn an_agent_of_some_namespaces_asks_for_nothing_of_the_cluster_and_names_what_is_forbidden() {
    let (client, asked) = client(|uri| {
        let path = uri.split('?').next().unwrap_or_default();
        match path {
            "/api/v1/namespaces/blog/pods" => Some(refused(403)),
            "/api/v1/namespaces/shop" | "/api/v1/namespaces/blog" => Some(ok(&json!({
                "metadata": {
                    "name": path.rsplit('/').next(), "uid": "u-ns", "resourceVersion": "3",
                    "annotations": { keys::MODE: "observe" },
                },
            }))),
            _ if uri.contains("watch=true") => None,
            _ => Some(list(&[], "9")),
        }
    });
    let namespaces = ["shop", "blog"].map(Arc::from);
    let installation = Installation {
        own_namespace: "quarantine",
        namespaces: &namespaces,
        ..INSTALLATION
    };
    let (sender, mut receiver) = mpsc::channel(64);
    let (names, watches): (Vec<_>, Vec<_>) =
        watches(&client, installation, &sender).into_iter().unzip();
    let names: BTreeSet<&str> = names.into_iter().collect();
    let watches = watches.into_iter().map(tokio::spawn).collect::<Vec<_>>();
    let mut in_sync = BTreeSet::new();
    let mut forbidden = None;
    let mut modes = BTreeSet::new();
    while in_sync.len() + 1 < names.len() || forbidden.is_none() {
        match receiver.recv().await.unwrap() {
            WatchEvent::Watch(name, WatchState::InSync) => drop(in_sync.insert(name)),
            WatchEvent::Watch("pods of blog", WatchState::OutOfSync(why)) => {
                forbidden = Some(why).filter(|why| why.contains("403"));
            }
            WatchEvent::Update("namespace shop" | "namespace blog", update) => {
                let Update::Namespace(namespace) = *update else {
                    panic!("{update:?}");
                };
                modes.insert((namespace.name.to_string(), namespace.mode));
            }
            _ => {}
        }
    }
    for watch in watches {
        watch.abort();
    }
    assert!(!in_sync.contains("pods of blog"));
    let modes: Vec<_> = modes
        .iter()
        .map(|(name, mode)| (&**name, mode.as_deref()))
        .collect();
    assert_eq!(
        modes,
        [("blog", Some("observe")), ("shop", Some("observe"))]
    );
    for uri in asked.lock().unwrap().iter() {
        let is_within = ["shop", "blog", "quarantine"]
            .iter()
            .any(|name| uri.contains(&format!("/namespaces/{name}")));
        assert!(is_within, "{uri}");
    }
}
