//! Frees and fences the slots that no pod seems to need.

use std::sync::Arc;

use futures::{StreamExt, stream};
use pod_quarantine_core::{
    keys,
    ledger::{Ledger, Slot, SlotFate, fate},
    object::{Pod, ResourceVersion},
    record::Values,
    view::Update,
    write::{Act, Change, PodVersion},
};

use crate::{
    AT_ONCE, Outcome, Writer,
    api_server::{ApiServer, WriteFailure},
};

impl<Server: ApiServer> Writer<Server> {
    /// Reads the pods of slots that no pod seems to need, and frees the slots that may be freed.
    pub(super) async fn check(&self, before: &Ledger, slots: Vec<Slot>, outcome: &mut Outcome) {
        let checked = stream::iter(slots)
            .map(|slot| self.check_slot(slot))
            .buffer_unordered(AT_ONCE);
        let mut after = before.clone();
        let mut freed = false;
        for (slot, one) in checked.collect::<Vec<_>>().await {
            outcome.add(one);
            freed |= slot.is_some_and(|slot| after.free(&slot));
        }
        if freed {
            let what = "free a slot in the ledger";
            let _ = self.swap(what, before, &after, outcome).await;
        }
    }

    /// Returns the slot if it may be freed.
    async fn check_slot(&self, slot: Slot) -> (Option<Slot>, Outcome) {
        let mut pod = PodVersion {
            key: slot.key(),
            uid: slot.uid.clone(),
            resource_version: slot.resource_version,
        };
        let mut outcome = Outcome::default();
        let found = match self.server.get(&pod).await {
            Ok(found) => found,
            Err(error) => {
                outcome
                    .failures
                    .push(format!("read the pod {} of a slot: {error}", pod.key));
                return (None, outcome);
            }
        };
        let fate = fate(&slot, found.as_ref(), self.server.now());
        let fence = found
            .as_ref()
            .and_then(|found| fence(slot.resource_version, found));
        match found {
            Some(found) => outcome.updates.push(Update::Pod(found)),
            None => outcome
                .updates
                .push(Update::PodGone(pod.key.clone(), pod.uid.clone())),
        }
        match fate {
            SlotFate::Free => (Some(slot), outcome),
            SlotFate::Keep => (None, outcome),
            SlotFate::Fence => {
                pod.resource_version = slot.resource_version;
                let change = Change {
                    labels: Values::new(),
                    annotations: Values::from([(keys::FENCE.into(), fence)]),
                };
                match self.server.patch(&pod, &change, false).await {
                    // The next check finds it changed.
                    Ok(pod) => outcome.updates.push(Update::Pod(pod)),
                    Err(WriteFailure::Conflict) => {}
                    Err(failure) => {
                        outcome.add(self.record_failure(Act::Fence, &pod, failure).await);
                    }
                }
                (None, outcome)
            }
        }
    }
}

/// What the fence of a version writes onto the pod. Where the pod carries just that, as whoever may patch it can arrange, the
/// annotation is removed: only a change makes a new version.
fn fence(version: ResourceVersion, pod: &Pod) -> Option<Arc<str>> {
    let version = version.to_string();
    if pod.annotation(keys::FENCE) == Some(&*version) {
        return None;
    }
    Some(version.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pod_quarantine_core::object::ObjectKey;

    #[test]
    fn a_fence_changes_the_pod_also_where_somebody_has_written_it_beforehand() {
        let mut pod = test_objects::pod(ObjectKey::new("shop", "web-0"), "uid".into());
        for before in [None, Some("6"), Some("7")] {
            if let Some(before) = before {
                pod.annotations.insert(keys::FENCE.into(), before.into());
            }
            let fence = fence(ResourceVersion::new(7), &pod);
            assert_ne!(fence.as_deref(), before);
        }
    }
}
