//! One request on one connection: connect, send, read the head, read the body up to a bound.
//!
//! Every wait ends at the probe's deadline. What goes wrong is sorted into what the pod did and what the agent could
//! not do.

use std::{error::Error, future::Future, io, pin::pin, sync::Arc, time::Duration};

use futures::future::{self, Either};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use std::net::SocketAddr;

/// How much of a body is read, as by the kubelet.
const MAX_BODY: usize = 10 * 1024;

/// How late a timer may be. Later than this the agent itself was not running, and the pod may well have answered.
const LATE: Duration = Duration::from_millis(250);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeFailure {
    /// The pod's doing: in words.
    Pod(String),
    /// Not the pod's doing: in words.
    Agent(String),
}

/// When a probe must be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        let at = Instant::now() + timeout;
        Self { at, timeout }
    }

    /// Waits for `work`; `what` is what there is not when it takes too long.
    async fn of<T>(self, what: &str, work: impl Future<Output = T>) -> Result<T, ProbeFailure> {
        timeout_at(self.at, work).await.map_err(|_| {
            if self.at.elapsed() > LATE {
                return ProbeFailure::Agent("not judged: the agent itself was held up".to_owned());
            }
            let timeout = humantime::format_duration(self.timeout);
            ProbeFailure::Pod(format!("{what} within {timeout}"))
        })
    }
}

/// Opens a connection.
pub(super) async fn connect(
    address: SocketAddr,
    deadline: Deadline,
) -> Result<TcpStream, ProbeFailure> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let cannot = |error: io::Error| ProbeFailure::Agent(format!("not probed: {error}"));
    let socket = socket.map_err(cannot)?;
    // A connection that is over leaves nothing behind: thousands of probes a minute would fill the tables.
    socket.set_zero_linger().map_err(cannot)?;
    socket.set_nodelay(true).map_err(cannot)?;
    let connected = deadline
        .of("no connection", socket.connect(address))
        .await?;
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeFailure::Pod("connection refused".to_owned()),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            ProbeFailure::Pod("connection reset".to_owned())
        }
        io::ErrorKind::HostUnreachable => ProbeFailure::Pod("host unreachable".to_owned()),
        io::ErrorKind::TimedOut => ProbeFailure::Pod("no connection: timed out".to_owned()),
        // No port left, no route, no memory, not allowed: it never got as far as the pod.
        _ => cannot(error),
    })
}

/// Speaks TLS on a connection.
pub(super) async fn encrypt(
    stream: TcpStream,
    address: SocketAddr,
    config: &Arc<rustls::ClientConfig>,
    deadline: Deadline,
) -> Result<TlsStream<TcpStream>, ProbeFailure> {
    let handshake = TlsConnector::from(config.clone()).connect(address.ip().into(), stream);
    let encrypted = deadline.of("TLS: no handshake", handshake).await?;
    encrypted.map_err(|error| ProbeFailure::Pod(format!("TLS: {error}")))
}

/// Sends a request and hands its answer to `then`, which may read the body.
pub(super) async fn exchange<S, F, T>(
    stream: S,
    request: Request<Empty<Bytes>>,
    deadline: Deadline,
    then: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Result<T, ProbeFailure>>,
{
    let handshake = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| sort(&error))?;
    let work = pin!(async {
        let answer = deadline
            .of("no answer", sender.send_request(request))
            .await?;
        then(answer.map_err(|error| sort(&error))?).await
    });
    // The end of the connection is not the end of the work: what was read before it is still handed out.
    let connection = pin!(async {
        drop(connection.await);
        future::pending::<Result<T, ProbeFailure>>().await
    });
    match future::select(work, connection).await {
        Either::Left((result, _)) | Either::Right((result, _)) => result,
    }
}

/// Reads a body to its end or its bound.
pub(super) async fn read(mut body: Incoming, deadline: Deadline) -> Result<(), ProbeFailure> {
    let mut read = 0;
    while read < MAX_BODY {
        let frame = deadline.of("answer not complete", body.frame()).await?;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|_| ProbeFailure::Pod("connection closed amid the answer".to_owned()))?;
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

/// What an error of the exchange means.
fn sort(error: &hyper::Error) -> ProbeFailure {
    if error.is_user() {
        return ProbeFailure::Agent(format!("not probed: {error}"));
    }
    let saw = match io_kind(error) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "connection reset before an answer"
        }
        Some(io::ErrorKind::InvalidData) => "TLS: broken before an answer",
        None if error.is_parse() => "not an HTTP answer",
        _ => "connection closed before an answer",
    };
    ProbeFailure::Pod(saw.to_owned())
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let source = error.source()?.downcast_ref::<io::Error>()?;
    Some(source.kind())
}
