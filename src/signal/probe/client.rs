//! One probe of one pod, with its redirects: the result is good, bad, or an error of the agent.

use std::{net::SocketAddr, time::Duration};

use super::{
    exchange::{Deadline, ProbeFailure, connect, encrypt, exchange},
    http2,
    request::{BadRequest, Hop, Redirect, RequestTemplate},
    result::{HopOutcome, HttpAnswer, ProbeResult},
};
use crate::{
    core::policy::HttpProbe,
    signal::{
        ErrorCause,
        tls::{HTTP2, ProbeTls},
    },
};

/// How many requests one probe may send because of redirects, as in the kubelet.
const MAX_HOPS: u32 = 10;

/// What every probe of a policy has in common.
pub(super) struct ProbeClient {
    template: Result<RequestTemplate, BadRequest>,
    tls: ProbeTls,
    timeout: Duration,
}

impl ProbeClient {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, rustls::Error> {
        Ok(Self {
            template: RequestTemplate::new(probe),
            tls: ProbeTls::new()?,
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
            Err(ProbeFailure::Agent(cause, saw)) => ProbeResult::error(cause, saw),
        }
    }

    async fn follow(
        &self,
        template: &RequestTemplate,
        address: SocketAddr,
    ) -> Result<ProbeResult, ProbeFailure> {
        let deadline = Deadline::after(self.timeout);
        let mut hop = template.first(address);
        for _ in 0..MAX_HOPS {
            match self.visit(template, &hop, deadline).await? {
                HopOutcome::Done(result) => return Ok(result),
                HopOutcome::Redirected(next) => hop = *next,
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
        let stream = connect(hop.address(), deadline).await?;
        let judge = |answer: HttpAnswer<'_>| judge(hop, answer);
        if !hop.is_https() {
            return exchange(stream, template.http1(hop), deadline, judge).await;
        }
        let stream = encrypt(stream, hop.address(), &self.tls, deadline).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            let request = template.http2(hop)?;
            return http2::exchange(stream, request, deadline, judge).await;
        }
        exchange(stream, template.http1(hop), deadline, judge).await
    }
}

fn judge(hop: &Hop, answer: HttpAnswer<'_>) -> HopOutcome {
    let saw = format!("HTTP {}", answer.status);
    if !matches!(answer.status, 200..400) {
        return HopOutcome::Done(ProbeResult::bad(saw));
    }
    let saw = match hop.redirect(answer.status, answer.location) {
        Redirect::Here(next) => return HopOutcome::Redirected(next),
        Redirect::Broken => {
            let saw = format!("{saw} with an invalid Location");
            return HopOutcome::Done(ProbeResult::bad(saw));
        }
        Redirect::Elsewhere => format!("{saw}, redirect to another host not followed"),
        Redirect::None => saw,
    };
    HopOutcome::Done(ProbeResult::good(saw))
}

impl From<BadRequest> for ProbeFailure {
    fn from(error: BadRequest) -> Self {
        Self::Agent(ErrorCause::Request, format!("not probed: {error}"))
    }
}
