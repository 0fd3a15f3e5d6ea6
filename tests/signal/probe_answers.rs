//! What a probe makes of what a pod does.

use std::{net::IpAddr, time::Duration};

use futures::future::join_all;
use pod_quarantine::core::{
    judge::Answer::{Bad, Good, None},
    object::ContainerRun,
};
use test_workload::serve::{self, Settings};
use tokio::time::{sleep, timeout};

use crate::{
    alone::run_alone,
    rig::{LONG, Rig, ago, pod, quick_probe, running, silent_pod},
    server::{Reply, Server, ok},
};

pub(crate) async fn workload(bind: &str, behaviour: &str) -> serve::Server {
    let settings = Settings {
        bind: bind.parse::<IpAddr>().unwrap(),
        port: 0,
        control_port: 0,
        behaviour: behaviour.parse().unwrap(),
        pod_name: Some("web-1".to_owned()),
    };
    serve::Server::start(settings).await.unwrap()
}

/// What a probe of `/healthz` says first about a pod of that behaviour.
async fn first_answer(behaviour: &str) -> (pod_quarantine::core::judge::Answer, String) {
    let server = workload("127.0.0.1", behaviour).await;
    let mut probe = quick_probe();
    // Patient, so that a busy machine is not taken for a pod that does not answer.
    probe.timeout = Duration::from_millis(500);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.traffic));
    rig.answer().await
}

async fn answer_to(reply: Reply) -> (pod_quarantine::core::judge::Answer, String) {
    let server = Server::start(move |_| reply.clone()).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    rig.answer().await
}

#[tokio::test]
async fn statuses_from_200_to_399_are_good_and_all_others_bad() {
    let cases = [
        (200, Good),
        (204, Good),
        (299, Good),
        (300, Good),
        (304, Good),
        (399, Good),
        (400, Bad),
        (404, Bad),
        (500, Bad),
        (503, Bad),
        (599, Bad),
    ];
    join_all(cases.map(async |(status, answer)| {
        let said = first_answer(&status.to_string()).await;
        assert_eq!(said, (answer, format!("HTTP {status}")));
    }))
    .await;
}

#[tokio::test]
async fn a_pod_that_accepts_and_never_answers_is_bad_at_the_timeout() {
    for behaviour in ["hang", r#"{"health": {"answer": "hang"}}"#] {
        let said = first_answer(behaviour).await;
        assert_eq!(said, (Bad, "no answer within 500ms".to_owned()));
    }
}

#[tokio::test]
async fn a_slow_pod_is_good_until_the_timeout() {
    let slow = |ms: u64| format!(r#"{{"health": {{"answer": "ok", "delay_ms": {ms}}}}}"#);
    assert_eq!(
        first_answer(&slow(100)).await,
        (Good, "HTTP 200".to_owned())
    );
    let too_slow = (Bad, "no answer within 500ms".to_owned());
    assert_eq!(first_answer(&slow(2000)).await, too_slow);
}

#[tokio::test]
async fn a_pod_that_refuses_is_bad() {
    let said = first_answer("refuse").await;
    assert_eq!(said, (Bad, "connection refused".to_owned()));
}

#[tokio::test]
async fn a_pod_that_closes_without_an_answer_is_bad() {
    for behaviour in ["close", r#"{"health": {"answer": "close"}}"#] {
        let (answer, saw) = first_answer(behaviour).await;
        assert_eq!(answer, Bad, "{saw}");
        assert!(saw.ends_with(" before an answer"), "{saw}");
    }
    let said = answer_to(Reply::Bytes(Vec::new())).await;
    assert_eq!(said, (Bad, "connection closed before an answer".to_owned()));
}

#[tokio::test]
async fn a_pod_that_closes_during_its_answer_is_bad() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec();
    let said = answer_to(Reply::Bytes(cut)).await;
    assert_eq!(
        said,
        (Bad, "connection closed during the answer".to_owned())
    );
}

