//! One request on one connection: connect, send, read the head, read the body up to a bound.
//!
//! Every wait ends at the probe's deadline. A failure is either the pod's or the agent's.

use std::{
    error::Error, fmt::Display, future::Future, io, net::SocketAddr, pin::pin, sync::Arc,
    time::Duration,
};

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

use crate::deadline::TimedOut;

/// How much of a body is read, as by the kubelet.
const MAX_BODY: usize = 10 * 1024;

/// How late a timer may be. If it is later, the agent did not run for a while, and the pod may have answered in time.
const LATE: Duration = Duration::from_millis(250);

/// Why there is no answer, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeFailure {
    /// There was no connection to the pod.
    NoConnection(String),
    /// The pod failed.
    Pod(String),
    /// The agent failed, which says nothing about the pod.
    Agent(String),
}

impl ProbeFailure {
    /// The agent could not send the probe.
    pub(super) fn not_probed(error: &impl Display) -> Self {
        Self::Agent(format!("not probed: {error}"))
    }
}

/// When a probe must have ended.
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

    /// Waits for `work`; `what` is what is missing if it takes too long.
    async fn wait<T>(
        self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, ProbeFailure> {
        if let Ok(done) = timeout_at(self.at, work).await {
            return Ok(done);
        }
        if self.at.elapsed() > LATE {
            let saw = "result discarded: the agent was delayed";
            return Err(ProbeFailure::Agent(saw.to_owned()));
        }
        let limit = self.timeout;
        Err(ProbeFailure::Pod(TimedOut { what, limit }.to_string()))
    }
}

pub(super) async fn connect(
    address: SocketAddr,
    deadline: Deadline,
) -> Result<TcpStream, ProbeFailure> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(|error| ProbeFailure::not_probed(&error))?;
    // A closed connection must not linger: thousands of probes a minute would fill the tables.
    socket
        .set_zero_linger()
        .and_then(|()| socket.set_nodelay(true))
        .map_err(|error| ProbeFailure::not_probed(&error))?;
    let connecting = deadline.wait(TimedOut::NO_CONNECTION, socket.connect(address));
    let connected = connecting.await.map_err(|failure| match failure {
        ProbeFailure::Pod(saw) => ProbeFailure::NoConnection(saw),
        other => other,
    })?;
    connected.map_err(|error| {
        let saw = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused",
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "connection reset",
            io::ErrorKind::HostUnreachable => "host unreachable",
            io::ErrorKind::TimedOut => "no connection: timed out",
            // No port, no route, no memory, no permission: the request never reached the pod.
            _ => return ProbeFailure::not_probed(&error),
        };
        ProbeFailure::NoConnection(saw.to_owned())
    })
}

/// Starts TLS on a connection.
pub(super) async fn encrypt(
    stream: TcpStream,
    address: SocketAddr,
    config: &Arc<rustls::ClientConfig>,
    deadline: Deadline,
) -> Result<TlsStream<TcpStream>, ProbeFailure> {
    let handshake = TlsConnector::from(config.clone()).connect(address.ip().into(), stream);
    let encrypted = deadline.wait(TimedOut::NO_TLS_HANDSHAKE, handshake).await?;
    encrypted.map_err(|error| ProbeFailure::Pod(format!("TLS: {error}")))
}

/// Sends a request and passes its answer to `then`, which may read the body.
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
            .wait(TimedOut::NO_ANSWER, sender.send_request(request))
            .await?;
        then(answer.map_err(|error| sort(&error))?).await
    });
    // The work goes on after the end of the connection: what was read before it is still returned.
    let connection = pin!(async {
        drop(connection.await);
        future::pending::<Result<T, ProbeFailure>>().await
    });
    match future::select(work, connection).await {
        Either::Left((result, _)) | Either::Right((result, _)) => result,
    }
}

/// Reads a body to its end, or up to [`MAX_BODY`].
pub(super) async fn read(mut body: Incoming, deadline: Deadline) -> Result<(), ProbeFailure> {
    let mut read = 0;
    while read < MAX_BODY {
        let frame = deadline
            .wait(TimedOut::NO_COMPLETE_ANSWER, body.frame())
            .await?;
        let Some(frame) = frame else { break };
        let frame = frame
            .map_err(|_| ProbeFailure::Pod("connection closed during the answer".to_owned()))?;
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(())
}

/// The failure that an error of the HTTP client means.
fn sort(error: &hyper::Error) -> ProbeFailure {
    if error.is_user() {
        return ProbeFailure::not_probed(error);
    }
    let saw = match io_kind(error) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "connection reset before an answer"
        }
        Some(io::ErrorKind::InvalidData) => "TLS: connection failed before an answer",
        None if error.is_parse() => "not an HTTP answer",
        _ => "connection closed before an answer",
    };
    ProbeFailure::Pod(saw.to_owned())
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let source = error.source()?.downcast_ref::<io::Error>()?;
    Some(source.kind())
}
