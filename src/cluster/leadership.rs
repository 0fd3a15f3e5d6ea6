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
    lease::{Held, LeaseObject, update},
    request::RequestError,
    watch::News,
};
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
    /// Whether it acts now.
    #[must_use]
    pub fn acts(self) -> bool {
        match self {
            Self::Standby => false,
            Self::Until(end) => Instant::now() < end,
            Self::Always => true,
        }
    }
}

/// Who runs for it, and who hears of it.
pub struct Candidate {
    /// What stands in the Lease as its holder; `None`: it acts without holding it.
    pub identity: Option<String>,
    /// Hears which ledger the Lease names.
    pub news: mpsc::Sender<News>,
    /// Hears whether it leads.
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
    candidate: Candidate,
) -> impl Future<Output = ()> + Send + use<> {
    let lease = LeaseObject::new(client.clone(), namespace, agent);
    stand(lease, candidate)
}

async fn stand(lease: LeaseObject, candidate: Candidate) {
    if candidate.identity.is_none() {
        candidate.leads.send_replace(Leadership::Always);
    }
    let mut look = Look {
        lease,
        seen: None,
        failing: false,
    };
    loop {
        look.take(&candidate).await;
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
        let _ = timeout(STEP_DOWN, look.step_down(identity)).await;
    }
}

struct Look {
    lease: LeaseObject,
    /// Who held it at the last change, and since when it has been so.
    seen: Option<(Held, Instant)>,
    failing: bool,
}

impl Look {
    /// Looks once, and tells what came of it. A look that fails changes nothing: time runs out by itself.
    async fn take(&mut self, candidate: &Candidate) {
        let looked = timeout(LOOK, self.look(candidate)).await;
        let failure = match looked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", LOOK.as_secs())),
        };
        if let Some(why) = &failure
            && !self.failing
        {
            warn!(why, "the Lease cannot be read or renewed");
        }
        self.failing = failure.is_some();
        // A receiver that is gone means that the agent ends.
        let _ = candidate.news.send(News::Heard(KIND)).await;
    }

    async fn look(&mut self, candidate: &Candidate) -> Result<(), RequestError> {
        let began = Instant::now();
        let Some(lease) = self.lease.read().await? else {
            self.lease.create().await?;
            return Ok(());
        };
        let news = News::Update(KIND, Box::new(update(&lease)?));
        let _ = candidate.news.send(news).await;
        let Some(identity) = &candidate.identity else {
            return Ok(());
        };
        let held = Held::of(&lease);
        let since = match &self.seen {
            Some((seen, since)) if *seen == held => *since,
            _ => {
                self.seen = Some((held.clone(), began));
                began
            }
        };
        let own = held.holder == *identity;
        let free = held.holder.is_empty() || began.duration_since(since) >= DURATION;
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
                info!(identity, "leads");
            }
        }
        Ok(())
    }

    /// Whoever looks next finds it free.
    async fn step_down(&mut self, identity: &str) -> Result<(), RequestError> {
        if let Some(lease) = self.lease.read().await?
            && Held::of(&lease).holder == identity
        {
            self.lease.hold(&lease, "", 1).await?;
        }
        Ok(())
    }
}
