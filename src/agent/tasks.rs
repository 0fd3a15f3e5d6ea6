//! The long-running tasks by name: spawned and joined only here.

use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};

/// The name of a task that ended, and its result.
pub(super) type TaskEnd = (String, anyhow::Result<()>);

/// All long-running tasks. They are aborted when this is dropped.
#[derive(Default)]
pub(super) struct Tasks(JoinSet<TaskEnd>);

impl Tasks {
    pub(super) fn spawn(
        &mut self,
        name: &str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> AbortHandle {
        let name = name.to_owned();
        self.0.spawn(async move { (name, task.await) })
    }

    /// The next task that ends by itself; aborted tasks are skipped.
    pub(super) async fn next_end(&mut self) -> TaskEnd {
        loop {
            match self.0.join_next().await {
                Some(Ok(end)) => return end,
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => return ("a task".to_owned(), Err(error.into())),
                None => return ("all tasks".to_owned(), Ok(())),
            }
        }
    }

    /// Waits until the task of that name has ended; tasks that end before it are dropped.
    pub(super) async fn wait_for(&mut self, task: &str) {
        while let Some(joined) = self.0.join_next().await {
            if matches!(joined, Ok((name, _)) if name == task) {
                return;
            }
        }
    }
}
