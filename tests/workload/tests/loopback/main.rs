//! The program over real sockets of the loopback interface: as a library on free ports, and as a
//! process where signals and exit codes matter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod behaviours;
mod counting;
mod metrics;
mod process;
mod sockets;
mod wire;
