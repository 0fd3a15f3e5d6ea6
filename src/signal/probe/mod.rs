//! The HTTP probe of a pod's own address, as the kubelet does it: [`run`].
//!
//! Every pod has its turn once a period, spread by its uid. A turn that finds the pod's last probe still under way waits
//! for it or is left out, and so is one that gets no permit before the next: nothing queues up.

mod attempt;
mod exchange;
mod pods;
mod request;
mod seen;

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use futures::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout_at},
};

use self::{
    attempt::Attempt,
    pods::{Pods, Turn},
    seen::Seen,
};
use super::{BEAT, Cause, SignalError, TargetChange, Wiring, outlet::Outlet, pace::Pace};
use crate::core::{judge::Answer, object::Uid, policy::HttpProbe};

/// Probes the pods of one policy for ever. A permit is held by each probe under way; waiting for it is no part of the
/// probe's timeout.
pub async fn run(
    mut wiring: Wiring,
    probe: HttpProbe,
    permits: Arc<Semaphore>,
) -> Result<Infallible, SignalError> {
    let pace = Pace::new(Instant::now(), probe.period);
    let mut pods = Pods::new(pace, probe.initial_delay);
    let prober = Prober {
        outlet: Outlet::new(&wiring),
        attempt: Attempt::new(&probe).map_err(SignalError::Tls)?,
        permits,
    };
    let mut under_way = FuturesUnordered::new();
    loop {
        prober.outlet.beat();
        let now = Instant::now();
        while let Some(turn) = pods.take_turn(now) {
            let (handle, registration) = AbortHandle::new_pair();
            let uid = turn.target.uid.clone();
            let ask = prober.ask_and_tell(turn);
            under_way.push(Abortable::new(ask, registration));
            pods.begin(&uid, handle);
        }
        let wake = pods
            .next_turn()
            .map_or(now + BEAT, |turn| turn.min(now + BEAT));
        tokio::select! {
            change = wiring.targets.recv() => match change {
                Some(TargetChange::Put(target)) => {
                    pods.put(target, Instant::now(), prober.outlet.now().wall);
                }
                Some(TargetChange::Remove(uid)) => pods.remove(&uid),
                None => return Err(SignalError::Unfed(wiring.policy.name.clone())),
            },
            // A probe that was aborted belongs to a pod that is gone.
            Some(Ok(told)) = under_way.next() => pods.done(&told?, Instant::now()),
            () = sleep_until(wake) => {}
        }
    }
}

struct Prober {
    outlet: Outlet,
    attempt: Attempt,
    permits: Arc<Semaphore>,
}

impl Prober {
    /// One turn of one pod, up to the sample being taken.
    async fn ask_and_tell(&self, turn: Turn) -> Result<Uid, SignalError> {
        let seen = self.ask(&turn).await;
        if let Some(cause) = seen.cause {
            self.outlet.failed(cause);
        } else if seen.answer != Answer::None {
            self.outlet.succeeded();
        }
        let uid = turn.target.uid.clone();
        let at = self.outlet.now();
        let sent = self.outlet.send(uid.clone(), at, seen.answer, seen.saw);
        sent.await.map(|()| uid)
    }

    async fn ask(&self, turn: &Turn) -> Seen {
        let Some(address) = turn.target.address else {
            return Seen::nothing("the pod has no address");
        };
        let Some(port) = turn.target.port else {
            return Seen::nothing("the pod has no such port");
        };
        let permit = timeout_at(turn.next, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Seen::fault(Cause::Busy, "not probed: too many probes at once");
        };
        let begun = Instant::now();
        let seen = self.attempt.make(SocketAddr::new(address, port)).await;
        self.outlet.probed(begun.elapsed());
        seen
    }
}
