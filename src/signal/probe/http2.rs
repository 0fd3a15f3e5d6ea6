//! One request by HTTP/2, where a server chooses it, as the kubelet's prober lets it: [`exchange`].

use std::{future::Future, pin::pin};

use futures::future::{self, Either};
use h2::{Reason, client::Builder};
use http::{HeaderValue, Request, header::LOCATION};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    answer::MAX_BODY,
    exchange::{Deadline, ProbeFailure},
    result::{HopOutcome, HttpAnswer},
};
use crate::{deadline::TimedOut, signal::ErrorCause};

/// How long a head may be. The kubelet takes 10 MiB of each; this much is bounded memory with all probes at once.
const MAX_HEAD: u32 = 256 * 1024;

/// How much of a body a server may send ahead.
const WINDOW: u32 = 16 * 1024;

/// Sends a request and judges its answer.
pub(super) async fn exchange<S>(
    stream: S,
    request: Request<()>,
    deadline: Deadline,
    judge: impl FnOnce(HttpAnswer<'_>) -> HopOutcome,
) -> Result<HopOutcome, ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = Builder::new()
        .enable_push(false)
        .max_header_list_size(MAX_HEAD)
        .initial_window_size(WINDOW)
        .handshake::<_, &[u8]>(stream);
    let handshake = deadline.wait(TimedOut::NO_ANSWER, handshake).await?;
    let (mut sender, connection) = handshake.map_err(|error| sort(&error))?;
    let work = pin!(async {
        let (answer, _) = sender
            .send_request(request, true)
            .map_err(|error| sort(&error))?;
        let answer = deadline.wait(TimedOut::NO_ANSWER, answer).await?;
        let answer = answer.map_err(|error| sort(&error))?;
        let outcome = judge(HttpAnswer {
            status: answer.status().as_u16(),
            location: answer.headers().get(LOCATION).map(HeaderValue::as_bytes),
        });
        if outcome.needs_body() {
            let body = read(answer.into_body());
            deadline.wait(TimedOut::NO_COMPLETE_ANSWER, body).await??;
        }
        Ok(outcome)
    });
    drive(work, connection).await
}

/// Does the work while the connection carries it. The work goes on after the connection's end: what was read before it is
/// still returned.
async fn drive<T>(
    work: impl Future<Output = T> + Unpin,
    connection: impl Future<Output = Result<(), h2::Error>>,
) -> T {
    let connection = pin!(async {
        drop(connection.await);
        future::pending::<T>().await
    });
    match future::select(work, connection).await {
        Either::Left((done, _)) | Either::Right((done, _)) => done,
    }
}

async fn read(mut body: h2::RecvStream) -> Result<(), ProbeFailure> {
    let mut read = 0;
    while read < MAX_BODY {
        let Some(data) = body.data().await else { break };
        let length = data.map_err(|error| sort(&error))?.len();
        read += length;
        body.flow_control()
            .release_capacity(length)
            .map_err(|error| sort(&error))?;
    }
    Ok(())
}

fn sort(error: &h2::Error) -> ProbeFailure {
    let saw = format!("HTTP/2: {error}");
    let is_refused_here = error.is_library()
        && (error.reason() == Some(Reason::ENHANCE_YOUR_CALM)
            || error.is_reset() && error.reason() == Some(Reason::PROTOCOL_ERROR));
    // So it is for a longer head than is read here, which the kubelet may read.
    if is_refused_here {
        return ProbeFailure::Agent(ErrorCause::Size, saw);
    }
    ProbeFailure::Pod(saw)
}
