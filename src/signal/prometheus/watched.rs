//! The pods that are asked about, kept up to date while something else is waited for.

use std::{collections::BTreeMap, future::Future, pin::pin};

use tokio::{sync::mpsc::UnboundedReceiver, time::sleep};

use super::join::Reading;
use crate::{
    core::{
        judge::Now,
        object::{ObjectKey, Uid},
    },
    signal::{BEAT, SignalError, TargetChange, Wiring, outlet::Outlet},
};

/// The pods of a policy.
pub(super) struct Watched {
    pub(super) outlet: Outlet,
    pods: Pods,
}

struct Pods {
    changes: UnboundedReceiver<TargetChange>,
    keys: BTreeMap<Uid, ObjectKey>,
}

impl Watched {
    pub(super) fn new(wiring: Wiring) -> Self {
        Self {
            outlet: Outlet::new(&wiring),
            pods: Pods {
                changes: wiring.targets,
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
        attend(&self.outlet, &mut self.pods, work).await
    }

    /// Hands a sample out, unless its pod has gone meanwhile.
    pub(super) async fn tell(
        &mut self,
        pod: Uid,
        at: Now,
        reading: Reading,
    ) -> Result<(), SignalError> {
        if !self.pods.keys.contains_key(&pod) {
            return Ok(());
        }
        let sent = self.outlet.send(pod, at, reading.answer, reading.saw);
        attend(&self.outlet, &mut self.pods, sent).await?
    }
}

async fn attend<T>(
    outlet: &Outlet,
    pods: &mut Pods,
    work: impl Future<Output = T>,
) -> Result<T, SignalError> {
    let mut work = pin!(work);
    loop {
        outlet.beat();
        tokio::select! {
            biased;
            change = pods.changes.recv() => match change {
                Some(change) => pods.take(change),
                None => return Err(SignalError::Unfed(outlet.policy.clone())),
            },
            done = &mut work => return Ok(done),
            () = sleep(BEAT) => {}
        }
    }
}

impl Pods {
    fn take(&mut self, change: TargetChange) {
        match change {
            TargetChange::Put(target) => drop(self.keys.insert(target.uid, target.pod)),
            TargetChange::Remove(uid) => drop(self.keys.remove(&uid)),
        }
    }
}
