//! The signals over real sockets of the loopback interface: probes of a test workload and of servers written byte by
//! byte, queries to servers that answer what no Prometheus can be made to answer, and to a real Prometheus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod kubelet_parity;
mod probe_answers;
mod probe_fairness;
mod probe_redirects;
mod probe_requests;
mod probe_turns;
mod query_answers;
mod query_requests;
mod query_turns;
mod real_prometheus;
mod rig;
mod server;
mod tls;
