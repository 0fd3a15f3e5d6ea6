//! One probe of one pod, with its redirects: what came back is good, bad, or the agent's own fault.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Response, body::Incoming};

use super::{
    exchange::{Deadline, Failure, connect, encrypt, exchange, read},
    request::{BadRequest, Form, Hop, Redirect},
    seen::Seen,
};
use crate::{
    core::policy::HttpProbe,
    signal::{Cause, tls},
};

/// How many requests a probe may become by redirects, as in the kubelet.
const MAX_HOPS: u32 = 10;

/// What every probe of a policy has in common.
pub(super) struct Attempt {
    form: Result<Form, BadRequest>,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
}

/// What an answer was.
enum Step {
    Over(Seen),
    Again(Hop),
}

impl Attempt {
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, rustls::Error> {
        Ok(Self {
            form: Form::new(probe),
            tls: Arc::new(tls::unverified()?),
            timeout: probe.timeout,
        })
    }

    /// Probes an address, for no longer than the timeout.
    pub(super) async fn make(&self, address: SocketAddr) -> Seen {
        let form = match &self.form {
            Ok(form) => form,
            Err(error) => return Seen::fault(Cause::Request, format!("not probed: {error}")),
        };
        match self.follow(form, address).await {
            Ok(seen) => seen,
            Err(Failure::Pod(saw)) => Seen::bad(saw),
            Err(Failure::Agent(saw)) => Seen::fault(Cause::Agent, saw),
        }
    }

    async fn follow(&self, form: &Form, address: SocketAddr) -> Result<Seen, Failure> {
        let deadline = Deadline::after(self.timeout);
        let mut hop = form.first(address)?;
        for _ in 0..MAX_HOPS {
            match self.visit(form, &hop, deadline).await? {
                Step::Over(seen) => return Ok(seen),
                Step::Again(next) => hop = next,
            }
        }
        Ok(Seen::bad("too many redirects"))
    }

    async fn visit(&self, form: &Form, hop: &Hop, deadline: Deadline) -> Result<Step, Failure> {
        let request = form.request(hop)?;
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

async fn judge(hop: &Hop, answer: Response<Incoming>, deadline: Deadline) -> Result<Step, Failure> {
    let saw = format!("HTTP {}", answer.status().as_u16());
    if !matches!(answer.status().as_u16(), 200..400) {
        return Ok(Step::Over(Seen::bad(saw)));
    }
    let saw = match hop.redirect(&answer) {
        Redirect::Here(next) => return Ok(Step::Again(next)),
        Redirect::Broken => {
            let saw = format!("{saw}, a redirect that leads nowhere");
            return Ok(Step::Over(Seen::bad(saw)));
        }
        Redirect::Elsewhere => format!("{saw} to another host"),
        Redirect::None => saw,
    };
    read(answer.into_body(), deadline).await?;
    Ok(Step::Over(Seen::good(saw)))
}

impl From<BadRequest> for Failure {
    fn from(error: BadRequest) -> Self {
        Self::Agent(format!("not probed: {error}"))
    }
}
