//! The agent on a real cluster: what the demo and the end-to-end tests stand on.
//!
//! [`Stage::open`] finds the cluster that is running. On it, [`Stage::agent`] installs the agent as a user would, from
//! `deploy/base`, and [`Stage::web`] a Deployment behind a Service whose pods can be made to fail.

mod agent;
pub mod alerts;
mod emulated_nodes;
mod forward;
mod gate;
mod images;
pub mod manifest;
mod plugin;
mod process;
mod proxy;
mod quiet;
mod scene;
mod stage;
mod unreliable;
mod web;

pub use agent::{Agent, LEDGER, Metric};
pub use emulated_nodes::EmulatedNodes;
pub use forward::{Ask, Forward};
pub use gate::{Answered, Caught, Gate, Held, Passing};
pub use images::{WORKLOAD, prepare};
pub use plugin::{Plugin, Ran, programs, ran};
pub use process::{Process, Rights, get, sum};
pub use quiet::{Marks, Most, Quiet};
pub use scene::{PROBE, Scene, changed, record};
pub use stage::Stage;
pub use unreliable::Disturbed;
pub use web::{Labels, Traffic, Web};
