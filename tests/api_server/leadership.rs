//! How the Lease comes to be.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use pod_quarantine::cluster::{LeaderCandidate, Leadership, lead};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::server::{client, ok, refused};

#[tokio::test(start_paused = true)]
async fn the_first_agent_creates_the_lease_and_holds_it_at_once() {
    let lease =
        ok(&json!({ "metadata": { "name": "pod-quarantine-default", "resourceVersion": "7" } }));
    let requests = Mutex::new(VecDeque::from([refused(404), lease.clone(), lease]));
    let (client, _) = client(move |_| requests.lock().unwrap().pop_front());
    let (events, _received) = mpsc::channel(64);
    let (leads, mut leadership) = watch::channel(Leadership::Standby);
    let candidate = LeaderCandidate {
        identity: Some("web-0".to_owned()),
        events,
        leads,
        step_down: CancellationToken::new(),
    };
    let began = Instant::now();
    let lead = tokio::spawn(lead(&client, "shop", "default", candidate));
    leadership.changed().await.unwrap();
    assert!(leadership.borrow().acts());
    assert_eq!(began.elapsed(), Duration::ZERO);
    lead.abort();
}
