//! The pods of a query, kept up to date while the signal waits for something else.

use std::{collections::BTreeMap, future::Future, pin::pin};

use tokio::{sync::mpsc::UnboundedReceiver, time::sleep};

use super::join::PodReading;
use crate::{
    core::{judge::Sample, object::Uid, time::Now},
    signal::{
        HEARTBEAT, SignalContext, SignalError, SignalTarget, TargetChange, output::SignalOutput,
    },
};

/// The pods of a policy.
pub(super) struct WatchedPods {
    pub(super) output: SignalOutput,
    keys: PodKeys,
}

struct PodKeys {
    changes: UnboundedReceiver<TargetChange>,
    by_uid: BTreeMap<Uid, SignalTarget>,
}

impl WatchedPods {
    pub(super) fn new(context: SignalContext) -> Self {
        Self {
            output: SignalOutput::new(&context),
            keys: PodKeys {
                changes: context.targets,
                by_uid: BTreeMap::new(),
            },
        }
    }

    /// The pods as they are now.
    pub(super) fn iter(&self) -> impl Iterator<Item = &SignalTarget> {
        self.keys.by_uid.values()
    }

    /// Waits for `work`; meanwhile sends heartbeats and applies changes of pods.
    pub(super) async fn wait_for<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, SignalError> {
        wait_for(&self.output, &mut self.keys, work).await
    }

    /// Sends a sample, unless its pod is no longer watched.
    pub(super) async fn send(
        &mut self,
        pod: Uid,
        at: Now,
        reading: PodReading,
    ) -> Result<(), SignalError> {
        let Some(target) = self.keys.by_uid.get(&pod) else {
            return Ok(());
        };
        let run = target.run;
        let sent = self.output.send(Sample {
            policy: self.output.policy.clone(),
            pod,
            run,
            at,
            asked: at.moment,
            answer: reading.answer,
            unreached: false,
            saw: reading.saw,
        });
        wait_for(&self.output, &mut self.keys, sent).await?
    }
}

async fn wait_for<T>(
    output: &SignalOutput,
    keys: &mut PodKeys,
    work: impl Future<Output = T>,
) -> Result<T, SignalError> {
    let mut work = pin!(work);
    loop {
        output.beat();
        tokio::select! {
            biased;
            change = keys.changes.recv() => match change {
                Some(change) => keys.apply(change),
                None => return Err(SignalError::TargetsClosed(output.policy.clone())),
            },
            done = &mut work => return Ok(done),
            () = sleep(HEARTBEAT) => {}
        }
    }
}

impl PodKeys {
    fn apply(&mut self, change: TargetChange) {
        match change {
            TargetChange::Put(target) => {
                self.by_uid.insert(target.uid.clone(), target);
            }
            TargetChange::Remove(uid) => drop(self.by_uid.remove(&uid)),
        }
    }
}
