//! When Prometheus is asked, and what becomes of pods meanwhile.

use std::time::Duration;

use pod_quarantine::core::judge::Answer::{Good, None};
use tokio::time::sleep;

use crate::{
    query_answers::vector,
    rig::{Rig, quick_query, silent_pod},
    server::{Reply, Server},
};

#[tokio::test]
async fn there_is_one_query_an_interval_however_many_pods_there_are() {
    let server = Server::start(vector(&[("1", "0.01")])).await;
    let mut rig = Rig::query(quick_query(&server));
    for number in 0..50 {
        rig.put(silent_pod(&number.to_string()));
    }
    let samples = rig.samples_for(Duration::from_millis(1050)).await;
    let queries = server.asked().len();
    assert!((8..=11).contains(&queries), "{queries}");
    assert!(samples.len() >= 8 * 50, "{}", samples.len());
    assert!(samples.len() <= queries * 50, "{}", samples.len());
    assert_eq!(rig.observed().queries.len(), queries);
}

#[tokio::test]
async fn without_a_pod_there_is_no_query() {
    let server = Server::start(vector(&[])).await;
    let mut rig = Rig::query(quick_query(&server));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(server.asked().len(), 0);
    rig.put(silent_pod("a"));
    rig.answer().await;
    rig.remove("uid-a");
    sleep(Duration::from_millis(200)).await;
    let before = server.asked().len();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(server.asked().len(), before);
}

#[tokio::test]
async fn a_slow_query_is_cut_at_the_timeout() {
    let server = Server::start(|_| Reply::Hang).await;
    let (mut query, mut prometheus) = quick_query(&server);
    query.interval = Duration::from_millis(500);
    prometheus.timeout = Duration::from_millis(200);
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    assert_eq!(
        rig.answer().await,
        (None, "Prometheus: no answer within 200ms".to_owned())
    );
    let observed = rig.observed();
    let off = observed.queries[0].abs_diff(Duration::from_millis(200));
    assert!(off < Duration::from_millis(80), "{observed:?}");
    assert_eq!(observed.errors.into_keys().collect::<Vec<_>>(), ["timeout"]);
    assert_eq!(observed.successes, 0);
}

#[tokio::test]
async fn a_slow_query_is_cut_at_the_interval_and_the_next_query_is_on_time() {
    let server = Server::start(|_| Reply::Hang).await;
    let mut rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    let samples = rig.samples_for(Duration::from_millis(2050)).await;
    assert!((12..=21).contains(&samples.len()), "{}", samples.len());
    assert_eq!(&*samples[0].saw, "Prometheus: no answer within 100ms");
    assert_eq!(server.most_open(), 1);
}

#[tokio::test]
async fn a_body_that_drips_is_cut_at_the_timeout() {
    let workload =
        crate::probe_answers::workload("127.0.0.1", r#"{"traffic": {"answer": {"drip_ms": 20}}}"#)
            .await;
    let mut rig = Rig::query(crate::rig::query_of(&format!(
        "http://{}",
        workload.traffic
    )));
    rig.put(silent_pod("a"));
    assert_eq!(
        rig.answer().await,
        (None, "Prometheus: no answer within 100ms".to_owned())
    );
}

#[tokio::test]
async fn what_a_slow_query_says_is_as_old_as_its_beginning() {
    let late = Duration::from_millis(300);
    let vector = vector(&[("a", "0.01")]);
    let server = Server::start(move |asked| match vector(asked) {
        Reply::Bytes(bytes) => Reply::Late(late, bytes),
        other => other,
    })
    .await;
    let (mut query, mut prometheus) = quick_query(&server);
    query.interval = Duration::from_secs(1);
    prometheus.timeout = query.interval;
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("a"));
    let (sample, age) = rig.sample_and_age().await;
    assert_eq!(sample.answer, Good);
    assert!(age >= late, "{age:?}");
    assert_eq!(sample.at.moment, sample.asked);
}

#[tokio::test]
async fn a_pod_that_is_removed_during_a_query_gets_no_sample() {
    let server = Server::start(|_| Reply::Hang).await;
    let (mut query, mut prometheus) = quick_query(&server);
    query.interval = Duration::from_millis(600);
    prometheus.timeout = query.interval;
    let mut rig = Rig::query((query, prometheus));
    rig.put(silent_pod("goes"));
    rig.put(silent_pod("stays"));
    while server.connections() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    rig.remove("uid-goes");
    assert_eq!(&*rig.sample().await.pod, "uid-stays");
    assert_eq!(&*rig.sample().await.pod, "uid-stays");
}

#[tokio::test]
async fn a_query_recovers_when_the_server_does() {
    let server = Server::start(|_| Reply::Hang).await;
    let mut rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    assert_eq!(rig.answer().await.0, None);
    server.now(vector(&[("a", "0.01")]));
    rig.forget();
    rig.answer().await;
    assert_eq!(
        rig.answer().await,
        (Good, "0.01 is not above 0.05".to_owned())
    );
    assert!(rig.observed().successes > 0);
}

#[tokio::test]
async fn a_signal_sends_heartbeats_during_a_long_query() {
    let server = Server::start(|_| Reply::Hang).await;
    let (mut query, mut prometheus) = quick_query(&server);
    query.interval = Duration::from_secs(3);
    prometheus.timeout = query.interval;
    let rig = Rig::query((query, prometheus));
    sleep(Duration::from_millis(3500)).await;
    let beats = rig.observed().beats;
    let longest = beats.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}

#[tokio::test]
async fn a_signal_whose_targets_or_samples_are_closed_ends_with_an_error() {
    let server = Server::start(vector(&[])).await;
    let end = Rig::query(quick_query(&server)).end_without_targets().await;
    assert_eq!(
        end,
        "watch the pods of policy web-query: the channel of targets is closed"
    );
    let rig = Rig::query(quick_query(&server));
    rig.put(silent_pod("a"));
    let end = rig.end_without_a_receiver().await;
    assert_eq!(
        end,
        "report samples of policy web-query: the channel of samples is closed"
    );
}
