//! One request on one connection: connect, encrypt, send, read.
//!
//! Every wait ends at the probe's deadline. A failure is either the pod's or the agent's.

use std::{fmt::Display, future::Future, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    answer::{AnswerError, AnswerReader},
    fields::FieldError,
    result::{HopOutcome, HttpAnswer},
};
use crate::{
    deadline::TimedOut,
    signal::{ErrorCause, tls::ProbeTls},
};

/// How late a timer may be. If it is later, the agent did not run for a while, and the pod may have answered in time.
const LATE: Duration = Duration::from_millis(250);

/// Why there is no answer, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProbeFailure {
    /// There was no connection to the pod.
    NoConnection(String),
    /// The pod failed.
    Pod(String),
    /// The agent failed, or lacks something, which says nothing about the pod.
    Agent(ErrorCause, String),
}

impl ProbeFailure {
    /// The agent could not send the probe.
    pub(super) fn not_probed(error: &impl Display) -> Self {
        Self::Agent(ErrorCause::Agent, format!("not probed: {error}"))
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
    pub(super) async fn wait<T>(
        self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, ProbeFailure> {
        if let Ok(done) = timeout_at(self.at, work).await {
            return Ok(done);
        }
        if self.at.elapsed() > LATE {
            let saw = "result discarded: the agent was delayed";
            return Err(ProbeFailure::Agent(ErrorCause::Agent, saw.to_owned()));
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
    tls: &ProbeTls,
    deadline: Deadline,
) -> Result<TlsStream<TcpStream>, ProbeFailure> {
    let (config, certificate) = tls.handshake();
    let handshake = TlsConnector::from(config).connect(address.ip().into(), stream);
    let encrypted = deadline.wait(TimedOut::NO_TLS_HANDSHAKE, handshake).await?;
    encrypted.map_err(|error| {
        let saw = format!("TLS: {error}");
        let cause = error.get_ref().and_then(|error| error.downcast_ref());
        if cause.is_some_and(|error| certificate.is_nothing_in_common(error)) {
            return ProbeFailure::Agent(ErrorCause::Tls, saw);
        }
        ProbeFailure::Pod(saw)
    })
}

/// Sends a request by HTTP/1 and judges its answer.
pub(super) async fn exchange<S>(
    mut stream: S,
    request: Vec<u8>,
    deadline: Deadline,
    judge: impl FnOnce(HttpAnswer<'_>) -> HopOutcome,
) -> Result<HopOutcome, ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let sent = async {
        stream.write_all(&request).await?;
        stream.flush().await
    };
    let sent = deadline.wait(TimedOut::NO_ANSWER, sent).await?;
    sent.map_err(|error| sort(error.into()))?;
    let mut answer = AnswerReader::new(stream);
    let head = deadline.wait(TimedOut::NO_ANSWER, answer.head()).await?;
    let head = head.map_err(sort)?;
    let outcome = judge(HttpAnswer {
        status: head.status,
        location: head.location.as_deref(),
    });
    if outcome.needs_body() {
        let body = answer.body(&head);
        let body = deadline.wait(TimedOut::NO_COMPLETE_ANSWER, body).await?;
        body.map_err(|error| match error {
            AnswerError::Read(_) => {
                ProbeFailure::Pod("connection closed during the answer".to_owned())
            }
            error => sort(error),
        })?;
    }
    Ok(outcome)
}

/// The failure that an error about an answer means.
fn sort(error: AnswerError) -> ProbeFailure {
    let saw = match error {
        AnswerError::Field(FieldError::Long(..)) => {
            return ProbeFailure::Agent(ErrorCause::Size, error.to_string());
        }
        AnswerError::Malformed | AnswerError::LongHead | AnswerError::Field(_) => {
            return ProbeFailure::Pod(error.to_string());
        }
        AnswerError::Read(error) => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "connection reset before an answer"
            }
            io::ErrorKind::InvalidData => "TLS: connection failed before an answer",
            _ => "connection closed before an answer",
        },
    };
    ProbeFailure::Pod(saw.to_owned())
}
