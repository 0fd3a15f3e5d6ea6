//! A server under test and requests to it, written byte by byte: what the crate's own client
//! takes for granted is seen here.

use std::net::SocketAddr;
use std::time::Duration;

use test_workload::serve::{Server, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than anything on the loopback interface takes; a test that waits this long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// Long enough that an answer which is on its way has arrived.
pub(crate) const SHORT: Duration = Duration::from_millis(200);

/// What the server under test calls itself.
pub(crate) const POD: &str = "web-1";

pub(crate) async fn server(behaviour: &str) -> Server {
    named_server(POD, behaviour).await
}

pub(crate) async fn named_server(pod: &str, behaviour: &str) -> Server {
    Server::start(Settings {
        bind: [127, 0, 0, 1].into(),
        port: 0,
        control_port: 0,
        behaviour: behaviour.parse().unwrap(),
        pod_name: Some(pod.to_owned()),
    })
    .await
    .unwrap()
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A request on a connection of its own, read until the server closes it.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Reply {
    request(address, "GET", path, "").await
}

pub(crate) async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Reply {
    let mut stream = send(address, method, path, body).await;
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    timeout(LONG, read).await.expect("an answer").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Reply {
        status: head[9..12].parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// The connection after a request was sent on it.
pub(crate) async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Switches the server, as anyone would.
pub(crate) async fn switch(server: &Server, behaviour: &str) {
    let reply = request(server.control, "PUT", "/behaviour", behaviour).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The statuses of so many requests, one after the other.
pub(crate) async fn statuses(address: SocketAddr, path: &str, requests: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..requests {
        statuses.push(get(address, path).await.status);
    }
    statuses
}

/// Whether the server closes this connection, without a byte of an answer.
pub(crate) async fn closed_without_answer(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    match timeout(LONG, stream.read(&mut byte)).await {
        Ok(Ok(read)) => read == 0,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionReset,
        Err(_) => false,
    }
}

/// Whether nothing at all comes: no answer, no end.
pub(crate) async fn silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(SHORT, stream.read(&mut byte)).await.is_err()
}
