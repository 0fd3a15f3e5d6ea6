//! What owns pods.

use std::sync::Arc;

use super::{ControllerKind, ObjectKey, ObjectKind, Reference, Uid};
use crate::{selector::Selector, text::Fingerprint};

/// An object that owns pods, or owns controllers of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    pub kind: ControllerKind,
    pub key: ObjectKey,
    pub uid: Uid,
    pub selector: Selector,
    /// Its own controller.
    pub owner: Option<Reference>,
    /// `spec.replicas`; of a DaemonSet, `status.desiredNumberScheduled`.
    pub desired: u32,
    /// The annotation [`REVISION`](crate::keys::REVISION): only whether two are the same matters.
    pub revision: Option<Fingerprint>,
    pub terminating: bool,
    /// Of a Deployment: whether its strategy is `Recreate`.
    pub recreate: bool,
    /// Whether a rollout is in progress.
    pub rolling: bool,
    /// Its annotation [`RESET`](crate::keys::RESET).
    pub reset: Option<Fingerprint>,
    /// The commands among the annotations of its pod template: on its pods they are ignored.
    pub template_commands: Vec<Arc<str>>,
}

impl Controller {
    /// The reference that records hold.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference {
            kind: ObjectKind::Controller(self.kind),
            name: self.key.name.clone(),
            uid: self.uid.clone(),
        }
    }
}
