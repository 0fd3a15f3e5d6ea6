//! The agent's rooms: a pure [`core`] and thin edges around it.

pub mod agent;
pub mod cluster;
pub mod config;
pub mod core;
pub mod decider;
pub mod plugin;
pub mod report;
pub mod signal;
pub mod targets;
