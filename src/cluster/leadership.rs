//! Which of several agents of one installation does the work: the one that holds the Lease.
//!
//! That saves work and nothing else: no limit depends on there being one leader. As in client-go, a holder is taken for
//! dead once the Lease has not changed for its whole duration, by the clock of who looks; and who cannot renew it stops
//! earlier, by its own.

use std::time::{Duration, Instant};

use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    client::ClientError,
    watch::WatchEvent,
    write::{Holder, LeaseObject, lease_update},
};
use crate::deadline::within;

/// Its kind, as the watches have theirs.
pub const KIND: &str = "lease";

/// A holder that has not renewed for so long may be replaced.
const DURATION: Duration = Duration::from_secs(10);

/// A holder acts for so long after it asked for the last renewal that was granted.
const ACTS_FOR: Duration = Duration::from_secs(8);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(2);

/// How often it is looked at by others.
const WATCH: Duration = Duration::from_secs(1);

/// How long one look may take, all its requests together.
const LOOK: Duration = Duration::from_secs(4);

/// How long it may take to give it up.
const STEP_DOWN: Duration = Duration::from_millis(300);

/// What this agent is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Another one acts, or none does yet.
    Standby,
    /// It acts until then, unless that is put off.
    Until(Instant),
    /// It acts without asking.
    Always,
}

impl Leadership {
    #[must_use]
    pub fn acts(self) -> bool {
        match self {
            Self::Standby => false,
            Self::Until(end) => Instant::now() < end,
            Self::Always => true,
        }
    }
}

/// Who campaigns, and who learns what comes of it.
pub struct LeaderCandidate {
    /// What stands in the Lease as its holder; `None`: it acts without holding it.
    pub identity: Option<String>,
    /// Learns which ledger the Lease names.
    pub events: mpsc::Sender<WatchEvent>,
    /// Learns whether this agent leads.
    pub leads: watch::Sender<Leadership>,
    /// Told to give it up and end.
    pub step_down: CancellationToken,
}

/// Looks at the Lease of the installation `agent` in `namespace`, renews it, takes it where it is free, until it is told
/// to step down.
pub fn lead(
    client: &Client,
    namespace: &str,
    agent: &str,
    candidate: LeaderCandidate,
) -> impl Future<Output = ()> + Send + use<> {
    let lease = LeaseObject::new(client.clone(), namespace, agent);
    campaign(lease, candidate)
}

async fn campaign(lease: LeaseObject, candidate: LeaderCandidate) {
    if candidate.identity.is_none() {
        candidate.leads.send_replace(Leadership::Always);
    }
    let mut elector = Elector {
        lease,
        observed: None,
        failing: false,
    };
    loop {
        elector.try_once(&candidate).await;
        let leads = *candidate.leads.borrow();
        let wait = if leads.acts() { RENEW } else { WATCH };
        tokio::select! {
            () = sleep(wait) => {}
            () = candidate.step_down.cancelled() => break,
        }
    }
    if let Some(identity) = &candidate.identity {
        candidate.leads.send_replace(Leadership::Standby);
        // Where that fails, the next one waits until it runs out.
        let _ = timeout(STEP_DOWN, elector.step_down(identity)).await;
    }
}

struct Elector {
    lease: LeaseObject,
    /// Who held it at the last change, and since when it has been so.
    observed: Option<(Holder, Instant)>,
    failing: bool,
}

impl Elector {
    /// Looks once, and passes on what came of it. A look that fails changes nothing: time runs out by itself.
    async fn try_once(&mut self, candidate: &LeaderCandidate) {
        let failure = match within(LOOK, self.look(candidate)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(timed_out) => Some(timed_out.to_string()),
        };
        if let Some(why) = &failure
            && !self.failing
        {
            warn!(why, "the Lease cannot be read or renewed");
        }
        self.failing = failure.is_some();
        // A receiver that is gone means that the agent ends.
        let _ = candidate.events.send(WatchEvent::Bookmark(KIND)).await;
    }

    async fn look(&mut self, candidate: &LeaderCandidate) -> Result<(), ClientError> {
        let began = Instant::now();
        let Some(lease) = self.lease.read().await? else {
            self.lease.create().await?;
            return Ok(());
        };
        let event = WatchEvent::Update(KIND, Box::new(lease_update(&lease)?));
        let _ = candidate.events.send(event).await;
        let Some(identity) = &candidate.identity else {
            return Ok(());
        };
        let holder = Holder::of(&lease);
        let own = holder.identity == *identity;
        let unheld = holder.identity.is_empty();
        let since = match &self.observed {
            Some((observed, since)) if *observed == holder => *since,
            _ => {
                self.observed = Some((holder, began));
                began
            }
        };
        let free = unheld || began.duration_since(since) >= DURATION;
        let leads = &candidate.leads;
        if !own && !free {
            leads.send_if_modified(|known| {
                let before = std::mem::replace(known, Leadership::Standby);
                before != Leadership::Standby
            });
            return Ok(());
        }
        let taken = self
            .lease
            .hold(&lease, identity, DURATION.as_secs())
            .await?;
        if taken.is_some() {
            let before = leads.send_replace(Leadership::Until(began + ACTS_FOR));
            if !before.acts() {
                info!(identity, "acquired the Lease");
            }
        }
        Ok(())
    }

    /// Whoever looks next finds it free.
    async fn step_down(&mut self, identity: &str) -> Result<(), ClientError> {
        if let Some(lease) = self.lease.read().await?
            && Holder::of(&lease).identity == identity
        {
            self.lease.hold(&lease, "", 1).await?;
        }
        Ok(())
    }
}
