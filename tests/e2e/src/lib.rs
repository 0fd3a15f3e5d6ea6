//! The agent on a real cluster: what the demo and the end-to-end tests stand on.
//!
//! [`Stage::open`] finds the cluster that is running. On it, [`Stage::agent`] installs the agent as a user would, from
//! `deploy/base`, and [`Stage::web`] a Deployment behind a Service whose pods can be made to fail.

mod agent;
mod images;
mod proxy;
mod stage;
mod web;

pub use agent::{Agent, Metric};
pub use images::prepare;
pub use stage::Stage;
pub use web::{Labels, Traffic, Web};
