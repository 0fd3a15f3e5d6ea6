//! The agent: thin edges around a pure [`core`].

pub mod agent;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod deadline;
pub mod decider;
pub mod plugin;
pub mod report;
pub mod signal;
pub mod targets;
pub mod verify;

pub use pod_quarantine_core as core;
