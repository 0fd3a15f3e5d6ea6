//! What is the agent's own doing is never a pod's fault.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pod_quarantine::{
    core::judge::Answer::{Bad, Good, None},
    signal::probe::Permits,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::sleep,
};

use crate::{
    rig::{Rig, pod, quick_probe},
    server::{Reply, Server, ok},
};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn waiting_for_a_permit_is_no_part_of_the_timeout() {
    let server = Server::start(|_| Reply::Late(Duration::from_millis(150), FINE.to_vec())).await;
    let mut probe = quick_probe();
    probe.period = Duration::from_secs(2);
    probe.timeout = Duration::from_millis(400);
    let mut rig = Rig::probe_with(probe, Arc::new(Semaphore::new(1)), 100);
    // Five of them take 750 ms together, so some wait for longer than the timeout wherever their turns fall.
    for number in 0..5 {
        rig.put(pod(&number.to_string(), server.address));
    }
    for (uid, said) in rig.round(5).await {
        assert_eq!(said, (Good, "HTTP 200".to_owned()), "{uid}");
    }
    assert_eq!(server.most_open(), 1);
}

#[tokio::test]
async fn all_probes_together_keep_to_the_permits() {
    let server = Server::start(|_| Reply::Late(Duration::from_millis(20), FINE.to_vec())).await;
    let mut probe = quick_probe();
    probe.period = Duration::from_millis(400);
    probe.timeout = Duration::from_millis(400);
    let mut rig = Rig::probe_with(probe, Arc::new(Semaphore::new(3)), 100);
    for number in 0..30 {
        rig.put(pod(&number.to_string(), server.address));
    }
    rig.round(30).await;
    assert!(
        (2..=3).contains(&server.most_open()),
        "{}",
        server.most_open()
    );
}

#[tokio::test]
async fn a_probe_without_a_permit_for_a_whole_period_is_skipped_and_gives_no_answer() {
    let server = Server::start(|_| ok("")).await;
    let permits = Arc::new(Semaphore::new(0));
    let mut rig = Rig::probe_with(quick_probe(), permits.clone(), 100);
    rig.put(pod("a", server.address));
    let begun = Instant::now();
    for _ in 0..3 {
        let said = rig.answer().await;
        assert_eq!(
            said,
            (None, "not probed: too many probes at once".to_owned())
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(server.connections(), 0);
    let observed = rig.observed();
    assert!(observed.errors["busy"] >= 3, "{observed:?}");
    assert_eq!((observed.probes, observed.successes), (0, 0));
    permits.add_permits(1);
    rig.forget();
    rig.answer().await;
    assert_eq!(rig.answer().await.0, Good);
    // What was left out is not made up for.
    assert!(server.connections() <= 3, "{}", server.connections());
}

#[tokio::test]
async fn a_removed_pod_gives_its_permit_back_at_once() {
    let hanging = Server::start(|_| Reply::Hang).await;
    let server = Server::start(|_| ok("")).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_mins(1);
    let mut rig = Rig::probe_with(probe, Arc::new(Semaphore::new(1)), 100);
    rig.put(pod("hangs", hanging.address));
    while hanging.connections() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    rig.remove("uid-hangs");
    rig.put(pod("a", server.address));
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn pods_of_one_namespace_that_hang_take_no_permits_of_the_others() {
    let hanging = Server::start(|_| Reply::Hang).await;
    let server = Server::start(|_| ok("")).await;
    let mut probe = quick_probe();
    probe.timeout = Duration::from_mins(1);
    let permits = Permits::new(Arc::new(Semaphore::new(4)), 2);
    let mut rig = Rig::probe_permits(probe, permits, 100);
    for number in 0..20 {
        let mut target = pod(&format!("hangs-{number}"), hanging.address);
        target.pod.namespace = "evil".into();
        rig.put(target);
    }
    while hanging.connections() < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    rig.put(pod("a", server.address));
    let good = async |rig: &mut Rig| loop {
        let sample = rig.sample().await;
        if &*sample.pod == "uid-a" {
            return sample.answer;
        }
    };
    for _ in 0..3 {
        assert_eq!(good(&mut rig).await, Good);
    }
    assert_eq!(hanging.most_open(), 2);
}

#[tokio::test]
async fn a_full_channel_of_samples_makes_no_pod_bad() {
    let server = Server::start(|_| Reply::Late(Duration::from_millis(20), FINE.to_vec())).await;
    let mut rig = Rig::probe_with(quick_probe(), Arc::new(Semaphore::new(100)), 1);
    for number in 0..10 {
        rig.put(pod(&number.to_string(), server.address));
    }
    sleep(Duration::from_millis(700)).await;
    for _ in 0..30 {
        assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
    }
}

/// A pod on a thread of its own: it answers while the test's thread does not run. Sends a message when the first request arrives.
fn pod_on_a_thread(answer_after: Duration) -> (SocketAddr, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = oneshot::channel();
    let mut sender = Some(sender);
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if let Some(sender) = sender.take() {
                sender.send(()).ok();
            }
            drop(stream.read(&mut [0; 1024]));
            thread::sleep(answer_after);
            drop(stream.write_all(FINE));
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_delay_of_the_agent_makes_no_pod_bad() {
    let (address, asked) = pod_on_a_thread(Duration::from_millis(150));
    let mut probe = quick_probe();
    probe.period = Duration::from_secs(1);
    probe.timeout = Duration::from_millis(300);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", address));
    asked.await.unwrap();
    // The one thread of this test is also the agent's.
    thread::sleep(Duration::from_millis(900));
    let (answer, saw) = rig.answer().await;
    assert_ne!(answer, Bad, "{saw}");
    assert_eq!(rig.answer().await, (Good, "HTTP 200".to_owned()));
}

#[tokio::test]
async fn a_slow_pod_is_bad_where_the_agent_was_not_delayed() {
    let (address, _asked) = pod_on_a_thread(Duration::from_millis(700));
    let mut probe = quick_probe();
    probe.period = Duration::from_secs(1);
    probe.timeout = Duration::from_millis(300);
    let mut rig = Rig::probe(probe);
    rig.put(pod("a", address));
    assert_eq!(
        rig.answer().await,
        (Bad, "no answer within 300ms".to_owned())
    );
}
