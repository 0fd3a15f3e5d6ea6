//! The agent on a real cluster. Runs inside the cluster's network namespace: `make test`.

#![allow(
    clippy::indexing_slicing,
    reason = "a test that finds nothing where something must be has failed"
)]

mod quarantine;
