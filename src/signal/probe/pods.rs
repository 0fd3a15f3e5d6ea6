//! Which pods are probed, and when it is whose turn.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::future::AbortHandle;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    core::object::Uid,
    signal::{Target, pace::Pace},
};

/// The pods of a policy.
pub(super) struct Pods {
    pace: Pace,
    initial_delay: Duration,
    known: HashMap<Uid, Known>,
    turns: BTreeSet<(Instant, Uid)>,
}

struct Known {
    target: Arc<Target>,
    /// The next turn; none while it waits for the probe that is under way.
    turn: Option<Instant>,
    /// When the last one was taken.
    taken: Instant,
    under_way: Option<AbortHandle>,
}

/// A pod whose turn it is.
pub(super) struct Turn {
    pub(super) target: Arc<Target>,
    /// Its next turn.
    pub(super) next: Instant,
}

impl Pods {
    pub(super) fn new(pace: Pace, initial_delay: Duration) -> Self {
        Self {
            pace,
            initial_delay,
            known: HashMap::new(),
            turns: BTreeSet::new(),
        }
    }

    /// Probes a pod from now on, or as it is now: what is under way to an address that it no longer has is dropped.
    pub(super) fn put(&mut self, target: Target, now: Instant, wall: Timestamp) {
        let before = self.known.get(&target.uid);
        if before.is_some_and(|known| *known.target == target) {
            return;
        }
        let moved = before.is_none_or(|known| {
            (known.target.address, known.target.port) != (target.address, target.port)
        });
        let begins = now + self.delay_left(&target, wall);
        let mut turn = self.pace.first(&target.uid, begins);
        let mut taken = now;
        let mut under_way = None;
        if let Some(known) = self.forget(&target.uid) {
            if let Some(earlier) = known.turn.filter(|turn| *turn >= begins) {
                turn = turn.min(earlier);
            }
            taken = known.taken;
            under_way = known.under_way;
        }
        if moved && let Some(probe) = under_way.take() {
            probe.abort();
        }
        let uid = target.uid.clone();
        self.turns.insert((turn, uid.clone()));
        let known = Known {
            target: Arc::new(target),
            turn: Some(turn),
            taken,
            under_way,
        };
        self.known.insert(uid, known);
    }

    /// Forgets a pod, and drops its probe if one is under way.
    pub(super) fn remove(&mut self, uid: &Uid) {
        if let Some(probe) = self.forget(uid).and_then(|known| known.under_way) {
            probe.abort();
        }
    }

    fn forget(&mut self, uid: &Uid) -> Option<Known> {
        let known = self.known.remove(uid)?;
        if let Some(turn) = known.turn {
            self.turns.remove(&(turn, uid.clone()));
        }
        Some(known)
    }

    /// When the next turn is.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.turns.first().map(|(turn, _)| *turn)
    }

    /// A pod that is to be probed now; its next turn is set.
    pub(super) fn take_turn(&mut self, now: Instant) -> Option<Turn> {
        while self.next_turn().is_some_and(|turn| turn <= now) {
            let (_, uid) = self.turns.pop_first()?;
            let known = self.known.get_mut(&uid)?;
            if known.under_way.is_some() {
                known.turn = None;
                continue;
            }
            let next = self.pace.next(&uid, now, now);
            known.taken = now;
            known.turn = Some(next);
            self.turns.insert((next, uid));
            let target = known.target.clone();
            return Some(Turn { target, next });
        }
        None
    }

    /// A probe of the pod has begun.
    pub(super) fn begin(&mut self, uid: &Uid, probe: AbortHandle) {
        if let Some(known) = self.known.get_mut(uid) {
            known.under_way = Some(probe);
        }
    }

    /// The probe that was under way has ended.
    pub(super) fn done(&mut self, uid: &Uid, now: Instant) {
        let Some(known) = self.known.get_mut(uid) else {
            return;
        };
        known.under_way = None;
        if known.turn.is_none() {
            let turn = self.pace.next(uid, known.taken, now);
            known.turn = Some(turn);
            self.turns.insert((turn, uid.clone()));
        }
    }

    /// How much of the initial delay is still to come: all of it for a pod that has not started, or that by this clock
    /// starts in the future.
    fn delay_left(&self, target: &Target, wall: Timestamp) -> Duration {
        let Some(started) = target.started else {
            return self.initial_delay;
        };
        let up = wall.duration_since(started).max(jiff::SignedDuration::ZERO);
        self.initial_delay.saturating_sub(up.unsigned_abs())
    }
}
