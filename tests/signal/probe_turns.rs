//! When probes are sent.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use pod_quarantine::core::judge::Answer::{Bad, Good};
use tokio::time::sleep;

use crate::{
    rig::{Rig, pod, quick_probe},
    server::{Reply, Server, answer, ok},
};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn probes_of_many_pods_are_spread_over_the_period() {
    let server = Server::start(|_| ok("")).await;
    let mut probe = quick_probe();
    probe.period = Duration::from_secs(1);
    probe.timeout = Duration::from_secs(1);
    let mut rig = Rig::probe(probe);
    let begun = Instant::now();
    for number in 0..100 {
        rig.put(pod(&number.to_string(), server.address));
    }
    let mut tenths = BTreeSet::new();
    let mut known = BTreeSet::new();
    while known.len() < 100 {
        let sample = rig.sample().await;
        tenths.insert(begun.elapsed().as_millis() / 100);
        known.insert(sample.pod);
    }
    assert!(
        begun.elapsed() < Duration::from_millis(1800),
        "{:?}",
        begun.elapsed()
    );
    assert!(tenths.len() >= 8, "{tenths:?}");
}

#[tokio::test]
async fn a_pod_is_probed_once_a_period_however_long_its_answers_take() {
    let server = Server::start(|_| Reply::Late(Duration::from_millis(60), FINE.to_vec())).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    let first = rig.sample().await;
    let mut last = first.clone();
    for _ in 0..20 {
        last = rig.sample().await;
    }
    let took = last.at.moment.saturating_sub(first.at.moment);
    let off = took.abs_diff(Duration::from_secs(2));
    assert!(off < Duration::from_millis(60), "{took:?}");
}

#[tokio::test]
async fn a_pod_has_at_most_one_probe_under_way() {
    let server = Server::start(|_| Reply::Hang).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_millis(350);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", server.address));
    for _ in 0..3 {
        assert_eq!(rig.answer().await.0, Bad);
    }
    assert_eq!(server.most_open(), 1);
}

#[tokio::test]
async fn a_pod_whose_target_changes_often_is_still_probed_once_a_period() {
    let server = Server::start(|_| ok("")).await;
    let mut rig = Rig::probe(quick_probe());
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_secs(1) {
        let mut target = pod("a", server.address);
        number += 1;
        target.run = Some(crate::rig::running(crate::rig::ago(number)));
        rig.put(target);
        sleep(Duration::from_millis(10)).await;
    }
    rig.samples_for(Duration::from_millis(50)).await;
    assert!(
        (7..=12).contains(&server.connections()),
        "{}",
        server.connections()
    );
}

#[tokio::test]
async fn a_pod_that_moves_is_probed_at_its_new_address_and_not_judged_by_the_old_address() {
    let old = Server::start(|_| Reply::Hang).await;
    let new = Server::start(|_| ok("")).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_millis(300);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", old.address));
    while old.connections() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    rig.put(pod("a", new.address));
    for sample in rig.samples_for(Duration::from_millis(600)).await {
        assert_eq!(sample.answer, Good, "{}", sample.saw);
    }
    assert!(new.connections() >= 3);
    assert_eq!(old.connections(), 1);
}

#[tokio::test]
async fn samples_follow_a_pod_that_turns_bad_and_good_again() {
    let server = Server::start(|_| ok("")).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await.0, Good);
    server.now(|_| answer("500 Oh", ""));
    rig.forget();
    rig.answer().await;
    assert_eq!(rig.answer().await, (Bad, "HTTP 500".to_owned()));
    server.now(|_| ok(""));
    rig.forget();
    rig.answer().await;
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
    let observed = rig.observed();
    assert!(
        observed.probes >= 5 && observed.successes >= 5,
        "{observed:?}"
    );
    assert!(observed.errors.is_empty(), "{observed:?}");
}

#[tokio::test]
async fn an_idle_signal_sends_heartbeats() {
    let rig = Rig::probe(quick_probe());
    sleep(Duration::from_millis(1800)).await;
    let beats = rig.observed().beats;
    let longest = beats.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!(beats.len() < 20, "{}", beats.len());
}

#[tokio::test]
async fn a_signal_whose_targets_or_samples_are_closed_ends_with_an_error() {
    let server = Server::start(|_| ok("")).await;
    let end = Rig::probe(quick_probe()).end_without_targets().await;
    assert_eq!(
        end,
        "watch the pods of policy web-probe: the channel of targets is closed"
    );
    let rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    let end = rig.end_without_a_receiver().await;
    assert_eq!(
        end,
        "report samples of policy web-probe: the channel of samples is closed"
    );
}

#[tokio::test]
async fn a_late_answer_is_as_old_as_its_probe() {
    let late = Duration::from_millis(60);
    let server = Server::start(move |_| Reply::Late(late, FINE.to_vec())).await;
    let mut rig = Rig::probe(quick_probe());
    rig.put(pod("a", server.address));
    let (sample, age) = rig.sample_and_age().await;
    assert!(age >= late, "{age:?}");
    assert!(sample.at.moment >= sample.asked + late, "{sample:?}");
}
