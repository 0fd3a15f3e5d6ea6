//! Whether a rollout of a workload is in progress, by the status of its controller.

use super::wire::{WireControllerSpec, WireControllerStatus, WireMeta};
use crate::core::object::ControllerKind;

/// The reasons of a Deployment's condition `Progressing` that mean no rollout: it is complete, or the Deployment is
/// paused (`deployment/util/deployment_util.go`).
const AT_REST: [&str; 2] = ["NewReplicaSetAvailable", "DeploymentPaused"];

/// As in `kubectl rollout status`, except for pods that are no longer available after a complete rollout. With the
/// strategy `OnDelete` nothing is rolled out automatically, and a bare ReplicaSet has no rollouts.
pub(super) fn is_rolling(
    kind: ControllerKind,
    meta: &WireMeta,
    spec: &WireControllerSpec,
    status: &WireControllerStatus,
) -> bool {
    // `None` is less than any generation.
    let unobserved = status.observed_generation < meta.generation;
    let on_delete = spec.update_strategy.kind.as_deref() == Some("OnDelete");
    let replicas = status.replicas.unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    match kind {
        ControllerKind::ReplicaSet => false,
        ControllerKind::StatefulSet | ControllerKind::DaemonSet if on_delete => false,
        _ if unobserved => true,
        ControllerKind::Deployment => {
            let mut conditions = status.conditions.iter();
            let progress = conditions.find(|condition| condition.kind == "Progressing");
            let is_on_its_way =
                progress.is_some_and(|progress| !AT_REST.contains(&&*progress.reason));
            is_on_its_way || replicas > updated
        }
        ControllerKind::StatefulSet => {
            let wanted = spec.replicas.unwrap_or(1);
            let kept_back = spec.update_strategy.rolling_update.partition.unwrap_or(0);
            status.current_revision != status.update_revision
                && updated < wanted.saturating_sub(kept_back)
        }
        ControllerKind::DaemonSet => {
            status.updated_number_scheduled.unwrap_or(0)
                < status.desired_number_scheduled.unwrap_or(0)
        }
    }
}
