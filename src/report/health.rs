//! Whether every long task is alive: each says so at least once within its bound.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The long tasks and when each was last heard of.
#[derive(Debug, Default)]
pub struct Health {
    tasks: Mutex<BTreeMap<String, (Instant, Duration)>>,
}

impl Health {
    /// Expects a task to be heard of at least so often.
    pub fn expect(&self, task: &str, bound: Duration) {
        self.lock(|tasks| tasks.insert(task.to_owned(), (Instant::now(), bound)));
    }

    /// Expects no more of a task.
    pub fn dismiss(&self, task: &str) {
        self.lock(|tasks| tasks.remove(task));
    }

    /// A task was heard of.
    pub fn beat(&self, task: &str) {
        self.lock(|tasks| {
            if let Some((last, _)) = tasks.get_mut(task) {
                *last = Instant::now();
            }
        });
    }

    /// The tasks that were not heard of within their bound, with for how long.
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

    /// A poisoned lock holds nothing but times: it is as good as before.
    fn lock<T>(&self, act: impl FnOnce(&mut BTreeMap<String, (Instant, Duration)>) -> T) -> T {
        act(&mut self
            .tasks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
