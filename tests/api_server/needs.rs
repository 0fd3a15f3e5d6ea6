//! What a look-up makes of objects that it cannot read, and how much it asks for.

use std::time::Duration;

use jiff::Timestamp;
use pod_quarantine::{
    cluster::Reader,
    core::{
        lookup::NeedsQuery,
        needs::{Claim, Needs},
        object::ObjectKey,
        quantity::Quantity,
        time::Now,
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::server::{Answer, client, list, ok, refused};

/// The question about the needs of the pod at [`POD`].
fn query(with_nodes: bool) -> NeedsQuery {
    NeedsQuery {
        pod: ObjectKey::new("shop", "web-0"),
        uid: "u-0".into(),
        with_nodes,
        at: Now {
            wall: Timestamp::UNIX_EPOCH,
            moment: Duration::ZERO,
        },
    }
}

/// What a pod's replacement needs, where these paths have these objects.
async fn needs(objects: Vec<(&'static str, Answer)>) -> Needs {
    let (client, _) = client(move |uri| {
        let path = uri.split('?').next().unwrap_or_default();
        let found = objects.iter().find(|(known, _)| *known == path);
        Some(found.map_or_else(|| refused(404), |(_, answer)| answer.clone()))
    });
    Reader::new(client).needs(query(true)).await.1.needs
}

const POD: &str = "/api/v1/namespaces/shop/pods/web-0";
const CLAIM: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data";
const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/";
const QUOTAS: &str = "/api/v1/namespaces/shop/resourcequotas";
const NODES: &str = "/api/v1/nodes";

fn spec(spec: &Value) -> Answer {
    ok(
        &json!({ "metadata": { "name": "web-0" }, "spec": spec, "status": { "qosClass": "Burstable" } }),
    )
}

#[tokio::test]
async fn the_needs_of_a_replacement_are_read_in_full() {
    let needs = needs(vec![
        (
            POD,
            spec(&json!({
                "containers": [{ "name": "web", "resources": { "requests": { "cpu": "500m", "example.com/gpu": "1" } } }],
                "initContainers": [{ "name": "proxy", "restartPolicy": "Always", "resources": { "requests": { "cpu": "1" } } }],
                "overhead": { "cpu": "250m" },
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }, { "name": "tmp", "emptyDir": {} }],
                "nodeSelector": { "disk": "ssd" },
                "tolerations": [{ "key": "gpu", "operator": "Exists" }, { "key": "", "effect": "NoSchedule" }],
                "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }, { "key": "cores", "operator": "Gt", "values": ["4"] }] },
                ] } } },
            })),
        ),
        (
            CLAIM,
            ok(
                &json!({ "metadata": { "name": "data" }, "spec": { "accessModes": ["ReadWriteMany"] }, "status": { "accessModes": ["ReadWriteOnce"] } }),
            ),
        ),
        (
            QUOTAS,
            list(
                &[
                    json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "3" }, "scopes": ["NotTerminating"] } }),
                ],
                "1",
            ),
        ),
        (
            NODES,
            list(
                &[json!({
                    "metadata": { "name": "a", "labels": { "disk": "ssd", "zone": "a", "cores": "8" } },
                    "spec": { "taints": [{ "key": "gpu", "effect": "NoSchedule" }, { "key": "soft", "effect": "PreferNoSchedule" }] },
                    "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
                })],
                "1",
            ),
        ),
    ])
    .await;
    let claims = needs.claims.unwrap();
    assert_eq!(claims[0].modes, ["ReadWriteOnce".into()]);
    let (taken, quotas) = needs.quotas.unwrap();
    let amount = |text: &str| text.parse::<Quantity>().unwrap();
    assert_eq!(taken.amounts["requests.cpu"], amount("1750m"));
    assert_eq!(taken.amounts["requests.example.com/gpu"], amount("1"));
    assert!(!taken.amounts.contains_key("example.com/gpu"));
    assert!(!taken.best_effort);
    assert_eq!(quotas[0].hard["pods"], amount("3"));
    assert_eq!(quotas[0].scopes.len(), 1);
    let (placement, nodes) = needs.nodes.unwrap();
    assert_eq!(nodes[0].taints.len(), 1);
    assert!(placement.fits(&nodes[0]));
}

