//! The edges to the API server, before one that answers as a test says: what a watch passes on when it is interrupted,
//! what a look-up makes of objects that it cannot read, and how the Lease comes to be.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod leadership;
mod needs;
mod server;
mod watches;
