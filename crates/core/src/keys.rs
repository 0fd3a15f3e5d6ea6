//! The keys on pods and namespaces. They never change: users type them and select by them.

/// The prefix of every key of the agent; a selector that names such a key is meant for quarantined pods.
pub const PREFIX: &str = "pod-quarantine.io/";

/// Label: [`QUARANTINED`] while the pod is quarantined.
pub const STATE: &str = "pod-quarantine.io/state";
/// The one value of [`STATE`].
pub const QUARANTINED: &str = "quarantined";
/// Label: name of the workload that the pod came from, cut to 63 characters.
pub const WORKLOAD: &str = "pod-quarantine.io/workload";
/// Annotation: everything needed to put the pod back, see [`crate::record::Record`].
pub const RECORD: &str = "pod-quarantine.io/record";
/// Annotation: the resourceVersion that a stale slot was fenced at, see [`crate::ledger`].
pub const FENCE: &str = "pod-quarantine.io/fence";
/// Annotation on a released pod: what to restore once its ReplicaSet has settled, see [`crate::restore`].
pub const RELEASED: &str = "pod-quarantine.io/released";

/// Annotation of people: never quarantine this pod.
pub const EXEMPT: &str = "pod-quarantine.io/exempt";
/// Annotation of people: quarantine it now; the text is the reason.
pub const QUARANTINE: &str = "pod-quarantine.io/quarantine";
/// Annotation of people: release it.
pub const RELEASE: &str = "pod-quarantine.io/release";
/// Annotation of people: do not reap it, or not before that time.
pub const HOLD: &str = "pod-quarantine.io/hold";
/// Annotation of people: how long the pod is kept, counted from the quarantine.
pub const TTL: &str = "pod-quarantine.io/ttl";
/// Annotation of people on a workload: with any new text, earlier retries no longer count.
pub const RESET: &str = "pod-quarantine.io/reset";
/// Annotation of people on a namespace: lowers the mode there.
pub const MODE: &str = "pod-quarantine.io/mode";

/// Annotation of the ledger: when it was created in place of a lost one.
pub const REBUILT: &str = "pod-quarantine.io/rebuilt";
/// Label of the agent's own objects: [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "pod-quarantine";
/// The `reportingController` of the agent's Events.
pub const REPORTING_CONTROLLER: &str = "pod-quarantine.io/agent";

/// The pod with the highest value is the last that a ReplicaSet deletes when it shrinks.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Karpenter does not remove the node of such a pod.
pub const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// If it is `false`, the cluster-autoscaler does not remove the node of such a pod.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// Argo CD's options of one object.
pub const ARGO_SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Argo CD before 3.0 takes an ownerless object with this label for its own and prunes it.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// On the mirror pod of a static pod.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Which revision of its Deployment a ReplicaSet is.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label of a node that names its zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// The label by which a Deployment distinguishes its ReplicaSets.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// The annotations of a pod that the agent reads; all others are dropped at the edge.
pub const READ_FROM_PODS: [&str; 13] = [
    RECORD,
    FENCE,
    RELEASED,
    EXEMPT,
    QUARANTINE,
    RELEASE,
    HOLD,
    TTL,
    DELETION_COST,
    DO_NOT_DISRUPT,
    SAFE_TO_EVICT,
    ARGO_SYNC_OPTIONS,
    MIRROR,
];

/// The annotations for which a pod is checked on every tick.
pub const TRACKED: [&str; 4] = [RECORD, RELEASED, QUARANTINE, RELEASE];

/// Labels that are never edited: their controllers identify pods by them and undo or punish a change.
pub const NEVER_EDITED: [&str; 8] = [
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-revision-hash",
    "pod-template-generation",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "controller-uid",
];