/// Each field that cannot be read, of which object, and which need is then said to be unread.
#[tokio::test]
async fn needs_that_cannot_be_read_are_errors() {
    let web = || spec(&json!({ "containers": [] }));
    let quota = |hard: Value| list(&[json!({ "metadata": { "name": "q" }, "spec": hard })], "1");
    let none = || list(&[], "1");

    let bad = quota(json!({ "hard": { "pods": "many" } }));
    let bad_amount = needs(vec![(POD, web()), (QUOTAS, bad), (NODES, none())]).await;
    let why = bad_amount.quotas.unwrap_err();
    assert!(
        why.starts_with("the ResourceQuotas of its namespace could not be read: "),
        "{why}"
    );
    assert!(bad_amount.claims.is_ok() && bad_amount.nodes.is_ok());

    let bad = quota(json!({ "hard": 7 }));
    let bad_type = needs(vec![(POD, web()), (QUOTAS, bad), (NODES, none())]).await;
    assert!(bad_type.quotas.is_err());

    let bad = list(
        &[json!({ "metadata": { "name": "a" }, "spec": { "taints": "x" } })],
        "1",
    );
    let bad_node = needs(vec![(POD, web()), (QUOTAS, none()), (NODES, bad)]).await;
    assert!(
        bad_node
            .nodes
            .unwrap_err()
            .starts_with("the nodes could not be read: ")
    );

    let bad = json!({ "containers": [], "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "zone", "operator": "Near" }] },
        ] } } } });
    let bad_operator = needs(vec![(POD, spec(&bad)), (QUOTAS, none()), (NODES, none())]).await;
    assert!(bad_operator.nodes.is_err());

    let bad =
        json!({ "containers": [], "volumes": [{ "name": "data", "persistentVolumeClaim": {} }] });
    let nameless = needs(vec![(POD, spec(&bad)), (QUOTAS, none()), (NODES, none())]).await;
    assert!(nameless.claims.is_err());

    let bad = ok(&json!({ "metadata": { "name": "web-0" } }));
    let without_spec = needs(vec![(POD, bad), (QUOTAS, none()), (NODES, none())]).await;
    assert!(without_spec.claims.is_err() && without_spec.quotas.is_err());

    let denied = needs(vec![(POD, web()), (QUOTAS, refused(403)), (NODES, none())]).await;
    assert!(denied.quotas.unwrap_err().contains("HTTP 403"));

    let gone = needs(Vec::new()).await;
    assert_eq!(gone.claims.unwrap_err(), "the pod is gone");
}

/// How many claims of a pod with so many volumes are asked for, and what is known of them after a minute. Where claims are
/// not answered, these are the requests at the same time.
async fn claims_asked_for(
    volumes: usize,
    claim: impl Fn(usize) -> String,
    answered: bool,
) -> (usize, Result<Vec<Claim>, String>) {
    let volumes = (0..volumes).map(|number| {
        let claim = claim(number);
        json!({ "name": format!("v{number}"), "persistentVolumeClaim": { "claimName": claim } })
    });
    let volumes: Vec<Value> = volumes.collect();
    let pod = spec(&json!({ "containers": [], "volumes": volumes }));
    let (client, asked) = client(move |uri| {
        let path = uri.split('?').next().unwrap_or_default();
        match path {
            POD => Some(pod.clone()),
            QUOTAS => Some(list(&[], "1")),
            _ if path.starts_with(CLAIMS) && !answered => None,
            _ => Some(refused(404)),
        }
    });
    let reader = Reader::new(client);
    let read = timeout(Duration::from_mins(1), reader.needs(query(false)));
    let claims = read.await.unwrap().1.needs.claims;
    let asked = asked.lock().unwrap();
    let asked = asked.iter().filter(|path| path.starts_with(CLAIMS)).count();
    (asked, claims)
}

#[tokio::test(start_paused = true)]
async fn the_claims_of_a_pod_are_read_a_few_at_a_time() {
    let (at_once, claims) = claims_asked_for(100, |number| format!("c{number}"), false).await;
    assert_eq!(at_once, 8);
    let why = claims.unwrap_err();
    assert_eq!(
        why,
        "its PersistentVolumeClaims could not be read: no answer within 10s"
    );
    let (asked, claims) = claims_asked_for(100, |number| format!("c{number}"), true).await;
    assert_eq!((asked, claims.unwrap().len()), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_many_volumes_name_is_read_once() {
    let (asked, claims) = claims_asked_for(5_000, |number| format!("c{}", number % 2), true).await;
    let claims = claims.unwrap();
    let names: Vec<&str> = claims.iter().map(|claim| &*claim.name).collect();
    assert_eq!((asked, names), (2, vec!["c0", "c1"]));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_names_too_many_claims_is_refused_without_a_request() {
    let (asked, claims) = claims_asked_for(5_000, |number| format!("c{number}"), true).await;
    let why = "it names 5000 PersistentVolumeClaims, and at most 100 are read";
    assert_eq!((asked, claims), (0, Err(why.to_owned())));
}
