//! The agent's rooms: a pure [`core`] and thin edges around it.
pub mod config;
pub mod core;
