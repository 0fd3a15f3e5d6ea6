//! The pods that a policy probes, and the turns of each.

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
    signal::{SignalTarget, schedule::Schedule},
};

/// The pods of a policy and their turns.
pub(super) struct ProbeSchedule {
    schedule: Schedule,
    initial_delay: Duration,
    pods: HashMap<Uid, ScheduledPod>,
    turns: BTreeSet<(Instant, Uid)>,
}

struct ScheduledPod {
    target: Arc<SignalTarget>,
    /// The next turn; `None` while the last probe is still running.
    turn: Option<Instant>,
    /// When the last turn was taken.
    taken: Instant,
    under_way: Option<AbortHandle>,
}

/// A pod that has its turn now.
pub(super) struct Turn {
    pub(super) target: Arc<SignalTarget>,
    pub(super) next: Instant,
}

impl ProbeSchedule {
    pub(super) fn new(schedule: Schedule, initial_delay: Duration) -> Self {
        Self {
            schedule,
            initial_delay,
            pods: HashMap::new(),
            turns: BTreeSet::new(),
        }
    }

    /// Probes a pod from now on, or a changed pod as it is now: a running probe of an address that it no longer has, or of a
    /// container that was restarted, is dropped.
    pub(super) fn put(&mut self, target: SignalTarget, now: Instant, wall: Timestamp) {
        let before = self.pods.get(&target.uid);
        if before.is_some_and(|pod| *pod.target == target) {
            return;
        }
        let moved = before.is_none_or(|pod| {
            let (before, now) = (&pod.target, &target);
            (before.address, before.port, before.run) != (now.address, now.port, now.run)
        });
        let begins = now + self.delay_left(&target, wall);
        let mut turn = self.schedule.first(&target.uid, begins);
        let mut taken = now;
        let mut under_way = None;
        if let Some(pod) = self.forget(&target.uid) {
            if let Some(earlier) = pod.turn
                && earlier >= begins
            {
                turn = turn.min(earlier);
            }
            taken = pod.taken;
            under_way = pod.under_way;
        }
        if moved && let Some(probe) = under_way.take() {
            probe.abort();
        }
        let uid = target.uid.clone();
        self.turns.insert((turn, uid.clone()));
        let pod = ScheduledPod {
            target: Arc::new(target),
            turn: Some(turn),
            taken,
            under_way,
        };
        self.pods.insert(uid, pod);
    }

    /// Removes a pod, and drops its running probe.
    pub(super) fn remove(&mut self, uid: &Uid) {
        if let Some(probe) = self.forget(uid).and_then(|pod| pod.under_way) {
            probe.abort();
        }
    }

    fn forget(&mut self, uid: &Uid) -> Option<ScheduledPod> {
        let pod = self.pods.remove(uid)?;
        if let Some(turn) = pod.turn {
            self.turns.remove(&(turn, uid.clone()));
        }
        Some(pod)
    }

    /// The time of the next turn.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.turns.first().map(|(turn, _)| *turn)
    }

    /// Takes a turn that is due; the pod's next turn is set.
    pub(super) fn take_turn(&mut self, now: Instant) -> Option<Turn> {
        while self.next_turn().is_some_and(|turn| turn <= now) {
            let (_, uid) = self.turns.pop_first()?;
            let pod = self.pods.get_mut(&uid)?;
            if pod.under_way.is_some() {
                pod.turn = None;
                continue;
            }
            let next = self.schedule.next(&uid, now, now);
            pod.taken = now;
            pod.turn = Some(next);
            self.turns.insert((next, uid));
            let target = pod.target.clone();
            return Some(Turn { target, next });
        }
        None
    }

    /// Records that a probe of the pod has begun.
    pub(super) fn begin(&mut self, uid: &Uid, probe: AbortHandle) {
        if let Some(pod) = self.pods.get_mut(uid) {
            pod.under_way = Some(probe);
        }
    }

    /// Records that the running probe has ended.
    pub(super) fn finish(&mut self, uid: &Uid, now: Instant) {
        let Some(pod) = self.pods.get_mut(uid) else {
            return;
        };
        pod.under_way = None;
        if pod.turn.is_none() {
            let turn = self.schedule.next(uid, pod.taken, now);
            pod.turn = Some(turn);
            self.turns.insert((turn, uid.clone()));
        }
    }

    /// The remaining initial delay: all of it for a container that has not started, or that starts in the future by this
    /// clock.
    fn delay_left(&self, target: &SignalTarget, wall: Timestamp) -> Duration {
        let Some(run) = target.run else {
            return self.initial_delay;
        };
        let up = wall
            .duration_since(run.since)
            .max(jiff::SignedDuration::ZERO);
        self.initial_delay.saturating_sub(up.unsigned_abs())
    }
}
