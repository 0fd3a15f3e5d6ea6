//! Each answer, for traffic and for `/healthz`, and the switching between them.

use std::time::{Duration, Instant};

use test_workload::answered::Answered;
use test_workload::behaviour::Behaviour;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::wire::{
    LONG, closed_without_answer, get, request, send, server, silent, statuses, switch,
};

#[tokio::test]
async fn a_healthy_pod_says_its_name_on_every_path() {
    let server = server("ok").await;
    for path in ["/", "/any/other?x=1", "/healthz", "/readyz"] {
        let reply = get(server.traffic, path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.body, "pod: web-1\n", "{path}");
    }
}

#[tokio::test]
async fn a_failing_pod_says_its_name_too() {
    let server = server("503").await;
    for path in ["/", "/healthz"] {
        let reply = get(server.traffic, path).await;
        assert_eq!(reply.status, 503, "{path}");
        assert_eq!(reply.body, "pod: web-1\n", "{path}");
    }
    assert_eq!(get(server.traffic, "/readyz").await.status, 200);
}

#[tokio::test]
async fn traffic_and_health_and_readiness_are_switched_apart() {
    let server = server("ok").await;
    let cases = [
        (
            r#"{"traffic": {"answer": {"status": 500}}}"#,
            [500, 200, 200],
        ),
        (
            r#"{"health": {"answer": {"status": 502}}}"#,
            [200, 502, 200],
        ),
        (r#"{"ready": false}"#, [200, 200, 503]),
        ("unready", [200, 200, 503]),
        ("ok", [200, 200, 200]),
    ];
    for (behaviour, expected) in cases {
        switch(&server, behaviour).await;
        let mut seen = [0; 3];
        for (status, path) in seen.iter_mut().zip(["/", "/healthz", "/readyz"]) {
            *status = get(server.traffic, path).await.status;
        }
        assert_eq!(seen, expected, "{behaviour}");
    }
}

#[tokio::test]
async fn a_share_of_0_3_is_exactly_three_of_every_ten_from_the_switch_on() {
    let share = r#"{"traffic": {"answer": {"status": 500}, "share": 0.3}}"#;
    let server = server("ok").await;
    assert_eq!(statuses(server.traffic, "/", 4).await, [200; 4]);
    switch(&server, share).await;
    let first = statuses(server.traffic, "/", 10).await;
    assert_eq!(
        first,
        [200, 200, 200, 500, 200, 200, 500, 200, 200, 500],
        "evenly spread"
    );
    // Requests to the health path are not among those counted for traffic.
    assert_eq!(statuses(server.traffic, "/healthz", 5).await, [200; 5]);
    assert_eq!(statuses(server.traffic, "/", 10).await, first);
    switch(&server, share).await;
    assert_eq!(
        statuses(server.traffic, "/", 10).await,
        first,
        "counted from the switch"
    );
}

#[tokio::test]
async fn a_share_holds_for_health_and_for_a_delay() {
    let server = server(r#"{"health": {"delay_ms": 500, "share": 0.5}}"#).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let begun = Instant::now();
        assert_eq!(get(server.traffic, "/healthz").await.status, 200);
        slow.push(begun.elapsed() >= Duration::from_millis(500));
    }
    assert_eq!(slow, [false, true, false, true]);
}

#[tokio::test]
async fn a_slow_pod_answers_after_its_delay() {
    let server = server(r#"{"traffic": {"answer": {"status": 500}, "delay_ms": 500}}"#).await;
    let begun = Instant::now();
    assert_eq!(get(server.traffic, "/").await.status, 500);
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let begun = Instant::now();
    assert_eq!(get(server.traffic, "/healthz").await.status, 200);
    assert!(begun.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn a_path_hangs_until_the_switch_and_is_never_answered() {
    let server = server(r#"{"health": {"answer": "hang"}}"#).await;
    let mut stream = send(server.traffic, "GET", "/healthz", "").await;
    assert!(silent(&mut stream).await);
    assert_eq!(get(server.traffic, "/").await.status, 200);
    switch(&server, "ok").await;
    assert!(closed_without_answer(&mut stream).await);
    assert_eq!(get(server.traffic, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_path_closes_the_connection_instead_of_an_answer() {
    let server = server(r#"{"traffic": {"answer": "close"}}"#).await;
    let mut stream = send(server.traffic, "GET", "/", "").await;
    assert!(closed_without_answer(&mut stream).await);
    assert_eq!(get(server.traffic, "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_redirect_leads_to_its_location() {
    let server = server(r#"{"health": {"answer": {"redirect": "http://elsewhere.test/x"}}}"#).await;
    let reply = get(server.traffic, "/healthz").await;
    assert_eq!(reply.status, 302);
    assert!(
        reply.head.contains("\r\nlocation: http://elsewhere.test/x"),
        "{reply:?}"
    );
}

#[tokio::test]
async fn an_endless_body_goes_on_until_the_switch() {
    let server = server(r#"{"health": {"answer": "endless"}}"#).await;
    let mut stream = send(server.traffic, "GET", "/healthz", "").await;
    // More than any buffer on the way holds.
    let mut read = vec![0; 16 * 1024 * 1024];
    let filled = timeout(LONG, stream.read_exact(&mut read)).await;
    filled.expect("as fast as it is read").unwrap();
    assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n"));
    switch(&server, "ok").await;
    let mut rest = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut rest)).await;
    let _reset_or_closed = ended.expect("an end after the switch");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "cut, not finished");
}

#[tokio::test]
async fn a_dripping_body_comes_byte_by_byte_until_the_switch() {
    let server = server(r#"{"traffic": {"answer": {"drip_ms": 30}}}"#).await;
    let begun = Instant::now();
    let mut stream = send(server.traffic, "GET", "/", "").await;
    let mut text = String::new();
    while text.matches("1\r\n.\r\n").count() < 5 {
        let byte = timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
        text.push(char::from(byte));
    }
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(begun.elapsed() >= Duration::from_millis(5 * 30));
    assert!(begun.elapsed() < LONG / 2);
    switch(&server, "ok").await;
    let mut rest = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut rest)).await;
    let _reset_or_closed = ended.expect("an end after the switch");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "cut, not finished");
}

#[tokio::test]
async fn the_control_port_reads_back_the_behaviour() {
    let server = server("unready").await;
    let read = async || -> Behaviour {
        let reply = get(server.control, "/behaviour").await;
        serde_json::from_str(&reply.body).unwrap()
    };
    assert_eq!(read().await, "unready".parse().unwrap());
    let behaviour = r#"{"health": {"answer": {"drip_ms": 7}, "share": 0.29}, "socket": "serve"}"#;
    switch(&server, behaviour).await;
    assert_eq!(read().await, behaviour.parse().unwrap());
}

#[tokio::test]
async fn a_mistake_is_refused_with_its_reason_and_changes_nothing() {
    let server = server("500").await;
    let reply = request(server.control, "PUT", "/behaviour", r#"{"helth": {}}"#).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("helth"), "{reply:?}");
    assert_eq!(get(server.traffic, "/").await.status, 500);
}

#[tokio::test]
async fn the_control_port_reports_when_health_was_answered_and_with_what() {
    let server = server("ok").await;
    let before = jiff::Timestamp::now();
    get(server.traffic, "/healthz").await;
    switch(&server, "500").await;
    get(server.traffic, "/healthz").await;
    get(server.traffic, "/").await;

    let answers = get(server.control, "/answers").await.body;
    let answers: Vec<Answered> = serde_json::from_str(&answers).unwrap();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 500]);
    assert!(before <= answers[0].at && answers[0].at <= answers[1].at);
}
