//! Which of several agents of one installation acts: the one that holds the Lease.
//!
//! This only saves work: no limit depends on there being one leader. As in client-go, a holder counts as dead once the
//! Lease has not changed for its whole duration, by the observer's clock; and a holder that cannot renew the Lease stops
//! acting earlier, by its own clock.

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

/// Its kind in watch events, like those of the watches.
pub const KIND: &str = "lease";

/// A holder that has not renewed the Lease for this long may be replaced.
const DURATION: Duration = Duration::from_secs(10);

/// A holder acts for this long after it requested the last successful renewal.
const ACTS_FOR: Duration = Duration::from_secs(8);

/// How often the holder renews the Lease.
const RENEW: Duration = Duration::from_secs(2);

/// How often the other agents read the Lease.
const WATCH: Duration = Duration::from_secs(1);

/// How long one attempt may take, with all its requests.
const ATTEMPT: Duration = Duration::from_secs(4);

/// How long the release of the Lease may take.
const STEP_DOWN: Duration = Duration::from_millis(300);

/// Whether this agent acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Another agent acts, or none does yet.
    Standby,
    /// It acts until then; each renewal extends the time.
    Until(Instant),
    /// It acts without the Lease.
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

/// The settings of a campaign, and the receivers of its results.
pub struct LeaderCandidate {
    /// The holder in the Lease; `None`: the agent acts without the Lease.
    pub identity: Option<String>,
    /// Receives which ledger the Lease names.
    pub events: mpsc::Sender<WatchEvent>,
    /// Receives whether this agent acts.
    pub leads: watch::Sender<Leadership>,
    /// Cancelled when the agent is to release the Lease and stop.
    pub step_down: CancellationToken,
}

/// Reads the Lease of the installation `agent` in `namespace`, takes it where it is free and renews it, until `step_down`
/// is cancelled.
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
        // If that fails, the next agent waits until the Lease expires.
        let _ = timeout(STEP_DOWN, elector.step_down(identity)).await;
    }
}

struct Elector {
    lease: LeaseObject,
    /// The holder at the last change of the Lease, and when that change was observed.
    observed: Option<(Holder, Instant)>,
    failing: bool,
}

impl Elector {
    /// One attempt to read and renew the Lease. A failed one changes nothing: the time to act runs out by itself.
    async fn try_once(&mut self, candidate: &LeaderCandidate) {
        let failure = match within(ATTEMPT, self.read_and_renew(candidate)).await {
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
        // A closed receiver means that the agent is stopping.
        let _ = candidate.events.send(WatchEvent::Bookmark(KIND)).await;
    }

    async fn read_and_renew(&mut self, candidate: &LeaderCandidate) -> Result<(), ClientError> {
        let began = Instant::now();
        let lease = match self.lease.read().await? {
            Some(lease) => lease,
            None => match self.lease.create().await? {
                Some(created) => created,
                None => return Ok(()),
            },
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

    /// Releases the Lease: the next agent that reads it finds it free.
    async fn step_down(&mut self, identity: &str) -> Result<(), ClientError> {
        if let Some(lease) = self.lease.read().await?
            && Holder::of(&lease).identity == identity
        {
            self.lease.hold(&lease, "", 1).await?;
        }
        Ok(())
    }
}
