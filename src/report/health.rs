//! Whether every long-running task is alive: each sends a heartbeat at least once within its bound.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The long-running tasks with the last heartbeat and the bound of each.
#[derive(Debug, Default)]
pub struct Health {
    tasks: Mutex<BTreeMap<String, (Instant, Duration)>>,
}

impl Health {
    /// Expects a heartbeat of a task at least this often.
    pub fn expect(&self, task: &str, bound: Duration) {
        self.lock(|tasks| tasks.insert(task.to_owned(), (Instant::now(), bound)));
    }

    /// Expects no more heartbeats of a task.
    pub fn dismiss(&self, task: &str) {
        self.lock(|tasks| tasks.remove(task));
    }

    /// Records a heartbeat of a task.
    pub fn beat(&self, task: &str) {
        self.lock(|tasks| {
            if let Some((last, _)) = tasks.get_mut(task) {
                *last = Instant::now();
            }
        });
    }

    /// The tasks without a heartbeat within their bound, with the time since the last one.
    #[must_use]
    pub fn silent(&self) -> Vec<(String, Duration)> {
        self.lock(|tasks| {
            let silent = tasks
                .iter()
                .filter(|(_, (last, bound))| last.elapsed() > *bound);
            silent
                .map(|(task, (last, _))| (task.clone(), last.elapsed()))
                .collect()
        })
    }

    /// Under a poisoned lock there are only times, which are still right.
    fn lock<T>(&self, act: impl FnOnce(&mut BTreeMap<String, (Instant, Duration)>) -> T) -> T {
        act(&mut self
            .tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
