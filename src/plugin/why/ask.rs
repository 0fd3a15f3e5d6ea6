//! Asks the agent about a pod, through a port-forward to its loopback.

use std::{fmt::Display, future, pin::pin, time::Duration};

use futures::future::Either;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    core::explain::Explanation,
    deadline::within,
    plugin::{
        arguments::WhyArgs,
        failure::CommandFailure,
        print::sanitize,
        session::{AGENT_PODS, Session},
    },
};

/// How long one agent may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The most bytes that are read of an answer: no explanation is as long.
const LONGEST_ANSWER: usize = 1 << 20;

/// The leader's explanation of the pod, or why there is none: a standby knows no verdicts.
pub(super) async fn ask(session: &Session, why: &WhyArgs) -> Result<Explanation, String> {
    let namespace = &why.agent.namespace;
    let found = session.agent_pods(namespace).await;
    let found = found.map_err(|failure| not_asked(&failure))?;
    if found.is_empty() {
        return Err(not_asked(&format!(
            "no pod in namespace {namespace} is labelled {AGENT_PODS}"
        )));
    }
    let agents: Api<Pod> = Api::namespaced(session.client.clone(), namespace);
    let path = format!("/pods/{}/{}", session.namespace, why.pod);
    let (mut reasons, mut all_stand_by) = (Vec::new(), true);
    for agent in found {
        let name = agent.name_any();
        let asked = within(
            TIMEOUT,
            forward(session, &agents, &name, why.agent.port, &path),
        )
        .await;
        let reason = match asked.unwrap_or_else(|timed_out| Err(timed_out.to_string())) {
            Ok(explanation) if !is_of(why, &explanation) => {
                all_stand_by = false;
                format!("belongs to agent {}", explanation.agent)
            }
            Ok(explanation) if explanation.acts => return Ok(explanation),
            Ok(_) => "standing by".to_owned(),
            Err(reason) => {
                all_stand_by = false;
                reason
            }
        };
        reasons.push(format!("pod {namespace}/{name}: {reason}"));
    }
    let reasons = reasons.join("; ");
    Err(if all_stand_by {
        format!("no agent is the leader now: {reasons}")
    } else {
        not_asked(&reasons)
    })
}

fn not_asked(why: &impl Display) -> String {
    format!("no agent could be asked: {why}")
}

/// Whether the agent that the command names gives the explanation.
fn is_of(why: &WhyArgs, explanation: &Explanation) -> bool {
    match explanation.agent.rsplit_once('/') {
        Some((_, name)) => why.agent.includes(name),
        None => true,
    }
}

async fn forward(
    session: &Session,
    agents: &Api<Pod>,
    name: &str,
    port: u16,
    path: &str,
) -> Result<Explanation, String> {
    let ports = [port];
    let opened = agents.portforward(name, &ports);
    let mut forwarder = session
        .request("open a port-forward", opened)
        .await
        .map_err(|failure| match failure {
            CommandFailure::Server {
                code: 403, message, ..
            } => format!("the right to a port-forward is missing: {message}"),
            failure => failure.to_string(),
        })?;
    let stream = forwarder.take_stream(port).ok_or("no stream was opened")?;
    let error = forwarder.take_error(port);
    let answer = get(stream, path).await;
    let why = match answer {
        Ok((StatusCode::OK, body)) => {
            let read = serde_json::from_slice(&body);
            return read.map_err(|error| format!("its answer cannot be read: {error}"));
        }
        Ok((status, body)) => {
            let text = String::from_utf8_lossy(&body);
            format!("HTTP {status} {}", text.trim())
        }
        Err(error) => error.to_string(),
    };
    // The kubelet reports a port that nobody listens on outside the stream.
    forwarder.abort();
    let reported = match error {
        Some(error) => error.await,
        None => None,
    };
    Err(sanitize(reported.unwrap_or(why).trim()))
}

/// A GET on an open stream.
async fn get<S>(
    stream: S,
    path: &str,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("Host", "localhost")
        .body(Empty::<Bytes>::new())?;
    let work = pin!(async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER);
        Ok((status, body.collect().await?.to_bytes()))
    });
    // The work goes on after the end of the connection: what was read before it is still returned.
    let connection = pin!(async {
        drop(connection.await);
        future::pending().await
    });
    match futures::future::select(work, connection).await {
        Either::Left((result, _)) | Either::Right((result, _)) => result,
    }
}
