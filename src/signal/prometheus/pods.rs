//! The pods that are asked about, kept up to date while something else is waited for.

use std::{collections::BTreeMap, future::Future, pin::pin};

use tokio::{sync::mpsc::UnboundedReceiver, time::sleep};

use super::join::PodReading;
use crate::{
    core::{
        judge::Now,
        object::{ObjectKey, Uid},
    },
    signal::{HEARTBEAT, SignalContext, SignalError, TargetChange, output::SignalOutput},
};

/// The pods of a policy.
pub(super) struct WatchedPods {
    pub(super) output: SignalOutput,
    pods: PodKeys,
}

struct PodKeys {
    changes: UnboundedReceiver<TargetChange>,
    keys: BTreeMap<Uid, ObjectKey>,
}

impl WatchedPods {
    pub(super) fn new(context: SignalContext) -> Self {
        Self {
            output: SignalOutput::new(&context),
            pods: PodKeys {
                changes: context.targets,
                keys: BTreeMap::new(),
            },
        }
    }

    /// The pods as they are now.
    pub(super) fn pods(&self) -> impl Iterator<Item = (&Uid, &ObjectKey)> {
        self.pods.keys.iter()
    }

    /// Waits for `work`, alive and listening all the while.
    pub(super) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, SignalError> {
        attend(&self.output, &mut self.pods, work).await
    }

    /// Hands a sample out, unless its pod has gone meanwhile.
    pub(super) async fn tell(
        &mut self,
        pod: Uid,
        at: Now,
        reading: PodReading,
    ) -> Result<(), SignalError> {
        if !self.pods.keys.contains_key(&pod) {
            return Ok(());
        }
        let sent = self.output.send(pod, at, reading.answer, reading.saw);
        attend(&self.output, &mut self.pods, sent).await?
    }
}

async fn attend<T>(
    output: &SignalOutput,
    pods: &mut PodKeys,
    work: impl Future<Output = T>,
) -> Result<T, SignalError> {
    let mut work = pin!(work);
    loop {
        output.beat();
        tokio::select! {
            biased;
            change = pods.changes.recv() => match change {
                Some(change) => pods.take(change),
                None => return Err(SignalError::Unfed(output.policy.clone())),
            },
            done = &mut work => return Ok(done),
            () = sleep(HEARTBEAT) => {}
        }
    }
}

impl PodKeys {
    fn take(&mut self, change: TargetChange) {
        match change {
            TargetChange::Put(target) => drop(self.keys.insert(target.uid, target.pod)),
            TargetChange::Remove(uid) => drop(self.keys.remove(&uid)),
        }
    }
}
