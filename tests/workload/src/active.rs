//! The behaviour in force, and how many requests have met it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::behaviour::{Answers, Behaviour};

/// A behaviour from the moment it was put in force. Shares are counted again from each switch, so
/// what a test sees does not depend on what came before.
pub(crate) struct Active {
    pub(crate) behaviour: Behaviour,
    /// Which switch this is, counted from 0.
    pub(crate) switch: u64,
    traffic_seen: AtomicU64,
    health_seen: AtomicU64,
}

impl Active {
    fn new(behaviour: Behaviour, switch: u64) -> Self {
        Self {
            behaviour,
            switch,
            traffic_seen: AtomicU64::new(0),
            health_seen: AtomicU64::new(0),
        }
    }

    /// How the next request of traffic is answered; none where it is outside the share.
    pub(crate) fn next_traffic(&self) -> Option<&Answers> {
        next(&self.behaviour.traffic, &self.traffic_seen)
    }

    /// The same for `/healthz`.
    pub(crate) fn next_health(&self) -> Option<&Answers> {
        next(&self.behaviour.health, &self.health_seen)
    }
}

fn next<'a>(answers: &'a Answers, seen: &AtomicU64) -> Option<&'a Answers> {
    let number = seen.fetch_add(1, Ordering::Relaxed);
    answers.share.hits(number).then_some(answers)
}

/// Where the behaviour is switched, and where all who act on it watch it.
pub(crate) struct Board(watch::Sender<Arc<Active>>);

impl Board {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self(watch::Sender::new(Arc::new(Active::new(behaviour, 0))))
    }

    pub(crate) fn current(&self) -> Arc<Active> {
        Arc::clone(&self.0.borrow())
    }

    /// Puts a behaviour in force and returns the number of this switch.
    pub(crate) fn switch(&self, behaviour: Behaviour) -> u64 {
        let mut switch = 0;
        self.0.send_modify(|active| {
            switch = active.switch + 1;
            *active = Arc::new(Active::new(behaviour, switch));
        });
        switch
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Active>> {
        self.0.subscribe()
    }

    /// Returns once the behaviour is another than that of this switch.
    pub(crate) async fn switched_from(&self, switch: u64) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.watch().wait_for(|now| now.switch != switch).await;
    }
}
