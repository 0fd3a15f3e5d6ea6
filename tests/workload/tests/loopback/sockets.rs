//! What is switched below HTTP, for the whole traffic port.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::wire::{LONG, closed_without_answer, get, send, server, silent, switch};

const PATHS: [&str; 4] = ["/", "/healthz", "/readyz", "/metrics"];

/// A connection that has had its first answer and waits for the next request.
async fn kept_connection(server: &test_workload::serve::Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.traffic).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"pod: web-1\n") {
        let byte = timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
        answer.push(byte);
    }
    stream
}

#[tokio::test]
async fn a_refusing_pod_refuses_and_can_be_switched_back() {
    let server = server("ok").await;
    for round in 0..3 {
        assert_eq!(get(server.traffic, "/").await.status, 200, "round {round}");
        switch(&server, "refuse").await;
        let refused = TcpStream::connect(server.traffic).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            ErrorKind::ConnectionRefused,
            "round {round}"
        );
        switch(&server, "ok").await;
    }
}

#[tokio::test]
async fn a_pod_can_start_refusing() {
    let server = server("refuse").await;
    // The port is opened to know its number, then closed: wait for the second.
    switch(&server, "refuse").await;
    let refused = TcpStream::connect(server.traffic).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    switch(&server, "ok").await;
    assert_eq!(get(server.traffic, "/").await.status, 200);
}

#[tokio::test]
async fn a_switch_is_answered_once_it_is_in_force_and_not_before() {
    let server = server("ok").await;
    switch(&server, "refuse").await;
    let in_the_way = TcpListener::bind(server.traffic).await.unwrap();
    let mut switching = send(server.control, "PUT", "/behaviour", "ok").await;
    assert!(silent(&mut switching).await);
    drop(in_the_way);
    let mut head = [0; 12];
    let read = timeout(LONG, switching.read_exact(&mut head)).await;
    read.expect("an answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(get(server.traffic, "/").await.status, 200);
}

#[tokio::test]
async fn a_closing_pod_accepts_and_closes_before_any_request() {
    let server = server("close").await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.traffic).await.unwrap();
        assert!(closed_without_answer(&mut stream).await);
    }
    switch(&server, "ok").await;
    assert_eq!(get(server.traffic, "/").await.status, 200);
}

#[tokio::test]
async fn kept_connections_end_when_the_pod_refuses_or_closes() {
    let server = server("ok").await;
    for behaviour in ["refuse", "close"] {
        let mut kept = kept_connection(&server).await;
        switch(&server, behaviour).await;
        assert!(closed_without_answer(&mut kept).await, "{behaviour}");
        switch(&server, "ok").await;
    }
}

#[tokio::test]
async fn kept_connections_outlive_a_switch_of_answers() {
    let server = server("ok").await;
    let mut kept = kept_connection(&server).await;
    switch(&server, "500").await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    kept.write_all(request).await.unwrap();
    let mut head = [0; 12];
    let read = timeout(LONG, kept.read_exact(&mut head)).await;
    read.expect("an answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 500");
}

#[tokio::test]
async fn a_hanging_pod_accepts_reads_and_never_answers_on_any_path() {
    let server = server("ok").await;
    let mut kept = kept_connection(&server).await;
    switch(&server, "hang").await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    kept.write_all(request).await.unwrap();
    let mut hung = vec![kept];
    for path in PATHS {
        hung.push(send(server.traffic, "GET", path, "").await);
    }
    for stream in &mut hung {
        assert!(silent(stream).await);
    }
    switch(&server, "ok").await;
    for stream in &mut hung {
        assert!(closed_without_answer(stream).await);
    }
    for path in PATHS {
        assert_eq!(get(server.traffic, path).await.status, 200, "{path}");
    }
}
