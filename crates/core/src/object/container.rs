//! The containers of a pod.

use std::sync::Arc;

use jiff::Timestamp;

/// A container, or a sidecar: an init container that runs on. One that ends before the others start is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its ports with their names, where they have one.
    pub ports: Vec<(Option<Arc<str>>, u16)>,
    pub state: ContainerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// It does not run yet, or runs and its startup probe has not succeeded yet.
    Starting,
    Running(ContainerRun),
    /// It has ended.
    Ended,
}

/// From one start of a container to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerRun {
    pub since: Timestamp,
    /// How often the container was restarted before.
    pub restarts: u32,
}