#[tokio::test]
async fn a_pod_that_does_not_speak_http_is_bad() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\0\x01\x02\xff\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
    ] {
        let said = answer_to(Reply::Bytes(garbage.to_vec())).await;
        assert_eq!(said, (Bad, "not an HTTP answer".to_owned()), "{garbage:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_good() {
    let said = first_answer(r#"{"health": {"answer": "endless"}}"#).await;
    assert_eq!(said, (Good, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn a_dripping_body_ends_at_the_timeout_and_is_bad() {
    let said = first_answer(r#"{"health": {"answer": {"drip_ms": 20}}}"#).await;
    assert_eq!(said, (Bad, "no complete answer within 500ms".to_owned()));
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection_and_is_good() {
    let old = b"HTTP/1.0 200 OK\r\n\r\nfine".to_vec();
    assert_eq!(
        answer_to(Reply::Bytes(old)).await,
        (Good, "HTTP 200".to_owned())
    );
}

#[tokio::test]
async fn a_pod_with_an_ipv6_address_is_probed() {
    let server = workload("::1", "ok").await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.traffic));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn a_pod_without_address_or_port_gives_a_sample_without_an_answer_once_a_period() {
    let mut unborn = silent_pod("unborn");
    unborn.address = Option::None;
    let mut portless = silent_pod("portless");
    portless.port = Option::None;
    for (target, saw) in [
        (unborn, "the pod has no address"),
        (portless, "the pod has no such port"),
    ] {
        let mut rig = Rig::probe(quick_probe());
        rig.put(target);
        let samples = rig.samples_for(Duration::from_secs(1)).await;
        assert!((8..=11).contains(&samples.len()), "{}", samples.len());
        for sample in samples {
            assert_eq!((sample.answer, &*sample.saw), (None, saw));
        }
        let observed = rig.observed();
        assert_eq!((observed.probes, observed.successes), (0, 0));
        assert!(observed.errors.is_empty(), "{observed:?}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_no_answer() {
    for (name, value) in [("X Y", "z"), ("X", "a\nb")] {
        let server = Server::start(|_| ok("")).await;
        let mut probe = quick_probe();
        probe.headers = vec![(name.to_owned(), value.to_owned())];
        let mut rig = Rig::probe(probe);
        rig.put(pod("a", server.address));
        let (answer, saw) = rig.answer().await;
        assert_eq!(answer, None, "{saw}");
        assert!(rig.observed().errors.contains_key("request"));
        assert_eq!(server.connections(), 0);
    }
}

#[tokio::test]
async fn an_address_that_the_agent_cannot_reach_at_all_is_no_answer() {
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", "255.255.255.255:80".parse().unwrap()));
    let (answer, saw) = rig.answer().await;
    assert_eq!(answer, None, "{saw}");
    assert!(rig.observed().errors.contains_key("agent"));
}

#[test]
fn an_agent_out_of_descriptors_blames_no_pod() {
    run_alone("probe_answers::out_of_descriptors", "ulimit -n 64");
}

#[tokio::test]
#[ignore = "fills its process with descriptors; run by the test above"]
async fn out_of_descriptors() {
    let server = workload("127.0.0.1", "ok").await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.traffic));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    rig.forget();
    rig.answer().await;
    for _ in 0..3 {
        let (answer, saw) = rig.answer().await;
        assert_eq!(answer, None, "{saw}");
    }
    drop(files);
    rig.forget();
    rig.answer().await;
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let proxies = "export http_proxy=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1";
    run_alone("probe_answers::among_proxies", proxies);
}

#[tokio::test]
#[ignore = "needs an environment; run by the test above"]
async fn among_proxies() {
    assert!(std::env::var("http_proxy").is_ok());
    assert_eq!(first_answer("ok").await, (Good, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn a_removed_pod_gets_no_more_samples() {
    let server = Server::start(|_| Reply::Hang).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_millis(600);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    timeout(LONG, async {
        while server.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    rig.remove("uid-a");
    let samples = rig.samples_for(Duration::from_secs(1)).await;
    assert!(samples.is_empty(), "{samples:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_container_that_has_not_started_is_not_asked() {
    let server = Server::start(|_| ok("")).await;
    let mut rig = Rig::probe(quick_probe());
    let mut target = pod("a", server.address);
    target.run = Option::None;
    rig.put(target);
    let sample = rig.sample().await;
    assert_eq!(
        (sample.answer, &*sample.saw),
        (None, "the container has not started")
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn there_is_no_sample_before_the_initial_delay_is_over() {
    let server = Server::start(|_| ok("")).await;
    let mut probe = quick_probe();
    probe.initial_delay = Duration::from_mins(1);
    let mut rig = Rig::probe(probe);
    let started = |name: &str, started: Option<jiff::Timestamp>| {
        let mut target = pod(name, server.address);
        target.run = started.map(running);
        target
    };
    rig.put(started("unborn", Option::None));
    rig.put(started("young", Some(ago(30))));
    rig.put(started("old", Some(ago(61))));
    rig.put(started("ripe", Some(ago(59))));
    let samples = rig.samples_for(Duration::from_millis(1500)).await;
    let of = |uid: &str| samples.iter().filter(|sample| &*sample.pod == uid).count();
    assert_eq!((of("uid-unborn"), of("uid-young")), (0, 0));
    assert!(of("uid-old") >= 12, "{}", of("uid-old"));
    assert!((1..=7).contains(&of("uid-ripe")), "{}", of("uid-ripe"));
}

/// What its predecessor did not answer is no answer of the new container.
#[tokio::test]
async fn a_probe_that_is_under_way_while_its_container_is_restarted_gives_no_sample() {
    let hanging = Server::start(|_| Reply::Hang).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_secs(1);
    probe.initial_delay = Duration::from_mins(1);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", hanging.address));
    while hanging.connections() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let mut restarted = pod("a", hanging.address);
    restarted.run = Some(ContainerRun {
        restarts: 1,
        ..running(ago(0))
    });
    rig.put(restarted);
    let samples = rig.samples_for(Duration::from_secs(3)).await;
    let bad = samples.iter().filter(|sample| sample.answer == Bad);
    assert_eq!(bad.count(), 0, "{samples:?}");
}
