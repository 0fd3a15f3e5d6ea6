//! One probe of one pod, with its redirects: the result is good, bad, or an error of the agent.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Response, body::Incoming};

use super::{
    exchange::{Deadline, ProbeFailure, connect, encrypt, exchange, read},
    request::{BadRequest, Hop, Redirect, RequestTemplate},
    result::ProbeResult,
};
use crate::{
    core::policy::HttpProbe,
    signal::{ErrorCause, tls},
};

/// How many requests one probe may send because of redirects, as in the kubelet.
const MAX_HOPS: u32 = 10;

/// What every probe of a policy has in common.
pub(super) struct ProbeClient {
    template: Result<RequestTemplate, BadRequest>,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
}

/// The meaning of the answer at one hop.
enum HopOutcome {
    Done(ProbeResult),
    Redirected(Hop),
}

impl ProbeClient {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, rustls::Error> {
        Ok(Self {
            template: RequestTemplate::new(probe),
            tls: Arc::new(tls::unverified()?),
            timeout: probe.timeout,
        })
    }

    /// Probes an address, at most for the timeout.
    pub(super) async fn probe(&self, address: SocketAddr) -> ProbeResult {
        let template = match &self.template {
            Ok(template) => template,
            Err(error) => {
                return ProbeResult::error(ErrorCause::Request, format!("not probed: {error}"));
            }
        };
        match self.follow(template, address).await {
            Ok(result) => result,
            Err(ProbeFailure::NoConnection(saw)) => ProbeResult::unreached(saw),
            Err(ProbeFailure::Pod(saw)) => ProbeResult::bad(saw),
            Err(ProbeFailure::Agent(saw)) => ProbeResult::error(ErrorCause::Agent, saw),
        }
    }

    async fn follow(
        &self,
        template: &RequestTemplate,
        address: SocketAddr,
    ) -> Result<ProbeResult, ProbeFailure> {
        let deadline = Deadline::after(self.timeout);
        let mut hop = template.first(address)?;
        for _ in 0..MAX_HOPS {
            match self.visit(template, &hop, deadline).await? {
                HopOutcome::Done(result) => return Ok(result),
                HopOutcome::Redirected(next) => hop = next,
            }
        }
        Ok(ProbeResult::bad("too many redirects"))
    }

    async fn visit(
        &self,
        template: &RequestTemplate,
        hop: &Hop,
        deadline: Deadline,
    ) -> Result<HopOutcome, ProbeFailure> {
        let request = template.request(hop)?;
        let stream = connect(hop.address(), deadline).await?;
        let then = |answer| judge(hop, answer, deadline);
        if hop.is_https() {
            let stream = encrypt(stream, hop.address(), &self.tls, deadline).await?;
            exchange(stream, request, deadline, then).await
        } else {
            exchange(stream, request, deadline, then).await
        }
    }
}

async fn judge(
    hop: &Hop,
    answer: Response<Incoming>,
    deadline: Deadline,
) -> Result<HopOutcome, ProbeFailure> {
    let saw = format!("HTTP {}", answer.status().as_u16());
    if !matches!(answer.status().as_u16(), 200..400) {
        return Ok(HopOutcome::Done(ProbeResult::bad(saw)));
    }
    let saw = match hop.redirect(&answer) {
        Redirect::Here(next) => return Ok(HopOutcome::Redirected(next)),
        Redirect::Broken => {
            let saw = format!("{saw} with an invalid Location");
            return Ok(HopOutcome::Done(ProbeResult::bad(saw)));
        }
        Redirect::Elsewhere => format!("{saw}, redirect to another host not followed"),
        Redirect::None => saw,
    };
    read(answer.into_body(), deadline).await?;
    Ok(HopOutcome::Done(ProbeResult::good(saw)))
}

impl From<BadRequest> for ProbeFailure {
    fn from(error: BadRequest) -> Self {
        Self::not_probed(&error)
    }
}
