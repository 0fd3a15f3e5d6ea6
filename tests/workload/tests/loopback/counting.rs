//! The client: what it sends and how it counts what comes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use test_workload::client::{Client, Settings};
use test_workload::counts::{Counts, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::wire::{LONG, SHORT, get, named_server, request, server, switch};

fn settings(address: SocketAddr, millis: u64) -> Settings {
    Settings {
        url: format!("http://{address}/").parse().unwrap(),
        connections: 1,
        rate: 50,
        keep_alive: false,
        fresh: true,
        timeout: LONG,
        bounded: Some(Duration::from_millis(millis)),
        bind: [127, 0, 0, 1].into(),
        control_port: 0,
    }
}

async fn run(settings: Settings) -> Counts {
    let mut client = Client::start(settings).await.unwrap();
    timeout(LONG, client.finished()).await.unwrap().unwrap()
}

fn errors(counts: &Counts) -> BTreeMap<ErrorKind, u64> {
    let some = counts.errors.iter().filter(|(_, count)| **count > 0);
    some.map(|(kind, count)| (*kind, *count)).collect()
}

#[tokio::test]
async fn answers_are_counted_by_pod_and_code() {
    let server = server(r#"{"traffic": {"answer": {"status": 500}, "share": 0.5}}"#).await;
    let counts = run(settings(server.traffic, 500)).await;
    assert_eq!(errors(&counts), BTreeMap::new());
    assert_eq!(counts.by_pod.keys().collect::<Vec<_>>(), ["web-1"]);
    let codes = &counts.by_pod["web-1"];
    assert_eq!(codes.keys().collect::<Vec<_>>(), [&200, &500]);
    assert!(codes[&200].abs_diff(codes[&500]) <= 1, "{counts:?}");
    let metrics = get(server.traffic, "/metrics").await.body;
    for (code, count) in codes {
        let line = format!("http_requests_total{{code=\"{code}\"}} {count}\n");
        assert!(metrics.contains(&line), "{counts:?}\n{metrics}");
    }
}

#[tokio::test]
async fn the_rate_holds_for_all_connections_together() {
    let server = server("ok").await;
    let counts = run(Settings {
        connections: 8,
        rate: 40,
        ..settings(server.traffic, 1000)
    })
    .await;
    let answered = counts.by_pod["web-1"][&200];
    // 41 on an idle machine; a busy one loses beats, and none adds any.
    assert!((20..=41).contains(&answered), "{answered} in a second");
}

#[tokio::test]
async fn each_kind_of_failure_has_its_own_count() {
    let cases = [
        ("refuse", ErrorKind::Refused),
        ("hang", ErrorKind::Timeout),
        (r#"{"traffic": {"answer": "close"}}"#, ErrorKind::Closed),
        (r#"{"traffic": {"answer": "endless"}}"#, ErrorKind::TooLong),
        (
            r#"{"traffic": {"answer": {"drip_ms": 10}}}"#,
            ErrorKind::Timeout,
        ),
        (r#"{"traffic": {"delay_ms": 2000}}"#, ErrorKind::Timeout),
    ];
    for (behaviour, kind) in cases {
        let server = server("ok").await;
        switch(&server, behaviour).await;
        let patience = match kind {
            ErrorKind::Timeout => Duration::from_millis(100),
            _ => LONG,
        };
        let counts = run(Settings {
            timeout: patience,
            ..settings(server.traffic, 250)
        })
        .await;
        assert!(counts.by_pod.is_empty(), "{behaviour}: {counts:?}");
        let seen = errors(&counts);
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&kind], "{behaviour}");
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_counted_as_unresolved() {
    // A label of 64 letters is no name, so no server far away is asked.
    let counts = run(Settings {
        url: format!("http://{}.test/", "x".repeat(64)).parse().unwrap(),
        ..settings(([127, 0, 0, 1], 1).into(), 50)
    })
    .await;
    assert_eq!(
        errors(&counts).keys().collect::<Vec<_>>(),
        [&ErrorKind::Resolve]
    );
}

#[tokio::test]
async fn a_request_in_flight_at_the_end_is_still_counted() {
    let server = server(r#"{"traffic": {"delay_ms": 400}}"#).await;
    let begun = Instant::now();
    let counts = run(settings(server.traffic, 100)).await;
    assert!(begun.elapsed() >= Duration::from_millis(400));
    assert_eq!(counts.by_pod["web-1"][&200], 1);
}

/// A server that answers every request with the number of its connection, and closes a connection
/// after so many answers.
async fn numbering_server(answers: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                for _ in 0..answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let body = format!("pod: {number}\n");
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_fresh_client_uses_a_connection_for_each_request() {
    let address = numbering_server(usize::MAX).await;
    let counts = run(settings(address, 300)).await;
    assert_eq!(errors(&counts), BTreeMap::new());
    assert!(counts.by_pod.len() > 3, "{counts:?}");
    for codes in counts.by_pod.values() {
        assert_eq!(codes, &BTreeMap::from([(200, 1)]), "{counts:?}");
    }
}

#[tokio::test]
async fn kept_connections_stay_with_their_pod() {
    let address = numbering_server(usize::MAX).await;
    let counts = run(Settings {
        keep_alive: true,
        fresh: false,
        ..settings(address, 300)
    })
    .await;
    assert_eq!(errors(&counts), BTreeMap::new());
    assert_eq!(counts.by_pod.keys().collect::<Vec<_>>(), ["0"]);
    assert!(counts.by_pod["0"][&200] > 3, "{counts:?}");
}

#[tokio::test]
async fn a_kept_connection_closed_between_requests_is_replaced_without_an_error() {
    let address = numbering_server(2).await;
    let counts = run(Settings {
        keep_alive: true,
        fresh: false,
        ..settings(address, 300)
    })
    .await;
    assert_eq!(errors(&counts), BTreeMap::new());
    assert!(counts.by_pod.len() > 1, "{counts:?}");
    assert_eq!(counts.by_pod["0"][&200], 2, "{counts:?}");
}

#[tokio::test]
async fn counts_are_read_and_reset_over_the_control_port() {
    let server = named_server("web-7", "ok").await;
    let client = Client::start(Settings {
        bounded: None,
        ..settings(server.traffic, 1)
    })
    .await
    .unwrap();
    let parse = |body: &str| serde_json::from_str::<Counts>(body).unwrap();
    let deadline = Instant::now() + LONG;
    let before = loop {
        let counts = parse(&get(client.control, "/counts").await.body);
        let answered = counts.by_pod.get("web-7").map_or(0, |codes| codes[&200]);
        if answered >= 5 {
            break counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // No answer comes in from here on, once the one on its way has: the numbers hold still.
    switch(&server, "hang").await;
    tokio::time::sleep(SHORT).await;
    let until = parse(
        &request(client.control, "POST", "/counts/reset", "")
            .await
            .body,
    );
    assert_eq!(until.since, before.since);
    assert!(until.by_pod["web-7"][&200] >= before.by_pod["web-7"][&200]);
    let after = parse(&get(client.control, "/counts").await.body);
    assert!(after.by_pod.is_empty(), "{after:?}");
    assert!(after.since > before.since);
}
