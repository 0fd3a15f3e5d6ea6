//! A pod's program for tests and the demo: it answers, fails, hangs or refuses as it is switched, and
//! its other half puts traffic on an address and counts what came back.
//!
//! [`serve::Server`] is the pod, [`client::Client`] the traffic; [`behaviour::Behaviour`] is the
//! order they get.

mod active;
mod answer;
pub mod answered;
pub mod behaviour;
mod busy;
pub mod client;
mod control;
pub mod counts;
mod metrics;
pub mod pause;
pub mod request;
pub mod serve;
pub mod signals;
mod traffic;
