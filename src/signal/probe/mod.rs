//! The HTTP probe of a pod's own address, as the kubelet does it: [`run`].
//!
//! Every pod has a turn once per period, spread by its uid. A turn waits for the pod's last probe, and is skipped if that
//! takes too long. A turn that gets no permit before the next one is skipped, too: nothing queues up.

mod answer;
mod client;
mod exchange;
mod fields;
mod http2;
mod permits;
mod request;
mod result;
mod schedule;
mod url;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use tokio::time::{Instant, sleep_until, timeout_at};

pub use self::permits::Permits;
use self::{
    client::ProbeClient,
    result::ProbeResult,
    schedule::{ProbeSchedule, Turn},
};
use super::{
    ErrorCause, HEARTBEAT, SignalContext, SignalError, SignalEvent, TargetChange,
    output::SignalOutput, schedule::Schedule,
};
use crate::core::{
    judge::{Answer, Sample},
    object::Uid,
    policy::HttpProbe,
};

/// Probes the pods of one policy for ever. Each running probe holds a permit; waiting for the permit is not part of the
/// probe's timeout.
pub async fn run(
    mut context: SignalContext,
    probe: HttpProbe,
    permits: Permits,
) -> Result<Infallible, SignalError> {
    let schedule = Schedule::new(Instant::now(), probe.period);
    let mut pods = ProbeSchedule::new(schedule, probe.initial_delay);
    let prober = Prober {
        output: SignalOutput::new(&context),
        client: ProbeClient::new(&probe).map_err(SignalError::Tls)?,
        permits,
    };
    let mut under_way = FuturesUnordered::new();
    loop {
        prober.output.beat();
        let now = Instant::now();
        while let Some(turn) = pods.take_turn(now) {
            let (handle, registration) = AbortHandle::new_pair();
            let uid = turn.target.uid.clone();
            let probe = prober.probe_and_send(turn);
            under_way.push(Abortable::new(probe, registration));
            pods.begin(&uid, handle);
        }
        let wake = pods
            .next_turn()
            .map_or(now + HEARTBEAT, |turn| turn.min(now + HEARTBEAT));
        tokio::select! {
            change = context.targets.recv() => match change {
                Some(TargetChange::Put(target)) => {
                    pods.put(target, Instant::now(), prober.output.now().wall);
                }
                Some(TargetChange::Remove(uid)) => pods.remove(&uid),
                None => return Err(SignalError::TargetsClosed(context.policy.name.clone())),
            },
            // An aborted probe is of a pod that is no longer watched.
            Some(Ok(sent)) = under_way.next() => pods.finish(&sent?, Instant::now()),
            () = sleep_until(wake) => {}
        }
    }
}

struct Prober {
    output: SignalOutput,
    client: ProbeClient,
    permits: Permits,
}

impl Prober {
    /// One turn of one pod, until its sample has been sent.
    async fn probe_and_send(&self, turn: Turn) -> Result<Uid, SignalError> {
        let (result, took) = match self.probe(&turn).await {
            Ok(answered) => answered,
            Err(not_asked) => (not_asked, Duration::ZERO),
        };
        if let Some(cause) = result.cause {
            self.output.observe(SignalEvent::Error(cause));
        } else if result.answer != Answer::None {
            self.output.observe(SignalEvent::Success);
        }
        let uid = turn.target.uid.clone();
        let at = self.output.now();
        let sent = self.output.send(Sample {
            policy: self.output.policy.clone(),
            pod: uid.clone(),
            run: turn.target.run,
            at,
            asked: at.moment.saturating_sub(took),
            answer: result.answer,
            unreached: result.unreached,
            saw: result.saw,
        });
        sent.await.map(|()| uid)
    }

    /// What the pod answered, and how long that took. An error if it was not asked.
    async fn probe(&self, turn: &Turn) -> Result<(ProbeResult, Duration), ProbeResult> {
        let Some(address) = turn.target.address else {
            return Err(ProbeResult::none("the pod has no address"));
        };
        let Some(port) = turn.target.port else {
            return Err(ProbeResult::none("the pod has no such port"));
        };
        if turn.target.run.is_none() {
            return Err(ProbeResult::none("the container has not started"));
        }
        let permit = timeout_at(turn.next, self.permits.acquire(&turn.target.pod.namespace)).await;
        let Ok(Ok(_permits)) = permit else {
            let saw = "not probed: too many probes at once";
            return Err(ProbeResult::error(ErrorCause::Busy, saw));
        };
        let begun = Instant::now();
        let result = self.client.probe(SocketAddr::new(address, port)).await;
        let took = begun.elapsed();
        self.output.observe(SignalEvent::Probe(took));
        Ok((result, took))
    }
}
