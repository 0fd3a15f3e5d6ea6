//! `/metrics`, as Prometheus reads it.

use std::net::SocketAddr;

use crate::wire::{get, send, server, silent, statuses, switch};

async fn lines(address: SocketAddr, prefix: &str) -> Vec<String> {
    let reply = get(address, "/metrics").await;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{reply:?}"
    );
    let with_prefix = reply.body.lines().filter(|line| line.starts_with(prefix));
    with_prefix.map(str::to_owned).collect()
}

#[tokio::test]
async fn traffic_is_counted_by_code_and_a_code_appears_with_its_first_answer() {
    let server = server(r#"{"traffic": {"answer": {"status": 500}, "share": 0.3}}"#).await;
    let counters = async || lines(server.traffic, "http_requests_total").await;
    assert_eq!(counters().await, Vec::<String>::new());
    statuses(server.traffic, "/", 3).await;
    assert_eq!(counters().await, [r#"http_requests_total{code="200"} 3"#]);
    statuses(server.traffic, "/", 7).await;
    let both = [
        r#"http_requests_total{code="200"} 7"#,
        r#"http_requests_total{code="500"} 3"#,
    ];
    assert_eq!(counters().await, both);
    switch(&server, "ok").await;
    assert_eq!(counters().await, both, "a switch takes nothing back");
    let types = lines(server.traffic, "# TYPE").await;
    assert_eq!(
        types,
        [
            "# TYPE http_request_duration_seconds histogram",
            "# TYPE http_requests_total counter",
        ]
    );
}

#[tokio::test]
async fn health_and_metrics_requests_are_no_traffic() {
    let server = server(r#"{"health": {"answer": {"status": 500}}, "ready": false}"#).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        get(server.traffic, path).await;
    }
    let counted = lines(server.traffic, "http_requests_total").await;
    assert_eq!(counted, Vec::<String>::new());
    let timed = lines(server.traffic, "http_request_duration_seconds_count").await;
    assert_eq!(timed, ["http_request_duration_seconds_count 0"]);
}

#[tokio::test]
async fn a_request_that_hangs_is_not_counted() {
    let server = server(r#"{"traffic": {"answer": "hang"}}"#).await;
    let mut stream = send(server.traffic, "GET", "/", "").await;
    assert!(silent(&mut stream).await);
    switch(&server, "ok").await;
    let counted = lines(server.traffic, "http_requests_total").await;
    assert_eq!(counted, Vec::<String>::new());
}

#[tokio::test]
async fn the_histogram_separates_slow_answers_from_quick_answers() {
    let server = server(r#"{"traffic": {"delay_ms": 300, "share": 0.5}}"#).await;
    statuses(server.traffic, "/", 4).await;
    let bucket = async |le: &str| {
        let prefix = format!("http_request_duration_seconds_bucket{{le=\"{le}\"}} ");
        let found = lines(server.traffic, &prefix).await;
        found[0][prefix.len()..].to_owned()
    };
    assert_eq!(bucket("0.25").await, "2");
    assert_eq!(bucket("+Inf").await, "4");
    let sum = lines(server.traffic, "http_request_duration_seconds_sum ").await;
    let sum: f64 = sum[0].rsplit(' ').next().unwrap().parse().unwrap();
    assert!((0.6..5.0).contains(&sum), "{sum} s");
}
